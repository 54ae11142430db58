#!/usr/bin/env bash
# Installs an Apache Kafka broker, at the version that pom.xml pins, into a cache outside the tree.
#
#   deployments/kafka/install.sh          install if the cache lacks it
#   deployments/kafka/install.sh --where  print the cache's folder if it is complete, else exit 1
#
# In the folder: lib/ (the broker's jars, for the class path), classes.jsa (see archive). Every jar is checked against jars.sha256. The folder's name
# carries a digest of the pins, so that a change of any installs anew. The work is done in a folder beside it that is renamed
# at the end: a folder that exists is complete.
#
# Why 4.1: segmentio/kafka-go 0.4.51 agrees with it on a version of every request that ZanKV sends (producing encoded batches,
# fetching, offsets, topics, configurations, producer ids, TLS, SASL PLAIN and SCRAM), and it is the line that is maintained.
# It runs on Java 17 and later.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ZANKV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zankv}
pins=(install.sh pom.xml jars.sha256)
digest=$(cd "$here" && cat "${pins[@]}" | sha256sum | cut -c1-12)
home=$cache/kafka-$digest

if [ "${1:-}" = --where ]; then
  [ -d "$home" ] || exit 1
  printf '%s\n' "$home"
  exit 0
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/.kafka-XXXXXX")
broker=
trap '[ -z "$broker" ] || kill -9 "$broker"; rm -rf "$work"' EXIT

jars() {
  echo "kafka: installing a broker into $home" >&2
  # Maven's own check is of digests that come from where the jars come from; jars.sha256 is ours, and names every jar.
  mvn -B -f "$here/pom.xml" -DoutputDirectory="$work/home/lib" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies > "$work/log" 2>&1 ||
    { cat "$work/log" >&2; echo "kafka: mvn failed" >&2; exit 1; }
  (cd "$work/home/lib" && LC_ALL=C sha256sum ./*.jar) > "$work/jars"
  diff "$here/jars.sha256" "$work/jars" >&2 || { echo "kafka: these jars aren't those of jars.sha256" >&2; exit 1; }
  [ -d "$home" ] || mv -T "$work/home" "$home"
}

# archive lets a broker live once, and has Java keep what it loaded: a start then costs half. Only this Java takes it, at these
# paths, and sees by itself whether it fits. Nothing depends on it: a failure is passed over, and not tried again.
archive() {
  local java port=$((32100 + 3 * (RANDOM % 200))) # above those of tests, below those of outgoing connections
  java=$(stat -L -c '%n %s %Y' "$(command -v java)") || return 0
  [ "$(cat "$home/classes.for" 2> /dev/null)" != "$java" ] || return 0
  "$here/broker.sh" --dir "$work/once" --port $port --controller-port $((port + 1)) --internal-port $((port + 2)) \
    --lifetime short --keep-classes "$work/classes.jsa" > "$work/log" 2>&1 &
  broker=$!
  for _ in {1..600}; do
    kill -0 "$broker" 2> /dev/null && ! grep -q 'Kafka Server started' "$work/log" || break
    sleep 0.1
  done
  kill "$broker" 2> /dev/null || true
  wait "$broker" || true
  broker=
  [ ! -e "$work/classes.jsa" ] || mv "$work/classes.jsa" "$home/classes.jsa"
  printf '%s\n' "$java" > "$home/classes.for"
}

[ -d "$home" ] || jars
archive
