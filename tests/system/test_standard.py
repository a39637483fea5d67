"""Networks on --normalize standard: one hash, a table that is part of the record, and refusals
without it. Support vector machines on it: test_svm.py.

environment: ISOBIT, the program; ISOBIT_TEST_DATA, a data directory; SOURCE_DIR, for golden hashes
"""
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
GOLDEN = os.path.join(os.environ["SOURCE_DIR"], "tests", "golden", "standard-0.3.txt")
TABLE = "model.normalization.safetensors"
TRAIN = ["--dataset", "digits", "--train-size", "300", "--test-size", "200", "--epochs", "1",
         "--normalize", "standard"]


def run(*words, cwd, code=0, message=""):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ISOBIT")}
    done = subprocess.run([ISOBIT, *words], cwd=cwd, env=environment, text=True,
                          capture_output=True, timeout=300, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    assert message in done.stdout + done.stderr, f"'{message}' is not in: {done.stdout}{done.stderr}"
    return done.stdout


def train(directory, *words):
    out = run("train", "--data-dir", DATA, "--json", *TRAIN, *words, cwd=directory)
    return json.loads(out.splitlines()[-1])


def damage(path):
    """Each state that a table must not be in; it is as it was at the end."""
    with open(path, "rb") as stream:
        good = stream.read()
    changed = bytearray(good)
    changed[-1000] ^= 1
    for content in (bytes(changed), good[:-1], None):
        os.remove(path)
        if content is not None:
            with open(path, "wb") as stream:
                stream.write(content)
        yield
    with open(path, "wb") as stream:
        stream.write(good)


def test_one_hash(directory):
    with open(GOLDEN, encoding="ascii") as stream:
        want = dict(line.split() for line in stream if not line.startswith("#"))
    listed = json.loads(run("devices", "--json", cwd=directory))
    for model in ("cnn", "mlp"):
        found = set()
        for isa in listed["isas"]:
            for threads in ("1", "3") if isa != "scalar" else ("2",):
                result = train(directory, "--model", model, "--isa", isa, "--threads", threads)
                found.add((result["model_sha256"], result["experiment_sha256"]))
        assert found == {(want[f"{model}.model"], want[f"{model}.experiment"])}, (model, found)


def test_the_table_is_of_the_record(directory):
    result = train(directory, "--model", "mlp", "--save-model")
    place = os.path.join(directory, result["run_dir"])
    path, table = (os.path.join(place, name) for name in ("model.safetensors", TABLE))
    beside = os.path.join(directory, "digits_mlp_1epochs.safetensors")
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        claim = json.load(stream)["files"][TABLE]
    with open(table, "rb") as stream:
        content = stream.read()
    assert claim == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    own = ["--normalize", "standard", "--dataset", "digits", "--test-size", "200"]
    for words in ([path], [place], [beside, *own]):
        told = json.loads(run("test", *words, "--json", "--data-dir", DATA, cwd=directory))
        assert told["test_accuracy"] == result["test_accuracy"], told
        assert told["test_loss"] == result["test_loss"], told
    exported = ["export", "--onnx", place, "-o", os.path.join(directory, "m.onnx")]
    run(*exported, cwd=directory)
    run("reproduce", place, "--data-dir", DATA, cwd=directory)
    for _ in damage(table):
        run("test", place, "--data-dir", DATA, cwd=directory, code=3, message=TABLE)
        run(*exported, cwd=directory, code=3, message=TABLE)
        run("verify", place, cwd=directory, code=3, message=TABLE)
    os.remove(os.path.join(directory, "digits_mlp_1epochs.normalization.safetensors"))
    run("test", beside, *own, "--data-dir", DATA, cwd=directory, code=3,
        message="digits_mlp_1epochs.normalization.safetensors")


def test_a_stopped_run_goes_on_with_its_table(directory):
    words = ["--model", "mlp", "--train-size", "1600", "--epochs", "4", "--checkpoint-every", "10"]
    process = subprocess.Popen([ISOBIT, "train", "--data-dir", DATA, "--json", *TRAIN, *words],
                               cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runs = os.path.join(directory, "runs", "digits-mlp")
    while process.poll() is None:
        names = [n for n in os.listdir(runs) if n[0] != "."] if os.path.isdir(runs) else []
        kept = os.path.join(runs, names[0], "checkpoints") if names else runs
        if names and os.path.isdir(kept) and any(n.endswith(".json") for n in os.listdir(kept)):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.002)
    assert process.wait(timeout=120) == 143, "the run could not be stopped in time"
    place = os.path.join(runs, names[0])
    for _ in damage(os.path.join(place, TABLE)):
        run("train", "--resume", place, "--data-dir", DATA, cwd=directory, code=3, message=TABLE)
    out = run("train", "--resume", place, "--data-dir", DATA, "--json", cwd=directory)
    resumed = json.loads(out.splitlines()[-1])
    assert resumed["model_sha256"] == train(directory, *words)["model_sha256"]


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
