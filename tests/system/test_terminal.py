"""Names and texts of files and servers that would command a terminal: no command prints them as they
are, on whatever stream; JSON keeps them, escaped.

environment: ISOBIT, ISOBIT_TEST_DATA, SOURCE_DIR
"""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys

from mlflow_fake import Fake
import sealing
from runner import run_tests
from test_mlflow_faults import environment_of

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
PRICES = ["--prices", os.path.join(os.environ["SOURCE_DIR"], "experiments", "prices.yaml")]
# An escape sequence, one of a single byte in Latin-1 and in UTF-8, a bell, a return, a delete.
EVIL = "e\x1b[2J\x1b]0;title\x07\x9b31m\u009b\r\b\x7fd"
EVIL_BYTES = b"e\x1b[2J\x9b31m\xc2\x9b\xff\r\b\x7fd"
SHOWN = "e\\x1b[2J"
TRAIN = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size", "128",
         "--test-size", "50", "--epochs", "1", "--threads", "1"]
COMMANDING = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def check_output(words, text):
    found = COMMANDING.search(text)
    assert not found, (words, text[max(0, found.start() - 40):found.start() + 40])
    text.decode("utf-8")  # a single \x9b commands some terminals, and is no UTF-8


def run(directory, words, code=None):
    done = subprocess.run([ISOBIT, *words], cwd=directory, capture_output=True, timeout=120,
                          stdin=subprocess.DEVNULL, env=environment_of())
    check_output(words, done.stdout)
    check_output(words, done.stderr)
    assert code is None or done.returncode == code, (words, done.returncode, done.stderr)
    return (done.stdout + done.stderr).decode()



STUDY = """\
name: two
base: {dataset: digits, model: mlp, train-size: 128, test-size: 50, epochs: 1}
seeds: [1, 2]
"""


def test_names_on_the_command_line(directory):
    evil = os.path.join(directory, "x" + EVIL)
    for words in (["train", "--model", EVIL], ["train", EVIL], [EVIL], ["--" + EVIL],
                  ["train", "--" + EVIL, "1"], ["help", EVIL], ["test", evil], ["verify", evil],
                  [*TRAIN, "--init-model", evil], ["report", evil], ["cost", evil, *PRICES],
                  ["compare", evil, evil], ["sync", evil, "--to", "http://127.0.0.1:1"],
                  ["sync", DATA, "--to", "http://" + EVIL], ["experiment", "check", evil],
                  ["sweep", evil], ["data", "prepare", "--dataset", "digits", "--data-dir", evil],
                  ["data", "show", "--dataset", "digits", "--data-dir", evil],
                  ["data", "prepare", "--dataset", "mnist", "--data-dir", "y", "--mirror", evil],
                  ["data", "verify", "--dataset", "digits", "--data-dir", evil]):
        said = run(directory, words)
        assert SHOWN in said or words[0] == "data", (words, said)


def test_names_of_folders(directory):
    """Of runs, with bytes that are no UTF-8 besides."""
    runs = os.path.join(os.fsencode(directory), b"runs" + EVIL_BYTES)
    said = run(directory, [*TRAIN, "--runs-dir", runs], 0)
    assert SHOWN in said
    answer = json.loads(run(directory, [*TRAIN, "--runs-dir", runs, "--json"], 0))
    assert "/runse\x1b[2J\ufffd31m\u009b\ufffd\r" in answer["run_dir"], answer["run_dir"]
    records = [os.path.join(runs, b"digits-mlp", name)
               for name in os.listdir(os.path.join(runs, b"digits-mlp"))]
    fake = Fake()
    for words in (["report", runs, "-o", "out"], ["cost", runs, *PRICES], ["compare", *records],
                  ["verify", runs], ["verify", records[0]], ["test", records[0], "--data-dir", DATA],
                  ["train", "--resume", records[0]], ["hash", "update", "result", records[0]],
                  ["hash", "verify", "result", records[0]],
                  ["export", "--onnx", os.path.join(records[0], b"model.safetensors")],
                  ["reproduce", records[0], "--data-dir", DATA], ["sync", runs, "--to", fake.uri]):
        said = run(directory, words)
        assert SHOWN in said or words[0] not in ("verify", "cost", "compare"), (words, said)
    fake.stop()


def make_evil(record):
    """What other programs may have written into a record."""
    record["experiment"] = record["run_id"] = record["message"] = EVIL
    record["environment"] = {key: EVIL if isinstance(value, str) else value
                             for key, value in record["environment"].items()}
    record["configuration"] = {key: EVIL if isinstance(value, str) else value
                               for key, value in record["configuration"].items()}
    record["data"]["dataset"] = EVIL
    for key in "backend", "isa":
        record["results"][key] = EVIL
    record.pop("canonical")


def test_texts_of_records(directory):
    run(directory, TRAIN, 0)
    folder = os.path.join(directory, "runs", "digits-mlp")
    good = os.path.join(folder, os.listdir(folder)[0])
    evil, failed = os.path.join(folder, "x" + EVIL), os.path.join(folder, "y" + EVIL)
    for path in evil, failed:
        shutil.copytree(good, path)
        record = sealing.read(path)
        make_evil(record)
        if path == failed:
            record["status"] = "failed"
        sealing.write(path, record)
    fake = Fake()
    for words in (["report", "runs", "-o", "out"], ["cost", "runs", *PRICES],
                  ["cost", "runs", *PRICES, "--json"],
                  ["compare", good, evil], ["compare", evil, failed, "--json"], ["verify", "runs"],
                  ["test", evil, "--data-dir", DATA], ["train", "--resume", failed],
                  ["hash", "verify", "result", evil], ["reproduce", evil, "--data-dir", DATA],
                  ["sync", "runs", "--to", fake.uri]):
        run(directory, words)
    with open(os.path.join(directory, "two.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)
    run(directory, ["sweep", "two.yaml", "--data-dir", DATA])
    fake.stop()


def test_texts_of_experiment_files(directory):
    for text in (STUDY.replace("two", json.dumps(EVIL)), STUDY + json.dumps(EVIL) + ": 1\n",
                 STUDY.replace("mlp", json.dumps(EVIL)), STUDY + "title: " + json.dumps(EVIL) + "\n",
                 STUDY + f"note: [{EVIL}\n"):
        with open(os.path.join(directory, "x.yaml"), "w", encoding="utf-8") as stream:
            stream.write(text)
        run(directory, ["experiment", "check", "x.yaml"])
        run(directory, ["sweep", "x.yaml", "--data-dir", DATA])


def test_a_terminal_shows_the_bar(directory):
    """Our own drawing is not escaped, and what comes from outside is, where both go to one."""
    runs = "runs" + EVIL
    inner, outer = pty.openpty()
    process = subprocess.Popen(
        [ISOBIT, *TRAIN, "--train-size", "20000", "--runs-dir", runs], cwd=directory, stdin=outer,
        stdout=outer, stderr=outer, env={**environment_of(), "TERM": "xterm", "NO_COLOR": ""})
    os.close(outer)
    text = b""
    while select.select([inner], [], [], 120)[0]:
        try:
            part = os.read(inner, 1 << 16)
        except OSError:  # how a terminal ends
            part = b""
        if not part:
            break
        text += part
    assert process.wait(timeout=120) == 0, text
    os.close(inner)
    assert b"\r\x1b[2Kepoch 1/1 [" in text, text[-500:]
    own = text.replace(b"\r\x1b[2K", b"").replace(b"\r\n", b"\n")
    check_output(["train"], own)
    assert SHOWN.encode() in own, own[-500:]


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
