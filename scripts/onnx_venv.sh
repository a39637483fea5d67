#!/bin/sh
# Makes build/onnx-venv with onnx and onnxruntime from pip's index, for tests/system/test_onnx.py.
# Without an index it says so and succeeds: that test then skips its comparisons.
# usage: scripts/onnx_venv.sh        ISOBIT_NO_INSTALL=1 or ISOBIT_ONNX_PYTHON: nothing is made
set -eu
cd "$(dirname "$0")/.."
venv=build/onnx-venv
if [ "${ISOBIT_NO_INSTALL:-0}" = 1 ] || [ -n "${ISOBIT_ONNX_PYTHON:-}" ]; then
    exit 0
fi
if [ -x $venv/bin/python ] && $venv/bin/python -c 'import onnx, onnxruntime, numpy' 2>/dev/null; then
    exit 0
fi
mkdir -p build
if ! python3 -m venv $venv || ! $venv/bin/pip install -q onnx onnxruntime numpy; then
    echo "onnx_venv: no onnx and onnxruntime; test_onnx will skip what needs them" >&2
fi
