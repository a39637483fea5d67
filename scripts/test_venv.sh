#!/bin/sh
# Makes (once) a virtual environment under build/ with the PyPI packages that peer tests need and
# prints the path of its interpreter. Exits 77, saying why, where that is impossible.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/build/.venv-test
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import numpy, safetensors.numpy' 2>/dev/null; then
    echo "$venv/bin/python"
    exit 0
fi
mkdir -p build
log=build/venv-test.log
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
rm -rf "$venv"
if ! "$python" -m venv "$venv" >"$log" 2>&1; then
    echo "skipped: python3 -m venv failed: $(tail -n 1 "$log")"
    exit 77
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --timeout 15 --retries 1 'safetensors>=0.4' numpy >>"$log" 2>&1; then
    echo "skipped: pip cannot install safetensors and numpy: $(tail -n 1 "$log")"
    exit 77
fi
echo "$venv/bin/python"
