"""Training on a disk that fills up: exit 1 with a message, and no partial model or temporary file.

The file size limit (SIGXFSZ ignored) stands in for the full disk: a model is larger than it.
"""
import os
import resource
import signal
import subprocess
import sys
import tempfile

LIMIT = 256 * 1024


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def files_below(directory):
    return [os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names]


def main():
    with tempfile.TemporaryDirectory() as directory:
        runs = os.path.join(directory, "runs")
        command = [os.environ["ISOBIT"], "train", "--model", "cnn", "--dataset", "digits",
                   "--data-dir", os.environ["ISOBIT_TEST_DATA"], "--runs-dir", runs,
                   "--epochs", "1", "--train-size", "64", "--test-size", "64", "--save-model"]
        done = subprocess.run(command, cwd=directory, preexec_fn=limited, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        left = files_below(directory)
        print(done.stderr.strip()[-500:])
        assert done.returncode == 1, f"exit code {done.returncode}"
        assert "File too large" in done.stderr, "the message does not give the reason"
        assert ".safetensors" in done.stderr, "the message does not name the file"
        bad = [path for path in left if ".tmp-" in path or path.endswith(".safetensors")]
        assert not bad, f"left behind: {bad}"
        done = subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL)
        assert done.returncode == 0, "the same command without the limit fails too"
    return 0


sys.exit(main())
