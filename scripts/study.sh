#!/bin/sh
# A study from a fresh clone to its report: builds isobit, gets the data sets that the file asks for,
# does the runs that are missing, writes the report. Stop it and start it again as you like.
# usage: scripts/study.sh FILE [key=value ...]
# environment: ISOBIT_MIRROR (a directory or URL with mnist/...), ISOBIT_DATA_DIR (default: data),
# ISOBIT_RUNS_DIR (default: runs), ISOBIT (a program that is there already: nothing is built)
set -eu

if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
    echo "usage: $0 FILE [key=value ...]     (experiments/small/*.yaml take minutes)" >&2
    exit 2
fi
file=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
file=$(realpath --relative-base="$PWD" "$file") # as it will be named in the report
runs=${ISOBIT_RUNS_DIR:-runs}
export ISOBIT_DATA_DIR="${ISOBIT_DATA_DIR:-data}"

missing_data() { # the data sets of runs that are still to be done, one a line
    "$isobit" experiment check "$file" "$@" --runs-dir "$runs" --json | python3 -c '
import json, sys
cells = json.load(sys.stdin)["cells"]
print("\n".join(sorted({c["dataset"] for c in cells
                        if not c["has_data"] and c["state"] not in ("finished", "diverged", "not run")})))'
}

if [ -n "${ISOBIT:-}" ]; then
    isobit=$ISOBIT
else
    isobit=build/release/isobit
    scripts/deps.sh build
    scripts/build.sh release --target isobit
fi
"$isobit" experiment check "$file" "$@" >/dev/null
for dataset in $(missing_data "$@"); do
    "$isobit" data prepare --dataset "$dataset" || {
        status=$?
        echo "study: without $dataset this study cannot be done. Put its files into a folder and name that" >&2
        echo "in ISOBIT_MIRROR, or do the study on images that isobit draws: add dataset=digits" >&2
        exit "$status"
    }
done
status=0
"$isobit" sweep "$file" "$@" --runs-dir "$runs" || status=$?
[ "$status" -le 1 ] || exit "$status"
"$isobit" report "$file" "$@" --runs-dir "$runs"
exit "$status" # 1: there are runs that failed, and the report says which
