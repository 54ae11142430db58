#!/usr/bin/env bash
# Builds Debian's RocksDB source in release mode (-O2 -DNDEBUG, static) into a cache outside the tree.
#
#   deployments/rocksdb/build.sh          build if the cache lacks it, then print the cache's folder
#   deployments/rocksdb/build.sh --where  print the cache's folder if it is complete, else exit 1
#
# Why: Debian's library is built with assertions on. It serves tests; what is shipped and benchmarked links this one.
# The folder's name carries the source version and a digest of the flags, so that a change of either builds anew.
# A build happens in a temporary folder beside it and is renamed at the end: a folder that exists is complete.
set -euo pipefail

flags='-O2 -DNDEBUG -fno-omit-frame-pointer -Wno-error'
cache=${ZANKV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zankv}

version_of_package() { dpkg-query -W -f '${Version}' librocksdb-dev 2>/dev/null; }

package=$(version_of_package) || true
if [ -z "$package" ]; then
  [ "${1:-}" = --where ] && exit 1
  echo "librocksdb-dev is not installed; run 'make deps' first" >&2
  exit 1
fi
digest=$(printf '%s' "$flags" | sha256sum | cut -c1-8)
home=$cache/rocksdb-$package-$digest

if [ "${1:-}" = --where ]; then
  [ -f "$home/lib/librocksdb.a" ] && printf '%s\n' "$home" && exit 0
  exit 1
fi
if [ -f "$home/lib/librocksdb.a" ]; then
  printf '%s\n' "$home"
  exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

mkdir -p "$cache"
work=$(mktemp -d "$cache/.build-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Debian's source index may be off on this machine. Read it through a private list, so that the system's stays as it is.
echo "rocksdb $package: fetching Debian's source" >&2
mkdir -p "$work/apt/lists/partial" "$work/apt/parts"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -f "$list" ] && sed -n 's/^deb /deb-src /p' "$list" >> "$work/apt/sources.list"
done
for list in /etc/apt/sources.list.d/*.sources; do
  [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" > "$work/apt/parts/$(basename "$list")"
done
touch "$work/apt/sources.list"
apt_options=(-o "Dir::Etc::SourceList=$work/apt/sources.list" -o "Dir::Etc::SourceParts=$work/apt/parts"
  -o "Dir::State::Lists=$work/apt/lists" -o "APT::Sandbox::User=root" -qq)
"${as_root[@]}" apt-get "${apt_options[@]}" update
(cd "$work" && apt-get "${apt_options[@]}" --download-only source "rocksdb=$package" >&2)
(cd "$work" && dpkg-source --no-check -x rocksdb_*.dsc src >&2)

echo "rocksdb $package: building with $flags" >&2
jobs=$(nproc)
cmake -S "$work/src" -B "$work/out" -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_FLAGS="$flags" \
  -DPORTABLE=ON -DROCKSDB_BUILD_SHARED=OFF -DWITH_TESTS=OFF -DWITH_BENCHMARK_TOOLS=OFF -DWITH_TOOLS=OFF -DWITH_CORE_TOOLS=OFF \
  -DWITH_GFLAGS=OFF -DWITH_SNAPPY=ON -DWITH_LZ4=ON -DWITH_ZSTD=ON -DWITH_ZLIB=ON -DUSE_RTTI=ON -DFAIL_ON_WARNINGS=OFF > "$work/configure.log" 2>&1 ||
  { cat "$work/configure.log" >&2; exit 1; }

# Progress: on a terminal, make's percentage with an estimate of what is left; in a pipe, one line each ten per cent.
start=$(date +%s)
set +e
cmake --build "$work/out" --target rocksdb -j "$jobs" 2> "$work/errors.log" | while IFS= read -r line; do
  case $line in
    '['*%*) percent=${line#[}; percent=${percent%%%*}; percent=${percent// /} ;;
    *) continue ;;
  esac
  spent=$(($(date +%s) - start))
  left=$((percent > 0 ? spent * (100 - percent) / percent : 0))
  if [ -t 2 ]; then
    printf '\rrocksdb: %3d%%, %ds spent, about %ds left   ' "$percent" "$spent" "$left" >&2
  elif [ "$((percent / 10))" != "${shown:-0}" ]; then
    shown=$((percent / 10))
    printf 'rocksdb: %d%%, %ds spent, about %ds left\n' "$percent" "$spent" "$left" >&2
  fi
done
status=${PIPESTATUS[0]}
set -e
[ -t 2 ] && echo >&2
if [ "$status" != 0 ]; then
  tail -n 40 "$work/errors.log" >&2
  echo "rocksdb: the build failed" >&2
  exit 1
fi

mkdir -p "$work/home/lib"
cp "$work/out/librocksdb.a" "$work/home/lib/"
cp -r "$work/src/include" "$work/home/include"
printf '%s, release build, %s\n' "$package" "$flags" > "$work/home/VERSION"
rm -rf "$home"
mv "$work/home" "$home"
echo "rocksdb $package: in $home" >&2
printf '%s\n' "$home"
