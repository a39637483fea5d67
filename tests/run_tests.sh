#!/bin/sh
# All tests: release build by gcc (every test), clang build (unit tests), then unit tests under
# AddressSanitizer + UndefinedBehaviorSanitizer, the fuzz harnesses for some seconds each too, and
# what runs threads under ThreadSanitizer.
# Ends with one line "N passed, N failed, N skipped" over all of them.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
reports=build/test-reports
started=$(date +%s)
broken=0

rm -rf "$reports"
mkdir -p "$reports"

say() {
    printf '\n== [%3d s] %s\n' $(($(date +%s) - started)) "$*"
}

build() { # build PRESET [--target NAME...]
    preset=$1
    shift
    say "$preset: build"
    scripts/build.sh "$preset" --parallel "$jobs" "$@" >"$reports/$preset.build.log" 2>&1 && return 0
    tail -n 60 "$reports/$preset.build.log"
    echo "the $preset build failed"
    broken=$((broken + 1))
    return 1
}

run() { # run PRESET [ctest arguments]
    preset=$1
    shift
    say "$preset: test"
    # The two sizes: ctest would cut the counts out of long output before the summary sees them.
    ctest --test-dir "build/$preset" --output-junit "$PWD/$reports/$preset.xml" --output-on-failure \
        --no-tests=error --test-output-size-passed 4000000 --test-output-size-failed 4000000 \
        --parallel "$((jobs + 2))" "$@" && return 0 # many tests wait: for disks, servers, each other
    # A failing test is counted from the report; without a report, the run itself is the failure.
    [ -s "$reports/$preset.xml" ] || broken=$((broken + 1))
}

export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1
export ASAN_OPTIONS=detect_stack_use_after_return=1

build release && run release
build clang && run clang --label-regex unit
build asan && run asan --label-regex 'unit|fault|fuzz'
build tsan --target test_threads test_library &&
    run tsan --label-regex unit --tests-regex "threads|test_library$"

say "done"
python3 tests/summary.py "$broken" "$reports"/*.xml
