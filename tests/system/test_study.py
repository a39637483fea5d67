"""scripts/study.sh: from no data to a report by one command, and again without doing anything twice.

environment: ISOBIT, the program; SOURCE_DIR
"""
import glob
import os
import subprocess
import sys

from runner import run_tests

SCRIPT = os.path.join(os.environ["SOURCE_DIR"], "scripts", "study.sh")
STUDY = """name: tiny
title: Two seeds
base: {dataset: mnist, model: mlp, epochs: 1, train-size: 200, test-size: 100}
seeds: [1, 2]
tables:
  - {name: accuracy, kind: grid, title: Test accuracy, rows: [seed], values: [test_accuracy]}
"""


def study(directory, *words):
    path = os.path.join(directory, "tiny.yaml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(STUDY)
    os.makedirs(os.path.join(directory, "mirror"), exist_ok=True)
    places = {"ISOBIT_DATA_DIR": os.path.join(directory, "data"),
              "ISOBIT_RUNS_DIR": os.path.join(directory, "runs"),
              "ISOBIT_MIRROR": os.path.join(directory, "mirror")}
    return subprocess.run(["sh", SCRIPT, path, *words], env=os.environ | places, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)


def records(directory):
    return sorted(glob.glob(os.path.join(directory, "runs", "*-mlp", "*", "run.json")))


def test_from_nothing_to_a_report_and_again(directory):
    first = study(directory, "dataset=digits")
    assert first.returncode == 0, first.stderr
    found = records(directory)
    assert len(found) == 2, found
    with open(os.path.join(directory, "runs", "tiny", "report.md"), encoding="utf-8") as stream:
        assert "missing" not in stream.read()
    again = study(directory, "dataset=digits")
    assert again.returncode == 0, again.stderr
    assert records(directory) == found, "runs were done twice"


def test_data_that_cannot_be_had(directory):
    done = study(directory)
    assert done.returncode not in (0, 2), done
    assert "dataset=digits" in done.stderr and "ISOBIT_MIRROR" in done.stderr, done.stderr
    assert not records(directory), "trained on other data than was asked for"


def test_a_file_that_is_none(directory):
    done = study(directory, "epochs=many")
    assert done.returncode == 2 and "epochs" in done.stderr, done
    assert not os.path.exists(os.path.join(directory, "data")), "data before the file was checked"


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
