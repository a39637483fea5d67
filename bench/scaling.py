#!/usr/bin/env python3
"""Measures how time and memory grow with the work and writes docs/results/scaling-*.tsv; then
docs/figures/draw.py draws them.

batch:   isobit bench step, batch sizes 8 to 1024, 1 and 2 threads
data:    isobit train for one epoch of 1,000 to 60,000 images
epochs:  a long run of isobit train: seconds and resident memory of each epoch"""

import argparse
import json
import os
import re
import subprocess
import time

BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024)
SIZES = (1000, 2000, 5000, 10000, 20000, 40000, 60000)


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--isobit", default="build/release/isobit")
    p.add_argument("--data-dir", default="data")
    p.add_argument("--dataset", default="mnist")
    p.add_argument("--runs-dir", default="build/bench/runs")
    p.add_argument("--epochs", type=int, default=20)
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("-o", "--output", default="docs/results")
    return p.parse_args()


def last_json(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(args, name, head, rows):
    path = os.path.join(args.output, f"scaling-{name}.tsv")
    with open(path, "w", encoding="utf-8") as out:
        out.write("# bench/scaling.py\n" + "\t".join(head) + "\n")
        for row in rows:
            out.write("\t".join(f"{value:g}" if isinstance(value, float) else str(value)
                                for value in row) + "\n")


def by_batch(args):
    rows = []
    for batch in BATCHES:
        row = [batch]
        for threads in (1, 2):
            found = last_json([args.isobit, "bench", "step", "--json", "--batch-size", str(batch),
                               "--threads", str(threads), "--seconds", str(args.seconds)])
            row += [1e3 * found["step_ms_median"] / batch, found["peak_rss_bytes"] / 1e6]
        rows.append(row)
    write(args, "batch", ["batch", "us_per_image_1", "rss_mb_1", "us_per_image_2", "rss_mb_2"],
          rows)


def train(args, *options):
    return [args.isobit, "train", "--model", "cnn", "--dataset", args.dataset, "--data-dir",
            args.data_dir, "--runs-dir", args.runs_dir, "--json", *options]


def by_data(args):
    rows = []
    for size in SIZES:
        found = last_json(train(args, "--epochs", "1", "--train-size", str(size)))
        rows.append([size, found["train_seconds"], found["total_seconds"],
                     found["peak_rss_bytes"] / 1e6])
    write(args, "data", ["images", "train_seconds", "total_seconds", "peak_rss_mb"], rows)


def memory(pid):
    """Resident and anonymous megabytes of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as lines:
            text = lines.read()
        return [int(re.search(key + r":\s+(\d+) kB", text).group(1)) * 1024 / 1e6
                for key in ("VmRSS", "RssAnon")]
    except (OSError, AttributeError):
        return None


def by_epoch(args):
    """A line a second; the epoch is told from the run's own metrics."""
    rows = []
    with subprocess.Popen(train(args, "--epochs", str(args.epochs)), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as child:
        start = time.monotonic()
        while child.poll() is None:
            now = memory(child.pid)
            if now is not None:
                rows.append([time.monotonic() - start, *now])
            time.sleep(1)
    write(args, "memory", ["seconds", "rss_mb", "anonymous_mb"], rows)
    runs = os.path.join(args.runs_dir, f"{args.dataset}-cnn")
    newest = max((os.path.join(runs, name) for name in os.listdir(runs)), key=os.path.getmtime)
    with open(os.path.join(newest, "metrics.jsonl"), encoding="utf-8") as lines:
        metrics = [json.loads(line) for line in lines]
    ends = {m["epoch"]: m["timestamp"] for m in metrics if m["key"] == "test_accuracy"}
    times = [ends[epoch] for epoch in sorted(ends)]
    write(args, "epochs", ["epoch", "seconds"],
          [[i + 1, (times[i] - times[i - 1]) / 1e3] for i in range(1, len(times))])


def main():
    args = parse()
    os.makedirs(args.runs_dir, exist_ok=True)
    by_batch(args)
    by_data(args)
    by_epoch(args)


if __name__ == "__main__":
    main()
