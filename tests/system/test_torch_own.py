"""Random networks from files against PyTorch: losses and gradients of 10 steps each, the engine's weights
leading; and the same bits by every instruction set, with 1, 2 and 3 threads.

A gradient jumps where an activation is so near to a ReLU's zero, or two of a window so near to each other,
that float32 cannot tell. Batches in which that moves the exact gradient are counted and left out; fewer
than a third may be.

environment: as test_torch.py; ISOBIT_OWN_NETWORKS, how many (4; 30 are the whole); ISOBIT_TEST_SEED
"""
import os
import random
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch_peer as peer  # exits 77 without PyTorch
import numpy as np
import torch
import torch.nn.functional as F
from drawn_networks import Drawn

NETWORKS = int(os.environ.get("ISOBIT_OWN_NETWORKS", "4"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))
STEPS, BATCHES = 10, (16, 9, 8, 17, 64, 5, 24, 33, 1, 16)
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = {False: 1e-5, True: 1e-4}  # with a normalisation, as in test_torch_resnet.py
EDGE = {False: 2e-6, True: 1e-5}  # of a layer's greatest activation; normalisations spread errors
RECIPES = (("adadelta", {}), ("sgd", {"lr": 0.05}), ("adam", {}), ("adamw", {}),
           ("sgd", {"lr": 0.02, "momentum": 0.9}),
           ("sgd", {"lr": 0.02, "momentum": 0.9, "nesterov": 1}))


# ---- the same in PyTorch -------------------------------------------------------------------------

def relu(a, edge):
    """edge moves the threshold by a share of the greatest activation."""
    return a * (a.detach() > edge * a.detach().abs().max())


def logits_of(rows, params, x, edge=0.0):
    """Without dropout, statistics of the batch. A pool's edge is a tie broken the other way: what is
    within the margin of the greatest shares its gradient."""
    values, a = {}, x
    for kind, keys in rows:
        weight, bias = (params.get(f"{keys['name']}.{n}") for n in ("weight", "bias"))
        if kind == "conv":
            a = F.conv2d(a, weight, bias, keys["stride"], keys["pad"])
        elif kind == "batch-norm":
            a = F.batch_norm(a, None, None, weight, bias, training=True, eps=1e-5)
        elif kind == "relu":
            a = relu(a, edge)
        elif kind == "add":
            a = values[keys["rows"][0]] + values[keys["rows"][1]]
        elif kind == "max-pool":
            noise = edge * a.detach().abs().max() * torch.arange(a[0].numel(), dtype=a.dtype) \
                .mul(0.7548776662).frac().reshape(a[0].shape)
            a = F.max_pool2d(a + noise, keys["size"], keys["stride"], keys["pad"])
        elif kind == "average-pool":
            a = F.avg_pool2d(a, keys["size"], keys["stride"], keys["pad"])
        elif kind == "mean":
            a = a.mean((2, 3))
        elif kind == "flatten":
            a = torch.flatten(a, 1)
        elif kind == "linear":
            a = F.linear(a, weight, bias)
        values[keys["name"]] = a
    return a


def gradients_of(rows, arrays, x, y, dtype, edge=0.0):
    params = {n: torch.from_numpy(a.copy()).to(dtype).requires_grad_(a.dtype.kind == "f")
              for n, a in arrays.items() if "running" not in n and "num_batches" not in n}
    loss = F.cross_entropy(logits_of(rows, params, x.to(dtype), edge), y)
    loss.backward()
    return loss.item(), {n: p.grad.double().numpy() for n, p in params.items()}


# ---- comparing -----------------------------------------------------------------------------------

def compare_step(e, drawn, data, first, count, step, worst):
    """0: the batch is on an edge."""
    weights = e.arrays("read", "value", "FILE")
    loss = e.loss("gradients", first, count, 1, step)
    ours = e.arrays("read", "gradient", "FILE")
    x, y = data.inputs(first, count, torch.float64), data.targets(first, count)
    loss64, exact = gradients_of(drawn.rows, weights, x, y, torch.float64)
    _, single = gradients_of(drawn.rows, weights, x, y, torch.float32)
    assert set(ours) == set(exact), sorted(set(ours) ^ set(exact))
    error = abs(loss - loss64) / max(abs(loss64), 1e-3)
    worst["loss"] = max(worst["loss"], error)
    assert error <= LOSS_TOLERANCE, f"loss {loss} where float64 gives {loss64}"
    size = max(np.linalg.norm(g) for g in exact.values())

    def off(a, name):
        """Before a normalisation, gradients of a bias cancel to nothing, and of weights nearly: their
        error counts against a share of the greatest gradient."""
        norm = np.linalg.norm(exact[name])
        return np.linalg.norm(a[name] - exact[name]) / (size if norm < 1e-9 * size
                                                        else max(norm, 1e-3 * size))
    normalised = any(kind == "batch-norm" for kind, _ in drawn.rows)
    tolerance = GRADIENT_TOLERANCE[normalised]
    limits = {n: max(tolerance, 2 * off(single, n)) for n in exact}
    if any(off(ours, n) > limits[n] for n in exact):
        moved = [gradients_of(drawn.rows, weights, x, y, torch.float64, edge)[1]
                 for edge in (EDGE[normalised], -EDGE[normalised])]
        bad = [n for n in exact if off(ours, n) > limits[n]]
        if all(max(off(m, n) for m in moved) > limits[n] / 2 for n in bad):
            return 0
        raise AssertionError(f"gradient of {bad[0]}: off by {off(ours, bad[0]):.3g}, PyTorch's "
                             f"float32 by {off(single, bad[0]):.3g}")
    worst["gradient"] = max(worst["gradient"], max(off(ours, n) for n in exact))
    return 1


def trained_bytes(data, scratch, path, recipe, isa, threads):
    kind, options = recipe
    with peer.engine(data, scratch, path, kind, isa=isa, threads=threads, **options) as e:
        e.ask("initialize", 5)
        for step, count in enumerate((64, 7, 33)):
            e.ask("step", 64 * step, count, 1, step, options.get("lr", 0.001))
        out = os.path.join(scratch, "bits.safetensors")
        e.ask("save", out)
        with open(out, "rb") as stream:
            return stream.read()


def check(data, scratch, number):
    chance = random.Random(f"{SEED} {number}")
    drawn, recipe = Drawn(chance), RECIPES[number % len(RECIPES)]
    path = os.path.join(scratch, f"drawn-{number}.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(drawn.text())
    worst, told = {"loss": 0.0, "gradient": 0.0}, 0
    kind, options = recipe
    with peer.engine(data, scratch, path, kind, **options) as e:
        isas = e.ask("isas")
        e.ask("dropout", 0)
        e.ask("initialize", 7)
        for step, count in zip(range(STEPS), BATCHES):
            if count == 1 and any(k == "batch-norm" for k, _ in drawn.rows):
                count = 2
            told += compare_step(e, drawn, data, 64 * step, count, step, worst)
            e.ask("update", options.get("lr", 1.0 if kind == "adadelta" else 0.001), step)
    assert told > STEPS * 2 // 3, f"{STEPS - told} of {STEPS} batches on an edge"
    ways = [(isa, threads) for isa in isas for threads in (1, 2, 3)]
    bits = {trained_bytes(data, scratch, path, recipe, *way) for way in ways}
    assert len(bits) == 1, f"{len(bits)} different models from {len(ways)} ways to compute"
    kinds = " ".join(k for k, _ in drawn.rows)
    print(f"ok: {number}: {kinds}; {kind} {options}: loss {worst['loss']:.2g}, gradients "
          f"{worst['gradient']:.2g}, {STEPS - told} batches on an edge; one model in {len(ways)} ways",
          flush=True)


def main():
    torch.set_num_threads(min(2, len(os.sched_getaffinity(0))))
    failed = 0
    print(f"PyTorch {torch.__version__}, ISOBIT_TEST_SEED={SEED}")
    with peer.scratch_directory() as scratch:
        data = peer.find_data(scratch)
        for number in range(NETWORKS):
            try:
                check(data, scratch, number)
            except Exception as error:  # every network has its say
                failed += 1
                if not isinstance(error, AssertionError):
                    traceback.print_exc(file=sys.stdout)
                with open(os.path.join(scratch, f"drawn-{number}.yaml"), encoding="utf-8") as file:
                    print(f"FAILED: {number}: {error}\n{file.read()}", flush=True)
    print(f"{NETWORKS - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
