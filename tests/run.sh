#!/usr/bin/env bash
# `make test`: one build, the unit tests, then the system tests with real services that are started once and stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
SERVICES=tests/services
export TEST_POSTGRES_PORT=${TEST_POSTGRES_PORT:-15433} TEST_ELASTICSEARCH_PORT=${TEST_ELASTICSEARCH_PORT:-19200}
stop() {
  $SERVICES/elasticsearch.sh stop "$TEST_ELASTICSEARCH_PORT" || true
  $SERVICES/postgres.sh stop "$TEST_POSTGRES_PORT" || true
}
trap stop EXIT

# The downloads and the first start of the services go on beside the build.
prepare() {
  $SERVICES/postgres.sh start "$TEST_POSTGRES_PORT"
  $SERVICES/elasticsearch.sh start "$TEST_ELASTICSEARCH_PORT"
  $SERVICES/kafka.sh tool org.apache.kafka.tools.TopicCommand --version
  $SERVICES/python.sh
} >target/services.log 2>&1
mkdir -p target
prepare &
prepared=$!
# One selection of packages for building and running: another would compile many dependencies again, with other features.
cargo build --locked --workspace --all-targets
wait "$prepared" || { tail -n 40 target/services.log >&2; echo "error: a service did not start" >&2; exit 1; }
# Crates without services first; as many tests at a time as there are cores.
cargo test --locked --workspace
