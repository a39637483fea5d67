"""Sealed records: a record that was changed is told by everything that reads it.

environment: ISOBIT, ISOBIT_TEST_DATA, SOURCE_DIR, BUILD_DIR
"""
import json
import os
import shutil
import signal
import subprocess
import sys

import sealing
from mlflow_fake import Fake
from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
ROOT = os.environ["SOURCE_DIR"]
KILL_AT = os.path.join(os.environ["BUILD_DIR"], "tests", "kill_at")
MLP = ["--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size", "640",
       "--test-size", "100", "--epochs", "2", "--log-interval", "1", "--trace", "--threads", "1"]
PRICES = """prices:
  - {name: m, match: ~, on-demand: 1, spot: ~, currency: USD, date: 2026-01-01, source: here}
"""


def call(*words, cwd, code=0, message=""):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    assert code is None or done.returncode == code, \
        f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    assert message in done.stderr, f"'{message}' is not in: {done.stderr}"
    return done


def finished_run(directory):
    done = call("train", *MLP, "--json", cwd=directory)
    return os.path.join(directory, json.loads(done.stdout.splitlines()[-1])["run_dir"])


def stopped_run(directory):
    """Interrupted, with checkpoints."""
    child = subprocess.Popen([ISOBIT, "train", *MLP, "--epochs", "2000", "--checkpoint-every", "4",
                              "--runs-dir", "stopped"], cwd=directory, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(30):
        child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    for folder, _, names in os.walk(os.path.join(directory, "stopped")):
        if "run.json" in names:
            return folder
    raise AssertionError("no record")


def edit(path, change):
    with open(path, "rb") as stream:
        content = stream.read()
    changed = change(content)
    assert changed != content
    with open(path, "wb") as stream:
        stream.write(changed)


def flip(path, offset, bit):
    edit(path, lambda c: c[:offset] + bytes([c[offset] ^ 1 << bit]) + c[offset + 1:])


def readers(directory, run):
    """What every reader of a finished record says."""
    with open(os.path.join(directory, "prices.yaml"), "w", encoding="utf-8") as stream:
        stream.write(PRICES)
    return {
        "compare": call("compare", run, run, cwd=directory, code=None),
        "cost": call("cost", run, "--prices", "prices.yaml", "--machine", "m", cwd=directory,
                     code=None),
        "test": call("test", run, "--data-dir", DATA, cwd=directory, code=None),
        "export": call("export", run, "--onnx", "-o", "out.onnx", cwd=directory, code=None),
        "resume": call("train", "--resume", run, "--data-dir", DATA, cwd=directory, code=None),
        "reproduce": call("reproduce", run, "--data-dir", DATA, cwd=directory, code=None),
    }


def verify(directory, place, code=0):
    done = call("verify", place, "--json", cwd=directory, code=code)
    return json.loads(done.stdout.splitlines()[-1])


def test_whole_records(directory):
    run, stopped = finished_run(directory), stopped_run(directory)
    told = verify(directory, directory)
    assert (told["records"], told["sealed"], told["broken"]) == (2, 2, 0), told
    with open(os.path.join(run, "note.txt"), "w", encoding="utf-8") as stream:
        stream.write("mine\n")
    with open(os.path.join(run, "mlflow.json"), "w", encoding="utf-8") as stream:
        stream.write("{}\n")
    told = verify(directory, run)["runs"][0]
    assert told["state"] == "sealed" and told["unknown"] == ["note.txt"], told
    lines = call("verify", run, stopped, cwd=directory).stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith("sealed  ") for line in lines), lines
    assert "note.txt" in lines[0]
    call("verify", DATA, cwd=directory, code=3, message="no run record")
    call("verify", "nowhere", cwd=directory, code=3)
    old = os.path.join(ROOT, "docs", "results", "records")
    told = verify(directory, old)
    assert told["unsealed"] == told["records"] > 10 and told["broken"] == 0
    names = sealing.read(run)["files"]
    assert sorted(names) == sorted(set(os.listdir(run)) - {"run.json", "mlflow.json", "note.txt"})


def test_run_json(directory):
    """A changed accuracy, hash or option is no result."""
    run = finished_run(directory)
    kept = os.path.join(directory, "kept")
    shutil.copytree(run, kept)
    record = sealing.read(run)
    experiment = record["experiment_sha256"]
    digit = "0" if experiment[0] != "0" else "1"
    changes = [
        lambda c: c.replace(b'"test_accuracy": ', b'"test_accuracy": 1', 1),
        lambda c: c.replace(experiment.encode(), (digit + experiment[1:]).encode(), 1),
        lambda c: c.replace(b'"test_size": 100', b'"test_size": 90', 1),
        lambda c: c.replace(b'"format": 2', b'"format": 1', 1),
        lambda c: c[:c.rindex(b',\n  "sha256"')] + b"\n}\n",
    ]
    for number, change in enumerate(changes):
        edit(os.path.join(run, "run.json"), change)
        for name, done in readers(directory, run).items():
            assert done.returncode == 3 and "changed" in done.stderr, \
                (number, name, done.returncode, done.stderr)
        assert verify(directory, run, code=3)["broken"] == 1
        call("report", os.path.dirname(run), "-o", "page.html", cwd=directory, code=None)
        shutil.copy(os.path.join(kept, "run.json"), run)
    readers_now = readers(directory, run)
    assert all(done.returncode == 0 for done in readers_now.values())


def test_records_without_a_seal(directory):
    """Of records of earlier versions, what can be checked is."""
    run = finished_run(directory)
    record = sealing.read(run)
    for key in ("files", "sha256"):
        record.pop(key)
    record["format"] = 1
    changes = [({}, 0, ""),
               ({"results": {**record["results"], "test_accuracy": 0.999}}, 3, "confusion"),
               ({"experiment_sha256": "0" * 64}, 3, "canonical"),
               ({"configuration": {**record["configuration"], "test_size": 90}}, 3, "test_size"),
               ({"files": {}}, 3, "no seal")]
    for change, code, message in changes:
        with open(os.path.join(run, "run.json"), "w", encoding="utf-8") as stream:
            json.dump({**record, **change}, stream)
        for words in (["test", run, "--data-dir", DATA], ["compare", run, run],
                      ["reproduce", run, "--data-dir", DATA], ["verify", run]):
            done = call(*words, cwd=directory, code=code)
            assert message in done.stdout + done.stderr, (words, done.stdout, done.stderr)


def test_resume(directory):
    """A digit of metrics.jsonl, a bit of the trace: both are told with the place."""
    reference = stopped_run(directory)
    run = os.path.join(directory, "copy")
    for name in ("metrics.jsonl", "trace.bin"):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(reference, run)
        path = os.path.join(run, name)
        with open(path, "rb") as stream:
            content = stream.read()
        row = content.index(b"\n") + 1
        offset = content.index(b'"value":', row) + 8 if name == "metrics.jsonl" else row + 20
        edit(path, lambda c, o=offset: c[:o] + (b"7" if c[o:o + 1] != b"7" else b"8") + c[o + 1:])
        call("train", "--resume", run, cwd=directory, code=3, message=f"{name}, offset {row}:")
        assert name in verify(directory, run, code=3)["runs"][0]["message"]
        with open(path, "rb") as stream:
            assert len(stream.read()) == len(content), "a refusal changes nothing"


def test_changed_while_the_run_writes_it(directory):
    """run.json claims what was written, not what the disk has in the end."""
    for name in ("metrics.jsonl", "trace.bin", "resources.jsonl"):
        child = subprocess.Popen([ISOBIT, "train", *MLP, "--epochs", "60", "--runs-dir", name,
                                  "--sample-period", "0.01"], cwd=directory, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(40):
            child.stdout.readline()
        run = next(place for place, _, names in os.walk(os.path.join(directory, name))
                   if "run.json" in names)
        while os.path.getsize(os.path.join(run, name)) < 100:
            assert child.poll() is None
        with open(os.path.join(run, name), "r+b") as stream:
            stream.seek(20)
            stream.write(b"~")
        _, said = child.communicate(timeout=300)
        assert child.returncode == 3 and f"{name} was changed while" in said, \
            (child.returncode, said)
        verify(directory, run, code=3)


def test_a_trace_that_has_only_begun(directory):
    """The power went before its first line was on the disk: nothing was claimed of it yet."""
    run = stopped_run(directory)
    shutil.rmtree(os.path.join(run, "checkpoints"))
    sealing.write(run, {**sealing.read(run), "status": "running", "files": {}})
    trace = os.path.join(run, "trace.bin")
    with open(trace, "rb") as stream:
        line = stream.readline()
    edit(trace, lambda c: c.replace(b"\n", b"\v"))
    call("verify", run, cwd=directory, code=3, message="not what was written")
    for size in (0, 1, len(line) - 1):
        edit(trace, lambda c, n=size: line[:n] + (b"" if c != line[:n] else b"?"))
        assert verify(directory, run)["runs"][0]["state"] == "sealed", size


def test_sync(directory):
    """Nothing of a record whose model is another file reaches the server."""
    run = finished_run(directory)
    fake = Fake()
    flip(os.path.join(run, "model.safetensors"), 4000, 3)
    call("sync", run, "--to", fake.uri, cwd=directory, code=1)
    assert not fake.files, list(fake.files)
    flip(os.path.join(run, "model.safetensors"), 4000, 3)
    call("sync", run, "--to", fake.uri, cwd=directory)
    assert fake.files


def test_durable(directory):
    """What run.json claims is on the disk before; checkpoints go only after that."""
    log = os.path.join(directory, "log")
    done = subprocess.run([KILL_AT, "first", "0", "before", log, ISOBIT, "train", *MLP],
                          cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if done.returncode == 125:
        raise Skip("processes cannot be traced here")
    assert done.returncode == 0, done.stderr
    with open(log, encoding="utf-8") as stream:
        calls = [line.split(" ", 3)[2:] for line in stream.read().splitlines()]
    def last(call, path):
        return max((i for i, c in enumerate(calls) if c == [call, path]), default=-1)

    temporary = {path for call, path in calls if call == "write" and ".tmp-" in path}
    assert len(temporary) > 5, temporary
    for path in temporary:  # all of them are renamed
        assert last("fsync", path) > last("write", path), path
    place = next(path for call, path in reversed(calls) if call == "renameat")
    assert os.path.basename(place) == "run.json"
    claimed = max(i for i, call in enumerate(calls) if call == ["renameat", place])
    folder = os.path.join(directory, os.path.dirname(place))
    for name in sealing.read(folder)["files"]:
        # An atomic write ends with the renaming of a file that is on the disk.
        touched = max(i for i, (call, path) in enumerate(calls) if path.endswith("/" + name)
                      and call in ("write", "renameat") and "checkpoints" not in path)
        assert any(call == "fsync" and path.endswith("/" + name)
                   for call, path in calls[touched + 1:claimed]), name
        assert ["fsync", folder] in calls[:claimed], "its name is on the disk, too"
    removed = min(i for i, (call, path) in enumerate(calls) if call == "unlinkat"
                  and "checkpoints" in path and i > claimed)
    assert ["fsync", folder] in calls[claimed:removed]


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
