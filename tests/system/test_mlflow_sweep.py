"""A sweep on an MLflow server: its run is there from the start, with the runs of its cells nested in
it while they go on, and says at last how the sweep ended. Once, whatever is killed.

environment: ISOBIT, ISOBIT_TEST_DATA; ISOBIT_TEST_SEED; ISOBIT_TEST_SLOWNESS, by how much the binary is
slower than a release one (a sanitizer's)
"""
import json
import os
import signal
import subprocess
import sys
import time

from mlflow_fake import Fake
from runner import run_tests
from test_mlflow_faults import CHANCE, DATA, ISOBIT, call, check, environment_of

SLOWNESS = int(os.environ.get("ISOBIT_TEST_SLOWNESS", "1"))
STUDY = """\
name: four
title: Four small runs
base: {dataset: digits, model: mlp, train-size: %d, test-size: 50, epochs: %d, log-interval: 10}
grid: {lr: %s}
seeds: [1, 2]
"""


def write_study(directory, size=1280, epochs=20, rates="[0.5, 1.0]"):
    with open(os.path.join(directory, "four.yaml"), "w", encoding="utf-8") as stream:
        stream.write(STUDY % (size, max(1, epochs // SLOWNESS), rates))


def sweep(directory, fake, *words, **environment):
    return subprocess.Popen(
        [ISOBIT, "sweep", "four.yaml", "--data-dir", DATA, "--mlflow", fake.uri, *words],
        cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=environment_of(**environment))


def finish(process, code=0):
    said = process.communicate(timeout=200)[1]
    assert process.returncode == code, f"exit code {process.returncode}, not {code}: {said}"
    return said


def parents_of(fake):
    return [r for r in fake.runs.values() if r["info"]["lifecycle_stage"] == "active"
            and r["tags"]["isobit.run_id"].startswith("study-four-")]


def nested_in(fake, parent):
    return [r for r in fake.runs.values()
            if r["tags"].get("mlflow.parentRunId") == parent["info"]["run_id"]]


def wait_for(condition, process):
    """While the sweep goes on."""
    while True:
        with_answer = condition()
        if with_answer:
            return with_answer
        assert process.poll() is None, "the sweep has ended, and it was never so"
        time.sleep(0.02)


def records(directory):
    for place, _, names in os.walk(os.path.join(directory, "runs")):
        if "run.json" in names and not os.path.basename(place).startswith(".new-") and \
                ".set-aside" not in place:
            yield place


def check_whole(fake, directory, status="FINISHED", cells=4):
    """One parent, whose state and files are the sweep's, and each cell's run once, nested in it."""
    parents = parents_of(fake)
    assert len(parents) == 1, f"there are {len(parents)} runs of the study"
    parent = parents[0]
    assert parent["info"]["status"] == status, parent["info"]
    with open(os.path.join(directory, "runs/four/study.json"), "rb") as stream:
        text = stream.read()
    prefix = parent["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/"
    assert fake.files[prefix + "study.json"] == text
    named = {cell["run"].split("/")[1] for cell in json.loads(text)["cells"] if cell["run"]}
    nested = {r["tags"]["isobit.run_id"]: r for r in nested_in(fake, parent)}
    assert len(named) == cells and named <= set(nested), (named, set(nested))
    assert len({nested[n]["tags"]["mlflow.runName"] for n in named}) == cells
    for place in records(directory):
        if os.path.basename(place) in named:
            check(fake, place)
    ids = [r["tags"]["isobit.run_id"] for r in fake.runs.values()
           if r["info"]["lifecycle_stage"] == "active"]
    assert len(ids) == len(set(ids)), "a run is there twice"
    return parent


def test_there_from_the_start(directory):
    write_study(directory, epochs=20)
    fake = Fake()
    process = sweep(directory, fake)
    parent = wait_for(lambda: parents_of(fake), process)[0]
    assert parent["info"]["status"] == "RUNNING"
    # a run that goes on, nested and named; and how far the study is
    wait_for(lambda: [r for r in nested_in(fake, parent) if r["info"]["status"] == "RUNNING"
                      and "lr=" in r["tags"]["mlflow.runName"]], process)
    wait_for(lambda: parent["tags"].get("isobit.cells", "")[:6] in ("1 of 4", "2 of 4"),
             process)
    prefix = parent["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/"
    assert prefix + "four.yaml" in fake.files
    assert parent["params"]["lr"] == "0.5, 1.0" and parent["info"]["status"] == "RUNNING"
    assert finish(process) == ""
    check_whole(fake, directory)
    assert parent["tags"]["isobit.cells"] == "4 of 4 done, 0 failed"
    # nothing more to send, from the sweep or from sync
    count = fake.requests
    assert finish(sweep(directory, fake)) == ""
    call("sync", "--to", fake.uri, cwd=directory)
    assert fake.requests == count, f"{fake.requests - count} requests for nothing"
    fake.stop()


def test_failed_cells(directory):
    write_study(directory, size=320, epochs=1, rates="[0.5, 1e30]")
    fake = Fake()
    finish(sweep(directory, fake), code=1)
    parent = parents_of(fake)[0]
    assert parent["info"]["status"] == "FAILED" and len(parents_of(fake)) == 1
    assert parent["tags"]["isobit.cells"] == "4 of 4 done, 2 failed"
    fake.stop()


def test_interrupted(directory):
    write_study(directory, epochs=60)
    fake = Fake()
    process = sweep(directory, fake)
    wait_for(lambda: any(nested_in(fake, p) for p in parents_of(fake)), process)
    process.send_signal(signal.SIGINT)
    finish(process, code=130)
    parent = parents_of(fake)[0]
    assert parent["info"]["status"] == "KILLED", parent["info"]
    write_study(directory, epochs=60, rates="[0.5]")  # goes on, with fewer cells
    process = sweep(directory, fake)
    wait_for(lambda: parent["info"]["status"] == "RUNNING", process)
    finish(process)
    check_whole(fake, directory, cells=2)
    fake.stop()


def test_shards_at_once(directory):
    """Two processes share the cells: the study ends with the later one."""
    write_study(directory, size=640, epochs=10)
    fake = Fake(lambda *_: time.sleep(0.002))
    for _ in range(2):
        both = [sweep(directory, fake, "--shard", f"{i}/2") for i in range(2)]
        while any(process.poll() is None for process in both):
            parents = parents_of(fake)
            alive = all(process.poll() is None for process in both)
            if parents and alive and "isobit.cells" in parents[0]["tags"] and \
                    not parents[0]["tags"]["isobit.cells"].startswith("4"):
                assert parents[0]["info"]["status"] == "RUNNING"
            time.sleep(0.01)
        for process in both:
            assert finish(process) == ""
        check_whole(fake, directory)
    fake.stop()


def test_killed_anywhere(directory):
    """kill -9 of the sweep, or of it and its run, at random moments, and what then goes on."""
    write_study(directory, size=640, epochs=10)
    for round_number in range(3):
        fake = Fake(lambda *_: time.sleep(0.002))
        for _ in range(4):
            process = sweep(directory, fake)
            time.sleep(CHANCE.random() * 0.8)
            if CHANCE.random() < 0.5:
                for number in filter(str.isdigit, os.listdir("/proc")):
                    try:
                        with open(f"/proc/{number}/stat", encoding="ascii") as stream:
                            parent = int(stream.read().rsplit(")", 1)[1].split()[1])
                    except (OSError, ValueError):
                        continue
                    if parent == process.pid:
                        os.kill(int(number), signal.SIGKILL)
            process.kill()
            process.wait()
        time.sleep(0.3)  # a run that was told to end may still be at it
        call("sync", "--to", fake.uri, cwd=directory)
        states = [p["info"]["status"] for p in parents_of(fake)]
        with open(os.path.join(directory, "runs/four/study.json"), encoding="utf-8") as stream:
            cells = json.load(stream)["cells"]
        if all(cell["state"] == "finished" for cell in cells):
            assert states == ["FINISHED"], states
        else:
            assert states == ["KILLED"], states
        finish(sweep(directory, fake))
        check_whole(fake, directory)
        going = [r["tags"]["isobit.run_id"] for r in fake.runs.values()
                 if r["info"]["lifecycle_stage"] == "active" and r["info"]["status"] == "RUNNING"]
        assert not going, f"the server takes {going} for alive"
        fake.stop()
        subprocess.run(["rm", "-rf", os.path.join(directory, "runs")], check=True)
        del round_number


def test_killed_without_a_server(directory):
    """What a sweep that was killed did is nested by sync, also where study.json does not name it."""
    write_study(directory, size=640, epochs=40)
    process = subprocess.Popen([ISOBIT, "sweep", "four.yaml", "--data-dir", DATA], cwd=directory,
                               stdout=subprocess.DEVNULL, env=environment_of())
    while not list(records(directory)):
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    process.wait()
    time.sleep(0.5)
    fake = Fake()
    call("sync", "--to", fake.uri, cwd=directory)
    parents = parents_of(fake)
    assert len(parents) == 1 and parents[0]["info"]["status"] == "KILLED", parents
    assert len(nested_in(fake, parents[0])) == len(fake.runs) - 1 > 0
    fake.stop()


def test_set_aside(directory):
    """The server hears of the end of a run whose record a sweep has set aside, from sync too."""
    write_study(directory, size=640, epochs=4000, rates="[0.5]")  # killed long before its end
    fake = Fake()
    process = sweep(directory, fake)
    wait_for(lambda: any(nested_in(fake, p) for p in parents_of(fake)), process)
    process.kill()
    process.wait()
    place = next(records(directory))
    run = next(r for r in fake.runs.values()
               if r["tags"]["isobit.run_id"] == os.path.basename(place))
    for _ in range(1500):  # its process is told to end, and says so
        if run["info"]["status"] == "KILLED":
            break
        time.sleep(0.02)
    time.sleep(0.2)
    aside = os.path.join(os.path.dirname(place), ".set-aside")
    os.mkdir(aside)
    os.rename(place, os.path.join(aside, os.path.basename(place)))
    run["info"]["status"] = "RUNNING"  # as where the run was killed too
    for name in ("described", "ended"):
        edit_cursor(os.path.join(aside, os.path.basename(place)), fake.uri, name)
    call("sync", "--to", fake.uri, cwd=directory)
    assert run["info"]["status"] == "KILLED", run["info"]
    fake.stop()


def edit_cursor(place, uri, name):
    """The record no longer knows that it has sent this."""
    path = os.path.join(place, "mlflow.json")
    with open(path, encoding="utf-8") as stream:
        state = json.load(stream)
    state["servers"][uri].pop(name, None)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(state, stream)


def test_registered(directory):
    """Each cell's model is a version, whoever sends it: its own process, or the sweep's end."""
    write_study(directory, size=320, epochs=1)
    fake = Fake()
    assert finish(sweep(directory, fake, "--mlflow-register", "four", "--mlflow-wait", "60")) == ""
    parent = check_whole(fake, directory)
    nested = [r["info"]["run_id"] for r in nested_in(fake, parent)]
    assert sorted(v["run_id"] for v in fake.registered["four"]) == sorted(nested)
    finish(sweep(directory, fake, "--mlflow-register", "a/b"), code=2)
    fake.stop()


def test_no_server(directory):
    """The sweep's exit code and its runs are those of one without a server; it is said once."""
    write_study(directory, size=320, epochs=1)
    fake = Fake()
    fake.stop()
    said = finish(sweep(directory, fake, "--mlflow-wait", "1"))
    assert said.count("the run goes on") == 1 and said.count("isobit sync") == 2, said
    assert len(said.splitlines()) == 2, said
    again = Fake(port=fake.port)
    call("sync", "--to", again.uri, cwd=directory)
    check_whole(again, directory)
    again.stop()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
