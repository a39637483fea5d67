#!/bin/sh
# Makes (once) a virtual environment with MLflow under build/ and prints the path of its interpreter.
# ISOBIT_MLFLOW_PYTHON names another one that has MLflow. Exits 77, saying why, where there is none.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${ISOBIT_MLFLOW_PYTHON:-}" ]; then
    if "$ISOBIT_MLFLOW_PYTHON" -c 'import mlflow' 2>/dev/null; then
        echo "$ISOBIT_MLFLOW_PYTHON"
        exit 0
    fi
    echo "skipped: ISOBIT_MLFLOW_PYTHON=$ISOBIT_MLFLOW_PYTHON has no MLflow"
    exit 77
fi
venv=$PWD/build/mlflow-venv
if [ -x "$venv/bin/mlflow" ] && [ -x "$venv/bin/python" ]; then
    echo "$venv/bin/python"
    exit 0
fi
mkdir -p build
log=build/mlflow-venv.log
rm -rf "$venv"
if ! python3 -m venv "$venv" >"$log" 2>&1; then
    echo "skipped: python3 -m venv failed: $(tail -n 1 "$log")"
    exit 77
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --timeout 15 --retries 1 'mlflow>=3' onnx onnxruntime >>"$log" 2>&1; then
    rm -rf "$venv"
    echo "skipped: pip cannot install mlflow: $(tail -n 1 "$log")"
    exit 77
fi
echo "$venv/bin/python"
