"""Run records with known values, and what isobit report makes of them."""
import csv
import json
import math
import os
import random
import subprocess

ISOBIT = os.environ["ISOBIT"]
DATA = os.environ["ISOBIT_TEST_DATA"]

STUDY = """\
name: known
title: "Known <b>values</b> & more | here"
base: {dataset: digits, model: mlp, split: 70-10-20, train-size: 300, epochs: 3}
select: validation_accuracy
cells:
  - name: main
    title: "Main <i>part</i>"
    seeds: [1, 2, 3]
    grid: {lr: [0.5, 1.0], batch-size: [16, 32]}
  - name: pinned
    rows: [{label: "<script>alert(1)</script>", lr: 0.25, batch-size: 16}]
    needs: [pin-memory]
published:
  - source: "Table 1, with a comma"
    machine: "A \\"quoted\\" machine"
    cells: [main]
    columns: [lr, batch-size, test_accuracy, train_seconds]
    rows:
      - [0.5, 16, 90%, 4..6s]
      - [1.0, 16, 95.5%, 100s]
  - source: "Table 2"
    machine: another
    cells: [main]
    columns: [lr, batch-size, epoch, test_accuracy]
    rows:
      - [0.5, 16, 1, 80%]
      - [0.5, 16, 2, 85%]
tables:
  - {name: grid, kind: grid, title: Grid, rows: [lr, batch-size],
     values: [test_accuracy, test_loss, train_seconds]}
  - {name: wide, kind: grid, title: Wide, cells: [main], rows: [batch-size], columns: [lr],
     values: [test_accuracy]}
  - {name: speed, kind: grid, title: Speed, cells: [main], rows: [lr, batch-size],
     values: [speedup, improvement, epoch_seconds, parameters, flops], relative-to: {batch-size: 32}}
  - {name: epochs, kind: epochs, title: Epochs, cells: [main], columns: [lr, batch-size],
     values: [test_accuracy]}
  - {name: best, kind: best, title: Best, cells: [main], rows: [dataset],
     values: [validation_accuracy, test_accuracy]}
  - {name: seeds, kind: grid, title: Seeds, cells: [main], rows: [lr, batch-size, seed],
     values: [test_accuracy]}
  - {name: settings, kind: configuration, title: Settings}
figures:
  - {name: curves, kind: curves, title: Curves, cells: [main], columns: [lr], panels: [batch-size],
     values: [test_accuracy]}
  - {name: bars, kind: bars, title: Bars, rows: [lr], columns: [batch-size],
     values: [train_seconds], scale: log}
  - {name: heat, kind: heatmap, title: Heat, cells: [main], rows: [lr], columns: [batch-size],
     values: [test_accuracy]}
  - {name: scatter, kind: scatter, title: Scatter, cells: [main], rows: [lr], columns: [batch-size],
     values: [test_accuracy]}
  - {name: confusion, kind: confusion, title: Confusion, cells: [main], scale: log}
  - {name: wrong, kind: misclassified, title: Wrong, cells: [main]}
  - {name: nothing, kind: bars, title: Nothing, cells: [pinned], rows: [lr],
     values: [test_accuracy]}
"""


def isobit(*words, code=0, **others):
    done = subprocess.run([ISOBIT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **others)
    assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def near(a, b):
    return math.isclose(float(a), b, rel_tol=1e-9, abs_tol=1e-12)


class Known:
    """A folder with the study and a record of known values for each of its runs."""

    def __init__(self, folder, text=STUDY, name="known"):
        self.folder, self.name = folder, name
        self.file = os.path.join(folder, f"{name}.yaml")
        self.runs = os.path.join(folder, "runs")
        with open(self.file, "w", encoding="utf-8") as stream:
            stream.write(text)
        checked = isobit("experiment", "check", self.file, "--json", "--data-dir", DATA,
                         "--runs-dir", self.runs)
        self.cells = json.loads(checked.stdout.splitlines()[-1])["cells"]
        self.values = {}  # by (group, lr, batch, seed)

    def write(self, cell, number, epochs=3, **changes):
        """One record, unsealed as earlier versions wrote them; returns its directory."""
        words = dict(word.split("=") for word in cell["text"].split() if "=" in word)
        draw = random.Random(number)
        value = {"test_accuracy": draw.uniform(0.8, 0.99), "test_loss": draw.uniform(0.01, 1),
                 "train_seconds": draw.uniform(1, 9), "total_seconds": draw.uniform(10, 20),
                 "images_per_second": draw.uniform(1e3, 1e5)}
        by_epoch = [{"test_accuracy": draw.uniform(0.5, 0.8),
                     "validation_accuracy": draw.uniform(0.5, 0.9)} for _ in range(epochs)]
        value["epochs"] = by_epoch
        wrong = [[0 if r == c else draw.randrange(50) for c in range(10)] for r in range(10)]
        errors, share = sum(map(sum, wrong)), value["test_accuracy"]
        right = round(errors * share / (1 - share) / 10)
        value["confusion"] = [[right if r == c else wrong[r][c] for c in range(10)]
                              for r in range(10)]
        value["test_accuracy"] = 10 * right / (10 * right + errors)
        by_epoch[-1]["test_accuracy"] = value["test_accuracy"]
        run_id = f"20260101T000000Z-{number:06x}"
        record = {
            "format": 1, "run_id": run_id, "experiment": "digits-mlp", "status": "finished",
            "message": None, "experiment_sha256": cell["experiment_sha256"],
            "configuration": {"dataset": "digits", "model": "mlp", "epochs": epochs,
                              "train_size": 300, "lr": float(words.get("lr", 1)),
                              "batch_size": int(words.get("batch-size", 64)),
                              "seed": int(words.get("seed", 1))},
            "environment": {"cpu_model": "Known CPU", "backend": "cpu", "isa": "avx2",
                            "threads": 4},
            "results": {**{k: v for k, v in value.items() if isinstance(v, float)},
                        "model_sha256": f"{number:064x}", "model_bytes": 1000,
                        "peak_rss_bytes": 2000, "metrics": {"macro_f1": 0.5}},
            "confusion": value["confusion"],
        }
        record.update(changes)
        directory = os.path.join(self.runs, "digits-mlp", run_id)
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "run.json"), "w", encoding="utf-8") as stream:
            json.dump(record, stream)
        with open(os.path.join(directory, "metrics.jsonl"), "w", encoding="utf-8") as stream:
            for e, values in enumerate(by_epoch, 1):
                stream.write(json.dumps({"key": "train_loss", "value": 1.5, "step": e, "epoch": e},
                                        separators=(",", ":")) + "\n")
                for key, number_of in values.items():
                    stream.write(json.dumps({"key": key, "value": number_of, "step": e,
                                             "epoch": e}, separators=(",", ":")) + "\n")
        if "lr" in words:
            self.values[(float(words["lr"]), int(words["batch-size"]), int(words["seed"]))] = value
        return directory

    def write_all(self):
        return [self.write(cell, i + 1) for i, cell in enumerate(self.cells)
                if cell["group"] == "main"]

    def report(self, *words, code=0):
        done = isobit("report", self.file, "--runs-dir", self.runs, "--data-dir", DATA, "--json",
                      *words, code=code)
        if code:
            return done
        self.printed = json.loads(done.stdout.splitlines()[-1])
        with open(self.printed["json"], encoding="utf-8") as stream:
            self.json = json.load(stream)
        with open(self.printed["markdown"], encoding="utf-8") as stream:
            self.markdown = stream.read()
        return self.json

    def table(self, name):
        path = os.path.join(self.printed["tables_dir"], f"{name}.csv")
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        shown = next(t for t in self.json["tables"] if t["name"] == name)
        keys = [c["key"] for c in shown["columns"]]
        assert len(rows) == len(shown["rows"])
        for row, cells in zip(rows, shown["rows"]):  # CSV and JSON say the same
            for key, cell in zip(keys, cells):
                if cell["value"] is None:
                    assert row[key] == cell["text"], (name, key, row[key], cell)
                else:
                    assert float(row[key]) == cell["value"], (name, key, row[key], cell)
        return rows

    def figure(self, name):
        return next(f for f in self.json["figures"] if f["name"] == name)

    def seeds(self, lr, batch, key):
        return [self.values[(lr, batch, seed)][key] for seed in (1, 2, 3)]
