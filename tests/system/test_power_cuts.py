"""The power goes while a command works: the disk is what an ext4 file system on a loop device had
written by then. Its image is copied at some moment, the copy mounted (its journal is played back), and
looked at: no record claims what it does not hold, and every run goes on to the undisturbed run's hashes.

Needs root, loop devices and ext4; a skip says what is missing.
environment: ISOBIT, ISOBIT_TEST_DATA, BUILD_DIR; ISOBIT_POWER_CUTS, at how many random moments of each
kind (1): of time, half as many more just after the end, and as many more right before a call that
changes a file; ISOBIT_POWER_EVERY=1, before every such call instead. ISOBIT_TEST_SEED (printed) chooses.
Words on the command line choose among the kinds.
"""
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
KILL_AT = os.path.join(os.environ["BUILD_DIR"], "tests", "kill_at")
CUTS = int(os.environ.get("ISOBIT_POWER_CUTS", "1"))
EVERY = int(os.environ.get("ISOBIT_POWER_EVERY", "0"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", "0")) or time.time_ns() % 1000000
CHANCE = random.Random(SEED)
# Without auto_da_alloc ext4 does not do for a renamed file what only fsync asks for.
OPTIONS = ["noauto_da_alloc,commit=1", "defaults"]
SETTINGS = ["--dataset", "digits", "--data-dir", DATA, "--threads", "1"]
STUDY = """name: four
base: {dataset: digits, model: mlp, train-size: 700, test-size: 200, epochs: 2, log-interval: 1,
       checkpoint-every: 10}
grid: {lr: [0.5, 1.0]}
seeds: [1, 2]
"""


class Cannot(Exception):
    """Why there is no disk to cut here."""


def isobit(directory, *words, code=0):
    done = subprocess.run([ISOBIT, *words], cwd=directory, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                          env={**os.environ, "PATH": ""})  # reports without figures' other formats
    assert done.returncode == code, \
        f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done.stdout


# ---- the disk ------------------------------------------------------------------------------------


def must(*words):
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError as why:
        raise Cannot(f"there is no {words[0]}: {why}") from why
    if done.returncode != 0:
        raise Cannot(f"{' '.join(words)}: {done.stdout.strip()}")


def make_image(path, megabytes):
    with open(path, "wb") as stream:
        stream.truncate(megabytes << 20)
    must("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", path)


def end_all_in(place):
    """Kills what still works there, as a sweep's runs may when the sweep itself is gone."""
    def workers():
        found = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process}/cwd").startswith(place):
                    found.append(int(process))
        return found
    while workers():
        for process in workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


@contextlib.contextmanager
def mounted(image, options):
    place = image + ".mounted"
    os.makedirs(place, exist_ok=True)
    must("mount", "-o", "loop," + options, image, place)
    try:
        yield place
    finally:
        end_all_in(place)
        must("umount", place)


def content_of(path):
    """Without the holes: a list of (offset, bytes)."""
    parts = []
    with open(path, "rb", buffering=0) as stream:
        at, size = 0, os.fstat(stream.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(stream.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(stream.fileno(), at, os.SEEK_HOLE)
            parts.append((at, os.pread(stream.fileno(), end - at, at)))
            at = end
    return parts


def copy_image(image, process, copy):
    """As it was at one moment: read twice without a difference. Where a command never lets the disk
    rest, it is stopped, and what is on its way to the disk arrives first."""
    tries = 0
    before, now = None, content_of(image)
    while before != now:
        tries += 1
        if tries == 20 and process.poll() is None:
            os.killpg(process.pid, signal.SIGSTOP)
        before, now = now, content_of(image)
    with open(copy, "wb") as stream:
        stream.truncate(os.path.getsize(image))
        for at, part in now:
            stream.seek(at)
            stream.write(part)
    return tries


# ---- the commands --------------------------------------------------------------------------------


def records_of(directory):
    found = []
    for place, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if "run.json" in names:
            found.append(place)
    return sorted(found)


def read_record(place):
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        return json.load(stream)


def check_claims(place):
    """By itself, without isobit: what run.json names is there as it says."""
    record = read_record(place)
    if record["status"] != "finished":
        return record
    wanted = {"metrics.jsonl", "misclassified.json", "model.safetensors"}
    if record["configuration"]["model"] != "svm":
        wanted |= {"optimizer.safetensors"}
    if record["configuration"].get("trace"):
        wanted |= {"trace.bin"}
    assert wanted <= set(record["files"]), f"{place}: run.json names {sorted(record['files'])}"
    for name, claim in record["files"].items():
        with open(os.path.join(place, name), "rb") as stream:
            content = stream.read()
        assert len(content) == claim["bytes"], f"{place}/{name} has {len(content)} bytes: {claim}"
        assert hashlib.sha256(content).hexdigest() == claim["sha256"], f"{place}/{name}: {claim}"
        if name.endswith((".json", ".jsonl")):
            assert b"\0" not in content, f"{place}/{name} holds NULs"
    return record


class Training:
    """One run, which writes to where it is started."""

    def __init__(self, *words, megabytes=48):
        self.words = ["train", *words, *SETTINGS, "--json"]
        self.megabytes = megabytes

    def prepare(self, directory):
        pass

    @staticmethod
    def hashes_of(directory):
        results = [read_record(place)["results"] for place in records_of(directory)]
        return [(r["experiment_sha256"], r["model_sha256"], r["optimizer_sha256"]) for r in results]

    def go_on(self, directory):
        places = records_of(directory)
        assert len(places) <= 1, places
        if places:
            isobit(directory, "train", "--resume", places[0], "--data-dir", DATA, "--json")
        else:  # too early for a record: the command again
            isobit(directory, *self.words)


class Sweep:
    words = ["sweep", "four.yaml", "--data-dir", DATA]
    megabytes = 160

    def prepare(self, directory):
        with open(os.path.join(directory, "four.yaml"), "w", encoding="utf-8") as stream:
            stream.write(STUDY)
        os.sync()

    @staticmethod
    def hashes_of(directory):
        records = [read_record(place) for place in records_of(directory)]
        return sorted((r["experiment_sha256"], r["results"]["model_sha256"])
                      for r in records if r["status"] == "finished")

    def go_on(self, directory):
        isobit(directory, *self.words, *CHANCE.choice([[], ["--resume"]]))


KINDS = {
    "mlp": Training("--model", "mlp", "--train-size", "1500", "--test-size", "200", "--epochs", "2",
                    "--log-interval", "1", "--trace", "--checkpoint-every", "10"),
    "cnn": Training("--model", "cnn", "--train-size", "320", "--test-size", "100", "--epochs", "2",
                    "--log-interval", "1", "--trace", "--checkpoint-every", "3", megabytes=160),
    "svm": Training("--model", "svm", "--train-size", "800", "--test-size", "200"),
    "sweep": Sweep(),
}


# ---- cutting -------------------------------------------------------------------------------------


def begin(kind, directory, moment):
    before = [KILL_AT, "all", str(moment), "before", directory + ".log"] \
        if isinstance(moment, int) else []
    return subprocess.Popen([*before, ISOBIT, *kind.words], cwd=directory, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def wait_for(process, directory, moment, seconds):
    """moment: a share of the time that the command takes, the number of a call, "told" or "seen".
    Returns whether the end was told (by the exit code)."""
    if isinstance(moment, int):
        assert process.wait(timeout=300) in (0, 128 + signal.SIGKILL), process.stderr.read()
    elif moment == "told":
        assert process.wait(timeout=300) == 0, process.stderr.read()
    elif moment == "seen":  # as soon as the record says so
        while process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                if any(read_record(place)["status"] == "finished" for place in records_of(directory)):
                    break
            time.sleep(0.001)
    else:
        time.sleep(moment * seconds)
    return process.poll() == 0


def check_copy(kind, copy, told, wanted):
    """Returns the states of the records that were found."""
    with mounted(copy, "defaults") as directory:
        states = [check_claims(place)["status"] for place in records_of(directory)]
        if states:
            isobit(directory, "verify", directory)
        if "finished" in states:
            isobit(directory, "report", os.path.join(directory, "runs"), "-o", "page.html")
        if told:
            assert kind.hashes_of(directory) == wanted, f"what was told is not there: {states}"
        kind.go_on(directory)
        assert kind.hashes_of(directory) == wanted, "other hashes than the undisturbed run's"
        isobit(directory, "verify", directory)
        for place in records_of(directory):
            check_claims(place)
    return states


def cut(kind, folder, moment, options, seconds, wanted):
    image, copy = os.path.join(folder, "image"), os.path.join(folder, "copy")
    make_image(image, kind.megabytes)
    with mounted(image, options) as directory:
        kind.prepare(directory)
        process = begin(kind, directory, moment)
        try:
            told = wait_for(process, directory, moment, seconds)
            copy_image(image, process, copy)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return check_copy(kind, copy, told, wanted)


def undisturbed(kind, folder):
    """Its hashes, how long it takes there, and how many calls it makes (0: not known here)."""
    image = os.path.join(folder, "image")
    make_image(image, kind.megabytes)
    with mounted(image, "defaults") as directory:
        kind.prepare(directory)
        start = time.monotonic()
        isobit(directory, *kind.words)
        seconds = time.monotonic() - start
        wanted = kind.hashes_of(directory)
        assert wanted
        shutil.rmtree(os.path.join(directory, "runs"))
        process = begin(kind, directory, 0)
        said = process.communicate(timeout=300)[1]
        if process.returncode != 0:
            print(f"skipped: the moments of calls: {said.strip()}")
            return wanted, seconds, 0
        with open(directory + ".log", encoding="utf-8", errors="replace") as stream:
            return wanted, seconds, len(stream.readlines())


def moments_of(calls):
    if EVERY:
        return list(range(1, calls + 1))
    return [CHANCE.random() for _ in range(CUTS)] + \
        [("told", "seen")[i % 2] for i in range((CUTS + 1) // 2)] + \
        [CHANCE.randint(1, calls) for _ in range(CUTS if calls else 0)]


def cut_kind(name, folder):
    kind = KINDS[name]
    wanted, seconds, calls = undisturbed(kind, folder)
    moments = moments_of(calls)
    failed, found = 0, {}
    for number, moment in enumerate(moments):
        options = OPTIONS[number % len(OPTIONS)]
        try:
            states = cut(kind, folder, moment, options, seconds, wanted)
            text = " ".join(f"{states.count(s)} {s}" for s in sorted(set(states))) or "no record"
            found[text] = found.get(text, 0) + 1
        except Cannot:
            raise
        except Exception:
            failed += 1
            print(f"FAILED {name}, moment {moment} of {seconds:.2f} s and {calls} calls, {options}, cut "
                  f"{number} of seed {SEED}\n{traceback.format_exc()}", flush=True)
    print(f"{name}: {len(moments)} cuts in {seconds:.2f} s and {calls} calls, {failed} failed; found on the disk: "
          f"{', '.join(f'{text} ({n} x)' for text, n in sorted(found.items()))}", flush=True)
    return len(moments), failed


def main():
    print(f"ISOBIT_TEST_SEED={SEED}")
    memory = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) and \
        shutil.disk_usage("/dev/shm").free > 1 << 30 else None
    tried = failed = 0
    for name in [n for n in KINDS if n in sys.argv[1:]] or KINDS:
        with tempfile.TemporaryDirectory(prefix="isobit-power-", dir=memory) as folder:
            try:
                counts = cut_kind(name, folder)
            except Cannot as why:
                print(f"skipped: no ext4 on a loop device here: {why}")
                return 77
        tried += counts[0]
        failed += counts[1]
    print(f"{tried} power cuts, {failed} failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
