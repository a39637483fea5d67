#!/usr/bin/env python3
"""Times isobit's training step beside PyTorch's, interleaved, and writes a table.

A cell (optimiser, threads, batch) takes `rounds` rounds; in each, isobit and every peer are timed once,
one after the other, so that a noisy machine disturbs all alike. A ratio is a peer's median step time
over isobit's of the same round; the table has its median and extremes over the rounds."""

import argparse
import json
import os
import platform
import shlex
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
    p.add_argument("--optimizers", default="adadelta,adam,sgd")
    p.add_argument("--isa", default="auto")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1.0)
    p.add_argument("-o", "--output", help="write PREFIX.md and PREFIX.json")
    return p.parse_args()


class Peer:
    """A torch_step.py that answers requests; one that dies answers with an error from then on."""

    def __init__(self, spec, threads):
        python, mode = spec.rsplit(":", 1)
        self.name, self.error = spec, None
        self.process = subprocess.Popen(
            [python, os.path.join(HERE, "peers", "torch_step.py"), "--mode", mode,
             "--threads", str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        started = self.answer()
        self.name = started.get("peer", spec)

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        message = self.process.stderr.read().strip().splitlines()
        self.error = message[-1] if message else f"exit {self.process.wait()}"
        return {"error": self.error}

    def measure(self, request):
        if self.error is None:
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                return self.answer()
            except BrokenPipeError:
                return self.answer()
        return {"error": self.error}

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


def measure_isobit(args, request, threads):
    command = [args.isobit, "bench", "step", "--json", "--isa", args.isa, "--threads", str(threads),
               "--model", request["model"], "--batch-size", str(request["batch_size"]),
               "--optimizer", request["optimizer"], "--seconds", str(request["seconds"])]
    if request["optimizer"] == "sgd":
        command += ["--momentum", "0.9"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_cell(args, peers, threads, optimizer, batch):
    request = {"model": args.model, "batch_size": batch, "optimizer": optimizer,
               "seconds": args.seconds}
    rounds = []
    for _ in range(args.rounds):
        own = measure_isobit(args, request, threads)
        rounds.append((own, [peer.measure(request) for peer in peers]))
    return {"optimizer": optimizer, "threads": threads, "batch": batch,
            "isobit": summary([own for own, _ in rounds]) | {
                "fma_peak_fraction": statistics.median(o["fma_peak_fraction"] for o, _ in rounds),
                "isa": rounds[0][0]["isa"]},
            "peers": [peer_summary(peer.name, [(own, found[i]) for own, found in rounds])
                      for i, peer in enumerate(peers)]}


def summary(results):
    medians = [r["step_ms_median"] for r in results]
    return {"median_ms": statistics.median(medians), "min_ms": min(medians),
            "max_ms": max(medians),
            "peak_rss_bytes": max(r["peak_rss_bytes"] for r in results)}


def peer_summary(name, pairs):
    errors = [found["error"] for _, found in pairs if "error" in found]
    if errors:
        return {"name": name, "error": errors[0]}
    ratios = [found["step_ms_median"] / own["step_ms_median"] for own, found in pairs]
    return summary([found for _, found in pairs]) | {
        "name": name, "ratio": statistics.median(ratios), "ratio_min": min(ratios),
        "ratio_max": max(ratios)}


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release().split('-')[0]}"


def is_half(name):
    return name.endswith("bf16")


def ratio_text(row):
    if "error" in row:
        return "not run"
    return f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"


def table(cells):
    names = [row["name"] for row in cells[0]["peers"]]
    head = ["optimiser", "threads", "batch", "isobit ms (min to max)", "of FMA peak",
            "best float32 peer / isobit", *names]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for cell in cells:
        own = cell["isobit"]
        exact = [p for p in cell["peers"] if "error" not in p and not is_half(p["name"])]
        best = min(exact, key=lambda p: p["median_ms"], default=None)
        lines.append("| " + " | ".join([
            cell["optimizer"], str(cell["threads"]), str(cell["batch"]),
            f"{own['median_ms']:.2f} ({own['min_ms']:.2f} to {own['max_ms']:.2f})",
            f"{100 * own['fma_peak_fraction']:.0f} %",
            "none" if best is None else f"**{best['ratio']:.2f}**",
            *map(ratio_text, cell["peers"])]) + " |")
    return "\n".join(lines)


def failures(cells):
    found = {p["name"]: p["error"] for cell in cells for p in cell["peers"] if "error" in p}
    return "".join(f"\nNot run: {name}: {error}\n" for name, error in found.items())


def write(args, cells):
    text = (f"Machine: {machine()}. Model: {args.model}. {args.rounds} rounds of {args.seconds:g} s "
            "each, interleaved; isobit's data is the generated digits. Columns after the sixth: a "
            "peer's step time over isobit's, median (least to greatest) over the rounds. \"Of FMA "
            "peak\" counts the dense network; bf16 is another precision.\n\n"
            + table(cells) + "\n" + failures(cells))
    if args.output is None:
        print(text)
        return
    with open(args.output + ".md", "w", encoding="utf-8") as out:
        out.write("# Training steps beside PyTorch's\n\n" + text)
    with open(args.output + ".json", "w", encoding="utf-8") as out:
        json.dump({"machine": machine(), "cells": cells}, out, indent=1)
        out.write("\n")


def main():
    args = parse()
    cells = []
    for threads in map(int, args.threads.split(",")):
        peers = [Peer(spec, threads) for spec in args.peer]
        for batch in map(int, args.batch_sizes.split(",")):
            for optimizer in args.optimizers.split(","):
                cells.append(run_cell(args, peers, threads, optimizer, batch))
                print(table(cells[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
        for peer in peers:
            peer.close()
    cells.sort(key=lambda c: (args.optimizers.split(",").index(c["optimizer"]), c["threads"],
                              c["batch"]))
    write(args, cells)


if __name__ == "__main__":
    main()
