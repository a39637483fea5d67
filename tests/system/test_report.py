"""isobit report: every number is computed again here, from records with known values and from real
ones; what is missing, damaged or hostile is said, never shown as something else."""
import base64
import copy
import csv
import html
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

import runner
from report_records import DATA, Known, isobit, near

# 97.5 % quantiles of Student's t, from tables
STUDENT = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646,
           40: 2.0211, 60: 2.0003}


def spread(values):
    deviation = statistics.stdev(values)
    return statistics.mean(values), deviation, \
        STUDENT[len(values) - 1] * deviation / math.sqrt(len(values))


def check_spread(row, key, values):
    mean, deviation, half = spread(values)
    assert near(row[key], mean), (row, mean)
    assert near(row[f"{key}_sd"], deviation), (row, deviation)
    assert math.isclose(float(row[f"{key}_ci95"]), half, rel_tol=1e-4), (row, half)


def test_tables_hold_what_python_computes(folder):
    known = Known(folder)
    known.write_all()
    report = known.report()
    assert (report["asked"], report["finished"]) == (13, 12)
    rows = known.table("grid")
    assert [(r["lr"], r["batch-size"]) for r in rows] == [
        ("0.5", "16"), ("0.5", "32"), ("1", "16"), ("1", "32"), ("0.25", "16")]
    for row in rows[:4]:
        for key in ("test_accuracy", "test_loss", "train_seconds"):
            check_spread(row, key, known.seeds(float(row["lr"]), int(row["batch-size"]), key))
        assert row["machine"] == "Known CPU, 4 threads, avx2"
    assert rows[4]["test_accuracy"] == "not run" and "pinned" in rows[4]["remark"]
    wide = known.table("wide")
    for row in wide:
        for lr in (0.5, 1.0):
            check_spread(row, f"learning_rate_{lr:g}_test_accuracy",
                         known.seeds(lr, int(row["batch-size"]), "test_accuracy"))
    for row in known.table("seeds"):
        value = known.values[(float(row["lr"]), int(row["batch-size"]), int(row["seed"]))]
        assert near(row["test_accuracy"], value["test_accuracy"])
    settings = {r["option"]: r["value"] for r in known.table("settings")}
    assert settings["epochs"] == "3" and settings["dataset"] == "digits"
    assert settings["train-size"] == "300" and settings["test-size"] == "all"
    assert "lr" not in settings and "seed" not in settings


def test_published_values_stand_beside_ours(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    rows = known.table("grid")
    first = rows[0]
    mean = statistics.mean(known.seeds(0.5, 16, "test_accuracy"))
    seconds = statistics.mean(known.seeds(0.5, 16, "train_seconds"))
    assert near(first["test_accuracy_published"], 0.9)
    assert near(first["test_accuracy_difference"], mean - 0.9)
    assert first["train_seconds_published"] == "4.00 to 6.00"
    inside = 0 if 4 <= seconds <= 6 else seconds - (4 if seconds < 4 else 6)
    assert near(first["train_seconds_difference"], inside)
    assert first["published_machine"] == 'A "quoted" machine'
    assert first["source"] == "Table 1, with a comma"
    assert rows[1]["test_accuracy_published"] == "" == rows[1]["test_accuracy_difference"]
    epochs = {(r["lr"], r["batch-size"], r["epoch"]): r for r in known.table("epochs")}
    assert len(epochs) == 12
    for (lr, batch, epoch), row in epochs.items():
        check_spread(row, "test_accuracy",
                     [known.values[(float(lr), int(batch), s)]["epochs"][int(epoch) - 1]
                      ["test_accuracy"] for s in (1, 2, 3)])
    assert near(epochs["0.5", "16", "1"]["test_accuracy_published"], 0.8)
    assert near(epochs["0.5", "16", "3"]["test_accuracy_published"], 0.9)  # the end of training


def test_ranges_count_from_the_nearest_end(folder):
    for number, (text, expected) in enumerate(
            [("1..2s", 0.75), ("3..4s", -0.25), ("2..3s", 0), ("2.75s", 0)]):
        inner = os.path.join(folder, str(number))
        os.mkdir(inner)
        known = Known(inner, "name: range\nbase: {dataset: digits, model: mlp}\n"
                      "published:\n  - {source: s, columns: [train_seconds], rows: [[%s]]}\n"
                      "tables:\n  - {name: t, kind: grid, title: t, rows: [model], "
                      "values: [train_seconds]}\n" % text, "range")
        directory = known.write(known.cells[0], 1)
        path = os.path.join(directory, "run.json")
        with open(path, encoding="utf-8") as stream:
            record = json.load(stream)
        record["results"]["train_seconds"] = 2.75
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(record, stream)
        known.report()
        assert near(known.table("t")[0]["train_seconds_difference"], expected), text


def test_changed_cells_have_no_published_values(folder):
    known = Known(folder)
    known.report("epochs=2")
    assert all("published" not in key for row in known.table("grid") for key in row)
    assert any("not shown" in f["text"] for f in known.json["findings"])


def test_speedup_and_costs(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    for row in known.table("speed"):
        lr, batch = float(row["lr"]), int(row["batch-size"])
        pairs = [(known.values[(lr, 32, s)], known.values[(lr, batch, s)]) for s in (1, 2, 3)]
        assert near(row["speedup"], statistics.mean(
            a["train_seconds"] / b["train_seconds"] for a, b in pairs))
        assert near(row["improvement"], statistics.mean(
            100 * (b["test_accuracy"] - a["test_accuracy"]) for a, b in pairs))
        assert near(row["epoch_seconds"], statistics.mean(b["train_seconds"] / 3 for _, b in pairs))
        assert row["parameters"] == "669706"  # 784 x 512 + 512 + 512 x 512 + 512 + 512 x 10 + 10
        assert row["flops"] == "668672"


def test_best_is_chosen_on_validation_images(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    row, = known.table("best")
    means = {(lr, b): statistics.mean(known.values[(lr, b, s)]["epochs"][-1]["validation_accuracy"]
                                      for s in (1, 2, 3)) for lr in (0.5, 1.0) for b in (16, 32)}
    lr, batch = max(means, key=means.get)
    assert near(row["validation_accuracy"], means[lr, batch])
    assert near(row["test_accuracy"], statistics.mean(known.seeds(lr, batch, "test_accuracy")))
    assert row["configuration"] == f"batch size {batch}, learning rate {lr:g}"
    tests = {k: statistics.mean(known.seeds(*k, "test_accuracy")) for k in means}
    assert max(tests, key=tests.get) != (lr, batch)  # else this test could not fail
    first = known.json["findings"][0]
    assert f"{100 * means[lr, batch]:.2f} %" in first["text"] and "3 seeds" in first["basis"]


def test_effects(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    texts = [f for f in known.json["findings"] if f["text"].startswith("Batch size 32 instead of 16")]
    assert len(texts) == 1
    pairs = [(known.values[(lr, 16, s)], known.values[(lr, 32, s)])
             for lr in (0.5, 1.0) for s in (1, 2, 3)]
    differences = [100 * (b["test_accuracy"] - a["test_accuracy"]) for a, b in pairs]
    text = texts[0]["text"]
    assert f"by {statistics.mean(differences):+.2f} points" in text, text
    assert f"standard deviation {statistics.stdev(differences):.2f}" in text, text
    ratios = [b["train_seconds"] / a["train_seconds"] for a, b in pairs]
    assert f"{statistics.geometric_mean(ratios):.2f} times as long" in text, text
    assert texts[0]["basis"].startswith("6 pairs")
    groups = [known.seeds(lr, b, "test_accuracy") for lr in (0.5, 1.0) for b in (16, 32)]
    pooled = 100 * math.sqrt(statistics.mean(statistics.variance(g) for g in groups))
    word = "less" if abs(statistics.mean(differences)) < pooled else "more"
    assert f"{word} than the spread between seeds ({pooled:.2f})" in text, text
    half = STUDENT[5] * statistics.stdev(differences) / math.sqrt(6)
    assert ("interval holds 0" in text) == (abs(statistics.mean(differences)) <= half)
    agree = [f["text"] for f in known.json["findings"] if "published values of the test acc" in f["text"]]
    means = [statistics.mean(known.seeds(0.5, 16, "test_accuracy")) - 0.9,
             statistics.mean(known.seeds(1.0, 16, "test_accuracy")) - 0.955]
    for e, value in ((0, 0.8), (1, 0.85)):
        means.append(statistics.mean(known.values[(0.5, 16, s)]["epochs"][e]["test_accuracy"]
                                     for s in (1, 2, 3)) - value)
    within = sum(abs(d) <= 0.005 for d in means)
    assert len(agree) == 1 and agree[0].startswith(f"{within} of 4 published"), agree
    assert f"{100 * statistics.mean(means):+.2f}" in agree[0], agree


def test_one_seed_is_called_one_seed(folder):
    known = Known(folder)
    for i, cell in enumerate(known.cells):
        if "seed=1" in cell["text"] and cell["group"] == "main":
            known.write(cell, i + 1)
    known.report()
    assert known.json["finished"] == 4
    text = "\n".join(f["text"] + f["basis"] for f in known.json["findings"])
    assert "one seed" in text and "spread between seeds" not in text
    row = known.table("grid")[0]
    assert "test_accuracy_sd" not in row and row["remark"] == "2 of 3 runs: missing", row
    grid = next(t for t in known.json["tables"] if t["name"] == "grid")
    assert grid["missing"].startswith("9 of 13 runs are missing: "), grid["missing"]
    assert "and 0 more" not in grid["missing"]


def test_figures_hold_the_same_values(folder):
    known = Known(folder)
    directories = known.write_all()
    pixels = bytes(random.Random(5).randrange(256) for _ in range(784))
    for directory in directories:
        with open(os.path.join(directory, "misclassified.json"), "w", encoding="utf-8") as stream:
            json.dump({"images": 40, "shown": [
                {"index": i, "actual": 3, "predicted": 5, "probability": None if i else 0.75,
                 "pixels": base64.b64encode(pixels).decode()} for i in range(30)]}, stream)
    known.report()
    panel = known.figure("curves")["panels"][0]
    series = {s["name"]: s for s in panel["series"]}
    assert list(series) == ["learning rate 0.5", "learning rate 0.5, published",
                            "learning rate 1"], list(series)
    for e, point in enumerate(series["learning rate 0.5"]["points"]):
        values = [known.values[(0.5, 16, s)]["epochs"][e]["test_accuracy"] for s in (1, 2, 3)]
        assert point["x"] == e + 1 and near(point["y"], statistics.mean(values))
        assert near(point["low"], min(values)) and near(point["high"], max(values))
    assert [p["y"] for p in series["learning rate 0.5, published"]["points"]] == [0.8, 0.85]
    bars = known.figure("bars")
    assert bars["log_scale"] and bars["panels"][0]["labels"] == ["0.5", "1", "0.25"]
    by_name = {s["name"]: s for s in bars["panels"][0]["series"]}
    published = next(s for s in by_name.values() if s["published"])
    assert published["points"][0] == {"x": 0, "y": 5, "low": 4, "high": 6}
    heat = known.figure("heat")["panels"][0]
    for r, lr in enumerate((0.5, 1.0)):
        for c, batch in enumerate((16, 32)):
            assert near(heat["matrix"][r][c], statistics.mean(known.seeds(lr, batch, "test_accuracy")))
    points = known.figure("scatter")["panels"][0]["series"][0]["points"]
    assert near(points[1]["x"], statistics.mean(known.seeds(1.0, 16, "test_accuracy")))
    assert near(points[1]["y"], statistics.mean(known.seeds(1.0, 32, "test_accuracy")))
    means = {(lr, b): statistics.mean(known.values[(lr, b, s)]["epochs"][-1]["validation_accuracy"]
                                      for s in (1, 2, 3)) for lr in (0.5, 1.0) for b in (16, 32)}
    best = max(means, key=means.get)
    matrices = known.seeds(*best, "confusion")
    matrix = known.figure("confusion")["panels"][0]["matrix"]
    assert matrix == [[sum(m[a][p] for m in matrices) for p in range(10)] for a in range(10)]
    images = known.figure("wrong")["panels"][0]["images"]
    assert len(images) == 24 and base64.b64decode(images[0]["pixels"]) == pixels
    assert images[0]["probability"] == 0.75 and images[1]["probability"] is None
    assert "24 of 40 images" in known.figure("wrong")["panels"][0]["title"]
    nothing = known.figure("nothing")
    assert nothing["panels"] == [] and "1 of 1 runs is missing" in nothing["missing"]


def test_without_misclassified_images_it_says_so(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    figure = known.figure("wrong")
    assert figure["panels"] == [] and "misclassified.json" in figure["missing"]


def test_hostile_records_arrive_as_text_or_not_at_all(folder):
    known = Known(folder)
    directories = known.write_all()
    cells = [c for c in known.cells if c["group"] == "main"]
    with open(os.path.join(directories[0], "run.json"), "w", encoding="utf-8") as stream:
        stream.write('{"run_id": "cut off')
    results = {"test_accuracy": "NaN", "test_loss": 1e308, "train_seconds": "Infinity"}
    known.write(cells[1], 2, results=results, confusion=[[1]],
                environment={"cpu_model": "<img src=x onerror=alert(1)>|`x`", "backend": "cpu",
                             "isa": "a*b", "threads": -5})
    known.write(cells[2], 3, results={"test_loss": 1e308, "test_accuracy": 10**400 > 0},
                confusion="none")
    known.write(cells[3], 4, configuration={"epochs": 1e300}, results=[], environment=7)
    metrics = os.path.join(directories[4], "metrics.jsonl")
    with open(metrics, "w", encoding="utf-8") as stream:
        stream.write('{"key":"test_accuracy","value":0.5,"step":1,"epoch":4000000000}\n'
                     '{"key":"test_accuracy","value":0.5,"step":1,"epoch":-1}\n'
                     '{"key":"test_accuracy","value":[1],"step":1,"epoch":1}\n'
                     'not json\n{"key":7}\n' + "x" * 100000 + '\n{"key":"test_accuracy","val')
    with open(os.path.join(directories[5], "misclassified.json"), "w", encoding="utf-8") as stream:
        json.dump({"images": -3, "shown": [{"index": 1, "actual": 99, "predicted": 0,
                                            "pixels": "AAAA"}, 5, {"pixels": 3}]}, stream)
    known.report()
    assert any(directories[0] in f["text"] for f in known.json["findings"])
    assert "<script" not in known.markdown and "<img" not in known.markdown
    assert "<b>" not in known.markdown and "&lt;script&gt;" in known.markdown
    assert known.json["title"] == "Known <b>values</b> & more | here"
    rows = known.table("grid")
    assert not any(word in json.dumps(rows) for word in ("Infinity", "NaN", "inf", "nan"))
    row = rows[0]  # seeds 1 damaged, 2 without accuracy, 3 likewise; losses too large for a sum
    assert row["test_accuracy"] == "incomplete" and row["test_loss"] in ("incomplete", "no value"), row


def test_failed_and_damaged_runs_say_why(folder):
    known = Known(folder)
    known.write_all()
    cells = [c for c in known.cells if c["group"] == "main"]
    known.write(cells[0], 1, status="diverged", message="the loss is not finite at step 7")
    known.report()
    row = known.table("grid")[0]
    assert "1 of 3 runs: diverged: the loss is not finite at step 7" == row["remark"], row
    values = [known.values[(0.5, 16, s)]["test_accuracy"] for s in (2, 3)]
    check_spread(row, "test_accuracy", values)


def test_same_bits_elsewhere_is_found(folder):
    known = Known(folder)
    known.write_all()
    cells = [c for c in known.cells if c["group"] == "main"]
    other = {"cpu_model": "Other CPU", "backend": "cpu", "isa": "scalar", "threads": 1}
    original = json.load(open(os.path.join(known.runs, "digits-mlp", "20260101T000000Z-000001",
                                           "run.json"), encoding="utf-8"))
    again = copy.deepcopy(original["results"])
    known.write(cells[0], 0x101, results=again, environment=other,
                confusion=original["confusion"])
    known.report()
    texts = [f["text"] for f in known.json["findings"] if "model_sha256" in f["text"]]
    assert len(texts) == 1 and texts[0].startswith("1 experiment done again on another"), texts
    again["model_sha256"] = "f" * 64
    known.write(cells[0], 0x101, results=again, environment=other,
                confusion=original["confusion"])
    known.report()
    texts = [f["text"] for f in known.json["findings"] if "model_sha256" in f["text"]]
    assert len(texts) == 1 and "must not happen" in texts[0], texts


def test_a_study_folder_and_places(folder):
    text = """\
name: tiny
base: {dataset: digits, model: mlp, train-size: 200, test-size: 100, epochs: 2}
grid: {lr: [0.5, 1.0]}
tables: [{name: t, kind: grid, title: T, rows: [lr], values: [test_accuracy, test_loss]}]
figures: [{name: f, kind: curves, title: F, columns: [lr], values: [test_accuracy]}]
"""
    known = Known(folder, text, "tiny")
    isobit("sweep", known.file, "--runs-dir", known.runs, "--data-dir", DATA, "batch-size=32")
    study = os.path.join(known.runs, "tiny")
    done = isobit("report", study, "--data-dir", DATA, "--json")  # knows the sweep's words
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["finished"] == 2 == printed["runs"]
    assert printed["markdown"] == os.path.join(study, "report.md")
    page = os.path.join(folder, "page.html")
    known.report("batch-size=32", "-o", page)
    assert known.printed["json"] == os.path.join(folder, "page_files", "report.json")
    records = {}
    for name in os.listdir(os.path.join(known.runs, "digits-mlp")):
        if name.startswith("."):
            continue
        with open(os.path.join(known.runs, "digits-mlp", name, "run.json"), encoding="utf-8") as s:
            record = json.load(s)
        records[f'{record["configuration"]["lr"]:g}'] = record["results"]
    for row in known.table("t"):
        assert float(row["test_accuracy"]) == records[row["lr"]]["test_accuracy"]
        assert float(row["test_loss"]) == records[row["lr"]]["test_loss"]
    os.remove(os.path.join(study, "study.json"))
    plain = isobit("report", known.runs, "--json", "-o", os.path.join(folder, "all.html"))
    assert json.loads(plain.stdout.splitlines()[-1])["finished"] == 2
    with open(os.path.join(folder, "all_files", "tables", "runs.csv"), encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["lr"]: float(row["test_accuracy"]) for row in rows} == \
        {lr: r["test_accuracy"] for lr, r in records.items()}


def test_one_run_in_two_places_counts_once(folder):
    text = """\
name: twice
base: {dataset: digits, model: mlp}
cells:
  - {name: a, grid: {lr: [0.5, 1.0]}}
  - {name: b, grid: {lr: [0.5, 1.0]}, seeds: [1, 2]}
tables: [{name: t, kind: grid, title: T, rows: [lr], values: [test_accuracy]}]
figures: [{name: m, kind: confusion, title: M}]
"""
    known = Known(folder, text, "twice")
    first = {}  # cells of one experiment are one record
    for cell in known.cells:
        first.setdefault(cell["experiment_sha256"], cell)
    assert len(first) == 4 and len(known.cells) == 6
    values = {}
    for i, cell in enumerate(first.values()):
        cell["text"] += " batch-size=64"
        known.write(cell, i + 1)
    known.report()
    assert known.json["asked"] == 4
    for row in known.table("t"):
        values = [known.values[(float(row["lr"]), 64, s)]["test_accuracy"] for s in (1, 2)]
        check_spread(row, "test_accuracy", values)
    matrix = known.figure("m")["panels"][0]["matrix"]
    total = sum(sum(map(sum, v["confusion"])) for v in known.values.values())
    assert sum(map(sum, matrix)) == total


def test_page_and_drawings(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    with open(known.printed["page"], encoding="utf-8") as stream:
        page = stream.read()
    for text in ("<script", "<b>values", "<i>part"):
        assert text not in page, text
    assert "Known &lt;b&gt;values&lt;/b&gt; &amp; more | here" in page
    # What all lines with values say alike stands below the table, not in it.
    assert page.count("measured on: Known CPU, 4 threads, avx2") >= 5, page.count("measured on")
    assert ">measured on</th>" not in page
    assert not re.search(r"(src|href)=.?(https?:|//)|@import|url\(", page), "loads something"
    for finding in known.json["findings"]:
        assert html.escape(finding["text"], quote=False) in page.replace("&quot;", '"'), finding
    drawn = sorted(os.listdir(known.printed["figures_dir"]))
    with_data = [f["name"] for f in known.json["figures"] if f["panels"]]
    kinds = known.printed["figure_formats"]
    assert kinds == (["svg", "png", "pdf"] if shutil.which("rsvg-convert") else ["svg"]), kinds
    assert drawn == sorted(f"{name}.{kind}" for name in with_data for kind in kinds)
    for name in with_data:
        assert f"(figures/{name}.svg)" in known.markdown
    with open(os.path.join(known.printed["figures_dir"], "bars.svg"), encoding="utf-8") as stream:
        assert ">learning rate</text>" in stream.read()
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    for name in drawn:
        with open(os.path.join(known.printed["figures_dir"], name), "rb") as stream:
            assert stream.read(5).startswith(begins[name[-3:]][:4]), name


def test_without_a_converter_figures_are_svg(folder):
    known = Known(folder)
    known.write_all()
    done = isobit("report", known.file, "--runs-dir", known.runs, "--data-dir", DATA,
                  env={**os.environ, "PATH": folder})
    assert "figures are SVG only" in done.stderr and "librsvg2-bin" in done.stderr, done.stderr
    study = os.path.join(known.runs, "known")
    drawn = os.listdir(os.path.join(study, "figures"))
    assert drawn and all(name.endswith(".svg") for name in drawn), drawn
    assert os.path.exists(os.path.join(study, "report.html"))


def test_report_json_draws_the_same_figures(folder):
    known = Known(folder)
    known.write_all()
    known.report()
    again = os.path.join(folder, "again")
    subprocess.run([os.path.join(os.environ["BUILD_DIR"], "tests", "redraw_tool"),
                    known.printed["json"], again], check=True)
    names = sorted(os.listdir(again))
    assert names == sorted(n for n in os.listdir(known.printed["figures_dir"]) if n[-4:] == ".svg")
    for name in names:
        with open(os.path.join(again, name), "rb") as one, \
                open(os.path.join(known.printed["figures_dir"], name), "rb") as other:
            assert one.read() == other.read(), name


def test_what_is_too_large_is_not_drawn(folder):
    text = """\
name: large
base: {dataset: digits, model: mlp, epochs: 3}
grid: {lr: [%s]}
tables: [{name: t, kind: grid, title: T, rows: [lr], values: [test_accuracy]}]
figures:
  - {name: lines, kind: curves, title: L, columns: [lr], values: [test_accuracy]}
  - {name: bars, kind: bars, title: B, rows: [lr], values: [test_accuracy]}
  - {name: matrix, kind: confusion, title: M}
""" % ", ".join(f"{0.01 * i:.2f}" for i in range(1, 401))
    known = Known(folder, text, "large")
    for i, cell in enumerate(known.cells):
        cell["text"] += " batch-size=64"
        known.write(cell, i + 1)
    known.report()
    for name, word in (("lines", "more series than can be told apart"),
                       ("bars", "more values than a page holds")):
        figure = known.figure(name)
        assert word in figure["missing"] and len(figure["panels"]) == 1, figure["missing"]
        assert f"figures/{name}.svg" not in known.markdown
    assert len(known.figure("lines")["panels"][0]["series"]) == 400
    drawn = sorted(os.listdir(known.printed["figures_dir"]))
    assert drawn == sorted(f"matrix.{kind}" for kind in known.printed["figure_formats"]), drawn


def test_what_the_converter_says_is_passed_on(folder):
    known = Known(folder)
    known.write_all()
    fake = os.path.join(folder, "rsvg-convert")
    with open(fake, "w", encoding="utf-8") as stream:  # one of several processes fails
        stream.write("#!/bin/sh\ncase $6 in */bars.svg) echo no ink >&2; exit 1;; esac\n")
    os.chmod(fake, 0o755)
    done = isobit(
        "report", known.file, "--runs-dir", known.runs, "--data-dir", DATA, code=1,
        env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
    assert "rsvg-convert failed: no ink" in done.stderr, done.stderr


def test_refusals(folder):
    known = Known(folder)
    isobit("report", os.path.join(folder, "nothing.yaml"), code=2)
    isobit("report", code=2)
    empty = os.path.join(folder, "empty")
    os.mkdir(empty)
    assert "no run record" in isobit("report", empty, code=3).stderr
    assert "folder of records" in isobit("report", empty, "lr=1", code=2).stderr
    with open(os.path.join(empty, "study.json"), "w", encoding="utf-8") as stream:
        stream.write('{"files": [{"path": "/nowhere/x.yaml"}]}')
    assert "/nowhere/x.yaml" in isobit("report", empty, code=3).stderr
    known.report("-o", os.path.join(folder, "known.yaml", "x.html"), code=1)


def test_a_thousand_records(folder):
    text = """\
name: many
base: {dataset: digits, model: mlp, split: 70-10-20, epochs: 3}
grid: {lr: [0.1, 0.2, 0.3, 0.4, 0.5], batch-size: [8, 16, 32, 64]}
seeds: 50
select: validation_accuracy
tables:
  - {name: t, kind: grid, title: T, rows: [lr, batch-size], values: [test_accuracy]}
  - {name: e, kind: epochs, title: E, columns: [lr], values: [test_accuracy]}
figures:
  - {name: c, kind: curves, title: C, columns: [lr], panels: [batch-size], values: [test_accuracy]}
"""
    known = Known(folder, text, "many")
    assert len(known.cells) == 1000
    for i, cell in enumerate(known.cells):
        known.write(cell, i + 1)
    start = time.monotonic()
    known.report()
    seconds = time.monotonic() - start
    assert known.json["finished"] == 1000
    for row in known.table("t"):
        values = [known.values[(float(row["lr"]), int(row["batch-size"]), s)]["test_accuracy"]
                  for s in range(1, 51)]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        assert near(row["test_accuracy"], mean) and near(row["test_accuracy_sd"], deviation)
        # between the tabulated quantiles of 40 and 60 degrees of freedom
        t = float(row["test_accuracy_ci95"]) / deviation * math.sqrt(50)
        assert STUDENT[60] < t < STUDENT[40] and abs(t - 2.00958) < 1e-4, t
    print(f"1,000 records: {seconds:.2f} s")


if __name__ == "__main__":
    sys.exit(runner.run_tests(globals()))
