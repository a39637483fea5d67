#!/bin/sh
# make bench: this machine's roofline, isobit's operations, and training steps beside PyTorch's (some
# 40 minutes; ISOBIT_BENCH_ARGS="--batch-sizes 64 --optimizers adadelta" takes a few):
# Debian's python3-torch where installed, and the newest from PyPI in a venv of its own.
# environment: ISOBIT_BENCH_ARGS (for bench/compare.py), ISOBIT_BENCH_VENV (default build/venv-bench)
set -eu
cd "$(dirname "$0")/.."

isobit=build/release/isobit
venv=${ISOBIT_BENCH_VENV:-build/venv-bench}
out=build/bench
mkdir -p "$out"

"$isobit" bench roofline
"$isobit" bench ops --model cnn --batch-size 64

peers=""
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
    peers="--peer /usr/bin/python3:eager"
else
    echo "Debian's python3-torch is not installed: left out (apt install python3-torch)"
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "creating $venv with the newest torch (several gigabytes the first time)"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q torch numpy; }; then
        rm -rf "$venv"
    fi
fi
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    for mode in eager channels-last compile bf16; do
        peers="$peers --peer $venv/bin/python:$mode"
    done
else
    echo "PyPI's torch could not be installed: left out"
fi
# shellcheck disable=SC2086  # options, not file names
{
    python3 bench/compare.py --isobit "$isobit" $peers ${ISOBIT_BENCH_ARGS:-} -o "$out/cnn"
    for model in resnet18 resnet50; do
        python3 bench/compare.py --isobit "$isobit" $peers --model $model --batch-sizes 32 \
            --threads 2 --optimizers adam -o "$out/$model"
    done
}
cat "$out/cnn.md" "$out/resnet18.md" "$out/resnet50.md"
