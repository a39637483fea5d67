#!/bin/sh
# What the library calls: nothing that ends the process or prints to standard output; and the
# kernels call nothing of the C library but memory functions, above all nothing of libm, whose
# results differ between machines.
# environment: LIBRARY, the static library; BUILD_DIR, where the kernels' objects are
set -eu
failed=0

undefined() { # undefined FILE...: "file symbol" for each symbol used but not defined there
    nm -A --undefined-only "$@" 2>/dev/null | awk '{ print $1 " " $NF }'
}

# command/sweep_job.c ends the child it forked, where exec fails.
bad=$(undefined "$LIBRARY" | grep -v 'sweep_job\.c\.o: _exit$' |
    grep -E ' (exit|_exit|_Exit|quick_exit|abort|__assert_fail|stdout|printf|vprintf|puts|putchar|__printf_chk|__vprintf_chk)$' || true)
if [ -n "$bad" ]; then
    echo "the library must not end the process nor print to standard output:"
    echo "$bad"
    failed=1
fi

kernels=$(find "$BUILD_DIR" -path '*kernels_*.dir/*.o')
if [ -z "$kernels" ]; then
    echo "no kernel objects below $BUILD_DIR: nothing was checked"
    exit 1
fi
# shellcheck disable=SC2086 # one word an object
bad=$(undefined $kernels |
    grep -v -E ' (ib_[a-z0-9_]*|mem(cpy|set|move|cmp)|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$' || true)
if [ -n "$bad" ]; then
    echo "kernels must not call:"
    echo "$bad"
    failed=1
fi

# The instructions: vector kernels use FMA, the reference for CPUs without it must not.
fused() {
    objdump -d "$1" | grep -c -E '\svfn?m(add|sub)|\sf(n?madd|n?msub|mla|mls)\s' || true
}
count() { # count NAME: FMA instructions in the objects of kernels_NAME, or "absent"
    objects=$(find "$BUILD_DIR" -path "*kernels_$1.dir/*.o")
    total=absent
    for object in $objects; do
        [ "$total" = absent ] && total=0
        total=$((total + $(fused "$object")))
    done
    echo "$total"
}
for name in avx2 avx512 neon ref; do
    if [ "$(count "$name")" = 0 ]; then
        echo "kernels_$name: no FMA instruction in it"
        failed=1
    fi
done
case $(count ref_soft) in
absent | 0) ;;
*)
    echo "kernels_ref_soft: FMA instructions where the CPU may have none"
    failed=1
    ;;
esac

# Contraction must be off in every compilation.
if [ -e "$BUILD_DIR/compile_commands.json" ]; then
    bad=$(grep '"command"' "$BUILD_DIR/compile_commands.json" | grep -v -e '-ffp-contract=off' || true)
    if [ -n "$bad" ]; then
        echo "compiled without -ffp-contract=off:"
        echo "$bad"
        failed=1
    fi
fi
[ "$failed" = 0 ] && echo "symbols of $(echo "$kernels" | wc -l) kernel objects and the library are as they must be"
exit "$failed"
