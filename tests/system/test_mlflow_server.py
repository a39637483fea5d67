"""isobit sync and isobit train --mlflow against a real MLflow server: what MLflow's own client reads
there is what the run records hold.

environment: ISOBIT, ISOBIT_TEST_DATA, SOURCE_DIR; ISOBIT_MLFLOW_PYTHON, an interpreter with MLflow
"""
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import sealing
from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
ROOT = os.environ["SOURCE_DIR"]
SMALL = ["--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size", "320",
         "--test-size", "100", "--epochs", "2", "--log-interval", "1", "--json"]
STUDY = """
name: eight
title: Eight small runs
base: {dataset: digits, model: mlp, train-size: 128, test-size: 50, epochs: 1, log-interval: 1}
grid:
  batch-size: [16, 32]
  lr: [0.5, 1.0]
seeds: [1, 2]
"""


def clean_environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return {**kept, "HOME": "/nonexistent", "ISOBIT_MLFLOW_TIME_SCALE": "0.05",
            "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def call(*words, cwd, code=0, **environment):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, env=clean_environment(**environment))
    assert done.returncode == code, f"exit code {done.returncode}: {done.stderr}"
    return done


def mlflow_python():
    done = subprocess.run([os.path.join(ROOT, "scripts/mlflow_venv.sh")], text=True,
                          stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise Skip(done.stdout.strip().removeprefix("skipped: "))
    return done.stdout.strip()


class Server:
    def __init__(self, directory):
        self.python = mlflow_python()
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        log = open(os.path.join(self.directory, "server.log"), "ab")
        self.process = subprocess.Popen(
            [self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port",
             str(self.port), "--workers", "1", "--backend-store-uri",
             f"sqlite:///{self.directory}/mlflow.db", "--artifacts-destination",
             f"{self.directory}/artifacts"], stdout=log, stderr=log, env=clean_environment(),
            cwd=self.directory, start_new_session=True)
        for _ in range(600):
            try:
                with urllib.request.urlopen(self.uri + "/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, "the MLflow server does not start"
                time.sleep(0.2)
        raise AssertionError("the MLflow server does not answer")

    def stop(self):
        os.killpg(self.process.pid, 9)
        self.process.wait()

    def dump(self):
        out = os.path.join(self.directory, "dump.json")
        subprocess.run([self.python, os.path.join(ROOT, "tests/system/mlflow_dump.py"), self.uri,
                        out], check=True, env=clean_environment(), cwd=self.directory,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out, encoding="utf-8") as stream:
            return json.load(stream)


def records(directory):
    for place, _, names in os.walk(directory):
        if "run.json" in names:
            yield place


def points_of(path):
    """What metrics.jsonl says, as MLflow gives it back: its SQL stores clamp infinities."""
    points = {}
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            point = json.loads(line)
            value = float(point["value"])
            value = max(min(value, sys.float_info.max), -sys.float_info.max) \
                if value == value else value
            points.setdefault(point["key"], []).append(
                [point["step"], point["timestamp"], repr(value)])
    return points


def sampled_points(path):
    points = {}
    with open(path, encoding="utf-8") as stream:
        for line in filter(lambda line: line.endswith("\n"), stream):
            sample = json.loads(line)
            for key, value in sample["values"].items():
                points.setdefault(key, []).append(
                    [sample["sample"], sample["time"], repr(float(value))])
    return points


def text_of(value):
    return value if isinstance(value, str) else json.dumps(value)


def check_model(model, run, results):
    """Its page: what was measured, on which data set, and the params."""
    data = next(i for i in run["inputs"] if i["context"] == "testing")
    for key, value in (("test_accuracy", results["test_accuracy"]),
                       ("test_loss", results["test_loss"]),
                       ("metrics/macro_f1", results["metrics"]["macro_f1"])):
        assert model["metrics"]["result/" + key] == [value, data["name"], data["digest"]], key
    assert model["params"] == run["params"] and "result/train_seconds" not in model["metrics"]


def check_record(place, runs):
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    found = [run for run in runs if run["tags"].get("isobit.run_id") == record["run_id"]]
    assert len(found) == 1, f"{record['run_id']} is there {len(found)} times"
    run = found[0]
    wanted = {k: v for k, v in record["configuration"].items() if v is not None}
    assert set(run["params"]) == set(wanted)
    for key, value in wanted.items():
        known = run["params"][key]
        assert known == text_of(value) or float(known) == float(value), (key, known, value)
    points = points_of(os.path.join(place, "metrics.jsonl"))
    points.update(sampled_points(os.path.join(place, "resources.jsonl")))
    for key, wanted in points.items():
        assert sorted(map(list, run["metrics"][key])) == sorted(wanted), key
    extra = {key for key in run["metrics"] if key not in points}
    assert all(key.startswith("result/") or key in ("cost", "cost_spot", "energy_wh") for key in extra), extra
    assert run["status"] == {"finished": "FINISHED", "interrupted": "KILLED",
                             "running": "KILLED"}.get(record["status"], "FAILED")
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if name == "mlflow.json" or not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            assert run["files"][name] == hashlib.sha256(stream.read()).hexdigest(), name
    for key in ("experiment_sha256",):
        assert run["tags"]["isobit." + key] == record[key]
    assert run["tags"]["mlflow.source.git.commit"] == record["environment"]["git_commit"]
    assert run["tags"]["isobit.exact"] == "true" and run["tags"]["mlflow.user"]
    contexts = {i["context"]: i for i in run["inputs"]}
    assert contexts["training"]["profile"]["num_rows"] == record["data"]["train_count"]
    assert contexts["training"]["profile"]["sha256"] == record["data"]["sha256"]
    assert contexts["testing"]["name"] == "digits-testing"
    if record["results"]:
        results = record["results"]
        assert run["tags"]["isobit.model_sha256"] == results["model_sha256"]
        assert float(run["metrics"]["result/test_accuracy"][0][2]) == results["test_accuracy"]
        assert run["models"] and run["outputs"] == [run["models"][0]["id"]]
        assert "READY" in run["models"][0]["status"] and len(run["models"]) == 1
        check_model(run["models"][0], run, results)
    return run


def sync(directory, server, *words, **options):
    done = call("sync", *words, "--to", server.uri, "--json", cwd=directory, **options)
    return json.loads(done.stdout.splitlines()[-1])


def all_checks(directory, server):
    """One server for all, since starting it takes longer than everything else."""
    # a run that is sent while it goes on
    untracked = json.loads(call("train", *SMALL, cwd=directory).stdout)
    shutil.rmtree(os.path.join(directory, "runs"))
    live = json.loads(call("train", *SMALL, "--mlflow", server.uri, "--mlflow-wait", "120",
                           "--mlflow-register", "digits", "--prices",
                           os.path.join(ROOT, "experiments/prices.yaml"), "--machine",
                           "aws-c5.2xlarge", "--watts", "90", cwd=directory).stdout)
    assert live["model_sha256"] == untracked["model_sha256"]
    assert live["optimizer_sha256"] == untracked["optimizer_sha256"]
    run = check_record(os.path.join(directory, live["run_dir"]), server.dump())
    assert run["experiment"] == "digits-mlp"
    version = {"name": "digits", "version": "1", "source": "models:/" + run["models"][0]["id"]}
    assert [{**v, "version": str(v["version"])} for v in run["versions"]] == [version]
    with open(os.path.join(directory, live["run_dir"], "run.json"), encoding="utf-8") as stream:
        seconds = json.load(stream)["resources"]["seconds"]
    assert float(run["metrics"]["cost"][0][2]) == 0.34 * seconds / 3600
    assert float(run["metrics"]["energy_wh"][0][2]) == 90 * seconds / 3600
    assert run["tags"]["isobit.cost.price"] == "aws-c5.2xlarge"
    assert run["tags"]["isobit.cost.currency"] == "USD" and run["tags"]["isobit.cost.date"]
    # values that are no finite numbers, in a record whose process is gone
    place = os.path.join(directory, "runs/digits-mlp/20260101T000000Z-abcdef")
    shutil.copytree(os.path.join(directory, live["run_dir"]), place,
                    ignore=shutil.ignore_patterns("mlflow.json"))
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    record.update(run_id=os.path.basename(place), status="running", results=None, ended=None,
                  files={})
    sealing.write(place, record)
    with open(os.path.join(place, "metrics.jsonl"), "r+", encoding="utf-8") as stream:
        lines = stream.readlines()
        for step, value in enumerate(["NaN", "Infinity", "-Infinity", 5e-324, 0.1 + 0.2]):
            lines.append(json.dumps({"key": "odd", "value": value, "step": step, "epoch": 1,
                                     "timestamp": 1767225600000 + step}))
        stream.seek(0)
        stream.write(sealing.chained(lines))
        stream.write('{"key":"odd","value":1,"st')  # the process died here
    answer = sync(directory, server, place)
    assert (answer["runs"], answer["failed"]) == (1, 0), answer
    with open(os.path.join(place, "metrics.jsonl"), "r+", encoding="utf-8") as stream:
        text = stream.read()
        stream.truncate(text.rindex("\n") + 1)
    sync(directory, server, place)
    run = check_record(place, server.dump())
    assert any(value == "nan" for _, _, value in run["metrics"]["odd"])
    # a sweep
    with open(os.path.join(directory, "eight.yaml"), "w", encoding="utf-8") as stream:
        stream.write(STUDY)
    done = call("sweep", "eight.yaml", "--data-dir", DATA, "--jobs", "2", "--mlflow", server.uri,
                "--mlflow-wait", "120", cwd=directory)
    assert done.stderr == "", done.stderr
    runs = server.dump()
    answer = sync(directory, server, "--mlflow-register", "digits")
    assert answer["failed"] == 0 and answer["runs"] == 11, answer
    assert (answer["metrics"], answer["artifacts"]) == (0, 0), answer
    places = list(records(os.path.join(directory, "runs")))
    assert len(places) == 10 and len(runs) == 11
    checked = [check_record(place, runs) for place in places]
    parent = [r for r in runs if r["experiment"] == "eight"
              and "mlflow.parentRunId" not in r["tags"]]
    assert len(parent) == 1 and parent[0]["status"] == "FINISHED"
    assert parent[0]["params"]["lr"].split(", ") == ["0.5", "1.0"] and \
        parent[0]["params"]["batch-size"] == "16, 32", parent[0]["params"]
    assert {"study.json", "eight.yaml"} <= set(parent[0]["files"])
    children = [r for r in checked if r["tags"].get("mlflow.parentRunId") == parent[0]["run_id"]]
    assert len(children) == 8 and len({r["name"] for r in children}) == 8
    assert all(r["experiment"] == "eight" for r in children)
    # nothing more to send, also without the notes of what was sent
    answer = sync(directory, server)
    assert (answer["metrics"], answer["artifacts"]) == (0, 0), answer
    for place in places:
        os.remove(os.path.join(place, "mlflow.json"))
    both = [subprocess.Popen([ISOBIT, "sync", "--to", server.uri], cwd=directory,
                             env=clean_environment(), stdout=subprocess.DEVNULL)
            for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    sync(directory, server, "--mlflow-register", "digits")
    again = server.dump()
    assert len(again) == len(runs), "a run was made twice"
    assert sorted(int(v["version"]) for r in again for v in r["versions"]) == list(range(1, 11))
    for place in places:
        check_record(place, again)
    # a server that is killed and comes back
    server.stop()
    fresh = json.loads(call("train", *SMALL, "--seed", "9", "--mlflow", server.uri,
                            "--mlflow-wait", "0", cwd=directory).stdout)
    call("sync", "--to", server.uri, cwd=directory, code=1, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    server.start()
    assert sync(directory, server)["failed"] == 0
    check_record(os.path.join(directory, fresh["run_dir"]), server.dump())
    # an experiment that was deleted there
    request = urllib.request.Request(
        server.uri + "/api/2.0/mlflow/experiments/delete", method="POST",
        data=b'{"experiment_id": "1"}',  # digits-mlp; MLflow's own Default is 0
        headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request):
        pass
    done = call("train", *SMALL, "--seed", "10", "--mlflow", server.uri, cwd=directory)
    assert done.stderr.count("was deleted") == 1, done.stderr


def test_models_load(directory):
    """model.onnx is in the record, on the server, and what MLflow's loaders make a model of."""
    server = Server(directory)
    try:
        if subprocess.run([server.python, "-c", "import onnx, onnxruntime"],
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip(f"{server.python} has no onnx or onnxruntime")
        places = []
        for model in ("cnn", "mlp", "resnet18", "resnet50"):
            done = call("train", "--dataset", "digits", "--data-dir", DATA, "--model", model,
                        "--train-size", "64", "--test-size", "50", "--epochs", "1", "--json",
                        "--mlflow", server.uri, "--mlflow-wait", "120", cwd=directory)
            places.append(json.loads(done.stdout.splitlines()[-1])["run_dir"])
        done = subprocess.run([server.python, os.path.join(ROOT, "tests/system/mlflow_load.py"),
                               server.uri, *places], cwd=directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=clean_environment())
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("MLflow gives the logits") == 4, done.stdout
    finally:
        server.stop()


def test_real_server(directory):
    server = Server(directory)
    try:
        all_checks(directory, server)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
