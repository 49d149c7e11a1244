#!/usr/bin/env bash
# Prints the path of the program in tests/clients/go, built; the modules come from the Go module proxy on first use.
# Go 1.19, which Debian 12 has, is enough.
set -euo pipefail
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/test-services
CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../clients/go" && pwd)
DIR=$CACHE/go-$(cat "$CLIENTS"/*.go "$CLIENTS/go.mod" "$CLIENTS/go.sum" | sha256sum | cut -c1-12)
mkdir -p "$CACHE"
exec 9>"$CACHE/go.lock"
flock 9
if [ ! -e "$DIR/.ok" ]; then
  rm -rf "$DIR"; mkdir -p "$DIR"
  (cd "$CLIENTS" && GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$DIR/clients" .) >&2
  : >"$DIR/.ok"
fi
echo "$DIR/clients"
