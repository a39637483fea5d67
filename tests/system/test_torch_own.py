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
import torch
import torch.nn.functional as F
from torch_peer import distance

NETWORKS = int(os.environ.get("ISOBIT_OWN_NETWORKS", "4"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))
STEPS, BATCHES = 10, (16, 9, 8, 17, 64, 5, 24, 33, 1, 16)
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-5
EDGE = 2e-6  # of a layer's greatest activation
RECIPES = (("adadelta", {}), ("sgd", {"lr": 0.05}), ("adam", {}), ("adamw", {}),
           ("sgd", {"lr": 0.02, "momentum": 0.9}),
           ("sgd", {"lr": 0.02, "momentum": 0.9, "nesterov": 1}))


# ---- a network, as rows --------------------------------------------------------------------------

class Drawn:
    """Rows of (kind, keys) for images of 28 x 28, drawn at random."""

    def __init__(self, chance):
        self.chance, self.rows, self.number = chance, [], 0
        self.channels, self.side = 1, 28
        for _ in range(chance.randint(1, 4)):
            self.draw_stage()
        self.add("mean" if chance.random() < 0.3 else "flatten")
        for _ in range(chance.randint(0, 2)):
            self.add("linear", out=chance.choice((7, 16, 31, 64)), bias=chance.random() < 0.8)
            self.add("relu")
        self.add("linear", out="classes", bias=chance.random() < 0.8)

    def add(self, kind, **keys):
        self.number += 1
        self.rows.append((kind, {"name": f"r{self.number}", **keys}))
        return f"r{self.number}"

    def draw_conv(self, **given):
        kernel = self.chance.choice([k for k in (1, 2, 3, 3, 3, 5, 7) if k <= self.side])
        keys = {"out": self.chance.choice((3, 5, 8, 16, 17, 32)), "kernel": kernel,
                "stride": self.chance.choice((1, 1, 2)), "pad": self.chance.randint(0, kernel // 2),
                "bias": self.chance.random() < 0.7, **given}
        self.channels = keys["out"]
        self.side = (self.side + 2 * keys["pad"] - keys["kernel"]) // keys["stride"] + 1
        return self.add("conv", **keys)

    def draw_stage(self):
        self.draw_conv()
        if self.chance.random() < 0.5:
            self.add("batch-norm")
        if self.chance.random() < 0.8:
            self.add("relu")
        if self.chance.random() < 0.35:
            start = f"r{self.number}"
            self.draw_conv(out=self.channels, kernel=3, stride=1, pad=1)
            end = self.add("batch-norm")
            self.add("add", rows=(end, start))
            self.add("relu")
        if self.chance.random() < 0.6 and self.side >= 3:
            size = self.chance.choice((2, 2, 3))
            keys = {"size": size, "stride": self.chance.choice((1, 2, size)),
                    "pad": self.chance.randint(0, size // 2)}
            self.side = (self.side + 2 * keys["pad"] - size) // keys["stride"] + 1
            self.add(self.chance.choice(("max-pool", "max-pool", "average-pool")), **keys)
        if self.chance.random() < 0.2:
            self.add("dropout", p=0.25)

    def text(self):
        def value(of):
            if isinstance(of, bool):
                return "true" if of else "false"
            return "[" + ", ".join(of) + "]" if isinstance(of, tuple) else str(of)
        lines = ["name: drawn", "rows:"]
        for kind, keys in self.rows:
            lines.append(f"  - {kind}: {{" + ", ".join(f"{k}: {value(v)}"
                                                       for k, v in keys.items()) + "}")
        return "\n".join(lines) + "\n"


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
    size = max(abs(g).max() for g in exact.values())

    def off(a, name):
        """Of a gradient that is nothing but what cancels (a bias before a normalisation), the error
        counts against the others', and a tenth of it."""
        if abs(exact[name]).max() < 1e-9 * size:
            return abs(a[name]).max() / size / 10
        return distance(a[name], exact[name])
    limits = {n: max(GRADIENT_TOLERANCE, 2 * off(single, n)) for n in exact}
    if any(off(ours, n) > limits[n] for n in exact):
        moved = [gradients_of(drawn.rows, weights, x, y, torch.float64, edge)[1]
                 for edge in (EDGE, -EDGE)]
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
