#!/bin/sh
# Configures (once) and builds one preset of CMakePresets.json; quiet unless it fails.
# usage: scripts/build.sh PRESET [cmake --build arguments]
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p "build/$preset"
log=build/$preset/configure.log
if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
exec cmake --build "build/$preset" "$@"
