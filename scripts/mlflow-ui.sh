#!/bin/sh
# An MLflow server on this machine over SQLite, with the run records below runs/ in it.
# usage: scripts/mlflow-ui.sh        ISOBIT_MLFLOW_DIR (mlflow) keeps its data, ISOBIT_MLFLOW_PORT
# (5000) is where it listens, ISOBIT_RUNS_DIR (runs) holds the records. Ends with the server.
set -eu
cd "$(dirname "$0")/.."
directory=${ISOBIT_MLFLOW_DIR:-mlflow}
port=${ISOBIT_MLFLOW_PORT:-5000}
runs=${ISOBIT_RUNS_DIR:-runs}
uri=http://127.0.0.1:$port

if ! python=$(scripts/mlflow_venv.sh); then
    echo "$python" >&2
    exit 1
fi
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
"$python" -m mlflow server --host 127.0.0.1 --port "$port" --workers 1 \
    --backend-store-uri "sqlite:///$directory/mlflow.db" \
    --artifacts-destination "$directory/artifacts" >"$directory/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tries=0
until curl --silent --fail --output /dev/null "$uri/health"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ] || ! kill -0 "$server" 2>/dev/null; then
        tail -n 20 "$directory/server.log" >&2
        echo "mlflow-ui: the server does not start; all of its log: $directory/server.log" >&2
        exit 1
    fi
    sleep 1
done
if [ -d "$runs" ]; then
    build/release/isobit sync "$runs" --to "$uri" || true # said already; what is there can be seen
fi
echo "MLflow: $uri   (Ctrl-C ends it; its data stay in $directory)"
wait "$server"
