"""What brings names onto the disk fails: no command may claim then that it has written something.

Each fsync of a folder fails once. EIO: exit code 1, and a message that names the folder. EINVAL,
which file systems answer that have nothing to sync there: the command goes on, to the same bits. And
the folders in which something was made or renamed are those that are synced.

environment: ISOBIT, ISOBIT_TEST_DATA, BUILD_DIR
"""
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
KILL_AT = os.path.join(os.environ["BUILD_DIR"], "tests", "kill_at")
TRAIN = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size", "128",
         "--test-size", "50", "--epochs", "2", "--trace", "--json", "--threads", "1",
         "--runs-dir", "deep/down/runs", "--sample-period", "0"]  # a sample a second: calls that vary
STUDY = """\
name: one
base: {dataset: digits, model: mlp, train-size: 128, test-size: 50, epochs: 1}
seeds: [1]
"""
# LeakSanitizer cannot look into a process that is traced.
PLAIN = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
CANNOT = 125


def traced(directory, whom, at, how, words):
    """The command with its at-th fsync failing so; returns what was done and the paths synced."""
    log = os.path.join(directory, "log")
    done = subprocess.run([KILL_AT, whom, str(at), how, log, ISOBIT, *words], cwd=directory,
                          text=True, capture_output=True, env=PLAIN, timeout=200)
    with open(log, encoding="utf-8") as stream:
        calls = [line.rstrip("\n").split(" ", 3) for line in stream]
    os.remove(log)
    return done, [(int(number), call, path) for number, _, call, path in calls]


def is_folder(path):
    """As it was when it was synced: the beginning of a record is renamed later."""
    return os.path.isdir(path) or os.path.basename(path).startswith(".new-") or \
        os.path.basename(path) == "checkpoints"


def hash_of(done):
    """Of the commands that end with an answer that has one."""
    last = (done.stdout.splitlines() or [""])[-1]
    return json.loads(last).get("model_sha256") if last.startswith("{") else None


def known_part(path):
    """Of a folder's name: run ids are others each time."""
    name = os.path.basename(os.path.abspath(path))
    return name[:4] if name.startswith((".new-", "20")) else name


def check(name, prepare, words, folders, whom="first"):
    """folders: below the directory, that must be among those synced. Returns how many fail."""
    with tempfile.TemporaryDirectory(prefix="isobit-sync-") as parent:
        template = os.path.join(parent, "template")
        os.mkdir(template)
        prepare(template)

        def once(at, how):
            directory = os.path.join(parent, "here")
            shutil.copytree(template, directory)
            done, calls = traced(directory, whom, at, how, words)
            synced = [(n, path) for n, call, path in calls if call == "fsync" and is_folder(path)]
            shutil.rmtree(directory)
            return done, [(n, os.path.relpath(path, directory)) for n, path in synced]

        done, undisturbed = once(0, "before")
        assert done.returncode == 0, (name, done.stderr)
        for folder in folders:
            assert folder in [path for _, path in undisturbed], (name, folder, undisturbed)
        wanted = hash_of(done)
        for at, path in undisturbed:
            done, _ = once(at, f"fail={errno.EIO}")
            why = (name, at, path, done.returncode, done.stderr)
            assert done.returncode == 1 and "onto the disk" in done.stderr and \
                (path == "." or known_part(path) in done.stderr) and \
                "Input/output error" in done.stderr, why
            done, _ = once(at, f"fail={errno.EINVAL}")
            assert done.returncode == 0 and hash_of(done) == wanted, (name, at, path, done.stderr)
    print(f"{name}: {len(undisturbed)} places")
    return len(undisturbed)


def nothing(_directory):
    pass


def write_study(directory):
    with open(os.path.join(directory, "one.yaml"), "w", encoding="ascii") as stream:
        stream.write(STUDY)


def leave_a_killed_run(directory):
    """A record whose process is gone, for the sweep to set aside."""
    write_study(directory)
    subprocess.run([ISOBIT, "sweep", "one.yaml", "--data-dir", DATA, "--json"], cwd=directory,
                   check=True, capture_output=True)
    folder = os.path.join(directory, "runs", "digits-mlp")
    record = next(name for name in os.listdir(folder) if name[0] != ".")
    with tempfile.TemporaryDirectory() as log:
        shutil.rmtree(os.path.join(folder, record))
        done = subprocess.run([KILL_AT, "others", "1,*model.safetensors*", "before",
                               os.path.join(log, "log"), ISOBIT, "sweep", "one.yaml", "--data-dir",
                               DATA, "--json"], cwd=directory, capture_output=True, env=PLAIN)
    assert done.returncode == 1
    records = [name for name in os.listdir(folder) if name[0] != "."]
    assert len(records) == 1


def main():
    with tempfile.TemporaryDirectory() as directory:
        made = os.path.join(directory, "made")
        probe = subprocess.run([KILL_AT, "all", "1", f"fail={errno.EIO}", os.devnull, "mkdir", made],
                               text=True, capture_output=True)
        if probe.returncode == CANNOT:
            print(f"skipped: calls cannot be made to fail here: {probe.stderr.strip()}")
            return 77
        assert probe.returncode == 1 and not os.path.exists(made), "that call should have failed"
    places = check("train", nothing, TRAIN,
                   [".", "deep", "deep/down", "deep/down/runs", "deep/down/runs/digits-mlp"])
    places += check("data prepare", nothing, ["data", "prepare", "--dataset", "digits", "--data-dir",
                                              "some/data"],
                    [".", "some", "some/data", "some/data/digits"])
    places += check("sweep", write_study, ["sweep", "one.yaml", "--data-dir", DATA, "--json"],
                    [".", "runs", "runs/one", "runs/digits-mlp"])
    places += check("sweep after a kill", leave_a_killed_run,
                    ["sweep", "one.yaml", "--data-dir", DATA, "--json"],
                    ["runs/digits-mlp", "runs/digits-mlp/.set-aside"])
    print(f"{places} places, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
