#!/bin/sh
# The library keeps no state of its own: every variable with static storage is constant.
# Pointers in constant tables need relocation, so they live in .data.rel.ro; that is allowed.
# environment: LIBRARY, the static library to look at
set -eu
found=$(nm --format=sysv "$LIBRARY" | awk -F'|' '
    NF >= 7 { section = $7; gsub(/ /, "", section); gsub(/ /, "", $1) }
    NF >= 7 && $4 ~ /OBJECT|TLS|COMMON/ &&
        section ~ /^(\.data|\.bss|\.tdata|\.tbss|\.ldata|\.lbss|COMMON|\*COM\*)/ &&
        section !~ /^\.data\.rel\.ro/ { print $1 " (" section ")" }')
objects=$(ar t "$LIBRARY" | wc -l)
if [ -n "$found" ]; then
    echo "variables that are not constant in $(basename "$LIBRARY"):"
    echo "$found"
    exit 1
fi
[ "$objects" -gt 0 ] || { echo "$LIBRARY holds no object: nothing was checked"; exit 1; }
echo "no variables in $objects objects"
