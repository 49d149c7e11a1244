#!/usr/bin/env bash
# Runs a program of a folder of tests/clients, compiled against Kafka's Java client of a version.
#   java.sh VERSION FOLDER [CLASS ARG...]     e.g. java.sh 3.9.1 java Clients 127.0.0.1:9092; without a class it only prepares
# The jars come from Maven Central on first use. JAVA_HOME: 17 or later.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
VERSION=$1 SOURCES=$(cd "$HERE/../clients/$2" && pwd)
JDK=$(find_jdk 17 || true)
[ -n "$JDK" ] || die "no JDK 17 or later found (set JAVA_HOME)"
case $2 in streams) ARTIFACT=kafka-streams ;; *) ARTIFACT=kafka-clients ;; esac
JARS=$CACHE/$ARTIFACT-$VERSION
mkdir -p "$CACHE"
exec 9>"$CACHE/java.lock"
flock 9
if [ ! -e "$JARS/.ok" ]; then
  rm -rf "$JARS"; mkdir -p "$JARS"
  write_pom "$JARS" "org.apache.kafka:$ARTIFACT:$VERSION"
  fetch_jars "$JARS"
  : >"$JARS/.ok"
fi
CLASSES=$JARS/classes-$(cat "$SOURCES"/*.java | sha256sum | cut -c1-12)
if [ ! -e "$CLASSES/.ok" ]; then
  rm -rf "$CLASSES"; mkdir -p "$CLASSES"
  "$JDK/bin/javac" -nowarn -Xlint:-removal -Xlint:-deprecation --release 17 -cp "$JARS/all/*" -d "$CLASSES" "$SOURCES"/*.java >&2
  : >"$CLASSES/.ok"
fi
exec 9>&-
[ $# -lt 3 ] || exec "$JDK/bin/java" -Xmx256m -XX:TieredStopAtLevel=1 -cp "$CLASSES:$JARS/all/*" "${@:3}"
