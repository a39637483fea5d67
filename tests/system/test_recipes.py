"""What a recipe may have besides its network and optimiser: the same bits on every instruction set
and number of threads, and after a stop in the middle of an epoch; each is another experiment.

environment: ISOBIT, ISOBIT_TEST_DATA
"""
import json
import os
import signal
import subprocess
import sys

from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
MLP = ["--model", "mlp", "--dataset", "digits", "--data-dir", DATA, "--train-size", "1500",
       "--test-size", "100", "--epochs", "3", "--optimizer", "adam", "--log-interval", "1"]
RECIPES = {
    "cosine": ["--schedule", "cosine", "--lr-min", "1e-5", "--warmup", "1"],
    "onecycle": ["--schedule", "onecycle", "--pct-start", "0.4"],
    "smoothing": ["--label-smoothing", "0.1"],
    "ema": ["--ema", "0.95"],
    "validation": ["--validation-size", "300"],
    "augment": ["--augment", "rotate=10,shift=2,scale=0.1,flip,cutout=6"],
}
SHORT = ["--train-size", "200", "--epochs", "2"]
SAME = ("model_sha256", "optimizer_sha256", "experiment_sha256", "test_loss", "test_accuracy")


def start(directory, *words):
    return subprocess.Popen([ISOBIT, "train", *words], cwd=directory, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def train(directory, *words):
    child = start(directory, *words, "--json")
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def expect(directory, words, code, message):
    child = start(directory, *words)
    _, err = child.communicate(timeout=60)
    assert child.returncode == code and message in err, (words, child.returncode, err)


def run_of(directory, runs):
    found = [folder for folder, _, names in os.walk(os.path.join(directory, runs))
             if "run.json" in names]
    assert len(found) == 1, found
    return found[0]


def record_of(run):
    with open(os.path.join(run, "run.json"), encoding="utf-8") as stream:
        return json.load(stream)


def stop(directory, *words):
    """A run that was stopped among its first steps, or those of its second epoch."""
    child = start(directory, *words)
    assert child.stdout.readline(), child.communicate()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130, (child.returncode, err)


def test_same_bits(directory):
    seen = {train(directory, *MLP, "--runs-dir", "plain")["experiment_sha256"]}
    for name, words in RECIPES.items():
        whole = train(directory, *MLP, *words, "--threads", "3", "--runs-dir", f"{name}-whole")
        assert whole["experiment_sha256"] not in seen, f"{name} is no experiment of its own"
        seen.add(whole["experiment_sha256"])
        stop(directory, *MLP, *words, "--runs-dir", f"{name}-parts")
        parts = run_of(directory, f"{name}-parts")
        resumed = train(directory, "--resume", parts, "--threads", "1")
        for key in SAME:
            assert resumed[key] == whole[key], f"{name}, resumed: {key}"
        assert record_of(parts)["resumes"]["count"] == 1


def test_every_instruction_set(directory):
    for name, words in RECIPES.items():
        vector = train(directory, *MLP, *SHORT, *words, "--threads", "3")
        scalar = train(directory, *MLP, *SHORT, *words, "--threads", "1", "--isa", "scalar")
        for key in SAME:
            assert scalar[key] == vector[key], f"{name}: {key}"


def test_validation_images(directory):
    """Of the official split they are held back from the end of the training part; training does not
    see them, so that the model is that of so many fewer images."""
    validated = train(directory, *MLP, "--train-size", "0", "--validation-size", "58500",
                      "--runs-dir", "validated")
    fewer = train(directory, *MLP, "--train-size", "1500", "--runs-dir", "fewer")
    assert validated["model_sha256"] == fewer["model_sha256"]
    assert validated["experiment_sha256"] != fewer["experiment_sha256"]
    record = record_of(run_of(directory, "validated"))
    assert [record["data"][f"{part}_count"] for part in ("train", "validation", "test")] == \
        [1500, 58500, 100], record["data"]
    with open(os.path.join(run_of(directory, "validated"), "metrics.jsonl"), encoding="utf-8") as f:
        values = [m["value"] for m in map(json.loads, f) if m["key"] == "validation_accuracy"]
    assert len(values) == 3 and values[-1] > 0.5, values


def test_one_list_one_experiment(directory):
    """Neither the order of a list nor how a number is written makes another experiment."""
    hashes = {train(directory, *MLP, "--epochs", "1", "--train-size", "64", "--augment", text)["experiment_sha256"]
              for text in ("shift=2,scale=0.1", "scale=.10,shift=2", "scale=1e-1,shift=2.0")}
    assert len(hashes) == 1, hashes


def test_refusals(directory):
    for words, message in (
            (["--schedule", "onecycle", "--warmup", "1"], "--warmup has no effect"),
            (["--lr-min", "0.1"], "--lr-min has no effect"),
            (["--schedule", "cosine", "--gamma", "0.5"], "--gamma has no effect"),
            (["--schedule", "onecycle", "--pct-start", "1"], "--pct-start"),
            (["--warmup", "3"], "less than --epochs"),
            (["--label-smoothing", "1e-9"], "--label-smoothing"),
            (["--ema", "1"], "--ema"), (["--ema", "0.9999999999999"], "--ema: 1 - ema"),
            (["--augment", "blur"], "is no augmentation"),
            (["--augment", "shift=0.5"], "shift needs an integer"),
            (["--model", "svm", "--augment", "flip"], "--augment has no effect"),
            (["--label-smoothing", "1.5"], "--label-smoothing")):
        expect(directory, [*MLP, *words], 2, message)
    assert os.listdir(directory) == []


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
