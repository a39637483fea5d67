#!/bin/sh
# One hash: 20 training steps of each model, the table of operation cases and support vector machines, built by gcc and clang
# at -O0 and -O3 and for AArch64 (run by qemu-user), on every instruction set and 1, 2, 3, 7 threads,
# all compared with tests/golden/numerics-*.txt. Slow builds train with batches of 2 samples, the
# others of 9 (a partial second leaf).
# environment: SOURCE_DIR, BUILD_DIR; ISOBIT_WRITE_GOLDEN=1 writes the golden file from the scalar
# reference instead (after a change of NUMERICS.md or of the cases); ISOBIT_ONE_HASH_FULL=1 takes 3
# steps of both ResNets with both optimisers everywhere (many minutes under qemu) and does all runs, else
# of a few, and every second run: ISOBIT_ONE_HASH_HALF, 0 or 1, says which
set -u

root=$SOURCE_DIR
version=$(sed -n 's/.*IB_NUMERICS_VERSION "\(.*\)".*/\1/p' "$root/src/base/numerics_version.h")
golden=$root/tests/golden/numerics-$version.txt
work=$BUILD_DIR/one-hash
resnets_9='resnet18-sgd:9 resnet18-adam:9 resnet50-sgd:9 resnet50-adam:9'
resnets_2='resnet18-sgd:2 resnet18-adam:2 resnet50-sgd:2 resnet50-adam:2'
full=${ISOBIT_ONE_HASH_FULL-}
jobs=$(getconf _NPROCESSORS_ONLN)
[ "$jobs" -le 4 ] || jobs=4
mkdir -p "$work"
rm -f "$work"/*.result
: >"$work/runs.list"
broken=0

found() {
    command -v "$1" >/dev/null 2>&1
}

build() { # build NAME COMPILER FLAGS [link flags]: 0 when $work/NAME/numerics is there
    if ! found "$2"; then
        echo "skipped: $1, there is no $2"
        return 1
    fi
    mkdir -p "$work/$1"
    if ! (cd "$work/$1" && make -s -j "$jobs" -f "$root/tests/numerics/numerics.mk" ROOT="$root" \
        CC="$2" OPT="$3" LDFLAGS="${4-}") >"$work/$1.build.log" 2>&1; then
        tail -n 30 "$work/$1.build.log"
        echo "FAILED: the build $1"
        broken=$((broken + 1))
        return 1
    fi
}

plan() { # plan BUILD ISA THREADS WHAT...: runs to do; WHAT+flush, WHAT+watch: with denormals flushed,
         # or watched for (the bits are the same, because there are none)
    name=$1 isa=$2 threads=$3
    shift 3
    for what; do
        echo "$name $isa $threads $what" >>"$work/runs.list"
    done
}

# One run of the plan: lines of the result that the golden file lacks are wrong.
cat >"$work/run.sh" <<'END'
work=$1 golden=$2 name=$3 isa=$4 threads=$5 what=$6
launcher= mode=
case $what in *+*) mode=${what#*+} ;; esac
[ "$name" != aarch64 ] || launcher=qemu-aarch64-static
out=$work/$name-$isa-$threads-$what
# shellcheck disable=SC2086 # without a mode there is no word
if $launcher "$work/$name/numerics" "${what%+*}" "$isa" "$threads" $mode >"$out.out" 2>"$out.err" && [ -s "$out.out" ]; then
    if grep -v -x -F -f "$golden" "$out.out" >"$out.wrong"; then
        sed "s/^/FAILED: $name, $isa, $threads threads: /" "$out.wrong" >"$out.result"
        if [ "$what" = ops ]; then
            $launcher "$work/$name/numerics" cases "$isa" "$threads" >"$out.cases" 2>&1
            $launcher "$work/$name/numerics" cases scalar 1 2>/dev/null |
                grep -v -x -F -f - "$out.cases" | head -n 5 |
                sed "s/^/  unlike the scalar reference: /" >>"$out.result"
        fi
    else
        echo "equal $(wc -l <"$out.out")" >"$out.result"
    fi
else
    { echo "FAILED: $name, $isa, $threads threads: $what did not run"; tail -n 3 "$out.err"; } >"$out.result"
fi
rm -f "$out.out" "$out.err" "$out.wrong"
END

if [ "${ISOBIT_WRITE_GOLDEN-}" = 1 ]; then
    build gcc-O3 gcc -O3 || exit 1
    {
        echo "# NUMERICS $version: what tests/numerics/numerics.c prints, by the scalar reference"
        for what in ops cnn:9 cnn:2 mlp-sgd:9 mlp-sgd:2 mlp-adam:9 $resnets_9 $resnets_2 svm; do
            "$work/gcc-O3/numerics" "$what" scalar 1 || exit 1
        done
    } >"$work/golden.txt" || exit 1
    mv "$work/golden.txt" "$golden"
    cat "$golden"
    exit 0
fi
if ! grep -q '^cnn:9 ' "$golden"; then
    echo "FAILED: $golden is missing or empty"
    exit 1
fi

# Everything on the compiler of the release; the slowest, software fma, with small batches.
for compiler in gcc clang; do
    build $compiler-O3 $compiler -O3 || continue
    for isa in $("$work/$compiler-O3/numerics" list); do
        case $isa in
        scalar)
            plan $compiler-O3 scalar 1 cnn:9 ops mlp-sgd:9 mlp-adam:9 svm resnet18-adam:2
            plan $compiler-O3 scalar 1 ops+watch svm+watch mlp-sgd:9+watch mlp-adam:9+flush
            # shellcheck disable=SC2086 # a list of words on purpose
            [ "$full" != 1 ] || plan $compiler-O3 scalar 1 $resnets_9
            ;;
        scalar-soft) plan $compiler-O3 scalar-soft 1 cnn:2 ops mlp-sgd:2 svm ;;
        *)
            for threads in 1 2 3 7; do
                [ $compiler = gcc ] || [ $threads = 3 ] || continue
                plan $compiler-O3 "$isa" $threads ops cnn:9 mlp-sgd:9 mlp-adam:9 svm
                [ "$threads" != 2 ] || plan $compiler-O3 "$isa" 2 resnet18-sgd:9
                [ "$threads" != 3 ] || plan $compiler-O3 "$isa" 3 ops+watch svm+watch cnn:9+flush \
                    mlp-sgd:9+watch mlp-adam:9+watch resnet18-adam:9+watch
                # shellcheck disable=SC2086
                [ "$full" != 1 ] || plan $compiler-O3 "$isa" $threads $resnets_9
            done
            ;;
        esac
    done
done
for compiler in gcc clang; do
    build $compiler-O0 $compiler -O0 || continue
    for isa in $("$work/$compiler-O0/numerics" list); do
        case $isa in
        scalar-soft) plan $compiler-O0 scalar-soft 1 ops mlp-sgd:2 ;;
        *) plan $compiler-O0 "$isa" 1 ops cnn:2 mlp-sgd:2 svm ;;
        esac
    done
done
if [ "$(uname -m)" = aarch64 ]; then
    echo "skipped: aarch64 under qemu, this is AArch64"
elif ! found qemu-aarch64-static; then
    echo "skipped: aarch64, there is no qemu-aarch64-static"
elif build aarch64 aarch64-linux-gnu-gcc -O2 -static; then
    plan aarch64 neon 1 ops cnn:2 mlp-sgd:2 svm
    plan aarch64 neon 3 ops+watch svm+watch mlp-adam:9+watch
    plan aarch64 scalar 1 ops+watch cnn:2 svm
    plan aarch64 neon 2 resnet18-adam:2+watch cnn:2+watch mlp-sgd:2+flush
    if [ "$full" = 1 ]; then
        # shellcheck disable=SC2086
        plan aarch64 neon 3 $resnets_2
        # shellcheck disable=SC2086
        plan aarch64 scalar 1 $resnets_2
    fi
fi

# A sample: every second run, the one half or the other.
if [ "$full" != 1 ]; then
    half=${ISOBIT_ONE_HASH_HALF-$(($(date +%s) % 2))}
    awk -v half="$half" 'NR % 2 == half' "$work/runs.list" >"$work/half.list"
    mv "$work/half.list" "$work/runs.list"
    echo "ISOBIT_ONE_HASH_HALF=$half of the runs (ISOBIT_ONE_HASH_FULL=1: all)"
fi
if [ -s "$work/runs.list" ]; then
    # the longest first
    { grep scalar "$work/runs.list"; grep -v scalar "$work/runs.list"; } |
        xargs -L 1 -P "$jobs" sh "$work/run.sh" "$work" "$golden"
fi
runs=0 equal=0 lines=0
while read -r name isa threads what; do
    runs=$((runs + 1))
    result=$(cat "$work/$name-$isa-$threads-$what.result")
    case $result in
    "equal "*) equal=$((equal + 1)) lines=$((lines + ${result#equal })) ;;
    *) echo "$result" ;;
    esac
done <"$work/runs.list"
builds=$(cut -d' ' -f1 "$work/runs.list" | sort -u | wc -l)
isas=$(cut -d' ' -f2 "$work/runs.list" | sort -u | tr '\n' ' ')
echo "one hash: $builds builds ($isas), $equal of $runs runs equal, $lines hashes compared, $broken builds broken"
[ $broken -eq 0 ] && [ $equal -eq $runs ] || exit 1
[ $runs -gt 0 ] || { echo "skipped: nothing could be built"; exit 77; }
