#!/usr/bin/env bash
# Installs what the demo, the tests and the benchmarks need on a Debian machine with rustup, each thing only where it is missing.
#   install.sh build|demo|test
# As root, or with sudo. Prints nothing when nothing was missing.
set -euo pipefail
NEED=${1:-test}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/test-services

have() { command -v "$1" >/dev/null 2>&1; }
missing=()
want() { have "$1" || missing+=("${@:2}"); } # PROGRAM PACKAGE...

# librdkafka, zstd, ring and mimalloc are compiled from source.
want gcc gcc libc6-dev; want g++ g++; want make make; want perl perl; want curl curl ca-certificates
if [ "$NEED" != build ]; then
  want python3 python3
  want mvn maven
  # A JDK of 17 or later, compiler included.
  jdk=
  for dir in ${JAVA_HOME:-} /usr/lib/jvm/*; do
    [ -x "$dir/bin/javac" ] || continue
    major=$("$dir/bin/javac" -version 2>&1 | sed -n 's/^javac \([0-9][0-9]*\).*/\1/p')
    [ "${major:-0}" -ge 17 ] && jdk=$dir
  done
  [ -n "$jdk" ] || missing+=(openjdk-17-jdk-headless)
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  have psql || missing+=(postgresql-client)
  want npm npm
fi
if [ "$NEED" = test ]; then
  want kcat kcat; want node nodejs
  # 1.19, which Debian 12 has, is enough.
  want go golang-go
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ]; then as_root=(env); elif have sudo; then as_root=(sudo); else
    echo "error: these Debian packages are missing and neither root nor sudo is there to install them: ${missing[*]}" >&2
    exit 3
  fi
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq >&2
  # The cluster that Debian's postgresql package makes is of no use here and would take a port.
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
have cargo || { echo "error: cargo is missing: install Rust 1.95 or later with rustup" >&2; exit 3; }
mkdir -p "$CACHE"
