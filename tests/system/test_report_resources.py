"""What runs took and cost, in isobit report: every mean, price and sentence computed again here."""
import json
import os
import re
import statistics
import sys

import runner
from report_records import DATA, Known, isobit, near

STUDY = """\
name: taken
base: {dataset: digits, model: mlp, epochs: 3}
seeds: [1, 2]
grid: {lr: [0.5, 1.0], batch-size: [16, 32]}
tables:
  - {name: resources, kind: resources, title: R, rows: [lr, batch-size]}
  - {name: energy, kind: grid, title: E, rows: [lr], values: [cost_spot, cpu_percent_mean]}
figures:
  - {name: cost, kind: cost, title: C, rows: [batch-size], columns: [lr]}
  - {name: usage, kind: usage, title: U, columns: [lr, batch-size]}
"""
PRICES = """\
prices:
  - {name: fast, match: ~, on-demand: 3.6, spot: 0.9, currency: EUR, date: 2026-01-02, source: "a <page>"}
  - {name: known, match: Known CPU, on-demand: 7.2, spot: ~, currency: USD, date: 2026-01-03, source: b}
"""
NO_ENERGY = "this machine shows no energy counters"


def totals(number, joules=None):
    seconds = 10 + 1.5 * number
    return {"seconds": seconds, "cpu_seconds": seconds * 1.5, "cpu_percent_mean": 150 + number,
            "rss_max_bytes": 5e7 + number, "energy_joules": joules,
            "energy_reason": None if joules else NO_ENERGY, "error": None}


def sample(seconds, **values):
    names = {"cpu": "process_cpu_utilization_percentage", "rss": "process_rss_megabytes",
             "gpu0": "gpu_0_utilization_percentage", "gpu1": "gpu_1_utilization_percentage",
             "watts0": "gpu_0_power_usage_watts", "watts1": "gpu_1_power_usage_watts",
             "power": "power_watts"}
    return {"time": 1, "sample": 0, "values": {
        "system/process_seconds": seconds,
        **{"system/" + names[k]: v for k, v in values.items()}}}


def put_samples(directory, samples, rest=""):
    with open(os.path.join(directory, "resources.jsonl"), "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(s) + "\n" for s in samples)
        stream.write(rest)


def study(folder, resources=totals, text=STUDY):
    known = Known(folder, text, "taken")
    known.prices = os.path.join(folder, "prices.yaml")
    with open(known.prices, "w", encoding="utf-8") as stream:
        stream.write(PRICES)
    known.directories, known.totals = [], {}
    for i, cell in enumerate(known.cells):
        words = dict(w.split("=") for w in cell["text"].split() if "=" in w)
        taken = resources(i)
        known.directories.append(known.write(cell, i + 1, **({"resources": taken} if taken else {})))
        known.totals.setdefault((float(words["lr"]), int(words["batch-size"])), []).append(taken)
    return known


def keys_of(known, name):
    table = next(t for t in known.json["tables"] if t["name"] == name)
    return [c["key"] for c in table["columns"]], table


def test_the_table_and_its_prices(folder):
    known = study(folder)
    known.report("--prices", known.prices, "--machine", "fast")
    rows = known.table("resources")
    assert len(rows) == 4
    for row in rows:
        place = float(row["lr"]), int(row["batch-size"])
        of = known.totals[place]
        mean = {key: statistics.mean(t[key] for t in of) for key in
                ("seconds", "cpu_seconds", "cpu_percent_mean", "rss_max_bytes")}
        assert near(row["run_seconds"], mean["seconds"])
        assert near(row["cpu_seconds"], mean["cpu_seconds"])
        assert near(row["cpu_percent_mean"], mean["cpu_percent_mean"])
        assert near(row["peak_rss_bytes"], mean["rss_max_bytes"])
        assert near(row["cost_on_demand"], mean["seconds"] * 3.6 / 3600)
        assert near(row["cost_spot"], mean["seconds"] * 0.9 / 3600)
        assert near(row["cost_of_1000_runs"], mean["seconds"] * 3.6 / 3.6)
        assert near(row["test_accuracy"], statistics.mean(
            known.values[(*place, s)]["test_accuracy"] for s in (1, 2)))
    keys, table = keys_of(known, "resources")
    assert not any(k.endswith(("_sd", "_ci95", "_published")) for k in keys), keys
    assert "watt_hours" not in keys and NO_ENERGY in table["note"], table["note"]
    assert "fast: 3.600 EUR an hour on demand, 0.900 EUR an hour on spot, as of 2026-01-02" \
        in table["note"], table["note"]
    names = [c["name"] for c in table["columns"]]
    assert "cost on demand (EUR)" in names and "time of a run (s)" in names, names
    with open(known.printed["page"], encoding="utf-8") as stream:
        page = stream.read()
    assert "cost on demand (EUR)" in page and "a &lt;page&gt;" in page
    assert "cost on demand (EUR)" in known.markdown
    assert known.json["command"].endswith(f"--prices {known.prices} --machine fast")
    spot = known.table("energy")[0]  # the same metrics in a table of one's own choice
    assert near(spot["cost_spot"], statistics.mean(
        t["seconds"] * 0.9 / 3600 for place, of in known.totals.items() for t in of
        if place[0] == float(spot["lr"])))
    # The same as isobit cost says.
    said = json.loads(isobit("cost", known.runs, "--prices", known.prices, "--machine", "fast",
                             "--json").stdout)["runs"]
    assert near(statistics.mean(r["cost_of_1000_runs"] for r in said),
                statistics.mean(float(r["cost_of_1000_runs"]) for r in rows))


def test_match_texts_refusals_and_no_table(folder):
    known = study(folder)
    known.report("--prices", known.prices)
    row = known.table("resources")[0]
    assert near(row["cost_on_demand"], float(row["run_seconds"]) * 7.2 / 3600)
    assert "cost_spot" not in row  # that price has none
    done = known.report("--prices", known.prices, "--machine", "slow", code=2)
    assert "'slow'" in done.stderr
    known.report("--prices", os.path.join(folder, "nothing.yaml"), code=2)
    with open(known.prices, "a", encoding="utf-8") as stream:
        stream.write("  - {name: twice, match: CPU, on-demand: 1, spot: ~, currency: USD,"
                     " date: 2026-01-03, source: c}\n")
    done = known.report("--prices", known.prices, code=2)
    assert "'known'" in done.stderr and "'twice'" in done.stderr, done.stderr
    elsewhere = os.getcwd()
    os.chdir(folder)  # no experiments/prices.yaml here
    try:
        known.report()
    finally:
        os.chdir(elsewhere)
    keys, table = keys_of(known, "resources")
    assert not any(k.startswith("cost_") for k in keys)
    assert "No price: experiments/prices.yaml is not there" in table["note"], table["note"]
    figure = known.figure("cost")
    assert figure["x_label"] == "time of a run (s)" and "no run has a price" in figure["note"]
    point = figure["panels"][0]["series"][0]["points"][0]
    assert near(point["x"], statistics.mean(t["seconds"] for t in known.totals[(0.5, 16)]))
    fastest = [f for f in known.json["findings"] if "fastest" in f["text"]]
    assert len(fastest) == 1 and "no run has a price" in fastest[0]["basis"], fastest


def test_two_currencies_are_refused(folder):
    known = study(folder)
    with open(known.prices, "w", encoding="utf-8") as stream:
        stream.write(PRICES.replace("match: ~", "match: Other CPU"))
    known.write(known.cells[0], 1, environment={"cpu_model": "Other CPU", "backend": "cpu",
                                                "isa": "avx2", "threads": 4}, resources=totals(0))
    done = known.report("--prices", known.prices, code=2)
    assert "EUR" in done.stderr and "USD" in done.stderr and "--machine" in done.stderr
    known.report("--prices", known.prices, "--machine", "known")


def test_energy_and_gpus(folder):
    def resources(number):
        taken = totals(number, joules=3600.0 * (number + 1))
        if number < 2:
            taken["gpus"] = [
                {"name": "A", "utilization_percent_mean": 40, "memory_max_bytes": 1e9,
                 "energy_joules": 360.0},
                {"name": "A", "utilization_percent_mean": 60, "memory_max_bytes": 3e9,
                 "energy_joules": 360.0}]
        return taken
    known = study(folder, resources)
    known.report("--prices", known.prices, "--machine", "fast")
    rows = known.table("resources")
    first = next(r for r in rows if (r["lr"], r["batch-size"]) == ("0.5", "16"))
    assert near(first["watt_hours"], statistics.mean([1.2, 2.2])), first
    assert near(first["gpu_percent_mean"], 50) and near(first["gpu_memory_bytes"], 3e9)
    assert [r["gpu_percent_mean"] for r in rows[1:]] == ["no value"] * 3
    _, table = keys_of(known, "resources")
    assert "not measured" not in table["note"]
    os.mkdir(os.path.join(folder, "plain"))
    plain = study(os.path.join(folder, "plain"))
    plain.report("--prices", plain.prices, "--watts", "100")
    row = plain.table("resources")[0]
    assert near(row["watt_hours"], 100 * float(row["run_seconds"]) / 3600)
    _, table = keys_of(plain, "resources")
    assert "8 runs is estimated by a power of 100 W" in table["note"], table["note"]


def test_old_records_say_so(folder):
    known = study(folder, lambda number: None)
    known.report("--prices", known.prices, "--machine", "fast")
    rows = known.table("resources")
    for row in rows:
        place = float(row["lr"]), int(row["batch-size"])
        assert near(row["run_seconds"], statistics.mean(
            known.values[(*place, s)]["total_seconds"] for s in (1, 2)))
        assert row["cpu_seconds"] == row["cpu_percent_mean"] == "not recorded"
        assert near(row["peak_rss_bytes"], 2000)  # of the results
    _, table = keys_of(known, "resources")
    assert "8 of 8 finished runs hold no totals of resources" in table["note"], table["note"]
    usage = known.figure("usage")
    assert usage["panels"] == [] and usage["missing"].startswith("4 of 4 lines have no run"), usage
    assert not any("% of a CPU" in f["text"] for f in known.json["findings"])


def test_cost_figure_and_sentences(folder):
    known = study(folder, lambda number: {**totals(number), "seconds": (30, 10, 20, 15)[number // 2]})
    known.report("--prices", known.prices, "--machine", "fast")
    figure = known.figure("cost")
    assert figure["x_label"] == "cost of 1,000 runs (EUR)" and figure["y_label"] == \
        "test accuracy (%)" and "fast" in figure["note"]
    offers = {}
    for series in figure["panels"][0]["series"]:
        for point in series["points"]:
            place = (float(series["name"].split()[-1]), int(point["label"].split()[-1]))
            offers[place] = point["x"], point["y"]
    assert set(offers) == set(known.totals)
    for place, (x, y) in offers.items():
        assert near(x, statistics.mean(t["seconds"] for t in known.totals[place]))
        assert near(y, statistics.mean(known.values[(*place, s)]["test_accuracy"] for s in (1, 2)))
    cheap = min(offers, key=lambda p: offers[p][0])
    good = max(offers, key=lambda p: offers[p][1])
    assert cheap != good  # else this test could not fail
    finding, = [f for f in known.json["findings"] if "cheapest" in f["text"]]
    text = finding["text"]
    assert text.startswith("The cheapest configuration, batch size %d, learning rate %g, costs %s EUR"
                           % (cheap[1], cheap[0], f"{offers[cheap][0]:.2f}")), text
    assert f"right on {100 * offers[cheap][1]:.2f} %" in text, text
    assert "the most accurate, batch size %d, learning rate %g, costs %.3g times as much" % (
        good[1], good[0], offers[good][0] / offers[cheap][0]) in text, text
    front, dear = [sum(not any(s * o[0] <= s * x and o[1] >= y and o != (x, y)
                               for o in offers.values())
                       for x, y in offers.values()) for s in (1, -1)]
    assert front != dear  # likewise
    assert f" {front} of 4 configurations are beaten by no other" in text, text
    assert "means over seeds" in finding["basis"] and "price of fast" in finding["basis"], finding
    use, = [f for f in known.json["findings"] if "% of a CPU" in f["text"]]
    assert use["text"].startswith("Runs used 153.5 % of a CPU on average (the least 150.0 %, the "
                                  "most 157.0 %), and 50.00 to 50.00 MB"), use
    assert use["basis"].startswith("8 finished runs")


def test_use_over_time(folder):
    known = study(folder)
    long = [sample(i + 1, cpu=100 + i % 7, rss=50 + i) for i in range(1000)]
    put_samples(known.directories[0], [], "not a sample\n[1]\n")  # the next seed counts
    put_samples(known.directories[1], long, '{"values": {"system/process_sec')
    put_samples(known.directories[2], [
        sample(1, cpu=90, rss=20, gpu0=10, gpu1=30, watts0=100, watts1=50, power=60),
        sample(2, cpu=95, rss=25, gpu0=20, gpu1=40, watts0=110, watts1=60, power=70)])
    known.report("--prices", known.prices)
    figure = known.figure("usage")
    assert [p["y_label"] for p in figure["panels"]] == [
        "CPU use (%)", "memory (MB)", "power (W)", "GPU use (%)", "power (W)"]
    assert figure["x_label"] == "running time (s)"
    assert figure["missing"].startswith("2 of 4 lines have no run with samples"), figure["missing"]
    cpu, memory, power, gpu, gpu_power = [p["series"] for p in figure["panels"]]
    assert len(cpu) == len(memory) == 2 and len(power) == len(gpu) == len(gpu_power) == 1
    points = cpu[0]["points"]
    assert len(points) == 200 and "means of up to 5 samples" in figure["note"], len(points)
    for k, point in enumerate(points):
        group = long[5 * k:5 * k + 5]
        assert near(point["x"], statistics.mean(range(5 * k + 1, 5 * k + 6)))
        assert near(point["y"], statistics.mean(
            s["values"]["system/process_cpu_utilization_percentage"] for s in group))
    assert [(p["x"], p["y"]) for p in memory[1]["points"]] == [(1, 20), (2, 25)]
    assert [p["y"] for p in power[0]["points"]] == [60, 70]
    assert [p["y"] for p in gpu[0]["points"]] == [20, 30]
    assert [p["y"] for p in gpu_power[0]["points"]] == [150, 170]
    with open(os.path.join(known.printed["figures_dir"], "usage.svg"), encoding="utf-8") as stream:
        drawn = re.findall(r">([^<>]*)</text>", stream.read()) or ["none"]
    joined = " ".join(drawn)
    for text in ("CPU use (%)", "memory (MB)", "GPU use (%)", "running time (s)"):
        assert text in joined, (text, drawn)


def test_more_lines_than_can_be_told_apart(folder):
    text = """\
name: taken
base: {dataset: digits, model: mlp, batch-size: 16, epochs: 3}
grid: {lr: [%s]}
figures: [{name: usage, kind: usage, title: U, columns: [lr]}]
""" % ", ".join(f"{0.1 * i:.1f}" for i in range(1, 37))
    known = Known(folder, text, "taken")
    known.report()
    assert "36 lines are more than can be told apart" in known.figure("usage")["missing"]
    done = isobit("report", known.file, "--runs-dir", known.runs, "--data-dir", DATA, "--watts", "9")
    assert "no table or figure of this report shows costs" in done.stderr


def test_a_folder_of_records_has_them_too(folder):
    known = study(folder)
    put_samples(known.directories[0], [sample(1, cpu=90, rss=20)])
    page = os.path.join(folder, "all.html")
    isobit("report", known.runs, "-o", page, "--prices", known.prices, "--machine", "fast")
    with open(os.path.join(folder, "all_files", "report.json"), encoding="utf-8") as stream:
        report = json.load(stream)
    assert "resources" in [t["name"] for t in report["tables"]]
    by_name = {f["name"]: f for f in report["figures"]}
    assert by_name["cost"]["x_label"] == "cost of 1,000 runs (EUR)"
    assert len(by_name["usage"]["panels"]) == 2


def test_the_file_is_checked(folder):
    for line, message in (
            ("tables: [{name: t, kind: resources, title: T}]", "resources needs the key rows"),
            ("tables: [{name: t, kind: resources, title: T, rows: [lr], values: [run_seconds]}]",
             "values: means nothing for resources"),
            ("figures: [{name: t, kind: usage, title: T}]", "usage needs the key columns"),
            ("figures: [{name: t, kind: usage, title: T, columns: [lr], panels: [lr]}]",
             "panels: means nothing for usage"),
            ("figures: [{name: t, kind: cost, title: T, rows: [lr], relative-to: {lr: 1}}]",
             "relative-to: means nothing for cost"),
            ("figures: [{name: t, kind: costs, title: T, rows: [lr]}]", "cost, usage")):
        path = os.path.join(folder, "bad.yaml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("name: bad\nbase: {dataset: digits, model: mlp}\ngrid: {lr: [0.5, 1]}\n"
                         + line + "\n")
        done = isobit("experiment", "check", path, "--data-dir", DATA, code=2)
        assert message in done.stderr and "bad.yaml:4" in done.stderr, done.stderr


if __name__ == "__main__":
    sys.exit(runner.run_tests(globals()))
