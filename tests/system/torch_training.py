"""Losses, gradients, optimisers and whole runs against PyTorch."""
import functools
import itertools

import numpy as np
import torch

from torch_peer import NETS, decisions_of, distance, engine, gradients_of, net_of

STEPS = 50
LOSS_TOLERANCE = 1e-6
GRADIENT_TOLERANCE = 1e-5
PARAMETER_TOLERANCE = 1e-6
# Whole leaves and partial ones; 64 as trained with.
BATCHES = (64, 8, 29, 17, 40, 33, 9, 24, 63, 12)


class Worst:
    """Greatest errors seen, and where."""

    def __init__(self):
        self.loss = self.ours = self.theirs = self.ratio = 0.0
        self.where, self.decided = "", []

    def compare(self, e, data, model, weights, first, count, loss, masks=(1, 1)):
        """Our loss and gradients of the pass just made against float64; PyTorch's float32 is the
        measure."""
        gradients = e.arrays("read", "gradient", "FILE")
        y, x = data.targets(first, count), data.inputs(first, count, torch.float64)
        masks64 = [m if isinstance(m, int) else m.double() for m in masks]
        exact = net_of(model, weights, torch.float64)
        loss64, g64 = gradients_of(exact, x, y, masks64)
        single = net_of(model, weights, torch.float32)
        loss32, g32 = gradients_of(single, data.inputs(first, count, torch.float32), y, masks)
        error = abs(loss - loss64) / loss64
        self.loss = max(self.loss, error)
        assert error <= LOSS_TOLERANCE, \
            f"loss {loss} where float64 gives {loss64} (PyTorch's float32: {loss32})"
        assert set(gradients) == set(g64), sorted(gradients)
        limits = {n: max(GRADIENT_TOLERANCE, 2 * distance(g32[n], g)) for n, g in g64.items()}
        if any(distance(gradients[n], g) > limits[n] for n, g in g64.items()):
            decisions = decisions_of(e, model, count)
            plain = g64
            _, g64 = gradients_of(exact, x, y, masks64, decisions)
            limits = {n: GRADIENT_TOLERANCE for n in g64}
            for n, g in g64.items():
                assert decisions.taken > 0 or distance(g, plain[n]) < 1e-12, n
            self.decided.append(decisions.taken)
        for name, g in g64.items():
            ours, theirs = distance(gradients[name], g), distance(g32[name], g)
            assert ours <= limits[name], \
                f"gradient of {name}: off by {ours:.3g}, PyTorch's float32 by {theirs:.3g}"
            self.theirs = max(self.theirs, theirs)
            self.ratio = max(self.ratio, ours / limits[name])
            if ours > self.ours:
                self.ours, self.where = ours, name

    def text(self):
        text = (f"loss {self.loss:.2g}, gradients {self.ours:.2g} ({self.where}; PyTorch's float32 "
                f"{self.theirs:.2g}), {self.ratio:.2f} of the limit")
        if self.decided:
            text += (f"; {len(self.decided)} batches with activations on the edge of a ReLU or "
                     f"pool, {sum(self.decided)} in all")
        return text


def check_steps(data, scratch, model):
    """50 steps: identical weights and batch, no dropout; our Adadelta leads from step to step."""
    worst = Worst()
    with engine(data, scratch, model) as e:
        e.ask("dropout", 0)
        e.ask("initialize", 7)
        first = 0
        for step, count in zip(range(STEPS), itertools.cycle(BATCHES)):
            weights = e.arrays("read", "value", "FILE")
            loss = e.loss("gradients", first, count, 1, step)
            try:
                worst.compare(e, data, model, weights, first, count, loss)
            except AssertionError as error:
                raise AssertionError(f"step {step}, {count} images: {error}") from None
            e.ask("update", 1.0, step)
            first += count
        assert len(worst.decided) <= 5, f"{len(worst.decided)} of {STEPS} batches on an edge"
        trained = e.arrays("read", "value", "FILE")
    # The steps must have trained something: or all were one and the same comparison.
    moved = distance(trained["fc1.weight"], weights["fc1.weight"])
    assert moved > 1e-4, f"the last update moved fc1.weight by {moved} only"
    final = net_of(model, trained, torch.float64)
    y = data.targets(0, 256)
    with torch.no_grad():
        right = (final(data.inputs(0, 256, torch.float64)).argmax(1) == y).double().mean().item()
    assert right > 0.6, f"after {STEPS} steps only {right:.2f} of the training images are right"
    return worst.text()


def check_small_batches(data, scratch):
    """Batches below one leaf, one more than a leaf, more than 64, on every instruction set, and a
    number of threads that divides nothing: right, and the same bits."""
    worst, isas = Worst(), []
    for model in NETS:
        cases = ((1, 0), (3, 100), (9, 200), (65, 300))
        reference = {}
        with engine(data, scratch, model) as e:
            isas = e.ask("isas")
        for isa in isas:
            with engine(data, scratch, model, isa=isa, threads=3, capacity=65) as e:
                e.ask("dropout", 0)
                e.ask("initialize", 11)
                weights = e.arrays("read", "value", "FILE")
                for count, first in cases if isa != "scalar" else cases[:3]:
                    loss = e.loss("gradients", first, count, 1, 0)
                    gradients = e.arrays("read", "gradient", "FILE")
                    bits = (loss, [g.tobytes() for g in gradients.values()])
                    if count in reference:
                        assert bits == reference[count], f"{model}, {isa}, {count} images: bits"
                        continue
                    reference[count] = bits
                    worst.compare(e, data, model, weights, first, count, loss)
    return f"{worst.text()}; same bits on {', '.join(isas)}"


def check_label_smoothing(data, scratch):
    """Loss and gradients with a smoothed target, on every instruction set; evaluation has none."""
    worst = ratio = 0.0
    for smoothing, count in itertools.product((0.1, 0.35, 1.0), (64, 17)):
        bits = set()
        for isa in ("auto", "scalar"):
            with engine(data, scratch, "mlp", isa=isa, label_smoothing=smoothing) as e:
                e.ask("dropout", 0)
                e.ask("initialize", 5)
                weights = e.arrays("read", "value", "FILE")
                loss = e.loss("gradients", 100, count, 1, 0)
                gradients = e.arrays("read", "gradient", "FILE")
                plain = float(e.ask("evaluate", 100, count)[0])
            bits.add((loss, plain, *(g.tobytes() for g in gradients.values())))
        assert len(bits) == 1, f"smoothing {smoothing}, {count} images: bits"
        y = data.targets(100, count)
        exact, single = ((net_of("mlp", weights, dtype), data.inputs(100, count, dtype), y)
                         for dtype in (torch.float64, torch.float32))
        loss64, g64 = gradients_of(*exact, smoothing=smoothing)
        _, g32 = gradients_of(*single, smoothing=smoothing)
        error = abs(loss - loss64) / loss64
        assert error <= LOSS_TOLERANCE, f"smoothing {smoothing}: loss {loss}, not {loss64}"
        error = abs(plain - gradients_of(*exact)[0]) / plain
        assert error <= LOSS_TOLERANCE, "an evaluation with smoothing"
        worst = max(worst, error)
        for name, g in g64.items():
            limit = max(GRADIENT_TOLERANCE, 2 * distance(g32[name], g))
            ratio = max(ratio, distance(gradients[name], g) / limit)
        assert ratio <= 1, f"smoothing {smoothing}, {count} images: gradients"
    return f"loss {worst:.2g}, gradients {ratio:.2g} of the limit"


# ---- optimisers ----------------------------------------------------------------------------------

# name, engine options, torch optimiser, names of the state: ours -> PyTorch's
def optimizers():
    optim = torch.optim
    adadelta = {"square_avg": "square_avg", "acc_delta": "acc_delta"}
    adam = {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}
    momentum = {"momentum_buffer": "momentum_buffer"}
    return (
        ("adadelta", dict(lr=1.0), lambda p: optim.Adadelta(p, lr=1.0), adadelta),
        ("adadelta", dict(lr=0.5, rho=0.95, eps=1e-5, weight_decay=0.01),
         lambda p: optim.Adadelta(p, lr=0.5, rho=0.95, eps=1e-5, weight_decay=0.01), adadelta),
        ("sgd", dict(lr=0.01), lambda p: optim.SGD(p, lr=0.01), {}),
        ("sgd", dict(lr=0.01, weight_decay=0.1),
         lambda p: optim.SGD(p, lr=0.01, weight_decay=0.1), {}),
        ("sgd", dict(lr=0.01, momentum=0.9, weight_decay=0.01),
         lambda p: optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01), momentum),
        ("adam", dict(lr=0.001), lambda p: optim.Adam(p, lr=0.001), adam),
        ("adam", dict(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-4, weight_decay=0.05),
         lambda p: optim.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.05), adam),
    )


def synthetic_gradients(shapes, steps):
    """Of every size from 1e-7 to 10, with a persistent part, noise and exact zeros."""
    rng = np.random.default_rng(20)
    base = {n: (rng.standard_normal(s) * 10 ** rng.uniform(-7, 1, s)).astype(np.float32)
            for n, s in shapes.items()}
    for step in range(steps):
        gradients = {}
        for name, b in base.items():
            g = b * (1 + rng.standard_normal(b.shape, dtype=np.float32))
            g[rng.random(b.shape, dtype=np.float32) < 0.1] = 0
            if name.endswith("bias") and step < 3:
                g[:] = 0  # a unit that was dead at first
            gradients[name] = g.astype(np.float32)
        yield gradients


def run_torch(make, weights, feed, gamma, dtype, every):
    """Parameters after each step, and the state after the last."""
    params = {n: torch.nn.Parameter(torch.from_numpy(w.copy()).to(dtype))
              for n, w in weights.items()}
    optimizer = make(list(params.values()))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=gamma)
    rates, history = [], []
    for step, gradients in enumerate(feed):
        for name, p in params.items():
            p.grad = torch.from_numpy(gradients[name]).to(dtype)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        history.append({n: p.detach().double().numpy().copy() for n, p in params.items()})
        if (step + 1) % every == 0:
            schedule.step()
    state = {n: {k: v.double().numpy() for k, v in optimizer.state[p].items()
                 if k != "step" and v is not None} for n, p in params.items()}
    return rates, history, state


def check_optimizers(data, scratch):
    """Identical gradients for 50 steps, StepLR every 10: parameters of every step, final state."""
    gamma, every, lines = 0.7, 10, []
    with engine(data, scratch, "mlp") as e:
        e.ask("initialize", 3)
        weights = e.arrays("read", "value", "FILE")
    # A slice of every tensor keeps the memory small; the rest gets zero gradients.
    chosen = {n: w.reshape(-1)[:4099] for n, w in weights.items()}
    feed = list(synthetic_gradients({n: w.shape for n, w in chosen.items()}, STEPS))
    for number, (kind, options, make, state_names) in enumerate(optimizers()):
        rates, history, state = run_torch(make, chosen, feed, gamma, torch.float64, every)
        _, history32, _ = run_torch(make, chosen, feed, gamma, torch.float32, every)
        worst = worst_state = worst_move = 0.0
        with engine(data, scratch, "mlp", kind, isa=("auto", "scalar")[number % 2], **options) as e:
            e.give("load", weights)
            for step in range(STEPS):
                whole = {n: np.zeros(w.shape, np.float32) for n, w in weights.items()}
                for n, g in feed[step].items():
                    whole[n].reshape(-1)[:g.size] = g
                e.give("feed", whole)
                e.ask("update", repr(rates[step]), step)
                ours = e.arrays("read", "value", "FILE")
                for n, w in chosen.items():
                    got = ours[n].reshape(-1)[:w.size]
                    for peer in (history, history32):
                        error = distance(got, peer[step][n])
                        worst = max(worst, error)
                        assert error <= PARAMETER_TOLERANCE, \
                            f"{kind} {options}, step {step}: {n} is off by {error:.3g}"
                    # The way travelled, which a small step would hide beside the weights.
                    move = distance(got - w.astype(np.float64), history[step][n] - w)
                    move32 = distance(history32[step][n] - w, history[step][n] - w)
                    if np.any(history[step][n] != w):
                        worst_move = max(worst_move, move / max(1e-6, 2 * move32))
                        assert move <= max(1e-6, 2 * move32), \
                            f"{kind} {options}, step {step}: {n} moved {move:.3g} off"
            saved = e.arrays("save-state", "FILE", STEPS)
            assert saved.pop("step") == STEPS
            assert set(saved) == {f"{n}.{s}" for n in weights for s in state_names}, sorted(saved)
            for n, w in chosen.items():
                for mine, theirs in state_names.items():
                    error = distance(saved[f"{n}.{mine}"].reshape(-1)[:w.size], state[n][theirs])
                    worst_state = max(worst_state, error)
                    assert error <= 2e-6, f"{kind} {options}: {n}.{mine} is off by {error:.3g}"
        lines.append(f"\n    {kind} {options}: parameters {worst:.2g}, way travelled "
                     f"{worst_move:.2f} of the limit, state {worst_state:.2g}")
    return "".join(lines)


def check_average(data, scratch):
    """The saved weights are PyTorch's AveragedModel of those of each step, updated before the first
    too; what is evaluated are they, and the weights that steps move are in the optimiser's file."""
    decay, steps, worst = 0.9, 12, 0.0
    bits = set()
    for isa in ("auto", "scalar"):
        with engine(data, scratch, "mlp", "sgd", isa=isa, momentum=0.9, ema=decay) as e:
            e.ask("initialize", 5)
            net = net_of("mlp", e.arrays("read", "value", "FILE"), torch.float64)
            averaged = torch.optim.swa_utils.AveragedModel(
                net, avg_fn=lambda mean, value, _: mean.lerp(value, 1 - decay))
            averaged.update_parameters(net)
            for step in range(steps):
                e.ask("step", 64 * step, 64, 1, step, 0.05)
                raw = e.arrays("read", "value", "FILE")
                net.load_state_dict({n: torch.from_numpy(w.copy()) for n, w in raw.items()})
                averaged.update_parameters(net)
            saved = e.arrays("save", "FILE")
            state = e.arrays("save-state", "FILE", steps)
            tested = e.ask("evaluate", 1000, 200)
        expected = averaged.module.state_dict()
        for name, w in saved.items():
            error, gap = distance(w, expected[name].numpy()), distance(raw[name], w)
            worst = max(worst, error)
            assert error <= PARAMETER_TOLERANCE, f"the average of {name} is off by {error:.3g}"
            assert gap > 100 * error, f"{name} and its average are the same"
            assert np.array_equal(state[f"{name}.raw"], raw[name]), name
        with engine(data, scratch, "mlp", "sgd", isa=isa) as e:
            e.give("load", saved)
            assert e.ask("evaluate", 1000, 200) == tested, "what is evaluated is not what is saved"
        bits.add((*tested, *(w.tobytes() for w in saved.values())))
    assert len(bits) == 1, "instruction sets differ"
    return f"off by {worst:.2g} after {steps} steps"


def check_schedule(data, scratch):
    """The learning rates of a whole run are those of PyTorch's StepLR, to the last bit."""
    epochs, gamma = 6, 0.7
    peer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(peer, 1, gamma=gamma)
    expected = []
    for _ in range(epochs):
        expected.append(peer.param_groups[0]["lr"])
        peer.step()
        schedule.step()
    with engine(data, scratch, "mlp", "sgd", lr=0.05, gamma=gamma, epochs=epochs, train_size=200,
                test_size=50) as e:
        e.ask("initialize", 1)
        rates = [float(w) for w in e.ask("train")[::3]]
    assert rates == expected, (rates, expected)
    return f"{epochs} epochs"


# Closed forms and PyTorch's, which goes from one rate to the next, round differently.
RATE_TOLERANCE = 1e-12


def rates_of_torch(make, lr, steps, every):
    """The rate of each step; the schedule moves after every so many."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < steps:
            schedule.step()
    return rates


def check_schedules(data, scratch):
    """The rates of every step are PyTorch's: by epochs, by steps, and after a warm-up."""
    torch_of = torch.optim.lr_scheduler
    cycle = functools.partial(torch_of.OneCycleLR, cycle_momentum=False)
    own = dict(pct_start=0.25, div_factor=10.0, final_div_factor=100.0)
    cases = []
    for epochs, each in ((1, 1), (1, 7), (5, 20), (30, 20), (3, 1)):
        steps = epochs * each
        cases += [
            (epochs, each, each, dict(schedule="step", gamma=0.9),
             lambda o: torch_of.StepLR(o, 1, gamma=0.9)),
            (epochs, each, each, dict(schedule="cosine"),
             lambda o, epochs=epochs: torch_of.CosineAnnealingLR(o, epochs)),
            (epochs, each, each, dict(schedule="cosine", lr_min=0.001),
             lambda o, epochs=epochs: torch_of.CosineAnnealingLR(o, epochs, 0.001)),
            (epochs, each, 1, dict(schedule="onecycle"),
             lambda o, steps=steps: cycle(o, 0.05, total_steps=steps)),
            (epochs, each, 1, dict(schedule="onecycle", **own),
             lambda o, steps=steps: cycle(o, 0.05, total_steps=steps, **own))]
    worst = 0.0
    for epochs, each, every, options, make in cases:
        steps = epochs * each
        expected = rates_of_torch(make, 0.05, steps, every)
        for warmup in (0, 3) if every == each > 1 else (0,):
            # LinearLR from 1/n to 1 in n - 1 further steps; then the schedule, from its beginning.
            grown = [0.05 * (i + 1) / (warmup * each) for i in range(warmup * each)]
            with engine(data, scratch, "mlp", "sgd", lr=0.05, epochs=epochs + warmup,
                        warmup=warmup, **options) as e:
                rates = [float(w) for w in e.ask("rates", steps + warmup * each, each)]
            for step, (ours, theirs) in enumerate(zip(rates, grown + expected, strict=True)):
                worst = max(worst, abs(ours - theirs) / 0.05)
                assert abs(ours - theirs) <= RATE_TOLERANCE * 0.05, \
                    f"{options}, {epochs} epochs of {each}, step {step}: {ours}, not {theirs}"
    with engine(data, scratch, "mlp", "sgd", lr=0.05, schedule="onecycle", epochs=3,
                train_size=200, test_size=50) as e:
        last = [float(w) for w in e.ask("rates", 12, 4)][3::4]
        e.ask("initialize", 1)
        assert [float(w) for w in e.ask("train")[::3]] == last, "training has other rates"
    return f"{len(cases)} schedules, rates off by {worst:.2g} of the greatest"
