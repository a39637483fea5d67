"""isobit sweep: whatever kills it, started again it ends with the runs of an undisturbed sweep.

ISOBIT_SWEEP_KILLS is how many random moments are tried (3 without it); ISOBIT_SWEEP_SEED chooses
them.
"""
import collections
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ISOBIT = os.environ["ISOBIT"]
KILLS = int(os.environ.get("ISOBIT_SWEEP_KILLS", "3"))
SEED = int(os.environ.get("ISOBIT_SWEEP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)

TINY = """\
name: tiny
base: {dataset: digits, model: mlp, train-size: 400, test-size: 100, epochs: 2}
grid: {lr: [0.5, 1.0], batch-size: [16, 32]}
seeds: [1, 2]
"""
CELLS = 8
PLAIN = {name: value for name, value in os.environ.items()
         if not name.startswith(("SLURM_", "JOB_COMPLETION", "ISOBIT_SHARDS"))}


def command(folder, *words):
    return [ISOBIT, "sweep", os.path.join(folder, "tiny.yaml"), "--runs-dir",
            os.path.join(folder, "runs"), "--data-dir", os.environ["ISOBIT_TEST_DATA"], *words]


def sweep(folder, *words, code=0, **others):
    others.setdefault("env", PLAIN)
    done = subprocess.run(command(folder, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **others)
    assert done.returncode == code, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


def start(folder, *words):
    return subprocess.Popen(command(folder, *words), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=PLAIN)


def fresh(parent, name, text=TINY):
    folder = os.path.join(parent, name)
    os.mkdir(folder)
    with open(os.path.join(folder, "tiny.yaml"), "w", encoding="utf-8") as stream:
        stream.write(text)
    return folder


def records(folder):
    """Every run.json below the runs directory that is not set aside."""
    runs = os.path.join(folder, "runs", "digits-mlp")
    found = []
    for name in sorted(os.listdir(runs)) if os.path.isdir(runs) else []:
        path = os.path.join(runs, name, "run.json")
        if not name.startswith(".") and os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                found.append(json.load(stream))
    return found


def hashes(folder):
    """experiment_sha256 -> model_sha256 of the finished runs, each of which must be there once."""
    finished = [r for r in records(folder) if r["status"] == "finished"]
    counts = collections.Counter(r["experiment_sha256"] for r in finished)
    twice = {sha: n for sha, n in counts.items() if n > 1}
    assert not twice, f"done more than once: {twice}"
    return {r["experiment_sha256"]: (r["results"]["model_sha256"], r["results"]["optimizer_sha256"])
            for r in finished}


def states(folder):
    with open(os.path.join(folder, "runs", "tiny", "study.json"), encoding="utf-8") as stream:
        return collections.Counter(cell["state"] for cell in json.load(stream)["cells"])


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:
        return []


def kill_at_random(random_source, folder, seconds, with_children):
    process = start(folder)
    time.sleep(random_source.uniform(0, seconds))
    victims = [process.pid] + (children(process.pid) if with_children else [])
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


def check_undisturbed(parent):
    folder = fresh(parent, "undisturbed")
    begun = time.monotonic()
    sweep(folder)
    seconds = time.monotonic() - begun
    wanted = hashes(folder)
    assert len(wanted) == CELLS, len(wanted)
    assert states(folder) == {"finished": CELLS}
    again = json.loads(sweep(folder, "--json").stdout)
    assert again["done_here"] == 0 and again["finished"] == CELLS, again
    assert len(records(folder)) == CELLS
    return wanted, seconds


def check_kills(parent, wanted, seconds):
    source = random.Random(SEED)
    for attempt in range(KILLS):
        folder = fresh(parent, f"kill-{attempt}")
        for _ in range(2):
            kill_at_random(source, folder, seconds, with_children=attempt % 2 == 0)
        sweep(folder, *(["--resume"] if attempt % 3 else []))
        assert hashes(folder) == wanted, f"kill {attempt} of seed {SEED}"
        left = [r for r in records(folder) if r["status"] == "running"]
        assert not left, "a killed run still says that it is running"
        shutil.rmtree(folder)


def check_several(parent, wanted, seconds):
    for count in 2, 3:
        folder = fresh(parent, f"together-{count}")
        processes = [start(folder) for _ in range(count)]
        if count == 3:  # one of them is killed on the way; the others do its work
            time.sleep(random.Random(SEED).uniform(0, seconds / 2))
            processes.pop().kill()
        codes = [process.wait() for process in processes]
        assert codes == [0] * len(codes), codes
        assert hashes(folder) == wanted
        finished = [r for r in records(folder) if r["status"] == "finished"]
        assert len(finished) == CELLS


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))


def check_full_disk(parent, wanted):
    """The file size limit stands in for the full disk: a model is larger than it."""
    folder = fresh(parent, "full")
    done = sweep(folder, code=1, preexec_fn=limited)
    assert "nothing more can be written" in done.stderr, done.stderr
    assert "File too large" in done.stderr, done.stderr
    assert len(records(folder)) == 1, "it went on although nothing can be written"
    sweep(folder)
    assert hashes(folder) == wanted


def check_shards(parent, wanted):
    folder = fresh(parent, "shards")
    slurm = {**PLAIN, "SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "5",
             "SLURM_ARRAY_TASK_COUNT": "3"}
    kubernetes = {**PLAIN, "JOB_COMPLETION_INDEX": "2", "ISOBIT_SHARDS": "3"}
    parts = [json.loads(sweep(folder, "--json", *words, env=env).stdout)["done_here"]
             for words, env in ((("--shard", "0/3"), PLAIN), ((), slurm), ((), kubernetes))]
    assert parts == [3, 3, 2], parts
    assert hashes(folder) == wanted
    sweep(folder, "--shard", "3/3", code=2)
    sweep(folder, "--shard", "1", code=2)
    refused = sweep(folder, code=2, env={**PLAIN, "JOB_COMPLETION_INDEX": "2"})
    assert "ISOBIT_SHARDS" in refused.stderr, refused.stderr


def check_chosen_cells(parent):
    groups = TINY.replace("grid: {lr: [0.5, 1.0], batch-size: [16, 32]}", """cells:
  - {name: slow, grid: {lr: [0.5, 1.0]}}
  - {name: both, rows: [{lr: 0.5}, {lr: 2.0}]}""")
    folder = fresh(parent, "cells", groups)
    refused = sweep(folder, "--cells", "slow,neither", code=2)
    assert '"neither"' in refused.stderr and not records(folder), refused.stderr
    done = json.loads(sweep(folder, "--json", "--cells", "both").stdout)
    assert (done["done_here"], done["other_cells"]) == (4, 2), done
    done = json.loads(sweep(folder, "--json", "--cells", "both,slow").stdout)
    assert (done["done_here"], done["other_cells"]) == (2, 0), done


def check_divergence(parent):
    folder = fresh(parent, "diverging", TINY.replace("[0.5, 1.0]", "[0.5, 1.0e+30]"))
    done = sweep(folder, code=1)
    assert "4 of 8 runs failed or diverged" in done.stderr, done.stderr
    assert states(folder) == {"finished": 4, "diverged": 4}, states(folder)
    before = len(records(folder))
    sweep(folder, code=1)  # the same bits would diverge again: not done twice
    assert len(records(folder)) == before


def check_stop(parent, wanted):
    for number, code in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        folder = fresh(parent, f"stop-{code}")
        process = start(folder, "epochs=200")
        deadline = time.monotonic() + 60
        while not records(folder) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert [r["status"] for r in records(folder)].count("running") == 0
        sweep(folder)
        assert hashes(folder).items() >= wanted.items()


def check_resume(parent):
    """A run killed after its first epoch goes on from there, in the record that it had."""
    words = "epochs=30", "seeds=1", "lr=0.5", "batch-size=4"
    whole = fresh(parent, "whole")
    sweep(whole, *words)
    wanted = hashes(whole)
    assert len(wanted) == 1, wanted
    folder = fresh(parent, "resumed")
    process = start(folder, *words)
    deadline = time.monotonic() + 120
    runs = os.path.join(folder, "runs", "digits-mlp")
    while time.monotonic() < deadline and not any(
            name.endswith(".json") for at, _, names in os.walk(runs)
            if os.path.basename(at) == "checkpoints" for name in names):
        time.sleep(0.005)
    for pid in [*children(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert [r["status"] for r in records(folder)] == ["running"], "killed too late to tell"
    done = sweep(folder, "--resume", *words)
    assert "going on with" in done.stderr, done.stderr
    assert hashes(folder) == wanted
    assert [r["resumes"]["count"] for r in records(folder)] == [1]


def check_long_seed(parent):
    """What is done is known by its record, also with a seed that JSON's integers do not hold."""
    folder = fresh(parent, "long-seed")
    for _ in range(2):
        sweep(folder, "epochs=1", "seeds=18446744073709551615,7", "lr=0.5", "batch-size=32")
        assert len(hashes(folder)) == 2


def check_not_here(parent, wanted):
    """Cells that need what is not here are recorded with the reason, and the study succeeds."""
    folder = fresh(parent, "needs", TINY.replace("base:", "needs: [pin-memory]\nbase:"))
    done = sweep(folder)
    assert "needs pinned host memory" in done.stdout, done.stdout
    assert states(folder) == {"not run": CELLS} and not records(folder)
    with open(os.path.join(folder, "tiny.yaml"), "w", encoding="utf-8") as stream:
        stream.write(TINY)
    if len(os.sched_getaffinity(0)) > 1:
        sweep(folder, "--jobs", "2")
    else:
        print("one CPU: --jobs 2 is not tried")
        sweep(folder)
    assert hashes(folder) == wanted


def check_identity(parent):
    """The hash that `experiment check` computes without data is the record's."""
    folder = fresh(parent, "identity")
    done = subprocess.run([ISOBIT, "experiment", "check", os.path.join(folder, "tiny.yaml"),
                           "--json", "--data-dir", "/nowhere", "--runs-dir",
                           os.path.join(parent, "undisturbed", "runs")],
                          stdout=subprocess.PIPE, text=True, check=True, env=PLAIN)
    cells = json.loads(done.stdout)["cells"]
    assert {c["experiment_sha256"] for c in cells} == set(
        hashes(os.path.join(parent, "undisturbed")))
    assert all(c["state"] == "finished" and not c["has_data"] for c in cells)
    # nothing is started without data
    sweep(folder, "--data-dir", "/nowhere", "--no-download", code=3)


def check_published_studies():
    root = os.path.join(os.environ["SOURCE_DIR"], "experiments")
    files = [os.path.join(folder, name) for folder in (root, os.path.join(root, "small"))
             for name in sorted(os.listdir(folder)) if name.endswith(".yaml")
             and name != "prices.yaml"]  # a price table, not a study
    assert len(files) == 11, files
    for path in files:
        for words in (), ("dataset=digits", "seeds=2"):
            done = subprocess.run([ISOBIT, "experiment", "check", path, *words], env=PLAIN,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr


def main():
    print(f"ISOBIT_SWEEP_SEED={SEED} ISOBIT_SWEEP_KILLS={KILLS}")
    check_published_studies()
    with tempfile.TemporaryDirectory() as parent:
        wanted, seconds = check_undisturbed(parent)
        checks = ((check_identity,), (check_kills, wanted, seconds), (check_several, wanted, seconds),
                  (check_full_disk, wanted), (check_shards, wanted), (check_chosen_cells,),
                  (check_divergence,), (check_stop, wanted), (check_resume,), (check_long_seed,),
                  (check_not_here, wanted))
        for check, *known in checks:
            check(parent, *known)
    print(f"an undisturbed sweep took {seconds:.2f} s")
    print(f"{len(checks) + 2} passed, 0 failed")
    return 0


sys.exit(main())
