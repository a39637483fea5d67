"""Files that are overwritten, cut off, replaced or removed while a command runs: the same bits or
exit 3, never other bits, a hang or a signal.

ISOBIT_HOSTILE_MOMENTS says how many moments are tried (12)."""
import json
import os
import shutil
import subprocess
import sys
import time

from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.environ["ISOBIT_TEST_DATA"]
MOMENTS = int(os.environ.get("ISOBIT_HOSTILE_MOMENTS", "12"))
VERIFY = 3
TRAIN = ["train", "--model", "mlp", "--dataset", "digits", "--epochs", "2", "--train-size", "8000",
         "--test-size", "1000", "--threads", "1", "--json"]


def copy_data(directory):
    target = os.path.join(directory, "data")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(DATA, target)
    return target


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 3)
        file.write(b"\xa5" * (os.path.getsize(path) // 3))


def truncate(path):
    os.truncate(path, 100)


def replace(path):
    other = path + ".other"
    shutil.copyfile(path, other)
    overwrite(other)
    os.rename(other, path)


CHANGES = [overwrite, truncate, os.remove, replace]


def images(data):
    folder = os.path.join(data, "digits")
    return os.path.join(folder, max(os.listdir(folder),
                                    key=lambda name: os.path.getsize(os.path.join(folder, name))))


def run(directory, words, **more):
    return subprocess.run([ISOBIT, *words], cwd=directory, capture_output=True, text=True,
                          timeout=300, **more)


def disturb(directory, words, reference, seconds):
    """The command again and again, with its data changed at another moment each time."""
    same = refused = 0
    for moment in range(MOMENTS):
        data = copy_data(directory)
        process = subprocess.Popen([ISOBIT, *words, "--data-dir", data], cwd=directory, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(seconds * moment / MOMENTS)
        CHANGES[moment % len(CHANGES)](images(data))
        out, log = process.communicate(timeout=300)
        if process.returncode == VERIFY:
            refused += 1
        else:
            assert process.returncode == 0, (moment, process.returncode, log)
            assert json.loads(out)["model_sha256"] == reference, (moment, "other bits")
            same += 1
    return same, refused


def timed_reference(directory, words):
    start = time.time()
    done = run(directory, [*words, "--data-dir", DATA])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["model_sha256"], time.time() - start


def test_changes_under_training_change_no_bit(directory):
    reference, seconds = timed_reference(directory, TRAIN)
    same, _ = disturb(directory, TRAIN, reference, seconds)
    assert same >= MOMENTS // 2, same  # most moments are after the reading


def test_changes_under_training_by_blocks(directory):
    words = [*TRAIN, "--data-memory", "1"]
    reference, _ = timed_reference(directory, TRAIN)
    again, seconds = timed_reference(directory, words)
    assert again == reference, "blocks give other bits"
    _, refused = disturb(directory, words, reference, seconds)
    assert refused > 0


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
