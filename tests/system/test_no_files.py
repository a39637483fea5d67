"""Pipes, sockets, folders, devices and endless lines where a command opens a file: it says so, at once
and without taking memory. And a command that waits for something obeys the first signal.

environment: ISOBIT, ISOBIT_TEST_DATA
"""
import fcntl
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

from mlflow_fake import Fake
from runner import run_tests
from test_mlflow_faults import environment_of

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
TRAIN = ["train", "--dataset", "digits", "--model", "mlp", "--train-size", "128", "--test-size", "50",
         "--epochs", "1", "--json", "--threads", "1"]
PATIENCE = 60  # s; nothing here takes one
# What is not there takes no memory; the sanitizers reserve more addresses than any machine has.
MOST_BYTES = 0 if "sanitize" in os.environ.get("ASAN_OPTIONS", "") + os.environ.get(
    "TSAN_OPTIONS", "") or os.environ.get("ISOBIT_TEST_SLOWNESS") else 1 << 30
STUDY = """\
name: two
base: {dataset: digits, model: mlp, train-size: 128, test-size: 50, epochs: 1}
seeds: [1, 2]
"""
KINDS = ("pipe", "socket", "folder", "device")


def limited():
    if MOST_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def run(directory, words, **environment):
    return subprocess.run([ISOBIT, *words], cwd=directory, text=True, capture_output=True,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL, preexec_fn=limited,
                          env=environment_of(**environment))


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def plant(kind, path):
    remove(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(os.path.dirname(path))  # their addresses are short
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.path.basename(path))
        os.chdir(here)
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero", path)


def try_kinds(directory, name, words, codes=(1, 2, 3), said=None, kinds=KINDS, **environment):
    """said: what the message has besides the file's name."""
    for kind in kinds:
        plant(kind, os.path.join(directory, name))
        done = run(directory, words, **environment)
        why = (name, kind, words, done.returncode, done.stderr[-500:])
        assert done.returncode in codes, why
        if done.returncode != 0:
            assert (said or os.path.basename(name)) in done.stdout + done.stderr, why
    remove(os.path.join(directory, name))


def test_files_that_options_name(directory):
    x = os.path.join(directory, "x")
    with_data = ["--data-dir", DATA]
    try_kinds(directory, "x", [*TRAIN, *with_data, "--init-model", x])
    try_kinds(directory, "x", ["experiment", "check", x])
    try_kinds(directory, "x", ["sweep", x, *with_data])
    try_kinds(directory, "x", ["sweep", x, *with_data, "--mlflow", "http://127.0.0.1:1"])
    try_kinds(directory, "x", ["cost", DATA, "--prices", x])
    try_kinds(directory, "x", ["hash", "verify", "data", "--dataset", "digits", *with_data,
                               "--hash-file", x])
    try_kinds(directory, "x", ["hash", "update", "data", "--dataset", "digits", *with_data,
                               "--hash-file", x])
    for words in (["test", x, *with_data], ["export", "--onnx", x], ["export", "--libsvm", x]):
        try_kinds(directory, "x", words, kinds=("pipe", "socket", "device"))
    try_kinds(directory, "x", ["sync", DATA, "--to", "https://127.0.0.1:1"], (2,),
              MLFLOW_TRACKING_SERVER_CERT_PATH=x)
    try_kinds(directory, "x", ["sync", DATA, "--to", "https://127.0.0.1:1"], (2,),
              MLFLOW_TRACKING_CLIENT_CERT_PATH=x)
    try_kinds(directory, ".mlflow/credentials", ["sync", DATA, "--to", "http://127.0.0.1:1"],
              HOME=directory)


def test_files_of_data_sets(directory):
    data = os.path.join(directory, "data", "digits")
    shutil.copytree(os.path.join(DATA, "digits"), data)
    name = os.path.join("data/digits", sorted(os.listdir(data))[0])
    words = ["--dataset", "digits", "--data-dir", "data"]
    try_kinds(directory, name, ["data", "verify", *words])
    try_kinds(directory, name, [*TRAIN, "--data-dir", "data"])
    try_kinds(directory, name, [*TRAIN, "--data-dir", "data", "--data-memory", "1"])
    mirror = "mirror/mnist/train-images-idx3-ubyte.gz"
    for source in "mirror", f"file://{directory}/mirror", f"FILE://localhost{directory}/mirror":
        try_kinds(directory, mirror, ["data", "prepare", "--dataset", "mnist", "--data-dir", "new",
                                      "--mirror", source])


def test_files_of_records(directory):
    assert run(directory, [*TRAIN, "--data-dir", DATA]).returncode == 0
    folder = os.path.join("runs", "digits-mlp")
    record = os.path.join(folder, os.listdir(os.path.join(directory, folder))[0])
    whole = os.path.join(directory, "whole")
    shutil.copytree(os.path.join(directory, record), whole)
    fake = Fake()
    readers = [["report", "runs", "-o", "out"], ["cost", "runs"], ["compare", record, record],
               ["verify", record], ["hash", "verify", "result", record],
               ["reproduce", record, "--data-dir", DATA], ["sync", "runs", "--to", fake.uri],
               ["test", record, "--data-dir", DATA],
               ["train", "--resume", record, "--data-dir", DATA]]
    for name in sorted(os.listdir(whole)):
        for kind in "pipe", "device":
            remove(os.path.join(directory, record))
            shutil.copytree(whole, os.path.join(directory, record))
            plant(kind, os.path.join(directory, record, name))
            for words in readers:
                done = run(directory, words)
                assert 0 <= done.returncode < 10, (name, kind, words, done.returncode, done.stderr)
                remove(os.path.join(directory, record, "mlflow.json"))
    fake.stop()


def test_a_record_below_a_sweep(directory):
    with open(os.path.join(directory, "two.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)
    for number, name in enumerate(("run.json", "metrics.jsonl", "model.safetensors")):
        place = f"runs/digits-mlp/20260101T00000{number}Z-000000"
        plant("pipe", os.path.join(directory, place, name))
    done = run(directory, ["sweep", "two.yaml", "--data-dir", DATA])
    assert done.returncode in (0, 3), done.stderr
    assert done.returncode == 0 or "run.json" in done.stderr, done.stderr


def test_endless_lines(directory):
    """A file of a terabyte that takes no room, and has no line break."""
    assert run(directory, [*TRAIN, "--data-dir", DATA]).returncode == 0
    folder = os.path.join("runs", "digits-mlp")
    record = os.path.join(folder, os.listdir(os.path.join(directory, folder))[0])
    whole = os.path.join(directory, "whole")
    shutil.copytree(os.path.join(directory, record), whole)
    fake = Fake()
    for name in "metrics.jsonl", "resources.jsonl", "run.json", "misclassified.json":
        remove(os.path.join(directory, record))
        shutil.copytree(whole, os.path.join(directory, record))
        try:
            os.truncate(os.path.join(directory, record, name), 1 << 40)
        except OSError as why:
            print(f"skipped: no file of a terabyte here: {why}")
            return
        for words in (["report", "runs", "-o", "out"], ["cost", "runs"], ["verify", record],
                      ["compare", record, record], ["sync", "runs", "--to", fake.uri],
                      ["train", "--resume", record, "--data-dir", DATA]):
            if name == "resources.jsonl" and words[0] == "verify":
                continue  # hashed in pieces, for an hour
            done = run(directory, words)
            assert 0 <= done.returncode < 10, (name, words, done.returncode, done.stderr)
    fake.stop()


def wait_for(what):
    end = time.time() + PATIENCE
    while not what():
        assert time.time() < end, "it did not come to that"
        time.sleep(0.01)


def is_waiting_for_lock(pid):
    with open("/proc/locks", encoding="ascii") as stream:
        return any(" -> " in line and f" {pid} " in line for line in stream)


def test_the_first_signal_is_obeyed(directory):
    """While a sweep waits for a lock, before its first run and after its last."""
    study = os.path.join(directory, "runs", "two")
    os.makedirs(study)
    with open(os.path.join(directory, "two.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)
    for name in ".sweep.lock", ".study.lock":
        for number, code in (signal.SIGTERM, 143), (signal.SIGINT, 130):
            with open(os.path.join(study, name), "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                process = subprocess.Popen([ISOBIT, "sweep", "two.yaml", "--data-dir", DATA],
                                           cwd=directory, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.PIPE, text=True)
                wait_for(lambda: is_waiting_for_lock(process.pid))
                process.send_signal(number)
                try:
                    said = process.communicate(timeout=PATIENCE)[1]
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
                assert process.returncode == code, (name, number, process.returncode, said)
                assert "stopped by SIG" in said, said
    done = run(directory, ["sweep", "two.yaml", "--data-dir", DATA])
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
