#!/usr/bin/env bash
# Prints the path of a Python that has the clients which the tests use; makes the environment on first use.
set -euo pipefail
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/test-services
WANT=(confluent-kafka[avro,schemaregistry]==2.12.1 kafka-python==2.3.3 lz4==4.4.4 zstandard==0.24.0 python-snappy==0.7.3)
DIR=$CACHE/python-$(printf '%s ' "${WANT[@]}" "$(python3 -V)" | sha256sum | cut -c1-12)
mkdir -p "$CACHE"
exec 9>"$CACHE/python.lock"
flock 9
if [ ! -e "$DIR/.ok" ]; then
  rm -rf "$DIR"
  python3 -m venv "$DIR" >&2
  "$DIR/bin/pip" install --quiet "${WANT[@]}" >&2
  : >"$DIR/.ok"
fi
echo "$DIR/bin/python"
