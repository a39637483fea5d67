"""A command is killed (SIGKILL) at its N-th call that changes a file or sends something; then what it
left is looked at, and what a user would do next must end as if nothing had happened.

Without ISOBIT_CRASH_EVERY only every k-th N is tried, from a random one on.

environment: ISOBIT, ISOBIT_TEST_DATA, BUILD_DIR; ISOBIT_TEST_SEED (printed) chooses the places;
ISOBIT_CRASH_EVERY=1 takes every N, in the middle of writing too; ISOBIT_CRASH_AT=N or N:half only that
one. Words on the command line choose among the scenarios.
"""
import copy
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from mlflow_fake import Fake
from test_mlflow_faults import check, environment_of
from test_mlflow_sweep import check_whole, write_study

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
KILL_AT = os.path.join(os.environ["BUILD_DIR"], "tests", "kill_at")
SEED = int(os.environ.get("ISOBIT_TEST_SEED", "0")) or time.time_ns() % 1000000
EVERY = int(os.environ.get("ISOBIT_CRASH_EVERY", "0"))
ONLY = os.environ.get("ISOBIT_CRASH_AT")
TRAIN = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size", "320",
         "--test-size", "50", "--epochs", "2", "--checkpoint-every", "3", "--log-interval", "1",
         "--trace", "--json", "--threads", "1"]
# LeakSanitizer cannot look into a process that is traced.
PLAIN = environment_of(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def call(directory, *words, code=0, **environment):
    done = subprocess.run([ISOBIT, *words], cwd=directory, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=200, env={**PLAIN, **environment})
    assert code is None or done.returncode == code, \
        f"isobit {words[0]}: exit code {done.returncode}, not {code}: {done.stderr}"
    return done


def answer_of(done):
    return json.loads(done.stdout.splitlines()[-1])


def read(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def sha256_of(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def walk(directory):
    """Every folder below, but for records that a sweep has set aside."""
    for place, folders, names in os.walk(directory):
        if ".set-aside" in folders:
            folders.remove(".set-aside")
        yield place, folders, names


# ---- what holds at any time ----------------------------------------------------------------------


def check_checkpoint(path):
    with open(path, "rb") as stream:
        text = stream.read()
    sealed, _, seal = text.rpartition(b',"sha256":"')
    assert hashlib.sha256(sealed).hexdigest() == seal[:64].decode(), f"{path}: the seal is broken"
    for part in ("model", "optimizer"):
        whole = path.removesuffix(".json") + f".{part}.safetensors"
        assert sha256_of(whole) == json.loads(text)[part + "_sha256"], whole


def check_files(directory, wanted=None):
    """No file that a reader takes for whole is half. wanted: the answer of the undisturbed run."""
    if runs_of(directory):
        call(directory, "verify", "runs")
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            if name.endswith(".json"):
                assert isinstance(read(path), dict), path
            if name.startswith("step-") and name.endswith(".json"):
                check_checkpoint(path)
        if "run.json" not in names:
            continue
        record = read(os.path.join(place, "run.json"))
        results = record["results"] or {}
        for part in ("model", "optimizer"):
            path = os.path.join(place, part + ".safetensors")
            expected = (wanted or results).get(part + "_sha256")
            if expected and (results or os.path.exists(path)):
                assert expected == sha256_of(path), f"{path} is not the run's"


def state_of(place):
    return read(os.path.join(place, "run.json"))["status"]


def check_nothing_left(directory):
    """What killed processes left does not pile up."""
    for place, folders, names in walk(directory):
        for name in names + folders:
            path = os.path.join(place, name)
            assert ".tmp-" not in name, f"{path} is left"
            assert name != "checkpoints" or state_of(place) == "interrupted", \
                f"{path} is left of a finished run"
            assert not name.startswith(".new-"), f"{path} is left"
        parent = os.path.basename(os.path.dirname(place))
        assert parent != "digits-mlp" or place.endswith(".locks") or "run.json" in names, \
            f"{place} is no run"


def lines_of(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def points_of(place):
    return [(p["key"], p["value"], p["step"], p["epoch"])
            for p in lines_of(os.path.join(place, "metrics.jsonl")) if p["key"] != "train_seconds"]


def check_run(place, undisturbed):
    """A finished record that could be the undisturbed one's."""
    assert state_of(place) == "finished", place
    check_files(place, undisturbed["answer"])
    assert points_of(place) == undisturbed["points"], "metrics.jsonl"
    lines_of(os.path.join(place, "resources.jsonl"))
    assert sha256_of(os.path.join(place, "trace.bin")) == undisturbed["trace"], "trace.bin"


def runs_of(directory):
    return [place for place, _, names in walk(os.path.join(directory, "runs"))
            if "run.json" in names and "/.new-" not in place]


# ---- on the server --------------------------------------------------------------------------------


def active(fake):
    return [r for r in fake.runs.values() if r["info"]["lifecycle_stage"] == "active"]


def check_server(directory, fake):
    """After sync: each record is there once, and nothing is taken for alive that is not."""
    if os.path.isdir(os.path.join(directory, "runs")):
        call(directory, "sync", "--to", fake.uri)
    ids = [r["tags"]["isobit.run_id"] for r in active(fake)]
    assert len(ids) == len(set(ids)), f"a run is there twice: {ids}"
    going = [r["tags"]["isobit.run_id"] for r in active(fake) if r["info"]["status"] == "RUNNING"]
    assert not going, f"the server takes {going} for alive"
    for place in runs_of(directory):
        assert os.path.basename(place) in ids, f"{place} is not on the server"
    owners = [m["run"] for m in fake.models.values()]
    assert len(owners) == len(set(owners)), "a run has two models"


def check_resumed_on_server(fake, place):
    """Points that were sent before the kill keep their times, so that only the rest is compared."""
    run = next(r for r in active(fake) if r["tags"]["isobit.run_id"] == os.path.basename(place))
    assert run["info"]["status"] == "FINISHED", run["info"]
    sent = [(key, str(value), step) for key, value, _, step in run["points"]
            if not key.startswith(("result/", "system/")) and key != "train_seconds"]
    wanted = [(k, str(v), s) for k, v, s, _ in points_of(place)]
    assert sorted(sent) == sorted(wanted), \
        f"missing: {sorted(set(wanted) - set(sent))}, too many: " \
        f"{sorted(p for p in set(sent) if sent.count(p) > wanted.count(p))}"
    prefix = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/"
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if name != "mlflow.json":
            with open(path, "rb") as stream:
                assert fake.files[prefix + name] == stream.read(), f"{name} on the server"
    assert len(run["outputs"]) == 1 and len(run["inputs"]) == 2


# ---- scenarios ------------------------------------------------------------------------------------


class Scenario:
    """One command and what is done after it was killed. places: at how many of its calls it is
    killed here; window: (pattern, first, last), one more of these calls that are of such a file."""
    whom, places, server, window = "first", 1, False, None

    def __init__(self, parent):
        self.parent = parent
        self.template = os.path.join(parent, "template")
        os.makedirs(self.template)
        self.fake = Fake() if self.server else None
        self.prepare(self.template)
        self.known = self.fake and copy.deepcopy(self.fake.known())

    def prepare(self, directory):
        """Into directory: what is there before the command."""

    def kill(self, directory, words, at, how="before"):
        """Returns the exit code and the lines of the calls; words: of isobit."""
        log = os.path.join(self.parent, "log")
        done = subprocess.run([KILL_AT, self.whom, str(at), how, log, ISOBIT, *words],
                              cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, timeout=200, env=PLAIN)
        assert done.returncode != 125, done.stderr
        with open(log, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
        return done, lines

    def count(self):
        """How many calls the command makes when nobody disturbs it."""
        directory = os.path.join(self.parent, "counted")
        shutil.copytree(self.template, directory, symlinks=True)
        _, lines = self.kill(directory, self.words(), 0)
        shutil.rmtree(directory)
        return len(lines)


class Train(Scenario):
    sync_first = True

    def words(self):
        return [*TRAIN, *(["--mlflow", self.fake.uri] if self.fake else [])]

    def prepare(self, directory):
        self.undisturbed = undisturbed_run()

    def check(self, directory):
        places = runs_of(directory)
        check_files(directory, self.undisturbed["answer"])
        if self.fake and self.sync_first:
            check_server(directory, self.fake)
        assert len(places) <= 1, places
        if places:
            words = ["train", "--resume", places[0], "--json", "--data-dir", DATA]
            answer = answer_of(call(directory, *words, *self.words()[len(TRAIN):]))
            assert answer["model_sha256"] == self.undisturbed["answer"]["model_sha256"]
            assert answer["optimizer_sha256"] == self.undisturbed["answer"]["optimizer_sha256"]
            check_run(places[0], self.undisturbed)
        else:  # killed too early to have a record: the command again
            call(directory, *self.words())
            check_run(runs_of(directory)[0], self.undisturbed)
        if self.fake:
            check_server(directory, self.fake)
            check_resumed_on_server(self.fake, runs_of(directory)[0])
        check_nothing_left(directory)


class TrainMlflow(Train):
    server = True


class TrainMlflowOnly(TrainMlflow):
    """The run goes on before anything was sent again: its lines come with other times."""
    sync_first, window = False, ("*/digits-mlp/*/mlflow.json*", 11, 20)


class Resume(Train):
    """What is killed is the part after another kill."""

    def prepare(self, directory):
        super().prepare(directory)
        words = super().words()
        _, lines = self.kill(directory, words, 0)
        at = next(int(line.split()[0]) for line in lines if "step-000000000006.json" in line
                  and " fsync " in line)
        shutil.rmtree(os.path.join(directory, "runs"))
        if self.fake:
            self.fake.forget()
        self.kill(directory, words, at)
        assert len(runs_of(directory)) == 1

    def words(self):
        place = os.path.relpath(runs_of(self.template)[0], self.template)
        return ["train", "--resume", place, "--json", "--data-dir", DATA,
                *super().words()[len(TRAIN):]]


class ResumeMlflow(Resume):
    server = True


class Sync(Scenario):
    server = True

    def prepare(self, directory):
        call(directory, *TRAIN)

    def words(self):
        return ["sync", "--to", self.fake.uri]

    def check(self, directory):
        check_files(directory)
        check_server(directory, self.fake)
        check(self.fake, runs_of(directory)[0])
        assert len(self.fake.models) == 1
        check_nothing_left(directory)


class Sweep(Scenario):
    resume, sync_first = [], True

    def prepare(self, directory):
        write_study(directory, size=320, epochs=2, rates="[0.5]")
        path = os.path.join(directory, "four.yaml")
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text.replace("base: {", "base: {checkpoint-every: 3, "))
        self.wanted = undisturbed_sweep(path)

    def words(self):
        return ["sweep", "four.yaml", "--data-dir", DATA,
                *(["--mlflow", self.fake.uri, "--mlflow-wait", "20"] if self.fake else [])]

    def check(self, directory):
        check_files(directory)
        if self.fake and self.sync_first:
            check_server(directory, self.fake)
        call(directory, *self.words(), *self.resume)
        check_files(directory)
        assert hashes_of(directory) == self.wanted, "other runs than those of the undisturbed sweep"
        cells = read(os.path.join(directory, "runs", "four", "study.json"))["cells"]
        assert [cell["state"] for cell in cells] == ["finished"] * 2
        check_nothing_left(directory)
        if self.fake:
            check_server(directory, self.fake)
            if not self.resume:
                check_whole(self.fake, directory, cells=2)


class SweepRuns(Sweep):
    whom = "others"


class SweepAll(Sweep):
    whom, resume = "all", ["--resume"]


class SweepMlflow(Sweep):
    server = True


class SweepRunsMlflow(SweepMlflow):
    whom = "others"


class SweepAllMlflow(SweepMlflow):
    """The record of the run is set aside before anybody has told the server, which has the run once
    the record's first mlflow.json is written."""
    whom, sync_first, window = "all", False, ("*/digits-mlp/*/mlflow.json*", 1, 10)


class SweepResume(SweepAll):
    """The sweep that is killed goes on with a run that was killed before."""
    words_too = ["--resume"]

    def prepare(self, directory):
        super().prepare(directory)
        _, lines = self.kill(directory, super().words(), 0)
        at = [int(line.split()[0]) for line in lines if "step-000000000005.json" in line]
        shutil.rmtree(os.path.join(directory, "runs"))
        if self.fake:
            self.fake.forget()
        self.kill(directory, super().words(), at[-1])

    def words(self):
        return [*super().words(), *self.words_too]


class SweepAgainMlflow(SweepResume):
    """It sets that run's record aside, and the server knows the run."""
    server, resume, words_too = True, [], []


class Svm(Scenario):
    """A support vector machine has no checkpoints: it is fitted again in the same record."""
    train = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "svm", "--train-size",
             "320", "--test-size", "50", "--json", "--threads", "1", "--save-model"]

    def words(self):
        return self.train

    def check(self, directory):
        check_files(directory)
        words = self.train
        if runs_of(directory):
            words = ["train", "--resume", runs_of(directory)[0], "--json", "--data-dir", DATA]
        answer = answer_of(call(directory, *words))
        check_files(directory, answer)
        assert [state_of(place) for place in runs_of(directory)] == ["finished"]
        # the file beside is written again by whoever wants it
        answer = answer_of(call(directory, *self.train))
        beside = os.path.join(directory, "digits_svm.safetensors")
        assert answer["model_sha256"] == sha256_of(beside)
        check_nothing_left(directory)


class Export(Scenario):
    def prepare(self, directory):
        call(directory, *TRAIN)
        self.model = os.path.join(os.path.relpath(runs_of(directory)[0], directory),
                                  "model.safetensors")

    def words(self):
        return ["export", "--onnx", self.model, "-o", "model.onnx"]

    def check(self, directory):
        call(directory, *self.words())
        check_nothing_left(directory)


class Prepare(Scenario):
    def words(self):
        return ["data", "prepare", "--dataset", "digits", "--data-dir", "data"]

    def check(self, directory):
        call(directory, *self.words())
        call(directory, "data", "verify", "--dataset", "digits", "--data-dir", "data")
        check_nothing_left(directory)


class Hash(Scenario):
    places = 2

    def prepare(self, directory):
        call(directory, *TRAIN)
        place = os.path.relpath(runs_of(directory)[0], directory)
        call(directory, "hash", "update", "data", "--dataset", "digits", "--data-dir", DATA)
        self.rest = ["result", place]

    def words(self):
        return ["hash", "update", *self.rest]

    def check(self, directory):
        check_files(directory)
        call(directory, "hash", "verify", "data", "--dataset", "digits", "--data-dir", DATA)
        call(directory, *self.words())
        call(directory, "hash", "verify", *self.rest)
        check_nothing_left(directory)


class Report(Scenario):
    def prepare(self, directory):
        call(directory, *TRAIN)

    def words(self):
        return ["report", "runs", "-o", "out/report.html"]

    def check(self, directory):
        path = os.path.join(directory, "out/report.html")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                assert stream.read().rstrip().endswith("</html>"), "half a page"
        call(directory, *self.words())
        check_nothing_left(directory)


UNDISTURBED = {}


def undisturbed_run():
    if "run" not in UNDISTURBED:
        with tempfile.TemporaryDirectory() as directory:
            answer = answer_of(call(directory, *TRAIN))
            place = runs_of(directory)[0]
            UNDISTURBED["run"] = {"answer": answer, "points": points_of(place),
                                  "trace": sha256_of(os.path.join(place, "trace.bin"))}
    return UNDISTURBED["run"]


def hashes_of(directory):
    """(experiment_sha256, model_sha256) of the finished runs, in order. A run that its sweep's end
    has stopped in order is a record, too, which a sweep without --resume leaves as it is."""
    records = [read(os.path.join(place, "run.json")) for place in runs_of(directory)]
    assert {r["status"] for r in records} <= {"finished", "interrupted"}, records
    return sorted((r["experiment_sha256"], r["results"]["model_sha256"]) for r in records
                  if r["status"] == "finished")


def undisturbed_sweep(study):
    if "sweep" not in UNDISTURBED:
        with tempfile.TemporaryDirectory() as directory:
            call(directory, "sweep", study, "--data-dir", DATA)
            UNDISTURBED["sweep"] = hashes_of(directory)
            assert len(UNDISTURBED["sweep"]) == 2
    return UNDISTURBED["sweep"]


# ---- one after another ----------------------------------------------------------------------------


def try_place(scenario, at, how):
    """Returns the call where the command was killed, None when it was not, and what went wrong."""
    directory = os.path.join(scenario.parent, "here")
    shutil.copytree(scenario.template, directory, symlinks=True)
    if scenario.fake:
        scenario.fake.forget(copy.deepcopy(scenario.known))
    done, lines = scenario.kill(directory, scenario.words(), at, how)
    where = lines[-1] if len(lines) >= int(at.partition(",")[0]) else None
    why = None
    try:
        assert where or done.returncode == 0, done.stderr
        scenario.check(directory)
    except Exception:
        why = traceback.format_exc()
    shutil.rmtree(directory)
    return where, why


def places_of(scenario, source):
    """(place, how); a place is "N" or "N,PATTERN", as kill_at takes it."""
    if ONLY:
        at, _, how = ONLY.partition(":")
        yield at, how or "before"
        return
    calls = 0 if EVERY else scenario.count()
    every = EVERY or max(1, calls // scenario.places)
    at = source.randrange(1, every + 1)
    while EVERY or at <= calls:
        yield str(at), "before" if EVERY else source.choice(["before", "half"])
        at += every
    if scenario.window:
        pattern, first, last = scenario.window
        yield f"{source.randint(first, last)},{pattern}", "before"


def try_all(kind, parent):
    """Returns the numbers of places tried and failed."""
    tried = failed = 0
    scenario = kind(parent)
    for at, how in places_of(scenario, random.Random(f"{SEED} {kind.__name__}")):
        where, why = try_place(scenario, at, how)
        results = [(how, where, why)]
        if EVERY and where and where.split()[2] in ("write", "sendto"):
            results.append(("half", *try_place(scenario, at, "half")))
        for how, where, why in results:
            tried += where is not None
            failed += why is not None
            if why:
                print(f"FAILED at {where or 'no place'}; again: ISOBIT_CRASH_AT='{at}:{how}' "
                      f"{sys.argv[0]} {kind.__name__}\n{why}", flush=True)
        if EVERY and not where:
            break
    if scenario.fake:
        scenario.fake.stop()
    return tried, failed


KINDS = [Train, TrainMlflow, TrainMlflowOnly, Resume, ResumeMlflow, Sync, Sweep, SweepRuns, SweepAll,
         SweepResume, SweepMlflow, SweepRunsMlflow, SweepAllMlflow, SweepAgainMlflow, Svm, Export,
         Prepare, Hash, Report]
# Those that take longest and have the most in common with others: one of each group a time.
IN_TURN = [(Resume, ResumeMlflow), (SweepResume, SweepAgainMlflow), (SweepMlflow, SweepRunsMlflow)]


def chosen_kinds():
    named = [kind for kind in KINDS if kind.__name__ in sys.argv[1:]]
    if named or EVERY:
        return named or KINDS
    source = random.Random(SEED)
    left_out = [kind for group in IN_TURN for kind in source.sample(group, len(group) - 1)]
    return [kind for kind in KINDS if kind not in left_out]


def main():
    probe = subprocess.run([KILL_AT, "all", "0", "before", os.devnull, "true"], text=True,
                           stderr=subprocess.PIPE)
    if probe.returncode == 125:
        print(f"skipped: processes cannot be traced here: {probe.stderr.strip()}")
        return 77
    print(f"ISOBIT_TEST_SEED={SEED}")
    if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) and \
            shutil.disk_usage("/dev/shm").free > 1 << 30:
        tempfile.tempdir = "/dev/shm"  # where fsync, of which there is a lot, costs nothing
    tried = failed = 0
    for kind in chosen_kinds():
        begun = time.time()
        with tempfile.TemporaryDirectory(prefix="isobit-crash-") as parent:
            counts = try_all(kind, parent)
        print(f"{kind.__name__}: killed at {counts[0]} places, {counts[1]} failed, "
              f"{time.time() - begun:.1f} s", flush=True)
        tried += counts[0]
        failed += counts[1]
    print(f"{tried} places, {failed} failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
