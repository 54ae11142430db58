#!/usr/bin/env bash
# Installs the Redis clients of other languages that tests run, at the versions that the files beside it pin, into a cache
# outside the tree.
#
#   deployments/clients/install.sh          install if the cache lacks them
#   deployments/clients/install.sh --where  print the cache's folder if it is complete, else exit 1
#
# In the folder: python/ (for PYTHONPATH), node/node_modules/ (for NODE_PATH), java/ (jars for the class path). Everything
# fetched is checked against a digest kept here: requirements.txt, package-lock.json, jars.sha256. The folder's name carries
# a digest of these files, so that a change of any installs anew. The work is done in a folder beside it that is renamed at
# the end: a folder that exists is complete.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ZANKV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zankv}
pins=(install.sh requirements.txt package.json package-lock.json pom.xml jars.sha256)
digest=$(cd "$here" && cat "${pins[@]}" | sha256sum | cut -c1-12)
home=$cache/clients-$digest

if [ "${1:-}" = --where ]; then
  [ -d "$home" ] || exit 1
  printf '%s\n' "$home"
  exit 0
fi
[ ! -d "$home" ] || exit 0

mkdir -p "$cache"
work=$(mktemp -d "$cache/.clients-XXXXXX")
trap 'rm -rf "$work"' EXIT

# quietly runs a command whose words matter only if it fails.
quietly() {
  "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; echo "clients: $1 failed" >&2; exit 1; }
}

echo "clients: installing redis-py, ioredis and Jedis into $home" >&2
quietly python3 -m pip install --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes \
  --only-binary :all: --target "$work/home/python" -r "$here/requirements.txt"

mkdir -p "$work/home/node"
cp "$here/package.json" "$here/package-lock.json" "$work/home/node/"
quietly npm ci --prefix "$work/home/node" --ignore-scripts --no-audit --no-fund

# Maven's own check is of digests that come from where the jars come from; jars.sha256 is ours, and names every jar.
quietly mvn -B -f "$here/pom.xml" -DoutputDirectory="$work/home/java" \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
(cd "$work/home/java" && LC_ALL=C sha256sum ./*.jar) > "$work/jars"
diff "$here/jars.sha256" "$work/jars" >&2 || { echo "clients: these jars aren't those of jars.sha256" >&2; exit 1; }

[ -d "$home" ] || mv -T "$work/home" "$home"
