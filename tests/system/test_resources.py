"""What a run takes and costs: resources.jsonl, the totals, and isobit cost against sums made here.

environment: ISOBIT, the program; ISOBIT_TEST_DATA, a data directory with digits; SOURCE_DIR
"""
import json
import math
import os
import subprocess
import sys
import tempfile

ISOBIT, DATA = os.environ["ISOBIT"], os.environ["ISOBIT_TEST_DATA"]
PRICES = """prices:
  - {name: dear, on-demand: 7.2, spot: ~, currency: USD, date: 2026-01-02, source: a test}
  - {name: cheap, match: %s, on-demand: 3.6, spot: 0.9, currency: EUR, date: 2026-01-02,
     source: a test}
"""


def run(*words, cwd, code=0, message=""):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    assert message in done.stderr, (message, done.stderr)
    return done.stdout


def train(directory, *more):
    out = run("train", "--model", "mlp", "--dataset", "digits", "--data-dir", DATA, "--epochs", "2",
              "--train-size", "2000", "--test-size", "200", "--json", *more, cwd=directory)
    result = json.loads(out)
    place = os.path.join(directory, result["run_dir"])
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        return result, json.load(stream), place


def lines_of(place):
    with open(os.path.join(place, "resources.jsonl"), encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def check_lines(record, place):
    lines, totals = lines_of(place), record["resources"]
    assert [line["sample"] for line in lines] == list(range(len(lines))) and len(lines) >= 2
    assert all(a["time"] <= b["time"] for a, b in zip(lines, lines[1:]))
    for line in lines:
        assert set(line) == {"time", "sample", "values", "chain"}
        assert all(key.startswith("system/") for key in line["values"])
        assert 0 < line["values"]["system/system_memory_usage_percentage"] <= 100
    for key in ("process_cpu_seconds", "process_minor_faults", "sampler_cpu_seconds"):
        values = [line["values"]["system/" + key] for line in lines]
        assert values == sorted(values), key
    last = lines[-1]["values"]
    assert totals["samples"] == len(lines) and totals["error"] is None
    assert totals["cpu_seconds"] == last["system/process_cpu_seconds"] > 0
    assert totals["seconds"] == last["system/process_seconds"]
    assert totals["minor_faults"] == last["system/process_minor_faults"] > 0
    peak = max(line["values"]["system/process_peak_rss_megabytes"] for line in lines)
    assert abs(totals["rss_max_bytes"] - peak * 1e6) < 1
    percents = [line["values"]["system/cpu_utilization_percentage"] for line in lines
                if "system/cpu_utilization_percentage" in line["values"]]
    if percents:
        assert math.isclose(totals["machine_cpu_percent_mean"], sum(percents) / len(percents))
    assert (totals["energy_joules"] is None) == (totals["energy_reason"] is not None)
    assert totals["sampler_cpu_seconds"] < totals["cpu_seconds"]
    assert "limits" in record["environment"]


def check_cost(directory, record, place):
    cpu = record["environment"]["cpu_model"] or "unknown processor"
    path = os.path.join(directory, "prices.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(PRICES % json.dumps(cpu))
    answer = json.loads(run("cost", "runs", "--prices", path, "--watts", "50", "--json",
                            cwd=directory))
    assert len(answer["runs"]) == 2
    money = [one["cost_on_demand"] for one in answer["runs"]]
    assert money == sorted(money), "the cheapest comes first"
    one = next(r for r in answer["runs"] if os.path.samefile(os.path.join(directory, r["run_dir"]),
                                                             place))
    seconds = record["resources"]["seconds"]
    results = record["results"]
    assert one["price"] == "cheap" and one["currency"] == "EUR" and one["seconds"] == seconds
    assert math.isclose(one["cost_on_demand"], 3.6 * seconds / 3600)
    assert math.isclose(one["cost_spot"], 0.9 * seconds / 3600)
    assert math.isclose(one["cost_of_1000_runs"], 3.6 * seconds / 3.6)
    images = results["images_per_second"] * results["train_seconds"]
    assert math.isclose(one["images_per_currency_unit"], images / (3.6 * seconds / 3600))
    if record["resources"]["energy_joules"] is None:
        assert one["energy"] == "estimated"
        assert math.isclose(one["watt_hours"], 50 * seconds / 3600)
    dear = json.loads(run("cost", place, "--prices", path, "--machine", "dear", "--json",
                          cwd=directory))["runs"][0]
    assert math.isclose(dear["cost_on_demand"], 7.2 * seconds / 3600) and dear["cost_spot"] is None
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(PRICES % "Another Processor")
    text = run("cost", place, "--prices", path, cwd=directory)
    assert "no price" in text and cpu in text, text


def check_refusals(directory, place):
    path = os.path.join(directory, "bad.yaml")
    good = PRICES % "x"
    for old, new, message in (
            ("on-demand: 7.2", "on-demand: lots", "bad.yaml:2: on-demand"),
            ("on-demand: 7.2", "on-demand: -1", "bad.yaml:2: on-demand"),
            ("date: 2026-01-02", "date: today", "bad.yaml:2: date"),
            ("currency: EUR", "currency: Taler", "bad.yaml:3: currency"),
            ("name: cheap", "name: dear", "bad.yaml:3: name"),
            ("spot: 0.9", "spott: 0.9", "spott"),
            ("prices:", "price:", "bad.yaml:1")):
        assert old in good
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(good.replace(old, new, 1))
        run("cost", place, "--prices", path, cwd=directory, code=2, message=message)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(good)
    run("cost", place, "--prices", path, "--machine", "other", cwd=directory, code=2,
        message="other")
    run("cost", directory + "/nothing", "--prices", path, cwd=directory, code=3, message="nothing")
    run("cost", place, cwd=directory, code=2, message="--prices FILE")
    shipped = os.path.join(os.environ["SOURCE_DIR"], "experiments", "prices.yaml")
    assert "no price" in run("cost", place, "--prices", shipped, cwd=directory)


def check_period_zero(directory, with_, place):
    without, bare, elsewhere = train(directory, "--sample-period", "0")
    assert "resources.jsonl" not in os.listdir(elsewhere) and bare["resources"] is None
    for key in ("model_sha256", "optimizer_sha256", "experiment_sha256"):
        assert with_[key] == without[key], key
    run("compare", place, elsewhere, cwd=directory)
    run("train", "--sample-period", "0.001", cwd=directory, code=2, message="0.01")


def main():
    with tempfile.TemporaryDirectory() as directory:
        result, record, place = train(directory, "--sample-period", "0.02")
        checks = ((check_lines, record, place), (check_period_zero, directory, result, place),
                  (check_cost, directory, record, place), (check_refusals, directory, place))
        for check, *arguments in checks:
            check(*arguments)
            print(f"{check.__name__}: ok", flush=True)
    print(f"{len(checks)} of {len(checks)} tests passed")
    return 0


sys.exit(main())
