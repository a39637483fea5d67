"""Files that are overwritten, cut off, replaced or removed while a command runs: the same bits or
exit 3, never other bits, a hang or a signal.

ISOBIT_HOSTILE_MOMENTS says how many moments are tried of each command (8).
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.environ["ISOBIT_TEST_DATA"]
MIRROR = os.environ.get("ISOBIT_MIRROR")
MOMENTS = int(os.environ.get("ISOBIT_HOSTILE_MOMENTS", "8"))
VERIFY = 3
SIZES = ["--dataset", "digits", "--threads", "1", "--json"]
TRAIN = ["train", "--model", "mlp", "--epochs", "2", "--train-size", "8000", "--test-size", "1000",
         *SIZES]
SVM = ["train", "--model", "svm", "--train-size", "500", "--test-size", "200", *SIZES]
SMALL = ["train", "--model", "mlp", "--epochs", "2", "--train-size", "640", "--test-size", "100",
         "--trace", "--log-interval", "1", *SIZES]


# ---- what happens to a file ----------------------------------------------------------------------


def overwrite(path):
    """Among others what a small run uses, which is what comes first."""
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 20)
        file.write(b"\xa5" * (os.path.getsize(path) // 3 + 1))


def truncate(path):
    os.truncate(path, 100)


def replace(path):
    other = os.path.join(os.path.dirname(path), ".other")  # verify names what is not hidden
    shutil.copyfile(path, other)
    overwrite(other)
    os.rename(other, path)


CHANGES = [overwrite, truncate, os.remove, replace]


# Without the programs that make other formats of figures, which take most of a report's time.
PLAIN = {**os.environ, "PATH": ""}


def run(directory, words, **more):
    return subprocess.run([ISOBIT, *words], cwd=directory, capture_output=True, text=True,
                          timeout=300, env=PLAIN, **more)


def statuses(directory):
    found = []
    for place, _, names in os.walk(os.path.join(directory, "new")):
        if "run.json" in names:
            with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
                found.append(json.load(stream)["status"])
    return found


def disturb(directory, original, victim, words, meaning, told=lambda log: False, absent=VERIFY):
    """The command again and again, each time with one file of a fresh copy of what it reads changed
    at another moment. original: a folder, "reads" in the command's; meaning(out) of what it says and
    has written; told(log): whether it says what is wrong with the file instead; absent: the exit code
    where the file was never there, which a removal may come early enough for. Returns how often it
    was the undisturbed command's, and how often that was refused or told."""
    reads = os.path.join(directory, "reads")
    shutil.copytree(original, reads)
    start = time.time()
    done = run(directory, words)
    seconds = time.time() - start
    assert done.returncode == 0, done.stderr
    wanted = meaning(done.stdout)
    same = refused = 0
    for moment in range(MOMENTS):
        for folder in ("reads", "new"):
            shutil.rmtree(os.path.join(directory, folder), ignore_errors=True)
        shutil.copytree(original, reads)
        process = subprocess.Popen([ISOBIT, *words], cwd=directory, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PLAIN)
        time.sleep(seconds * moment / MOMENTS)
        change = CHANGES[moment % len(CHANGES)]
        change(os.path.join(reads, victim))
        out, log = process.communicate(timeout=300)
        what = (words[0], victim, change.__name__, f"{moment}/{MOMENTS} of {seconds:.3f} s")
        if process.returncode in (VERIFY, absent if change is os.remove else VERIFY):
            refused += 1
        else:
            assert process.returncode == 0, (*what, process.returncode, log)
            found = meaning(out)
            assert found == wanted or told(log), (*what, "another meaning", found, wanted)
            same += found == wanted
            refused += found != wanted
        assert "running" not in statuses(directory), (*what, "left as running")
    shutil.rmtree(reads)
    print(f"{words[0]}, {victim}: {MOMENTS} moments of {seconds:.3f} s, {same} the same, {refused} "
          "refused", flush=True)
    return same, refused


def images(data):
    folder = os.path.join(data, "digits")
    return os.path.join("digits", max(os.listdir(folder),
                                      key=lambda n: os.path.getsize(os.path.join(folder, n))))


def model_of(out):
    return json.loads(out.splitlines()[-1])["model_sha256"]


def files_of(directory, *names):
    """A meaning: what was written there."""
    def meaning(_):
        digest = hashlib.sha256()
        for name in names:
            top = os.path.join(directory, name)
            paths = [top] if os.path.isfile(top) else sorted(
                os.path.join(place, n) for place, _, all_names in os.walk(top) for n in all_names)
            assert paths, f"no {name}"
            for path in paths:
                with open(path, "rb") as stream:
                    digest.update(path.encode() + stream.read())
        return digest.hexdigest()
    return meaning


def record(directory, words):
    """A finished run, as the only thing in a folder."""
    done = run(directory, [*words, "--data-dir", DATA, "--runs-dir", "made"])
    assert done.returncode == 0, done.stderr
    found = os.path.join(directory, json.loads(done.stdout.splitlines()[-1])["run_dir"])
    os.makedirs(os.path.join(directory, "kept"))
    os.rename(found, os.path.join(directory, "kept", "run"))
    shutil.rmtree(os.path.join(directory, "made"))
    return os.path.join(directory, "kept")


# ---- data ----------------------------------------------------------------------------------------


def test_changes_under_training_change_no_bit(directory):
    words = [*TRAIN, "--data-dir", "reads", "--runs-dir", "new"]
    same, _ = disturb(directory, DATA, images(DATA), words, model_of)
    assert same >= MOMENTS // 2, same  # most moments are after the reading


def test_changes_under_training_by_blocks(directory):
    words = [*TRAIN, "--data-dir", "reads", "--runs-dir", "new"]
    whole = run(directory, [*TRAIN, "--data-dir", DATA])
    wanted = model_of(whole.stdout)

    def meaning(out):
        assert model_of(out) == wanted, "blocks give other bits"
        return wanted
    _, refused = disturb(directory, DATA, images(DATA), [*words, "--data-memory", "1"], meaning)
    assert refused > 0


def test_a_mirror_under_prepare(directory):
    if not MIRROR:
        raise Skip("ISOBIT_MIRROR names no folder with MNIST's compressed files")
    mirror = os.path.join(directory, "mirror")
    shutil.copytree(os.path.join(MIRROR, "mnist"), os.path.join(mirror, "mnist"))
    names = os.listdir(os.path.join(mirror, "mnist"))
    victim = os.path.join("mnist", max(names, key=lambda n: os.path.getsize(
        os.path.join(mirror, "mnist", n))))
    words = ["data", "prepare", "--dataset", "mnist", "--data-dir", "new", "--mirror", "reads"]
    disturb(directory, mirror, victim, words, files_of(directory, "new"), absent=1)


def test_data_of_a_support_vector_machine(directory):
    words = [*SVM, "--data-dir", "reads", "--runs-dir", "new"]
    disturb(directory, DATA, images(DATA), words, model_of)
    labels = os.path.join("digits", "train-labels-idx1-ubyte")
    disturb(directory, DATA, labels, words, model_of)


# ---- models --------------------------------------------------------------------------------------


def test_models_under_a_command(directory):
    kept = record(directory, SMALL)
    model = os.path.join("run", "model.safetensors")
    inits = [*SMALL, "--init-model", "reads/" + model, "--data-dir", DATA, "--runs-dir", "new"]
    disturb(directory, kept, model, inits, model_of)
    for name in ("model.safetensors", "run.json"):
        victim = os.path.join("run", name)
        disturb(directory, kept, victim, ["test", "reads/run", "--data-dir", DATA, "--json"],
                lambda out: [json.loads(out)[k] for k in ("model_sha256", "test_loss")])
        # without a record the pixels are taken to be normalised as another data set's, and it says so
        disturb(directory, kept, victim, ["export", "reads/run", "--onnx", "-o", "out.onnx"],
                files_of(directory, "out.onnx"), lambda log: "no run record beside" in log)


def test_support_vector_machines_under_a_command(directory):
    kept = record(directory, SVM)
    model = os.path.join("run", "model.safetensors")
    export = ["export", "reads/run", "--libsvm", "-o", "out.libsvm"]
    disturb(directory, kept, model, ["test", "reads/run", "--data-dir", DATA, "--json"],
            lambda out: [json.loads(out)[k] for k in ("model_sha256", "confusion")])
    disturb(directory, kept, model, export, files_of(directory, "out.libsvm"))
    shutil.copytree(kept, os.path.join(directory, "reads"))
    assert run(directory, export).returncode == 0
    shutil.rmtree(os.path.join(directory, "reads"))
    alone = os.path.join(directory, "alone")
    os.makedirs(alone)
    shutil.move(os.path.join(directory, "out.libsvm"), os.path.join(alone, "model"))
    words = ["test", "reads/model", "--dataset", "digits", "--test-size", "200", "--data-dir", DATA,
             "--json"]
    disturb(directory, alone, "model", words,
            lambda out: [json.loads(out)[k] for k in ("model_sha256", "confusion")])


# ---- records -------------------------------------------------------------------------------------


def test_records_under_a_reader(directory):
    kept = record(directory, SMALL)
    shutil.copytree(kept, os.path.join(directory, "other"))
    prices = os.path.join(directory, "prices.yaml")
    with open(prices, "w", encoding="utf-8") as stream:
        stream.write("prices:\n  - {name: m, match: ~, on-demand: 1, spot: ~, currency: USD, "
                     "date: 2026-01-01, source: here}\n")
    page = files_of(directory, "page.html", "page_files")
    for name in sorted(os.listdir(os.path.join(kept, "run"))):
        victim = os.path.join("run", name)

        def told(_, path="reads/" + victim):
            with open(os.path.join(directory, "page_files", "report.md"), encoding="utf-8") as stream:
                return path in stream.read()
        disturb(directory, kept, victim, ["report", "reads", "-o", "page.html"], page, told)
        disturb(directory, kept, victim, ["compare", "reads/run", "other/run"], lambda out: out)
        disturb(directory, kept, victim, ["cost", "reads", "--prices", prices, "--machine", "m"],
                lambda out: out)
        disturb(directory, kept, victim, ["verify", "reads"], lambda out: out)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
