"""Commands while memory runs out: an allocation of our code fails, and the command must end with exit
code 1 and a message, or with 0 and the right result: the same hashes, files and output. It never
crashes or hangs, leaves no temporary file, and isobit verify accepts every record that it leaves.

isobit_failing (failing_isobit.c) stands still before an allocation and goes on in copies, so that what
was read is not read again for each; from the first moment at which a command writes, all copies go on
from there, in a folder that is made anew each time.

environment: BUILD_DIR, ISOBIT, ISOBIT_TEST_DATA; ISOBIT_ALLOCATIONS, how many of a command's
allocations to fail: about so many of different places (8), or "all": each by itself, and at each
place also that one with all that follow it. Of commands that take long (those that train or draw)
"all" means the first at each place, by itself; a place is the twelve innermost calls.

Allocations that other libraries make for themselves are not failed here. What was seen when they were
(ISOBIT_FAILING_OF in failing_isobit.c; Debian 12):
  jansson 2.14      json_loadb takes a text for damaged, loses characters of texts unnoticed, or aborts
                    (load.c:442); json_dumps loses texts unnoticed. isobit reads JSON itself and asks
                    errno after writing (base/json_value.h); making values fails well and is failed here
  glibc 2.36        open_memstream loses what does not fit; neither ferror nor fclose tells. isobit has
                    a stream of its own (base/text_stream.h). Others fail well and are failed here
  libyaml 0.2.5     52 of 52 places: exit code 1
  libcurl 7.88.1    23 of 25 places: exit code 1, 2 done without
  OpenSSL 3.0       (inside libcurl) 15 of 15 places while it starts: done without
  zlib 1.2.13       exit code 1
"""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from runner import run_tests  # noqa: E402

ISOBIT = os.environ["ISOBIT"]
FAILING = os.path.join(os.environ["BUILD_DIR"], "tests", "isobit_failing")
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
WANTED = os.environ.get("ISOBIT_ALLOCATIONS", "8")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("ISOBIT")}
# For a look at other libraries, by hand.
CHOSEN = {name: os.environ[name] for name in ["ISOBIT_FAILING_OF"] if name in os.environ}
# Where the writing of many small files costs least.
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
DIGITS = ["--dataset", "digits", "--data-dir", DATA, "--test-size", "20"]
MLP = [*DIGITS, "--model", "mlp", "--train-size", "48", "--epochs", "1", "--batch-size", "16",
       "--threads", "1", "--log-interval", "1", "--sample-period", "0"]
SVM = [*DIGITS, "--model", "svm", "--kernel", "rbf", "--train-size", "60", "--threads", "1",
       "--sample-period", "0"]
# Of results and summaries, what another run of the same has otherwise.
VOLATILE = re.compile(r"seconds|per_second|^run_dir$|rss|^run_id$|started|ended|^time|timestamp|"
                      r"^resumes$|^resources$|^chain$|^sha256$|^bytes$")
RUN_ID = re.compile(rb"\d{8}T\d{6}Z-[0-9a-f]{6}")
MOMENT = re.compile(rb"D:\d{14}\S*|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?")
DURATION = re.compile(rb"\d+\.\d+ s\b|\d+ images/s")
MOST_TOLD = 5
TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{8}$|^\.new-")


class Standing:
    """isobit_failing, standing before an allocation."""

    def __init__(self, words, cwd, folder):
        self.folder, self.at = folder, None
        requests, self.requests = os.pipe()
        self.replies, replies = os.pipe()
        environment = {**PLAIN, "ISOBIT_FAILING": f"{requests},{replies},{folder}", **CHOSEN}
        self.process = subprocess.Popen([FAILING, *words], cwd=cwd, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, pass_fds=(requests, replies))
        os.close(requests)
        os.close(replies)
        self.expect("at 0")
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.requests)
        os.close(self.replies)
        self.process.wait()

    def reply(self):
        text = b""
        while not text.endswith(b"\n"):
            more = os.read(self.replies, 64)
            if not more:
                return None
            text += more
        return text.decode().strip()

    def expect(self, text):
        got = self.reply()
        assert got == text, f"isobit_failing answers {got}, not {text}"

    def go(self, n):
        if n > self.at:
            os.write(self.requests, f"go {n}\n".encode())
            self.expect(f"at {n}")
            self.at = n

    def fail(self, n, everything=False, places=False):
        """One copy goes on: its exit code (negative: the signal that ended it), output and messages."""
        os.write(self.requests, f"fail {n} {int(everything)} {int(places)}\n".encode())
        code = os.waitstatus_to_exitcode(int(self.reply()))
        return code, self.read("out"), self.read("err")

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def places(self):
        """What failing_place says of each allocation of the last copy, from the first on."""
        with open(os.path.join(self.folder, "count"), "rb") as stream:
            count = struct.unpack("=Q", stream.read(8))[0]
            return struct.unpack(f"={count}Q", stream.read(8 * count))

    def holds_below(self, folder, folders):
        """Whether it has a file there open for writing, or with folders one of the folders."""
        descriptors = f"/proc/{self.process.pid}/fd"
        for name in os.listdir(descriptors):
            path = os.path.join(descriptors, name)
            if not os.readlink(path).startswith(folder + "/"):
                continue
            with open(f"/proc/{self.process.pid}/fdinfo/{name}", encoding="ascii") as stream:
                flags = int(re.search(r"flags:\s*(\d+)", stream.read()).group(1), 8)
            if flags & 3 or (folders and os.path.isdir(path)):
                return True
        return False


def listing(folder):
    """Every file and folder as a change of any kind would change it."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            info = os.lstat(path)
            found.append((path, info.st_ino, info.st_size, info.st_mtime_ns))
    return sorted(found)


class Folder:
    """What a command works in: a copy of a template, made anew where it was changed."""

    def __init__(self, directory, template):
        self.path, self.template = os.path.join(directory, "work"), template
        os.mkdir(self.path)
        self.fill()

    def fill(self):
        shutil.copytree(self.template, self.path, symlinks=True, dirs_exist_ok=True)
        self.state = listing(self.path)

    def is_touched(self):
        return listing(self.path) != self.state

    def renew(self):
        if not self.is_touched():
            return
        for entry in os.scandir(self.path):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        self.fill()


def steady(value):
    """Without what another run has otherwise."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if not VOLATILE.search(key)}
    if isinstance(value, list):
        return [steady(inner) for inner in value]
    return RUN_ID.sub(b"RUN", value.encode()) if isinstance(value, str) else value


def steady_text(text):
    return DURATION.sub(b"DURATION", RUN_ID.sub(b"RUN", MOMENT.sub(b"MOMENT", text)))


def steady_file(path):
    name = os.path.basename(path)
    with open(path, "rb") as stream:
        data = stream.read()
    if name.endswith((".safetensors", ".bin", ".onnx")):
        return hashlib.sha256(data).hexdigest()
    try:
        if name.endswith(".jsonl"):
            return [steady(json.loads(line)) for line in data.splitlines()
                    if b'"train_seconds"' not in line]
        if name.endswith(".json"):
            return steady(json.loads(data))
    except ValueError:
        pass
    return steady_text(data)


def result_of(folder, out):
    """What a command that ended well leaves: files and output. Checkpoints that a finished run could
    not remove are no part of it: the next one does."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "checkpoints"]
        for name in names:
            path = os.path.join(parent, name)
            if name != "resources.jsonl":
                found[RUN_ID.sub(b"RUN", os.fsencode(os.path.relpath(path, folder)))] = \
                    steady_file(path)
    lines = out.splitlines()
    try:
        lines[-1:] = [steady(json.loads(lines[-1]))]
    except (ValueError, IndexError):
        pass
    return found, [steady_text(line.encode()) if isinstance(line, str) else line for line in lines]


def first_difference(found, expected):
    found, expected = str(found), str(expected)
    at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b),
              min(len(found), len(expected)))
    return f"...{found[max(0, at - 80):at + 300]}\ninstead of\n...{expected[max(0, at - 80):at + 300]}"


def difference(found, expected):
    if found[1] != expected[1]:
        return "output: " + first_difference(found[1], expected[1])
    names = set(found[0]) ^ set(expected[0])
    if names:
        return f"files: {names}"
    name = next(n for n in found[0] if found[0][n] != expected[0][n])
    return f"{name}: {first_difference(found[0][name], expected[0][name])}"


def left_over(folder):
    return [name for _, folders, names in os.walk(folder) for name in folders + names
            if TEMPORARY.search(name)]


def choose(places, long):
    """Which to fail, and which of them with all that follow."""
    first = {}
    for n, place in enumerate(places, 1):
        first.setdefault(place, n)
    one_a_place = sorted(first.values())
    if WANTED == "all":
        return (one_a_place, ()) if long else (range(1, len(places) + 1), set(one_a_place))
    wanted = min(int(WANTED), len(one_a_place))
    return [one_a_place[i * len(one_a_place) // wanted] for i in range(wanted)], ()


def cpu_seconds():
    return sum(sum(resource.getrusage(who)[:2])
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class Case:
    def __init__(self, directory, words, template, long):
        self.words, self.long = words, long
        self.folder = Folder(directory, template)
        self.notes = os.path.join(directory, "notes")
        self.looks = os.path.join(directory, "looks")
        os.mkdir(self.notes)
        os.mkdir(self.looks)
        self.problems, self.tried, self.good = [], 0, 0

    def standing(self):
        self.folder.renew()
        return Standing(self.words, self.folder.path, self.notes)

    def last_quiet(self, count):
        """The last allocation before which nothing has been written, and where nothing of a folder
        that is made anew is held; 0 for none."""
        low, high = 0, count
        while low < high:
            middle = (low + high + 1) // 2
            with self.standing() as process:
                process.go(middle)
                quiet = not self.folder.is_touched() and \
                    not process.holds_below(self.folder.path, folders=False)
            low, high = (middle, high) if quiet else (low, middle - 1)
        if low == count:
            return low
        free = 0
        with self.standing() as process:
            for n in range(1, low + 1):
                process.go(n)
                if not process.holds_below(self.folder.path, folders=True):
                    free = n
        return free

    def check(self, n, everything, code, out, err, verifier):
        what = f"{' '.join(self.words)}: allocation {n}{' and all later' if everything else ''}"
        self.tried += 1
        problem = None
        if code == 0:
            self.good += 1
            found = result_of(self.folder.path, out)
            if found != self.expected:
                problem = "exit code 0, but " + difference(found, self.expected)
        elif code != 1:
            problem = f"exit code {code}: {err[-1500:]}"
        elif not re.search(r"^isobit: .", err, re.M):
            problem = f"exit code 1 without a message: {err[-300:]}"
        if problem is None and left_over(self.folder.path) and not everything:
            problem = f"left {left_over(self.folder.path)}"
        if problem is None and os.path.isdir(os.path.join(self.folder.path, "runs")):
            code, out, err = verifier.fail(0)
            if code != 0 and "holds no run record" not in err:
                problem = f"isobit verify says: {out} {err}"
        if problem is not None:
            self.problems.append(f"{what}: {problem}")

    def run(self):
        began = cpu_seconds()
        with self.standing() as process:
            code, out, err = process.fail(0, places=True)
            assert code == 0, f"{self.words}: exit code {code}: {err}"
            places = process.places()
        self.expected = result_of(self.folder.path, out)
        (chosen, with_later), quiet = choose(places, self.long), self.last_quiet(len(places))
        with self.standing() as process, \
                Standing(["verify", "runs"], self.folder.path, self.looks) as verifier:
            for n in chosen:
                process.go(min(n, quiet))
                for everything in (False, True) if n in with_later else (False,):
                    self.check(n, everything, *process.fail(n, everything), verifier)
                    self.folder.renew()
        print(f"{self.words[0]}: {len(chosen)} of {len(places)} allocations, {len(set(places))} "
              f"places; failed {self.tried} times, {self.good} times done without, "
              f"{len(self.problems)} wrong, {cpu_seconds() - began:.1f} s of CPU", flush=True)
        assert not self.problems, "\n".join(self.problems[:MOST_TOLD])


def isobit(*words, cwd, code=0):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, env=PLAIN, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == code, f"{words}: exit code {done.returncode}: {done.stderr}"
    return done.stdout


def runs_of(folder, experiment):
    return sorted(os.path.join("runs", experiment, name)
                  for name in os.listdir(os.path.join(folder, "runs", experiment))
                  if not name.startswith("."))


def try_all(words, prepare=lambda template: (), long=False):
    """prepare fills the folder that the command begins with, and returns more words."""
    with tempfile.TemporaryDirectory(prefix="isobit-test-", dir=PLACE) as place:
        place = os.path.realpath(place)
        template = os.path.join(place, "template")
        os.mkdir(template)
        more = prepare(template)
        Case(place, [*words, *more], template, long).run()


STUDY = """\
name: small
base: {dataset: digits, model: mlp, split: 70-10-20, train-size: 48, validation-size: 20,
       test-size: 20, epochs: 1, batch-size: 16}
select: validation_accuracy
grid: {lr: [0.5, 1.0]}
published:
  - {source: Table 1, machine: another, columns: [lr, test_accuracy], rows: [[0.5, 50..60%]]}
tables:
  - {name: grid, kind: grid, title: Grid, rows: [lr], values: [test_accuracy, epoch_seconds]}
  - {name: best, kind: best, title: Best, rows: [dataset], values: [test_accuracy]}
  - {name: settings, kind: configuration, title: Settings}
figures:
  - {name: curves, kind: curves, title: Curves, columns: [lr], values: [test_accuracy]}
  - {name: bars, kind: bars, title: Bars, rows: [lr], values: [test_accuracy]}
  - {name: heat, kind: heatmap, title: Heat, rows: [lr], columns: [seed], values: [test_accuracy]}
  - {name: confusion, kind: confusion, title: Confusion}
  - {name: wrong, kind: misclassified, title: Wrong}
"""
# Which take no time.
SWEPT = """\
name: two
base: {dataset: digits, model: svm, train-size: 60, test-size: 20}
grid: {C: [1, 2]}
"""
PRICES = """\
prices:
  - {name: here, on-demand: 1, spot: ~, currency: USD, date: 2026-11-01, source: a page}
"""


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
        stream.write(text)


def train(folder, *words):
    """Returns the record's folder."""
    out = isobit("train", *words, "--json", cwd=folder)
    return json.loads(out.splitlines()[-1])["run_dir"]


def two_runs(folder):
    return [train(folder, *MLP, "--trace"), train(folder, *MLP, "--lr", "0.5")]


def study(folder):
    write(folder, "small.yaml", STUDY)
    isobit("sweep", "small.yaml", "--data-dir", DATA, "--jobs", "1", cwd=folder)
    return ()


def stopped_run(folder):
    """One that was killed when it wrote its third checkpoint."""
    kill_at = os.path.join(os.environ["BUILD_DIR"], "tests", "kill_at")
    done = subprocess.run([kill_at, "all", "1,*step-000000000003*", "before", "/dev/null", ISOBIT,
                           "train", *MLP, "--checkpoint-every", "1", "--trace"], cwd=folder,
                          env=PLAIN, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 128 + signal.SIGKILL, done.stderr
    return runs_of(folder, "digits-mlp")


def test_train(directory):
    try_all(["train", *MLP, "--json", "--trace", "--checkpoint-every", "2"], long=True)


def test_train_saves_model(directory):
    try_all(["train", *MLP, "--save-model", "--optimizer", "adam", "--split", "70-10-20"],
            long=True)


def test_train_svm(directory):
    try_all(["train", *SVM, "--json"])


def test_train_resume(directory):
    try_all(["train", "--json", "--threads", "1", "--sample-period", "0", "--trace", "--data-dir",
             DATA, "--resume"], stopped_run, long=True)


def test_reproduce(directory):
    try_all(["reproduce", "--data-dir", DATA, "--threads", "1", "--json"],
            lambda folder: [train(folder, *MLP)], long=True)


def test_test(directory):
    try_all(["test", "--data-dir", DATA, "--threads", "1", "--json"],
            lambda folder: [train(folder, *MLP)])


def test_compare(directory):
    try_all(["compare"], two_runs)


def test_compare_traces(directory):
    try_all(["compare", "--json"],
            lambda folder: [train(folder, *MLP, "--trace") for _ in range(2)])


def test_report_of_records(directory):
    try_all(["report", "runs", "-o", "out.html"],
            lambda folder: two_runs(folder) and (), long=True)


def test_report_of_study(directory):
    try_all(["report", "small.yaml"], study, long=True)


def test_cost(directory):
    def prepare(folder):
        write(folder, "prices.yaml", PRICES)
        two_runs(folder)
        return ()
    try_all(["cost", "runs", "--prices", "prices.yaml", "--machine", "here", "--json"], prepare)


def test_describe(directory):
    try_all(["describe", "--model", "resnet18", "--batch-size", "4", "--threads", "1"])


def test_export_onnx(directory):
    try_all(["export", "--onnx"], lambda folder: [train(folder, *MLP)])


def test_export_libsvm(directory):
    try_all(["export", "--libsvm", "-o", "out.model"],
            lambda folder: [train(folder, *SVM)])


def test_experiment_check(directory):
    try_all(["experiment", "check", "small.yaml"],
            lambda folder: write(folder, "small.yaml", STUDY) or ())


def test_sweep(directory):
    try_all(["sweep", "two.yaml", "--data-dir", DATA, "--jobs", "1"],
            lambda folder: write(folder, "two.yaml", SWEPT) or (), long=True)


def test_verify(directory):
    try_all(["verify", "runs"], lambda folder: two_runs(folder) and ())


def test_verify_stopped(directory):
    try_all(["verify", "runs", "--json"], lambda folder: stopped_run(folder) and ())


def test_data_verify(directory):
    try_all(["data", "verify", "--dataset", "digits", "--data-dir", DATA])


def test_data_prepare(directory):
    """Three files are kept, one is made."""
    def prepare(folder):
        os.makedirs(os.path.join(folder, "data", "digits"))
        for name in os.listdir(os.path.join(DATA, "digits")):
            if name != "t10k-labels-idx1-ubyte":
                os.symlink(os.path.join(DATA, "digits", name),
                           os.path.join(folder, "data", "digits", name))
        return ()
    try_all(["data", "prepare", "--dataset", "digits", "--data-dir", "data"], prepare,
            long=True)


def test_data_import_table(directory):
    def prepare(folder):
        lines = [f"{i % 3}," + ",".join(str(i * k % 256) for k in range(9)) for i in range(12)]
        write(folder, "train.csv", "\n".join(["label,a,b,c,d,e,f,g,h,i", *lines, ""]))
        return ()
    try_all(["data", "import", "train.csv", "--name", "own", "--test-share", "0.5", "--resize",
             "2x2"], prepare)


def test_data_import_pictures(directory):
    def prepare(folder):
        for name in ("a", "b"):
            os.makedirs(os.path.join(folder, "pictures", name))
            for i in range(2):
                header = f"P5 3 2 255\n{name}{i}"
                write(folder, f"pictures/{name}/{i}.pgm", header + "abcd")
        return ()
    try_all(["data", "import", "pictures", "--name", "own", "--test-share", "0.5"], prepare)


def test_hash_data(directory):
    try_all(["hash", "update", "data", "--dataset", "digits", "--data-dir", DATA])


def test_hash_result(directory):
    def prepare(folder):
        run = train(folder, *MLP)
        isobit("hash", "update", "result", run, cwd=folder)
        return [run]
    try_all(["hash", "verify", "result"], prepare)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
