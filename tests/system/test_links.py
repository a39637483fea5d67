"""What is planted in a record or beside it where a command writes: links, pipes, sockets, folders,
files with a second name. Whatever lies outside stays as it is, and the command says what it found.

environment: ISOBIT, ISOBIT_TEST_DATA
"""
import os
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
TRAIN = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size",
         "1600", "--test-size", "100", "--epochs", "4", "--checkpoint-every", "40",
         "--log-interval", "5", "--trace", "--json", "--threads", "1"]
VERIFY = 3
VICTIM = b"not of this record\n"
APPENDED = ("metrics.jsonl", "trace.bin", "resources.jsonl")
WRITTEN = (*APPENDED, "run.json", "misclassified.json", "model.safetensors",
           "optimizer.safetensors")


def run(directory, *words):
    return subprocess.run([ISOBIT, *words], cwd=directory, capture_output=True, text=True,
                          timeout=120, env=environment_of(), stdin=subprocess.DEVNULL)


def only_run(directory, folder="digits-mlp"):
    names = [n for n in os.listdir(os.path.join(directory, "runs", folder)) if n[0] != "."]
    assert len(names) == 1, names
    return os.path.join("runs", folder, names[0])


def interrupted(directory):
    """A run that was stopped after its first checkpoint; its record's path below directory."""
    process = subprocess.Popen([ISOBIT, *TRAIN], cwd=directory, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            names = os.listdir(os.path.join(directory, only_run(directory), "checkpoints"))
        except (OSError, AssertionError):
            names = []
        if any(name.endswith(".json") for name in names):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.005)
    assert process.wait(timeout=60) == 143, "the run could not be stopped in time"
    return only_run(directory)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


class Outside:
    """Files that no command has to do with."""

    def __init__(self, directory, like):
        """like: what is at the name planted; a link to the same content tempts most."""
        self.path = os.path.join(directory, "outside")
        remove(self.path)
        os.makedirs(os.path.join(self.path, "folder"))
        self.file = os.path.join(self.path, "file")
        self.folder = os.path.join(self.path, "folder")
        self.none = os.path.join(self.path, "none")
        if os.path.isfile(like):
            shutil.copyfile(like, self.file)
        else:
            with open(self.file, "wb") as stream:
                stream.write(VICTIM)
        if os.path.isdir(like):
            shutil.rmtree(self.folder)
            shutil.copytree(like, self.folder)
        for name in "step-000000000001.json", "run.json", "notes":
            with open(os.path.join(self.folder, name), "wb") as stream:
                stream.write(VICTIM)
        self.before = self.all()

    def all(self):
        found = {}
        for place, folders, names in os.walk(self.path):
            for name in folders + names:
                path = os.path.join(place, name)
                content = None
                if os.path.isfile(path):
                    with open(path, "rb") as stream:
                        content = stream.read()
                found[os.path.relpath(path, self.path)] = content
        return found

    def check(self, why):
        after = self.all()
        assert after == self.before, (why, sorted(after), sorted(self.before))


def plant(kind, path, outside):
    """Returns what a message calls it."""
    remove(path)
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
    elif kind == "hard link":
        os.link(outside.file, path)
        return "several names"
    else:
        os.symlink({"link": outside.file, "link to a folder": outside.folder,
                    "link to nothing": outside.none, "link to a device": "/dev/zero"}[kind], path)
        return "is a link"
    return f"is a {kind}"


def check_refused(directory, record, name, kind):
    path = os.path.join(directory, record, name)
    outside = Outside(directory, path)
    called = plant(kind, path, outside)
    start = time.time()
    done = run(directory, "train", "--resume", record, "--json", "--data-dir", DATA)
    why = (name, kind, done.returncode, done.stderr, time.time() - start)
    assert done.returncode == VERIFY, why
    assert f"{record}/{name} {called}" in done.stderr or \
        (called == "several names" and f"{record}/{name}" in done.stderr
         and called in done.stderr), why
    outside.check(why)


def test_planted_in_a_record_that_goes_on(directory):
    record = interrupted(directory)
    whole = os.path.join(directory, "whole")
    shutil.copytree(os.path.join(directory, record), whole)
    steps = sorted(os.listdir(os.path.join(whole, "checkpoints")))
    inner = [os.path.join("checkpoints", name) for name in steps]
    cases = [(name, kind) for name in WRITTEN for kind in ("link", "link to nothing", "pipe")]
    cases += [(name, kind) for name in APPENDED
              for kind in ("link to a folder", "link to a device", "socket", "folder", "hard link")]
    cases += [("checkpoints", kind) for kind in ("link to a folder", "link", "pipe", "socket")]
    cases += [(name, kind) for name in inner for kind in ("link", "pipe")]
    for name, kind in cases:
        remove(os.path.join(directory, record))
        shutil.copytree(whole, os.path.join(directory, record))
        check_refused(directory, record, name, kind)
    assert len(cases) > 40, len(cases)
    remove(os.path.join(directory, record))
    shutil.copytree(whole, os.path.join(directory, record))
    outside = Outside(directory, whole)
    left = os.path.join(directory, record, "model.safetensors.tmp-01234567")
    os.symlink(outside.file, left)  # no name of ours will be that: it is in nobody's way
    os.symlink(outside.file, os.path.join(directory, record, "notes"))
    done = run(directory, "train", "--resume", record, "--json", "--data-dir", DATA)
    assert done.returncode == 0, done.stderr
    outside.check("temporary names")


def test_links_above_are_followed(directory):
    """--runs-dir and RUN are named by the user: a link there is what is meant."""
    os.mkdir(os.path.join(directory, "elsewhere"))
    os.symlink("elsewhere", os.path.join(directory, "runs"))
    record = interrupted(directory)
    os.symlink(record, os.path.join(directory, "mine"))
    done = run(directory, "train", "--resume", "mine", "--json", "--data-dir", DATA)
    assert done.returncode == 0, done.stderr
    assert os.path.isfile(os.path.join(directory, record, "model.safetensors"))
    assert not os.path.exists(os.path.join(directory, record, "checkpoints"))


SMALL = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size",
         "128", "--test-size", "50", "--epochs", "1", "--json", "--threads", "1"]


def test_planted_for_sync(directory):
    """sync writes mlflow.json and model.onnx, and publishes no file from outside."""
    assert run(directory, *SMALL).returncode == 0
    record = only_run(directory)
    whole = os.path.join(directory, "whole")
    shutil.copytree(os.path.join(directory, record), whole)
    fake = Fake()
    for name, kind in (("mlflow.json", "link to nothing"), ("mlflow.json", "pipe"),
                       ("model.onnx", "link to nothing")):
        remove(os.path.join(directory, record))
        shutil.copytree(whole, os.path.join(directory, record))
        fake.forget()
        path = os.path.join(directory, record, name)
        outside = Outside(directory, path)
        plant(kind, path, outside)
        done = run(directory, "sync", record, "--to", fake.uri)
        assert done.returncode in (1, VERIFY) and name in done.stderr, (name, kind, done.stderr)
        outside.check((name, kind))
    remove(os.path.join(directory, record))
    shutil.copytree(whole, os.path.join(directory, record))
    fake.forget()
    outside = Outside(directory, whole)
    os.symlink(outside.file, os.path.join(directory, record, "secret.txt"))
    os.symlink(outside.folder, os.path.join(directory, record, "secrets"))
    done = run(directory, "sync", record, "--to", fake.uri)
    assert done.returncode == 0, done.stderr
    assert any("model.safetensors" in name for name in fake.files), list(fake.files)
    assert not any("secret" in name for name in fake.files), list(fake.files)
    fake.stop()


STUDY = """\
name: two
base: {dataset: digits, model: mlp, train-size: 128, test-size: 50, epochs: 1}
seeds: [1, 2]
"""


def test_planted_for_sweep(directory):
    with open(os.path.join(directory, "two.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)
    words = ("sweep", "two.yaml", "--data-dir", DATA)
    folder, study = "runs/digits-mlp", "runs/two"
    assert run(directory, *words).returncode == 0
    locks = sorted(os.listdir(os.path.join(directory, folder, ".locks")))
    cases = [(f"{folder}/.locks", kind) for kind in ("link to a folder", "link", "pipe")]
    cases += [(f"{folder}/.locks/{locks[0]}", kind) for kind in ("link", "link to nothing", "pipe")]
    cases += [(f"{study}/{name}", kind) for name in (".sweep.lock", ".study.lock", "study.json")
              for kind in ("link", "link to nothing", "pipe", "folder")]
    for name, kind in cases:
        remove(os.path.join(directory, "runs"))
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path))
        outside = Outside(directory, path)
        called = plant(kind, path, outside)
        done = run(directory, *words)
        why = (name, kind, done.returncode, done.stderr)
        assert done.returncode == VERIFY and f"{name} {called}" in done.stderr, why
        outside.check(why)


def test_nothing_outside_is_removed(directory):
    """A sweep and --resume remove the checkpoints of a finished run; a killed record is set aside."""
    with open(os.path.join(directory, "two.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)
    words = ("sweep", "two.yaml", "--data-dir", DATA)
    assert run(directory, *words).returncode == 0
    folder = os.path.join(directory, "runs/digits-mlp")
    record = next(name for name in sorted(os.listdir(folder)) if name[0] != ".")
    outside = Outside(directory, folder)
    os.symlink(outside.folder, os.path.join(folder, record, "checkpoints"))
    done = run(directory, *words)
    assert done.returncode == 0, done.stderr
    outside.check("checkpoints of a finished run")
    done = run(directory, "train", "--resume", f"runs/digits-mlp/{record}", "--json",
               "--data-dir", DATA)
    assert done.returncode == VERIFY, done.stderr
    outside.check("checkpoints of a finished run")
    os.symlink(outside.folder, os.path.join(folder, ".new-20260101T000000Z-000000"))
    assert run(directory, *SMALL).returncode == 0
    outside.check("a run's beginning")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
