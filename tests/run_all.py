"""Every test, and every matrix whole where `make test` takes a sample: hours, so in steps that need not
be repeated. What passed for the tree as it is now (a hash of its files) is kept in build/test-all/ and
not run again: an interrupted run goes on where it was, and parts may run on different machines.

usage: run_all.py [PART]    PART: 2/6 is the second of six parts; default 1/1
environment: JOBS, tests at once (default: the number of CPUs). What a test is told to be whole is WHOLE
below; what the environment sets already, stays.
Ends with one line "N passed, N failed, N skipped" over the part, what passed earlier included.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = os.path.join(ROOT, "build", "test-all")
WHOLE = {
    "ISOBIT_ONE_HASH_FULL": "1",      # every ResNet and optimiser in every build
    "ISOBIT_SABOTAGE": "all",         # planted changes; 30
    "ISOBIT_TRAINING_SCALAR": "1",    # training hashes by the scalar reference too
    "ISOBIT_TRAINING_RESNETS": "1",   # and in every setting, of the ResNets too
    "ISOBIT_EXHAUSTIVE": "1",         # exp and log of every float, every quantile
    "ISOBIT_RANDOM_CASES": "2000",    # shapes of operations; 40 in a sample
    "ISOBIT_OWN_NETWORKS": "30",      # drawn at random, beside PyTorch and onnxruntime; 4 and 2
    "ISOBIT_RESNET_STEPS": "20",      # of 32 images beside PyTorch; 4 of 16
    "ISOBIT_ALLOCATIONS": "all",      # each of a command's, not one at 8 places
    "ISOBIT_CRASH_EVERY": "1",        # every call that changes a file, not every k-th
    "ISOBIT_KILLS": "100",            # of a training run; 4
    "ISOBIT_SWEEP_KILLS": "20",       # of a sweep; 3
    "ISOBIT_FLIPS": "300",            # bits of each file, each asked of every reader; 1
    "ISOBIT_HOSTILE_MOMENTS": "50",   # of a command whose files are changed; 8
    "ISOBIT_POWER_CUTS": "40",        # of each kind of run; 1
    "ISOBIT_CHANGES_ALONE": "1",      # each change in a build of its own too
}
# The builds, what of each is run (a pattern of labels, one of names), and whether whole.
BUILDS = (("release", "", "", True), ("clang", "unit|backend", "", False),
          ("asan", "unit|fault|fuzz", "", False),
          ("tsan", "unit", "threads|test_library$", False))
# These take longest and so begin first.
LONGEST = ("bit_flips", "power_cuts", "hostile_files", "one_hash", "crash_points",
           "command_allocation", "training_hash", "test_ops", "torch", "exact_math", "changes",
           "onnx", "sweep", "checkpoint")
TEST_SECONDS = 6 * 3600
SANITIZERS = {"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", "TSAN_OPTIONS": "halt_on_error=1",
              "ASAN_OPTIONS": "detect_stack_use_after_return=1"}


def tree_files():
    """What git has or would add; of an archive everything but what is built."""
    if os.path.exists(os.path.join(ROOT, ".git")):
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others",
                                 "--exclude-standard"], check=True, stdout=subprocess.PIPE).stdout
        return listed.split(b"\0")
    found = []
    for folder, folders, names in os.walk(os.fsencode(ROOT)):
        folders[:] = [f for f in folders if not f.startswith((b"build", b"."))]
        found += [os.path.relpath(os.path.join(folder, n), os.fsencode(ROOT)) for n in names]
    return found


def tree_state():
    """A name for what is tested: those files by content."""
    state = hashlib.sha256()
    for name in sorted(set(tree_files())):
        path = os.path.join(os.fsencode(ROOT), name)
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                state.update(name + b"\0" + hashlib.sha256(stream.read()).digest())
    return state.hexdigest()[:16]


class Test:
    def __init__(self, build, described, whole):
        self.build, self.name, self.command = build, described["name"], described["command"]
        own = {p["name"]: p["value"] for p in described.get("properties", [])}
        self.labels = " ".join(own.get("LABELS", []))
        self.prepares = bool(own.get("FIXTURES_SETUP"))
        self.directory = own.get("WORKING_DIRECTORY", os.path.join(ROOT, "build", build))
        self.skip_code = own.get("SKIP_RETURN_CODE")
        self.environment = {**SANITIZERS, **(WHOLE if whole else {}), **os.environ,
                            **dict(pair.split("=", 1) for pair in own.get("ENVIRONMENT", []))}

    def stamp(self, state):
        return os.path.join(KEPT, state, self.build, self.name.replace("/", "+") + ".xml")


def tests_of(build, labels, names, whole):
    listing = subprocess.run(["ctest", "--test-dir", os.path.join(ROOT, "build", build),
                              "--show-only=json-v1"], check=True, stdout=subprocess.PIPE).stdout
    tests = [Test(build, t, whole) for t in json.loads(listing)["tests"] if "command" in t]
    return [t for t in tests if t.prepares or
            (re.search(labels, t.labels) and re.search(names, t.name))]


class Runner:
    """Runs tests, and ends them all where it is interrupted."""

    def __init__(self, state):
        self.state, self.running, self.lock, self.stopped = state, set(), threading.Lock(), False

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.running:
                try:
                    os.killpg(process.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass

    def call(self, test):
        """Exit code (None: it took too long) and output."""
        with self.lock:
            if self.stopped:
                raise InterruptedError
            process = subprocess.Popen(test.command, cwd=test.directory, env=test.environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
            self.running.add(process)
        code = None
        try:
            output = process.communicate(timeout=TEST_SECONDS)[0]
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0] + f"\nmore than {TEST_SECONDS} s".encode()
        with self.lock:
            self.running.discard(process)
            if self.stopped:
                raise InterruptedError
        return code, output.decode(errors="replace")

    def run(self, test):
        """The test's case for the report; kept where it passed."""
        path = test.stamp(self.state)
        if os.path.exists(path):
            return ElementTree.parse(path).getroot()
        started = time.monotonic()
        code, output = self.call(test)
        seconds = time.monotonic() - started
        # XML has no place for control characters.
        output = re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd]", "?", output)
        case = ElementTree.Element("testcase", name=test.name, time=f"{seconds:.1f}")
        ElementTree.SubElement(case, "system-out").text = output
        outcome = "passed"
        if code == test.skip_code and code is not None:
            outcome = "skipped"
            ElementTree.SubElement(case, "skipped")
        elif code != 0:
            outcome = "FAILED"
            ElementTree.SubElement(case, "failure", message=f"exit code {code}")
            print(output[-8000:])
        elif not test.prepares and tree_state() == self.state:  # an edit meanwhile: not this tree's
            os.makedirs(os.path.dirname(path), exist_ok=True)
            ElementTree.ElementTree(case).write(path + ".new")
            os.replace(path + ".new", path)
        print(f"{outcome:7} {test.build}: {test.name} [{seconds:.0f} s]", flush=True)
        return case


def order(test):
    places = [i for i, word in enumerate(LONGEST) if word in test.name]
    return (not test.prepares, places[0] if places else len(LONGEST), test.build, test.name)


def build_all():
    """How many builds failed, and the tests of the others."""
    broken, tests = 0, []
    for build, labels, names, whole in BUILDS:
        print(f"== build {build}", flush=True)
        done = subprocess.run([os.path.join(ROOT, "scripts", "build.sh"), build],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout[-6000:] + f"\nthe {build} build failed")
            broken += 1
            continue
        tests += tests_of(build, labels, names, whole)
    return broken, tests


def run_all(runner, tests):
    cases = []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", 0)) or
                                               os.cpu_count()) as pool:
        try:
            # What others need is made first, one after the other.
            cases += [(t.build, runner.run(t)) for t in tests if t.prepares]
            rest = [t for t in tests if not t.prepares]
            cases += zip((t.build for t in rest), pool.map(runner.run, rest))
        except (KeyboardInterrupt, InterruptedError):
            runner.stop()
            sys.exit("interrupted; what passed is kept, the same command goes on from here")
    return cases


def main():
    words = (sys.argv[1:] or ["1/1"])[0]
    wanted = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", words)
    if not wanted or int(wanted.group(1)) > int(wanted.group(2)):
        sys.exit(f"PART is 1/1, 2/6 and the like, not {words}")
    part, parts = map(int, wanted.groups())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    state = tree_state()
    broken, tests = build_all()
    tests.sort(key=order)
    own = [t for i, t in enumerate(t for t in tests if not t.prepares) if i % parts == part - 1]
    done = sum(os.path.exists(t.stamp(state)) for t in own)
    print(f"== tree {state}, part {part} of {parts}: {len(own)} tests, {done} passed before", flush=True)
    cases = run_all(Runner(state), [t for t in tests if t.prepares] + own)
    reports = []
    for build, _, _, _ in BUILDS:
        suite = ElementTree.Element("testsuite", name=build)
        suite.extend(case for of, case in cases if of == build)
        reports.append(os.path.join(KEPT, f"{build}.xml"))
        os.makedirs(KEPT, exist_ok=True)
        ElementTree.ElementTree(suite).write(reports[-1])
    return subprocess.run([sys.executable, os.path.join(ROOT, "tests", "summary.py"), str(broken),
                           *reports]).returncode


sys.exit(main())
