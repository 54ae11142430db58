#!/usr/bin/env bash
# Installs what is missing of the Debian packages that a purpose needs: build, test, rocksdb (its release
# build), kafka (a broker).
#
#   deployments/deps.sh build test
#
# Quick and silent when nothing is missing: it asks dpkg only. Needs root, or sudo.
set -euo pipefail

packages=()
for purpose in "$@"; do
  case $purpose in
    build) packages+=(g++ librocksdb-dev libsnappy-dev liblz4-dev libzstd-dev zlib1g-dev) ;;
    test) packages+=(redis-server redis-tools protobuf-compiler)
      # Those of other languages may come from anywhere: what counts is that there are commands.
      command -v node > /dev/null || packages+=(nodejs)
      command -v npm > /dev/null || packages+=(npm)
      command -v javac > /dev/null || packages+=(default-jdk-headless)
      command -v mvn > /dev/null || packages+=(maven)
      python3 -m pip --version > /dev/null 2>&1 || packages+=(python3 python3-pip)
      ;;
    rocksdb) packages+=(cmake make dpkg-dev) ;;
    kafka)
      command -v java > /dev/null || packages+=(default-jre-headless)
      command -v mvn > /dev/null || packages+=(maven)
      ;;
    *) echo "deps.sh: no purpose '$purpose': build, test, rocksdb or kafka" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query > /dev/null; then
  echo "this isn't Debian or Ubuntu: install what these of its packages hold by hand: ${packages[*]}" >&2
  exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || { echo "as root, install: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  # Packages must not start daemons: tests start their own servers on free ports, and a port that is taken helps nobody.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy > /dev/null
    "${as_root[@]}" chmod +x $policy
    trap '"${as_root[@]}" rm -f $policy' EXIT
  fi
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  if [[ " ${missing[*]} " == *" redis-server "* ]] && command -v systemctl > /dev/null; then
    "${as_root[@]}" systemctl disable redis-server > /dev/null 2>&1 || true # nor start it with the machine
  fi
fi

version=$(dpkg-query -W -f '${Version}' librocksdb-dev 2>/dev/null || true)
case $version in
  7.8.* | '') ;;
  *)
    echo "librocksdb-dev is $version here; ZanKV is made for 7.8, which Debian 12 has: build on it, or in a container of it" >&2
    exit 1
    ;;
esac
