"""Sending to an MLflow server that fails in every way, or is killed, and isobit killed meanwhile: in
the end the server has what the record has, once. And secrets stay secret.

environment: ISOBIT, ISOBIT_TEST_DATA; ISOBIT_TEST_SEED
"""
import base64
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

from mlflow_fake import Fake
from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
CHANCE = random.Random(int(os.environ.get("ISOBIT_TEST_SEED", "0")) or time.time_ns() % 1000000)
SMALL = ["train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", "--train-size",
         "1280", "--test-size", "100", "--epochs", "2", "--log-interval", "1", "--json",
         "--threads", "1"]


def environment_of(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return {**kept, "HOME": "/nonexistent", "ISOBIT_MLFLOW_TIME_SCALE": "0.01", **more}


def call(*words, cwd, code=0, **environment):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=200, env=environment_of(**environment))
    assert code is None or done.returncode == code, \
        f"exit code {done.returncode}, not {code}: {done.stderr}"
    return done


def train(directory, *words, **environment):
    done = call(*SMALL, *words, cwd=directory, **environment)
    answer = json.loads(done.stdout.splitlines()[-1])
    return os.path.join(directory, answer["run_dir"]), answer, done.stderr


def sampled_points(place):
    """What resources.jsonl says, without a last line that was cut by a kill."""
    path = os.path.join(place, "resources.jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream if line.endswith("\n")]
    return [(key, str(value), line["time"], line["sample"])
            for line in lines for key, value in line["values"].items() if value is not None]


def check(fake, place, models=1):
    """The server has this record, once."""
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    found = [run for run in fake.runs.values() if run["info"]["lifecycle_stage"] == "active"
             and run["tags"].get("isobit.run_id") == record["run_id"]]
    assert len(found) == 1, f"there are {len(found)} runs"
    run = found[0]
    wanted = []
    with open(os.path.join(place, "metrics.jsonl"), encoding="utf-8") as stream:
        for p in (json.loads(line) for line in stream if line.endswith("\n")):  # else cut by a kill
            wanted.append((p["key"], str(p["value"]), p["timestamp"], p["step"]))
    wanted += sampled_points(place)
    points = [p for p in run["points"] if not p[0].startswith("result/")]
    assert sorted(points) == sorted(wanted), f"{len(points)} points, not {len(wanted)}"
    assert run["info"]["status"] == ("FINISHED" if record["status"] == "finished" else "KILLED")
    prefix = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/"
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if name == "mlflow.json" or not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            assert fake.files[prefix + name] == stream.read(), name
    assert len(run["inputs"]) == 2 and run["params"]["model"] == "mlp"
    ours = [m for m in fake.models.values() if m["run"] == run["info"]["run_id"]]
    assert len(ours) >= models and all(m["status"] == "LOGGED_MODEL_READY" for m in ours[:models])
    return run


def sync(directory, fake, code=0, **environment):
    return call("sync", "--to", fake.uri, cwd=directory, code=code,
                MLFLOW_HTTP_REQUEST_MAX_RETRIES="30", **environment)


def forget(place):
    path = os.path.join(place, "mlflow.json")
    if os.path.exists(path):
        os.remove(path)


def test_each_fault_everywhere(directory):
    """Every request of a sync meets the fault at its first attempt, and at every second one."""
    place, _, _ = train(directory)
    for kind in ("reset-before", "reset-after", "500", "503", "html", "slow", "429"):
        counts = {}

        def fault(_, method, path, kind=kind, counts=counts):
            counts[path] = counts.get(path, 0) + 1
            return kind if counts[path] % 2 else None

        fake = Fake(fault)
        sync(directory, fake)
        check(fake, place)
        fake.stop()
        forget(place)


def test_random_faults(directory):
    place, _, _ = train(directory)
    kinds = ["reset-before", "reset-after", "500", "html", "429"]
    for _ in range(4):
        fake = Fake(lambda *_: CHANCE.choice(kinds) if CHANCE.random() < 0.5 else None)
        for _ in range(20):
            if call("sync", "--to", fake.uri, cwd=directory, code=None,
                    MLFLOW_HTTP_REQUEST_MAX_RETRIES="2").returncode == 0:
                break
        fake.fault = lambda *_: None
        sync(directory, fake)
        check(fake, place)
        fake.stop()
        forget(place)


def test_killed_while_sending(directory):
    place, _, _ = train(directory)
    for _ in range(8):
        fake = Fake(lambda *_: time.sleep(0.003))
        for _ in range(4):
            process = subprocess.Popen([ISOBIT, "sync", "--to", fake.uri], cwd=directory,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env=environment_of())
            time.sleep(CHANCE.random() * 0.12)
            process.kill()
            process.wait()
        sync(directory, fake)
        check(fake, place)
        fake.stop()
        forget(place)


def test_two_at_once(directory):
    for seed in "123":
        train(directory, "--seed", seed)
    fake = Fake(lambda *_: time.sleep(0.002))
    both = [subprocess.Popen([ISOBIT, "sync", "--to", fake.uri], cwd=directory,
                             stdout=subprocess.DEVNULL, env=environment_of()) for _ in range(3)]
    assert [one.wait() for one in both] == [0, 0, 0]
    for place, _, names in os.walk(os.path.join(directory, "runs")):
        if "run.json" in names:
            check(fake, place)
    assert len(fake.runs) == 3 and len(fake.models) == 3
    fake.stop()


def test_live(directory):
    """The bits, the exit code and the record are those of a run without a server."""
    _, alone, _ = train(directory)
    fake = Fake()
    place, answer, said = train(directory, "--mlflow", fake.uri)
    assert answer["model_sha256"] == alone["model_sha256"] and said == ""
    check(fake, place)
    with open(os.path.join(place, "mlflow.json"), encoding="utf-8") as stream:
        state = json.load(stream)["servers"][fake.uri]
    print(f"the sending thread took {state['live']['cpu_seconds']:.4f} s of CPU time, the run "
          f"{answer['total_seconds']:.2f} s")
    fake.stop()
    # nobody there, and a server that accepts but never answers: the run ends all the same
    place, answer, said = train(directory, "--seed", "2", MLFLOW_TRACKING_URI=fake.uri)
    assert "isobit sync" in said and "connect" in said, said
    hanging = Fake(lambda *_: time.sleep(30))
    begun = time.time()
    other, answer, said = train(directory, "--seed", "3", "--mlflow", hanging.uri,
                                "--mlflow-wait", "1")
    assert time.time() - begun < 25 and "isobit sync" in said, said
    hanging.stop()
    again = Fake(port=fake.port)
    sync(directory, again)
    check(again, place)
    check(again, other)
    again.stop()


def test_killed_while_training(directory):
    """kill -9 of the run at any time, then sync; then the run goes on, then sync again."""
    fake = Fake()
    for _ in range(3):
        process = subprocess.Popen([ISOBIT, *SMALL, "--epochs", "40", "--checkpoint-every", "20"],
                                   cwd=directory, stdout=subprocess.DEVNULL,
                                   env=environment_of(MLFLOW_TRACKING_URI=fake.uri))
        time.sleep(0.7 + CHANCE.random())
        process.kill()
        process.wait()
        sync(directory, fake)
        place = max((p for p, _, n in os.walk(os.path.join(directory, "runs")) if "run.json" in n),
                    key=os.path.getmtime)
        run = check_killed(fake, place)
        count = len(fake.runs)
        call("train", "--resume", place, "--json", "--data-dir", DATA, cwd=directory,
             MLFLOW_TRACKING_URI=fake.uri)
        assert len(fake.runs) == count and run["info"]["status"] == "FINISHED"
        keys = [(key, step) for key, _, _, step in run["points"]]
        assert len(keys) == len(set(keys)), "points were sent twice"
        with open(os.path.join(place, "metrics.jsonl"), encoding="utf-8") as stream:
            lines = [json.loads(line) for line in stream]
        assert {(p["key"], p["step"]) for p in lines} == \
            {k for k in keys if not k[0].startswith(("result/", "system/"))}
        shutil.rmtree(os.path.join(directory, "runs"))
    fake.stop()


def check_killed(fake, place):
    """A killed run may have ended in the middle of a line."""
    path = os.path.join(place, "metrics.jsonl")
    with open(path, "rb+") as stream:
        whole = stream.read().rfind(b"\n") + 1
        stream.truncate(whole)
    sync(os.path.dirname(os.path.dirname(os.path.dirname(place))), fake)
    return check(fake, place, models=0)


def test_long_outage(directory):
    """Twenty minutes at a hundredth of the time, from within the run to after its end."""
    fake = Fake()
    fake.stop()
    place, _, said = train(directory, MLFLOW_TRACKING_URI=fake.uri)
    assert said.count("the run goes on") == 1, said
    back = []
    timer = threading.Timer(12, lambda: back.append(Fake(port=fake.port)))
    timer.start()
    done = call("sync", "--to", fake.uri, cwd=directory, MLFLOW_HTTP_REQUEST_MAX_RETRIES="100")
    assert done.stderr.count("trying again (at most 100 times") == 1, done.stderr
    timer.join()
    check(back[0], place)
    back[0].stop()


SECRETS = ("s3cret-pass", "t0ken-of-mine")


def no_secret(directory, *texts):
    for place, _, names in os.walk(os.path.join(directory, "runs")):
        for name in names:
            with open(os.path.join(place, name), "rb") as stream:
                content = stream.read()
            assert not any(s.encode() in content for s in SECRETS), name
    for text in texts:
        assert not any(s in text for s in SECRETS), text


def test_credentials(directory):
    basic = "Basic " + base64.b64encode(b"anna:s3cret-pass").decode()
    ways = [
        (basic, {"MLFLOW_TRACKING_USERNAME": "anna", "MLFLOW_TRACKING_PASSWORD": SECRETS[0]}, ""),
        ("Bearer t0ken-of-mine", {"MLFLOW_TRACKING_TOKEN": SECRETS[1]}, ""),
        (basic, {}, "anna:s3cret-pass@"),
        (basic, {"HOME": directory}, ""),
    ]
    os.mkdir(os.path.join(directory, ".mlflow"))
    with open(os.path.join(directory, ".mlflow/credentials"), "w", encoding="utf-8") as stream:
        stream.write("[mlflow]\nmlflow_tracking_username = anna\n"
                     "mlflow_tracking_password = s3cret-pass\n")
    for wanted, environment, userinfo in ways:
        fake = Fake(authorization=wanted)
        uri = fake.uri.replace("://", "://" + userinfo)
        place, _, said = train(directory, MLFLOW_TRACKING_URI=uri, **environment)
        check(fake, place)
        fake.authorization = "Basic of somebody else"
        forget(place)
        done = call("sync", cwd=directory, code=1, MLFLOW_TRACKING_URI=uri, **environment)
        assert "refuses our credentials" in done.stderr
        place, _, refused = train(directory, "--seed", "2", MLFLOW_TRACKING_URI=uri, **environment)
        assert refused.count("refuses our credentials") == 1, refused
        no_secret(directory, said, done.stderr, done.stdout, refused)
        fake.stop()
        shutil.rmtree(os.path.join(directory, "runs"))
    for command in (["sync", "--to"], [*SMALL, "--mlflow"]):
        done = call(*command, "http://anna:s3cret-pass@127.0.0.1:1", cwd=directory, code=2)
        no_secret(directory, done.stderr)


def test_arguments_hold_no_secret(directory):
    """Neither do those of the processes that a sweep starts."""
    with open(os.path.join(directory, "two.yaml"), "w", encoding="utf-8") as stream:
        stream.write("name: two\ntitle: Two\nbase: {dataset: digits, model: mlp, train-size: 640, "
                     "test-size: 50, epochs: 8}\nseeds: [1, 2]\n")
    fake = Fake(authorization="Bearer t0ken-of-mine")
    sweep = subprocess.Popen([ISOBIT, "sweep", "two.yaml", "--data-dir", DATA], cwd=directory,
                             stdout=subprocess.DEVNULL,
                             env=environment_of(MLFLOW_TRACKING_URI=fake.uri,
                                                MLFLOW_TRACKING_TOKEN=SECRETS[1]))
    seen = set()
    while sweep.poll() is None:
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/cmdline", "rb") as stream:
                    words = stream.read()
            except OSError:
                continue
            if b"--mlflow-experiment=two" in words:
                seen.add(words)
        time.sleep(0.02)
    assert sweep.returncode == 0 and seen
    assert not any(s.encode() in words for s in SECRETS for words in seen)
    parent = [r for r in fake.runs.values() if r["tags"]["isobit.run_id"].startswith("study-two")]
    assert len(parent) == 1 and len(fake.runs) == 3
    assert sum(r["tags"].get("mlflow.parentRunId") == parent[0]["info"]["run_id"]
               for r in fake.runs.values()) == 2
    fake.stop()


def make_certificates(directory):
    if shutil.which("openssl") is None:
        raise Skip("no openssl to make certificates with")
    for name in ("right", "wrong"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", name + ".key",
             "-out", name + ".pem"], cwd=directory, check=True, stderr=subprocess.DEVNULL)


def test_tls(directory):
    make_certificates(directory)
    place, _, _ = train(directory)
    path = {n: os.path.join(directory, n) for n in ("right.pem", "right.key", "wrong.pem")}
    fake = Fake(certificate=(path["right.pem"], path["right.key"]))
    for environment in ({}, {"MLFLOW_TRACKING_SERVER_CERT_PATH": path["wrong.pem"]}):
        done = call("sync", "--to", fake.uri, cwd=directory, code=1, **environment)
        assert "certificate is not trusted" in done.stderr, done.stderr
    assert not fake.runs
    for environment in ({"MLFLOW_TRACKING_SERVER_CERT_PATH": path["right.pem"]},
                        {"MLFLOW_TRACKING_INSECURE_TLS": "true"}):
        sync(directory, fake, **environment)
        check(fake, place)
        forget(place)
    done = call("sync", "--to", fake.uri, cwd=directory, code=2, **environment,
                MLFLOW_TRACKING_SERVER_CERT_PATH=path["right.pem"])
    fake.stop()


def test_wrong_addresses(directory):
    for uri in ("sqlite:///mlflow.db", "file:///tmp/mlruns", "./mlruns", "databricks"):
        done = call("sync", "--to", uri, cwd=directory, code=2)
        assert "http" in done.stderr and "Traceback" not in done.stderr
        call(*SMALL, "--mlflow", uri, cwd=directory, code=2)
        _, _, said = train(directory, MLFLOW_TRACKING_URI=uri)  # meant for other programs
        assert said.count("isobit: MLflow:") == 1, said
    call("sync", cwd=directory, code=2)
    call("sync", "nowhere", "--to", "http://127.0.0.1:1", cwd=directory, code=3)
    fake = Fake(lambda *_: "redirect")
    done = call("sync", "--to", fake.uri, cwd=directory, code=1)
    assert "redirect" in done.stderr
    fake.fault = lambda *_: None
    fake.experiments["1"] = {"name": "digits-mlp", "lifecycle_stage": "deleted"}
    _, _, said = train(directory, MLFLOW_TRACKING_URI=fake.uri)
    assert said.count("was deleted") == 1, said
    fake.stop()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
