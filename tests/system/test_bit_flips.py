"""Bits that turn over, in every file of a record, a checkpoint, a data set: whatever reads them refuses
(exit code 3, or 1 or 2 with a message that names the file) or says what it says of the whole files.

The same of a bit that turns over while a command works, between two of its accesses to the file: what
was checked is what is used. (As root only; a skip says why.)

Prints two tables: of each file and reader how many flips were refused, told in what is written, or
without any effect; "-" where the reader does not open the file. A flip that gave another meaning is a
failure.

environment: ISOBIT, ISOBIT_TEST_DATA, BUILD_DIR; ISOBIT_MIRROR, where there is one: a folder with MNIST's
files as they are published, which are flipped, too; ISOBIT_FLIPS, how many bits of each file (1, of a third
of the files);
ISOBIT_TEST_SEED (printed) chooses them. Words on the command line choose among the files.
"""
import collections
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import accesses
import sealing
from mlflow_fake import Fake

ISOBIT = os.environ["ISOBIT"]
MIRROR = os.environ.get("ISOBIT_MIRROR")
DATA = os.path.join(os.path.abspath(os.environ["ISOBIT_TEST_DATA"]), "digits")
LOGITS = os.path.join(os.environ["BUILD_DIR"], "tests", "logits_tool")
FLIPS = int(os.environ.get("ISOBIT_FLIPS", "1"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))
SIZES = ["--dataset", "digits", "--data-dir", "data", "--test-size", "100", "--threads", "1"]
MLP = ["train", "--model", "mlp", "--train-size", "640", "--epochs", "2", "--log-interval", "1",
       "--optimizer", "sgd", "--lr", "0.1", "--trace", *SIZES]
SVM = ["train", "--model", "svm", "--train-size", "200", *SIZES]
VERIFY = 3
PRICES = """prices:
  - {name: m, match: ~, on-demand: 1, spot: ~, currency: USD, date: 2026-01-01, source: here}
"""


# ---- what is flipped -----------------------------------------------------------------------------


def isobit(world, *words):
    """Without the programs that make other formats of figures, which take most of a report's time."""
    return subprocess.run([ISOBIT, *words], cwd=world, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                          errors="replace", env={**os.environ, "PATH": ""})


def answer_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def record_below(folder):
    for place, _, names in os.walk(folder):
        if "run.json" in names:
            return place
    raise AssertionError(f"no record in {folder}")


def finished(world, name, words):
    answer_of(isobit(world, *words, "--runs-dir", name, "--json"))
    os.rename(record_below(os.path.join(world, name)), os.path.join(world, name, "run"))


def stopped(world, name, number, status):
    """A run that a signal ended between two of its steps, with checkpoints."""
    for _ in range(20):
        child = subprocess.Popen([ISOBIT, *MLP, "--epochs", "8", "--checkpoint-every", "7",
                                  "--sample-period", "0.01", "--runs-dir", name], cwd=world,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(40):
            child.stdout.readline()
        child.send_signal(number)
        child.communicate(timeout=60)
        place = record_below(os.path.join(world, name))
        if sealing.read(place)["status"] == status and \
                len(os.listdir(os.path.join(place, "checkpoints"))) == 6:
            os.rename(place, os.path.join(world, name, "run"))
            return
        shutil.rmtree(os.path.join(world, name))
    raise AssertionError(f"no run could be stopped as {status}")


def conflict(world):
    """As mlp, but with another trace and hash, so that both traces are read."""
    finished(world, "other", [*MLP, "--seed", "2"])
    twin = os.path.join(world, "conflict", "run")
    shutil.copytree(os.path.join(world, "mlp", "run"), twin)
    shutil.copy(os.path.join(world, "other", "run", "trace.bin"), twin)
    record = sealing.read(twin)
    record["results"]["model_sha256"] = "0" * 64
    sealing.write(twin, record)


def build_world(world):
    shutil.copytree(DATA, os.path.join(world, "data", "digits"))
    if MIRROR:
        shutil.copytree(os.path.join(MIRROR, "mnist"), os.path.join(world, "mirror", "mnist"))
    with open(os.path.join(world, "prices.yaml"), "w", encoding="utf-8") as stream:
        stream.write(PRICES)
    finished(world, "mlp", MLP)
    finished(world, "twin", MLP)
    finished(world, "svm", SVM)
    finished(world, "svm-twin", SVM)
    conflict(world)
    stopped(world, "stopped", signal.SIGTERM, "interrupted")
    stopped(world, "killed", signal.SIGKILL, "running")
    for name in ("mlp", "svm"):
        done = isobit(world, "hash", "update", "result", name + "/run", "--hash-file", name + ".json")
        assert done.returncode == 0, done.stderr


# ---- who reads it --------------------------------------------------------------------------------
# Each reader gives the exit code, what it said as an error, and its meaning: what a user would take
# for true, without what differs from one time to the next.


def sha256_of(path, size=None):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read(size)).hexdigest()


def below(folder):
    """Names and contents of all files."""
    return [(os.path.relpath(os.path.join(place, name), folder),
             open(os.path.join(place, name), encoding="utf-8", errors="replace").read())
            for place, _, names in sorted(os.walk(folder)) for name in sorted(names)]


def plainly(done):
    return done.returncode, done.stderr, done.stdout


def chosen(done, *keys):
    """Of one object of JSON."""
    values = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    return done.returncode, done.stderr, {key: values.get(key) for key in keys}


HASHES = ("model_sha256", "optimizer_sha256", "experiment_sha256", "test_accuracy", "test_loss")


def read_report(world, run):
    out = os.path.join(world, "out")
    os.makedirs(out)
    done = isobit(world, "report", run, "-o", "out/page.html", "--prices", "prices.yaml",
                  "--machine", "m")
    told = below(out)
    shutil.rmtree(out)
    return done.returncode, done.stderr, [done.stdout, told]


def read_compare(world, run):
    return plainly(isobit(world, "compare", run, run.replace("mlp", "twin").replace(
        "svm/", "svm-twin/")))


def read_conflict(world, run):
    return plainly(isobit(world, "compare", run, "conflict/run", "--data-dir", "data",
                          "--threads", "1"))


def read_cost(world, run):
    return plainly(isobit(world, "cost", run, "--prices", "prices.yaml", "--machine", "m"))


def read_test(world, run):
    return chosen(isobit(world, "test", run, "--data-dir", "data", "--threads", "1", "--json"),
                  "model_sha256", "test_accuracy", "test_loss", "confusion")


def read_verify(world, run):
    return plainly(isobit(world, "verify", run))


def read_hash(world, run):
    return plainly(isobit(world, "hash", "verify", "result", run, "--hash-file",
                          run.split("/", maxsplit=1)[0] + ".json"))


def read_onnx(world, run):
    done = isobit(world, "export", run, "--onnx", "-o", "out.onnx")
    return done.returncode, done.stderr, sha256_of(os.path.join(world, "out.onnx")) \
        if done.returncode == 0 else ""


def read_libsvm(world, run):
    done = isobit(world, "export", run, "--libsvm", "-o", "out.libsvm")
    return done.returncode, done.stderr, sha256_of(os.path.join(world, "out.libsvm")) \
        if done.returncode == 0 else ""


def read_library(world, run):
    done = subprocess.run([LOGITS, run, "digits", "data/digits/t10k-images-idx3-ubyte", "out.logits"],
                          cwd=world, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stderr, sha256_of(os.path.join(world, "out.logits")) \
        if done.returncode == 0 else ""


def read_reproduce(world, run):
    done = isobit(world, "reproduce", run, "--data-dir", "data", "--runs-dir", "again", "--threads",
                  "1", "--json")
    shutil.rmtree(os.path.join(world, "again"), ignore_errors=True)
    code, said, meaning = chosen(done, "recorded", "same_bits", "differing")
    (meaning["recorded"] or {}).pop("train_seconds", None)
    return code, said, meaning


def read_init_model(world, run):
    done = isobit(world, "train", "--init-model", run + "/model.safetensors", "--model", "mlp",
                  "--train-size", "64", "--epochs", "1", *SIZES, "--runs-dir", "again", "--json")
    shutil.rmtree(os.path.join(world, "again"), ignore_errors=True)
    return chosen(done, *HASHES)


def points_of(run):
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    return [(p["key"], p["value"], p["step"], p["epoch"]) for p in lines
            if p["key"] != "train_seconds"]


@contextlib.contextmanager
def as_it_was(world, run):
    """Afterwards the record is what it was before."""
    place, kept = os.path.join(world, run), os.path.join(world, "kept")
    shutil.copytree(place, kept)
    try:
        yield place
    finally:
        shutil.rmtree(place)
        os.rename(kept, place)


def read_resume(world, run):
    """What was there before must be there after it, too. A finished run has nothing to go on with."""
    with as_it_was(world, run) as place:
        goes_on = not run.startswith(("mlp", "svm"))
        size = os.path.getsize(os.path.join(place, "resources.jsonl"))
        done = isobit(world, "train", "--resume", run, "--data-dir", "data", "--threads", "1",
                      "--json")
        code, said, meaning = chosen(done, *HASHES)
        if code == 0 and goes_on:
            meaning["points"] = points_of(place)
            meaning["resources"] = sha256_of(os.path.join(place, "resources.jsonl"), size)
            meaning["trace"] = os.path.exists(os.path.join(place, "trace.bin")) and \
                sha256_of(os.path.join(place, "trace.bin"))
            meaning["verified"] = isobit(world, "verify", run).stdout
    return code, said, meaning


def read_sync(world, run):
    """To a server that knows nothing."""
    FAKE.forget()
    with as_it_was(world, run):
        done = isobit(world, "sync", run, "--to", FAKE.uri)
    runs = [[r["tags"], r["params"], r["points"], r["inputs"], r["info"]["status"]]
            for r in FAKE.runs.values()]
    files = {name: hashlib.sha256(content).hexdigest() for name, content in FAKE.files.items()}
    return done.returncode, done.stderr, [runs, files, list(FAKE.models.values())] \
        if done.returncode == 0 else []


def of_data(*words):
    def read(world, _):
        done = isobit(world, *words)
        shutil.rmtree(os.path.join(world, "again"), ignore_errors=True)
        return chosen(done, *HASHES) if "--json" in words else plainly(done)
    return read


def read_data_resume(world, place):
    with as_it_was(world, "stopped/run"):
        return of_data("train", "--resume", "stopped/run", "--data-dir", "data",
                       "--json")(world, place)


def read_mirror(world, place):
    done = isobit(world, "data", "prepare", "--dataset", "mnist", "--data-dir", "again", "--mirror",
                  os.path.dirname(place))
    files = [sha256_of(os.path.join(world, "again", "mnist", name))
             for name in sorted(os.listdir(os.path.join(world, "again", "mnist")))] \
        if done.returncode == 0 else []
    shutil.rmtree(os.path.join(world, "again"), ignore_errors=True)
    return done.returncode, done.stderr, files


FINISHED = {"report": read_report, "compare": read_compare, "cost": read_cost, "test": read_test,
            "verify": read_verify, "hash": read_hash, "sync": read_sync,
            "reproduce": read_reproduce, "resume": read_resume}
GOES_ON = {"report": read_report, "compare": read_compare, "cost": read_cost,
           "verify": read_verify, "sync": read_sync, "resume": read_resume}
AGAIN = ["--runs-dir", "again", "--json"]
SHORT = [*MLP[:3], "--train-size", "64", "--epochs", "1", *SIZES, *AGAIN]
DATA_READERS = {
    "data verify": of_data("data", "verify", "--dataset", "digits", "--data-dir", "data"),
    "train": of_data(*SHORT),
    "by blocks": of_data(*SHORT, "--data-memory", "1"),
    "train svm": of_data(*SVM[:3], "--train-size", "60", *SIZES, *AGAIN),
    "test": of_data("test", "mlp/run", "--data-dir", "data", "--threads", "1", "--json"),
    "resume": read_data_resume,
}
SUBJECTS = {
    "mlp/run": {**FINISHED, "conflict": read_conflict, "export": read_onnx, "library": read_library,
                "init-model": read_init_model},
    "svm/run": {**FINISHED, "export": read_libsvm},
    "stopped/run": GOES_ON, "killed/run": GOES_ON,
    "data/digits": DATA_READERS,
    "mirror/mnist": {"prepare": read_mirror},
}


def files_of(world):
    """(place, file) of everything that is flipped."""
    for place in SUBJECTS:
        top = os.path.join(world, place)
        for folder, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), world)
                if os.path.getsize(os.path.join(world, path)) > 0 and \
                        (not sys.argv[1:] or any(word in path for word in sys.argv[1:])):
                    yield place, path


# ---- flipping ------------------------------------------------------------------------------------

FAKE = None
WORLD = None
WHOLE = {}  # (place, reader): (exit code, meaning) without a flip
COUNTS = {}  # (file, reader): how often the reader opens or reads it


def begin(template, worlds):
    """A process that flips has its own world and its own server."""
    global FAKE, WORLD  # one process, one world
    FAKE = Fake()
    WORLD = os.path.join(worlds, str(os.getpid()))
    shutil.copytree(template, WORLD)


def watched(world, place, name, paths, can_watch):
    """What the reader says, and the number of its accesses to each path; 1 where nobody can tell."""
    if not can_watch:
        return SUBJECTS[place][name](world, place), dict.fromkeys(paths, 1)
    with accesses.Watch([os.path.join(world, path) for path in paths]) as watch:
        found = SUBJECTS[place][name](world, place)
    return found, {os.path.relpath(path, world): n for path, n in watch.counts.items()}


def look(task):
    """A reader of the whole files, twice: it must be the same."""
    place, name, paths, can_watch = task
    first = SUBJECTS[place][name](WORLD, place)
    again, counts = watched(WORLD, place, name, paths, can_watch)
    assert first[0] in (0, 5) and first[0] == again[0] and first[2] == again[2], \
        (place, name, first, again)
    return place, name, first[0], first[2], counts


def judge(place, path, name):
    code, meaning = WHOLE[place, name]
    found = SUBJECTS[place][name](WORLD, place)
    base = os.path.basename(path)
    if found[0] == VERIFY or (found[0] in (1, 2) and base in found[1]):
        return "refused", ""
    if found[0] == code and found[2] == meaning:
        return "same", ""
    if found[0] == code and json.dumps(found[2]).count(base) > json.dumps(meaning).count(base):
        return "told", ""
    now, then = str(found[2]), str(meaning)
    at = len(os.path.commonprefix([now, then]))
    return "FAILED", f"exit code {found[0]}, not {code}: {found[1]}now {now[max(0, at - 60):at + 200]}" \
        f"\nwithout the flip {then[max(0, at - 60):at + 200]}"


def turn(path, offset, bit):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1 << bit]))


def flip(task):
    place, path, number = task
    whole = os.path.join(WORLD, path)
    chance = random.Random(f"{SEED} {path} {number}")
    offset, bit = chance.randrange(os.path.getsize(whole)), chance.randrange(8)
    found = []
    turn(whole, offset, bit)
    for name in SUBJECTS[place]:
        outcome, why = "unread", ""
        if COUNTS[path, name] > 0 or number == 0:  # one that does not open the file is asked once
            try:
                outcome, why = judge(place, path, name)
            except Exception:
                outcome, why = "FAILED", traceback.format_exc()
        if outcome == "same" and COUNTS[path, name] == 0:
            outcome = "unread"
        found.append((name, outcome, why and f"{name}: bit {bit} of {path} at {offset}: {why}"))
    turn(whole, offset, bit)
    return path, found


# ---- between two accesses ------------------------------------------------------------------------


def change_of(path, content, chance):
    """(offset, byte): of a text another digit, so that it is read as before."""
    digits = [at for at, byte in enumerate(content) if 48 <= byte < 58] \
        if path.endswith((".json", ".jsonl")) else []
    offset = chance.choice(digits) if digits else chance.randrange(len(content))
    return offset, bytes([content[offset] ^ 1 << (0 if digits else chance.randrange(8))])


def change(task):
    """One reader of one file: with a change at each of its accesses but the first, or at some."""
    place, path, name = task
    whole = os.path.join(WORLD, path)
    with open(whole, "rb") as stream:
        content = stream.read()
    chance, found = random.Random(f"{SEED} {path} {name}"), []
    later, most = range(2, COUNTS[path, name] + 1), FLIPS if FLIPS == 1 else 2 + FLIPS
    for at in later if len(later) <= most else sorted(chance.sample(later, most)):
        offset, byte = change_of(path, content, chance)
        try:
            with accesses.Changing(whole, at, offset, byte):
                outcome, why = judge(place, path, name)
        except Exception:
            outcome, why = "FAILED", traceback.format_exc()
        with open(whole, "r+b") as stream:
            stream.write(content)
        found.append((name, outcome, why and f"{name}: byte {offset} of {path} changed at access {at} "
                      f"of {COUNTS[path, name]}: {why}"))
    return path, found


def watching_works(folder):
    path = os.path.join(folder, "watched")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("a")
    try:
        with accesses.Changing(path, 1, 0, b"b"):
            done = subprocess.run(["cat", path], stdout=subprocess.PIPE)
        if done.stdout != b"b":
            raise accesses.Cannot("the file was read as it was before")
    except accesses.Cannot as why:
        print(f"skipped: changes between two accesses: {why}")
        return False
    return True


# ---- all of them ---------------------------------------------------------------------------------

OUTCOMES = ("refused", "told", "same", "FAILED", "unread")


def print_row(path, cells):
    """By reader three numbers: refused, told, without effect; then, where there are any, others."""
    def text(cell):
        if cell["unread"]:
            return "-"
        rest = f" {cell['FAILED']} FAILED" if cell["FAILED"] else ""
        return "/".join(str(cell[name]) for name in ("refused", "told", "same")) + rest
    print(f"{path}: " + ", ".join(f"{name} {text(cell)}" for name, cell in cells.items()), flush=True)


def count(outcomes, what):
    """Prints failures and the table; returns (how many there were, how many failed)."""
    total, last, cells = collections.Counter(), None, {}
    print(f"-- {what}: refused/told/without effect")
    for path, found in outcomes:
        if path != last and last:
            print_row(last, cells)
            cells = {}
        last = path
        for name, outcome, why in found:
            cells.setdefault(name, collections.Counter())[outcome] += 1
            total[outcome] += 1
            if outcome == "FAILED" and cells[name][outcome] <= 3:
                print(f"FAILED {why}", flush=True)
    if last:
        print_row(last, cells)
    print(f"{what}: " + ", ".join(f"{total[name]} {name}" for name in OUTCOMES), flush=True)
    return sum(total.values()) - total["unread"], total["FAILED"]


def tell(template, folder):
    """Returns (how many outcomes, how many failed)."""
    files, can_watch = list(files_of(template)), watching_works(folder)
    looks = [(place, name, [path for of, path in files if of == place], can_watch)
             for place in dict.fromkeys(place for place, _ in files) for name in SUBJECTS[place]]
    workers = min(4, os.cpu_count())
    with multiprocessing.Pool(workers, begin, (template, folder)) as pool:
        for place, name, code, meaning, counts in pool.imap_unordered(look, looks):
            WHOLE[place, name] = code, meaning
            COUNTS.update({(path, name): n for path, n in counts.items()})
    if FLIPS == 1 and not sys.argv[1:]:  # a sample
        files = sorted(random.Random(f"{SEED} files").sample(files, (len(files) + 2) // 3))
    flips = [(place, path, number) for place, path in files for number in range(FLIPS)]
    changes = [(place, path, name) for place, path in files for name in SUBJECTS[place]
               if can_watch and COUNTS[path, name] > 1]
    with multiprocessing.Pool(workers, begin, (template, folder)) as pool:
        one = count(pool.imap(flip, flips), f"{len(flips)} flips in {len(files)} files")
        two = count(pool.imap(change, changes), "changes between accesses")
    return one[0] + two[0], one[1] + two[1]


def main():
    print(f"ISOBIT_TEST_SEED={SEED}, {FLIPS} flips in each file")
    memory = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) and \
        shutil.disk_usage("/dev/shm").free > 1 << 30 else None
    with tempfile.TemporaryDirectory(prefix="isobit-flips-", dir=memory) as folder:
        template = os.path.join(folder, "template")
        os.makedirs(template)
        build_world(template)
        tried, failed = tell(template, folder)
    print(f"{tried} outcomes, {failed} failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
