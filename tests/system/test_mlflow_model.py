"""What MLflow's pages show of a model besides its files: the metrics measured on which images, its
params, the version in the registry; and of a run, what it cost. Once, whatever happens.

environment: ISOBIT, ISOBIT_TEST_DATA
"""
import json
import os
import sys

from mlflow_fake import Fake
from runner import run_tests
from test_mlflow_faults import call, check, forget, sync, train

PRICES = """\
prices:
  - name: mine
    on-demand: %s
    spot: ~
    currency: EUR
    date: 2026-11-25
    source: a price tag
  - name: other
    match: %s
    on-demand: 7
    spot: 1
    currency: EUR
    date: 2026-11-25
    source: a price tag
"""


def write_prices(directory, mine="3.6", match="~"):
    path = os.path.join(directory, "prices.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(PRICES % (mine, match))
    return path


def record_of(place):
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        return json.load(stream)


def latest(run, key):
    """As MLflow shows it: the latest by step, then time, then value."""
    points = [(step, time, float(value)) for k, value, time, step in run["points"] if k == key]
    return max(points)[2] if points else None


def test_metrics_of_the_model(directory):
    place, answer, _ = train(directory, "--split", "70-10-20", "--validation-size", "40")
    fake = Fake()
    sync(directory, fake)
    run = next(iter(fake.runs.values()))
    model = next(iter(fake.models.values()))
    inputs = {e["tags"][0]["value"]: e["dataset"] for e in run["inputs"].values()}
    wanted = {"result/test_accuracy": ("testing", answer["test_accuracy"]),
              "result/test_loss": ("testing", answer["test_loss"]),
              "result/metrics/macro_f1": ("testing", answer["metrics"]["macro_f1"]),
              "result/validation_accuracy": ("validation", answer["validation_accuracy"])}
    for key, (part, value) in wanted.items():
        data = inputs[part]
        assert model["metrics"][key] == (value, data["name"], data["digest"]), key
        assert latest(run, key) == value
    assert "result/train_seconds" not in model["metrics"]  # of the run, not of the model
    assert model["params"]["epochs"] == "2" and model["params"]["model"] == "mlp"
    forget(place)
    sync(directory, fake)
    assert len(fake.models) == 1
    fake.stop()


def test_registered_once(directory):
    fake = Fake()
    place, _, said = train(directory, "--mlflow", fake.uri, "--mlflow-register", "digits")
    assert said == ""
    check(fake, place)
    assert [v["run_id"] for v in fake.registered["digits"]] == list(fake.runs)
    tags = {t["key"]: t["value"] for t in fake.registered["digits"][0]["tags"]}
    assert tags["isobit.model_sha256"] == record_of(place)["results"]["model_sha256"]
    for _ in range(2):
        call("sync", "--to", fake.uri, "--mlflow-register", "digits", cwd=directory)
    forget(place)
    call("sync", "--to", fake.uri, "--mlflow-register", "digits", cwd=directory)
    assert len(fake.registered["digits"]) == 1
    # a second run, sent before it is registered, through a server that loses answers
    other, _, _ = train(directory, "--seed", "2")
    sync(directory, fake)
    counts = {}

    def fault(_, method, path):
        counts[path] = counts.get(path, 0) + 1
        return "reset-after" if counts[path] % 2 else None

    fake.fault = fault
    call("sync", "--to", fake.uri, "--mlflow-register", "digits", cwd=directory)
    fake.fault = lambda *_: None
    assert [v["version"] for v in fake.registered["digits"]] == ["1", "2"]
    check(fake, other)
    call("sync", "--to", fake.uri, "--mlflow-register", "another", cwd=directory)
    assert len(fake.registered["another"]) == 2 and len(fake.registered["digits"]) == 2
    for name in ("", "a/b", "a:b", "it's"):
        call("sync", "--to", fake.uri, "--mlflow-register", name, cwd=directory, code=2)
    fake.stop()


def test_cost(directory):
    path = write_prices(directory)
    fake = Fake()
    place, _, _ = train(directory, "--mlflow", fake.uri, "--prices", path, "--machine", "mine",
                        "--watts", "100")
    run = next(iter(fake.runs.values()))
    seconds = record_of(place)["resources"]["seconds"]
    assert abs(latest(run, "cost") - 3.6 * seconds / 3600) < 1e-12
    assert abs(latest(run, "energy_wh") - 100 * seconds / 3600) < 1e-9
    assert run["tags"]["isobit.cost.price"] == "mine" and run["tags"]["isobit.energy"] == "estimated"
    assert run["tags"]["isobit.cost.currency"] == "EUR"
    assert run["tags"]["isobit.cost.date"] == "2026-11-25"
    # the same again is nothing new; another price replaces it, also a lower one
    words = ["sync", "--to", fake.uri, "--prices", path, "--machine", "mine", "--watts", "100"]
    count = len(run["points"])
    call(*words, cwd=directory)
    assert len(run["points"]) == count
    write_prices(directory, mine="1.8")
    call(*words, cwd=directory)
    assert abs(latest(run, "cost") - 1.8 * seconds / 3600) < 1e-12
    # without a price: nothing about it; a price by the processor's name
    train(directory, "--seed", "2", "--mlflow", fake.uri)
    assert latest(list(fake.runs.values())[1], "cost") is None
    cpu = record_of(place)["environment"]["cpu_model"]
    write_prices(directory, match=json.dumps(cpu))
    call("sync", "--to", fake.uri, "--prices", path, cwd=directory)
    assert all(r["tags"]["isobit.cost.price"] == "other" for r in fake.runs.values())
    assert latest(run, "cost_spot") < latest(run, "cost")
    call("sync", "--to", fake.uri, "--prices", path, "--machine", "none", cwd=directory, code=2)
    call("train", "--mlflow", fake.uri, "--machine", "none", "--prices", path, cwd=directory, code=2)
    fake.stop()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
