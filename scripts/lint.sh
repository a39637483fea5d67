#!/bin/sh
# Everything that reads the sources without running them. Uses what is installed and says what is not.
set -eu
cd "$(dirname "$0")/.."
failed=0

have() {
    command -v "$1" >/dev/null && return 0
    echo "lint: $1 is not installed: left out"
    return 1
}

if have shellcheck; then
    find scripts tests bench docs .ci -type f \( -name '*.sh' -o -path .ci/run \) -exec shellcheck {} + || failed=1
fi
if have clang-tidy; then
    # The clang build's commands: clang-tidy does not know every option of gcc's.
    if have clang; then
        cmake --preset clang >build/lint-configure.log 2>&1 || { cat build/lint-configure.log; exit 1; }
        find src tests -name '*.c' | sort |
            xargs -P "$(nproc)" -n 4 clang-tidy -p build/clang --quiet >build/lint-tidy.log 2>build/lint-tidy.err || {
            grep -v '^$' build/lint-tidy.log || tail -n 20 build/lint-tidy.err
            failed=1
        }
    fi
fi
python3 tests/system/check_ranks.py || failed=1
[ "$failed" = 0 ] && echo "lint: clean"
exit "$failed"
