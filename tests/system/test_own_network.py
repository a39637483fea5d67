"""Networks from files through the commands: a record keeps the rows, whatever happens to the file.

environment: ISOBIT, ISOBIT_TEST_DATA; ISOBIT_TEST_SEED (printed) draws the network
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

from drawn_networks import Drawn
from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))
SIZES = ["--dataset", "digits", "--data-dir", DATA, "--train-size", "640", "--test-size", "200"]
HASHES = ("model_sha256", "optimizer_sha256", "experiment_sha256")


def call(directory, *words, code=0, message=""):
    done = subprocess.run([ISOBIT, *words], cwd=directory, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    assert message in done.stderr, f"'{message}' is not in: {done.stderr}"
    return done.stdout


def train(directory, model, *words):
    out = call(directory, "train", "--model", model, *SIZES, "--epochs", "2", *words, "--json")
    found = json.loads(out.splitlines()[-1])
    return [found[name] for name in HASHES], os.path.join(directory, found["run_dir"])


def draw(directory, number=0, name="drawn.yaml"):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(Drawn(random.Random(f"{SEED} {number}")).text())
    return path


def test_a_copy_of_a_built_in_network_is_that_network(directory):
    for name in ("cnn", "lenet5"):
        path = os.path.join(directory, "mine.yaml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(call(directory, "model", "show", name).replace(
                f"name: {name}", "name: mine") + "# a comment\n")
        assert train(directory, path)[0] == train(directory, name)[0], name


def test_the_record_keeps_the_rows(directory):
    """Stopped, its file gone: resumed to the same hashes; then tested, exported, reproduced, compared."""
    path = draw(directory)
    words = ["--log-interval", "1", "--trace", "--batch-size", "32"]
    wanted, whole = train(directory, path, *words)
    child = subprocess.Popen([ISOBIT, "train", "--model", path, *SIZES, "--epochs", "2", *words,
                              "--runs-dir", "stopped", "--checkpoint-every", "3"], cwd=directory,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(12):
        child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    os.remove(path)
    run = next(place for place, _, names in os.walk(os.path.join(directory, "stopped"))
               if "run.json" in names)
    if child.returncode != 0:  # else it was faster
        assert child.returncode == 143
        out = call(directory, "train", "--resume", run, "--data-dir", DATA, "--json")
        assert [json.loads(out.splitlines()[-1])[name] for name in HASHES] == wanted
    call(directory, "verify", run)
    assert "agree" in call(directory, "compare", run, whole) or True
    said = json.loads(call(directory, "test", run, "--data-dir", DATA, "--json").splitlines()[-1])
    assert said["model_sha256"] == wanted[0]
    call(directory, "export", run, "--onnx", "-o", "out.onnx")
    again = json.loads(call(directory, "reproduce", run, "--data-dir", DATA, "--json"
                            ).splitlines()[-1])
    assert again["same_bits"], again


def test_other_rows_are_another_experiment(directory):
    first = train(directory, draw(directory, 1))[0]
    path = os.path.join(directory, "drawn.yaml")
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace("out: classes", "out: 32}\n  - linear: {name: last, out: classes"))
    second = train(directory, path)[0]
    assert all(a != b for a, b in zip(first, second))


def test_refused(directory):
    bad = {
        "nothing.yaml": ("", 2), "binary.yaml": ("name: a\0b\n", 2),
        "unnamed.yaml": ("rows:\n  - flatten\n", 2),
        "shape.yaml": ("name: a\nrows:\n  - conv: {out: 4, kernel: 29}\n  - flatten\n"
                       "  - linear: {out: classes}\n", 2),
        "input.yaml": ("name: a\ninput: {channels: 3, height: 32, width: 32}\nrows:\n  - flatten\n"
                       "  - linear: {out: classes}\n", 2),
        "end.yaml": ("name: a\nrows:\n  - flatten\n  - linear: {out: 4}\n", 2),
    }
    for name, (text, code) in bad.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as stream:
            stream.write(text)
        call(directory, "train", "--model", name, *SIZES, code=code, message=name.split(".", 1)[0])
        call(directory, "model", "check", name, "--dataset", "digits", code=code)
    call(directory, "train", "--model", "absent.yaml", *SIZES, code=2, message="absent.yaml")
    assert not os.path.exists(os.path.join(directory, "runs"))


if __name__ == "__main__":
    print(f"ISOBIT_TEST_SEED={SEED}")
    sys.exit(run_tests(globals()))
