#!/usr/bin/env bash
# Prints a directory whose node_modules has the clients which the tests use; installs them on first use.
set -euo pipefail
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/test-services
CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../clients/node" && pwd)
DIR=$CACHE/node-$(cat "$CLIENTS/package.json" "$CLIENTS/package-lock.json" | sha256sum | cut -c1-12)
mkdir -p "$CACHE"
exec 9>"$CACHE/node.lock"
flock 9
if [ ! -e "$DIR/.ok" ]; then
  rm -rf "$DIR"; mkdir -p "$DIR"
  cp "$CLIENTS"/package*.json "$DIR"
  (cd "$DIR" && npm ci --silent --no-audit --no-fund) >&2
  : >"$DIR/.ok"
fi
echo "$DIR"
