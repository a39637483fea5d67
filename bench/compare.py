#!/usr/bin/env python3
"""Times isobit's training step beside PyTorch's, interleaved, and writes a table.

Every cell runs `rounds` rounds; a round runs isobit and each peer once, one after the other, so that
a noisy machine disturbs all alike. A peer's ratio is the median over rounds of its median step time
over isobit's in the same round."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--isobit", default="build/release/isobit")
    p.add_argument("--peer", action="append", default=[], metavar="PYTHON:MODE",
                   help="an interpreter with torch and a mode of torch_step.py; repeatable")
    p.add_argument("--model", default="cnn")
    p.add_argument("--batch-sizes", default="16,32,64,128,512")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--optimizers", default="adadelta")
    p.add_argument("--isa", default="auto")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("-o", "--output", help="write PREFIX.md and PREFIX.json")
    return p.parse_args()


def measure(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"exit {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_cell(args, batch, threads, optimizer):
    common = ["--model", args.model, "--batch-size", str(batch), "--threads", str(threads),
              "--optimizer", optimizer, "--seconds", str(args.seconds)]
    rounds = []
    for _ in range(args.rounds):
        results = {"isobit": measure([args.isobit, "bench", "step", "--json", "--isa", args.isa]
                                     + common)}
        for peer in args.peer:
            python, mode = peer.rsplit(":", 1)
            found = measure([python, os.path.join(HERE, "peers", "torch_step.py"), "--mode", mode]
                            + common)
            results[found.get("peer", peer)] = found
        rounds.append(results)
    return rounds


def summarise(rounds):
    rows = []
    own = [r["isobit"].get("step_ms_median") for r in rounds]
    for name in dict.fromkeys(key for r in rounds for key in r):
        found = [r.get(name, {"error": "not run"}) for r in rounds]
        if any("error" in f for f in found):
            errors = [f["error"] for f in found if "error" in f]
            rows.append({"name": name, "error": errors[0]})
            continue
        medians = [f["step_ms_median"] for f in found]
        ratios = [m / o for m, o in zip(medians, own)] if all(own) else [float("nan")]
        row = {"name": name, "median_ms": statistics.median(medians), "min_ms": min(medians),
               "max_ms": max(medians), "ratio": statistics.median(ratios),
               "ratio_min": min(ratios), "ratio_max": max(ratios)}
        if name == "isobit":
            row["fma_peak_fraction"] = statistics.median(f["fma_peak_fraction"] for f in found)
            row["isa"] = found[0]["isa"]
        rows.append(row)
    return rows


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release().split('-')[0]}"


def table(cells):
    lines = ["| batch | threads | optimizer | program | median ms | min | max | time / isobit's "
             "(min to max) | of FMA peak |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for cell in cells:
        for row in cell["rows"]:
            head = f"| {cell['batch']} | {cell['threads']} | {cell['optimizer']} | {row['name']} | "
            if "error" in row:
                lines.append(head + f"not run: {row['error']} | | | | |")
                continue
            share = f"{100 * row['fma_peak_fraction']:.0f} %" if "fma_peak_fraction" in row else ""
            ratio = "1" if row["name"] == "isobit" else (
                f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})")
            lines.append(head + f"{row['median_ms']:.2f} | {row['min_ms']:.2f} | "
                         f"{row['max_ms']:.2f} | {ratio} | {share} |")
    return "\n".join(lines)


def main():
    args = parse()
    cells = []
    for optimizer in args.optimizers.split(","):
        for threads in args.threads.split(","):
            for batch in args.batch_sizes.split(","):
                rows = summarise(run_cell(args, batch, threads, optimizer))
                cells.append({"batch": int(batch), "threads": int(threads),
                              "optimizer": optimizer, "rows": rows})
                print(table(cells[-1:]), file=sys.stderr, flush=True)
    text = (f"Machine: {machine()}. {args.rounds} rounds of {args.seconds:g} s each, interleaved.\n\n"
            + table(cells) + "\n")
    if args.output:
        with open(args.output + ".md", "w", encoding="utf-8") as out:
            out.write(f"Command: `{' '.join(['bench/compare.py'] + sys.argv[1:])}`\n\n" + text)
        with open(args.output + ".json", "w", encoding="utf-8") as out:
            json.dump({"machine": machine(), "cells": cells}, out, indent=1)
    else:
        print(text)


if __name__ == "__main__":
    main()
