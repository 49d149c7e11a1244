#!/usr/bin/env bash
# `make test`: one build, the unit tests, then the system tests with real services that are started once and stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
SERVICES=tests/services
export TEST_POSTGRES_PORT=${TEST_POSTGRES_PORT:-15433} TEST_ELASTICSEARCH_PORT=${TEST_ELASTICSEARCH_PORT:-19200}
export TEST_KAFKA_PORT=${TEST_KAFKA_PORT:-19112} TEST_KAFKA_OWN_PORT=${TEST_KAFKA_OWN_PORT:-19122} KAFKA_HEAP=${KAFKA_HEAP:-400m}
stop() {
  $SERVICES/elasticsearch.sh stop "$TEST_ELASTICSEARCH_PORT" || true
  $SERVICES/postgres.sh stop "$TEST_POSTGRES_PORT" || true
  $SERVICES/kafka.sh stop "$TEST_KAFKA_PORT" || true
}
trap stop EXIT

# The downloads and the first start of the services go on beside the build.
prepare() {
  $SERVICES/postgres.sh start "$TEST_POSTGRES_PORT"
  $SERVICES/elasticsearch.sh start "$TEST_ELASTICSEARCH_PORT"
  $SERVICES/python.sh
  $SERVICES/node.sh
  $SERVICES/go.sh
  for version in 3.9.1 4.3.0; do $SERVICES/java.sh "$version" java; done
  $SERVICES/java.sh 4.3.0 streams
  # A new one: each run leaves its topics behind.
  $SERVICES/kafka.sh stop "$TEST_KAFKA_PORT"
  rm -rf "${XDG_CACHE_HOME:-$HOME/.cache}/test-services/kafka-data-$TEST_KAFKA_PORT"
  $SERVICES/kafka.sh start "$TEST_KAFKA_PORT"
} >target/services.log 2>&1
mkdir -p target
prepare &
prepared=$!
# One selection of packages for building and running: another would compile many dependencies again, with other features.
cargo build --locked --workspace --all-targets
wait "$prepared" || { tail -n 40 target/services.log >&2; echo "error: a service did not start" >&2; exit 1; }
# Crates without services first; as many tests at a time as there are cores.
cargo test --locked --workspace
