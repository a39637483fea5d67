#!/usr/bin/env python3
"""Is NEW slower than OLD? Two builds of isobit, `bench step` in alternating rounds.

usage: bench/versus.py OLD NEW [--rounds 30] [--seconds 1] [--cells NAME,...] [--out FILE.json]

Each round runs both, the other first every second time, so that what slows the machine slows both.
A cell's figure is the ratio NEW / OLD of median step times within a round, over all rounds: its
median, and the 95 % interval of the mean of its logarithm (Student's t). A slowdown counts when that
interval lies wholly above 1.02; a gain when it lies wholly below 0.98. Exits with 1 if any counts as
a slowdown.
"""
import argparse
import json
import math
import statistics
import subprocess
import sys

CELLS = {
    "cnn-16-1": ("cnn", 16, 1), "cnn-16-2": ("cnn", 16, 2),
    "cnn-64-1": ("cnn", 64, 1), "cnn-64-2": ("cnn", 64, 2),
    "cnn-512-1": ("cnn", 512, 1), "cnn-512-2": ("cnn", 512, 2),
    "resnet18-32-2": ("resnet18", 32, 2), "resnet50-32-2": ("resnet50", 32, 2),
}
# Student's t for 97.5 %, by degrees of freedom; beyond the table the normal distribution's.
T = {4: 2.776, 9: 2.262, 14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045, 39: 2.023, 59: 2.001}


def step(binary, cell, seconds):
    model, batch, threads = CELLS[cell]
    command = [binary, "bench", "step", "--model", model, "--batch-size", str(batch), "--threads",
               str(threads), "--seconds", str(seconds), "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def interval(logs):
    freedom = len(logs) - 1
    t = T[min((f for f in T if f >= freedom), default=59)] if freedom <= 59 else 1.96
    mean, half = statistics.fmean(logs), t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean - half), math.exp(mean + half)


def verdict(low, high):
    return "SLOWER" if low > 1.02 else "faster" if high < 0.98 else "same"


def measure(options, cell):
    old, new = [], []
    for round_number in range(options.rounds):
        pair = [(options.old, old), (options.new, new)]
        for binary, results in pair if round_number % 2 == 0 else reversed(pair):
            results.append(step(binary, cell, options.seconds))
    ratios = [b["step_ms_median"] / a["step_ms_median"] for a, b in zip(old, new)]
    low, high = interval([math.log(r) for r in ratios])
    return {
        "cell": cell,
        "rounds": options.rounds,
        "old_ms": statistics.median(r["step_ms_median"] for r in old),
        "new_ms": statistics.median(r["step_ms_median"] for r in new),
        "ratio_median": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "old_rss_bytes": statistics.median(r["peak_rss_bytes"] for r in old),
        "new_rss_bytes": statistics.median(r["peak_rss_bytes"] for r in new),
        "floor_fraction": statistics.median(r["floor_fraction"] for r in new),
        "verdict": verdict(low, high),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("--rounds: at least 3")
    print(f"{'cell':16} {'old ms':>9} {'new ms':>9} {'ratio':>7}  95 % interval   RSS MB old, new")
    results = []
    for cell in options.cells.split(","):
        if cell not in CELLS:
            parser.error(f"no cell is called {cell} ({', '.join(CELLS)})")
        r = measure(options, cell)
        results.append(r)
        print(f"{cell:16} {r['old_ms']:9.3f} {r['new_ms']:9.3f} {r['ratio_median']:7.3f}  "
              f"{r['ratio_low']:.3f} to {r['ratio_high']:.3f}  {r['old_rss_bytes'] / 1e6:6.1f} "
              f"{r['new_rss_bytes'] / 1e6:6.1f}  {r['verdict']}", flush=True)
        if options.out:
            with open(options.out, "w", encoding="utf-8") as out:
                json.dump(results, out, indent=1)
                out.write("\n")
    return 1 if any(r["verdict"] == "SLOWER" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
