# Verbs of the project; each is one line into cargo or a script. `make test` and `make demo` install what they need.
.PHONY: build demo test unit lint bench docs
SERVICES := tests/services

build:
	$(SERVICES)/install.sh build && cargo build --release --locked -p aquifer

demo:
	$(SERVICES)/install.sh demo && cargo build --release --locked -p aquifer -p aquifer-tests --bins && CHECK=$(CHECK) target/release/demo

test:
	$(SERVICES)/install.sh test && tests/run.sh

unit:
	cargo test --locked --workspace --exclude aquifer-tests

lint:
	cargo fmt --all -- --check && cargo clippy --locked --workspace --all-targets -- -D warnings && cargo test --locked --workspace --test tidy

bench:
	$(SERVICES)/install.sh test && cargo build --release --locked -p aquifer -p aquifer-bench && target/release/aquifer-bench

docs:
	cargo doc --locked --workspace --no-deps
