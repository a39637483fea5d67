"""ResNet-18 and ResNet-50 against torchvision: names, shapes and order of the state dict, parameters,
multiply-accumulates; files both ways; and training steps from identical weights, running statistics
and batches: loss, every gradient, running statistics. PyTorch's float64 is the truth, its float32 the
measure.

environment: as test_torch.py; ISOBIT_RESNET_STEPS=20 takes 20 steps of 32 images of each model
(minutes), else ResNet-18 takes 4 of 16 and ResNet-50 1."""
import json
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch_peer as peer  # exits 77 without PyTorch
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    import torchvision
except ImportError as missing:
    print(f"skipped: {sys.executable} has no torchvision ({missing}); Debian: python3-torchvision")
    sys.exit(77)

MODELS = ("resnet18", "resnet50")
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
RUNNING_TOLERANCE = 1e-6
LOGIT_TOLERANCE = 1e-4


def net_of(model, dtype=torch.float32, state=None):
    """torchvision's network with one channel in and ten classes."""
    net = getattr(torchvision.models, model)(num_classes=10)
    net.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    if state is not None:
        net.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in state.items()})  # strict
    return net.to(dtype)


# ---- decisions of ReLUs and the pool ---------------------------------------------------------------

class Recorded(nn.Module):
    """A ReLU that keeps what it was given, in order of the calls."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def forward(self, a):
        self.seen.append(a.detach().double())
        return F.relu(a)


class Taken:
    """The engine's decisions in place of the network's own. They may differ where float32 cannot
    tell: where the margin is within 4 times the greatest error of PyTorch's float32 there."""

    def __init__(self, positive, argmax, single):
        self.positive, self.argmax, self.single = positive, argmax, single
        self.at, self.count, self.worst = 0, 0, 0.0

    def allow(self, margin, differs, error):
        self.count += int(differs.sum())
        if differs.any():
            worst = (margin[differs].max() / error).item()
            self.worst = max(self.worst, worst)
            assert worst <= 4, f"a decision is wrong by {worst:.3g} times float32's error"


class TakenRelu(nn.Module):
    def __init__(self, taken):
        super().__init__()
        self.taken = taken

    def forward(self, a):
        t = self.taken
        positive, b = t.positive[t.at], a.detach()
        t.allow(b.abs(), (b > 0) != positive, (b - t.single[t.at]).abs().max())
        t.at += 1
        return a * positive


class TakenPool(nn.Module):
    def __init__(self, taken):
        super().__init__()
        self.taken = taken

    def forward(self, a):
        framed = F.pad(a, (1, 1, 1, 1), value=float("-inf"))
        windows = framed.unfold(2, 3, 2).unfold(3, 3, 2).flatten(4)
        chosen = windows.gather(-1, self.taken.argmax.unsqueeze(-1)).squeeze(-1)
        margin = windows.detach().amax(-1) - chosen.detach()
        error = (F.relu(self.taken.single[0]) - a.detach()).abs().max()
        self.taken.allow(margin, margin > 0, error)
        return chosen


def blocks_of(net):
    return [block for stage in range(1, 5) for block in getattr(net, f"layer{stage}")]


def replace_relus(net, relu):
    net.relu = relu
    for block in blocks_of(net):
        block.relu = relu
    return net


def rows_of(net):
    """Our rows: (name, ends in a ReLU), in order."""
    rows = [("conv1", False), ("bn1", True), ("maxpool", False)]
    for stage in range(1, 5):
        for index, block in enumerate(getattr(net, f"layer{stage}")):
            last = 3 if hasattr(block, "conv3") else 2
            prefix = f"layer{stage}.{index}."
            for n in range(1, last + 1):
                rows.append((f"{prefix}conv{n}", False))
                rows.append((f"{prefix}bn{n}", n < last or block.downsample is None))
            if block.downsample is not None:
                rows += [(prefix + "downsample.0", False), (prefix + "downsample.1", True)]
    return rows


def take_decisions(e, net, count, single):
    """Puts the engine's decisions of the pass just made in place of the network's own."""
    positive, argmax = [], None
    for row, (name, relu) in enumerate(rows_of(net)):
        if name == "maxpool":
            cells = e.arrays("activations", row, count, "FILE")["argmax"]
            cells = cells.reshape(count, 7, 7, 64).astype(np.int64)
            argmax = torch.from_numpy(cells).permute(0, 3, 1, 2)
        elif relu:
            y = torch.from_numpy(e.arrays("activations", row, count, "FILE")["y"].copy())
            shape = single[len(positive)].shape
            y = y.reshape(count, shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
            positive.append(y > 0)
    taken = Taken(positive, argmax, single)
    replace_relus(net, TakenRelu(taken)).maxpool = TakenPool(taken)
    return taken


# ---- steps ---------------------------------------------------------------------------------------

def pass_of(net, x, y):
    net.train()
    net.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    gradients = {n: p.grad.double().numpy() for n, p in net.named_parameters()}
    running = {n: b.double().numpy() for n, b in net.named_buffers()}
    return loss.item(), gradients, running


class Worst:
    def __init__(self):
        self.loss = self.gradient = self.theirs = self.ratio = self.running = self.running32 = self.margin = 0.0
        self.where, self.edges = "", []


def compare_step(e, data, model, first, count, step, worst):
    before = e.arrays("read", "value", "FILE")
    loss = e.loss("gradients", first, count, 1, step)
    after = e.arrays("read", "value", "FILE")
    gradients = e.arrays("read", "gradient", "FILE")
    x, y = data.inputs(first, count, torch.float64), data.targets(first, count)
    loss64, g64, r64 = pass_of(net_of(model, torch.float64, before), x, y)
    single = []
    _, g32, r32 = pass_of(replace_relus(net_of(model, torch.float32, before), Recorded(single)),
                          data.inputs(first, count, torch.float32), y)
    error = abs(loss - loss64) / loss64
    worst.loss = max(worst.loss, error)
    assert error <= LOSS_TOLERANCE, f"loss {loss} where float64 gives {loss64}"
    assert sorted(gradients) == sorted(g64)
    theirs = {n: peer.distance(g32[n], g) for n, g in g64.items()}
    limits = {n: max(GRADIENT_TOLERANCE, 2 * d) for n, d in theirs.items()}
    if any(peer.distance(gradients[n], g) > limits[n] for n, g in g64.items()):
        net = net_of(model, torch.float64, before)
        taken = take_decisions(e, net, count, single)
        _, g64, _ = pass_of(net, x, y)
        assert taken.count > 0, "no decision of a ReLU or pool explains the gradients"
        worst.edges.append(taken.count)
        worst.margin = max(worst.margin, taken.worst)
    for name, g in g64.items():
        ours = peer.distance(gradients[name], g)
        assert ours <= limits[name], \
            f"gradient of {name}: off by {ours:.3g}, PyTorch's float32 by {theirs[name]:.3g}"
        worst.ratio = max(worst.ratio, ours / limits[name])
        worst.theirs = max(worst.theirs, theirs[name])
        if ours > worst.gradient:
            worst.gradient, worst.where = ours, name
    for name, r in r64.items():
        if name.endswith("num_batches_tracked"):
            assert after[name] == r == before[name] + 1, name
            continue
        ours, single = (float((np.abs(a - r) / np.maximum(1, np.abs(r))).max())
                        for a in (after[name], r32[name]))
        worst.running, worst.running32 = max(worst.running, ours), max(worst.running32, single)
        assert ours <= max(RUNNING_TOLERANCE, 2 * single), \
            f"{name}: off by {ours:.3g}, PyTorch's float32 by {single:.3g}"


def check_steps(data, scratch, model):
    full = int(os.environ.get("ISOBIT_RESNET_STEPS", "0"))
    steps, batch = (full, 32) if full else ((4, 16) if model == "resnet18" else (1, 16))
    worst = Worst()
    with peer.engine(data, scratch, model, "adam", lr=0.001) as e:
        e.ask("initialize", 7)
        start = e.arrays("read", "value", "FILE")
        for step in range(steps):
            try:
                compare_step(e, data, model, step * batch, batch, step, worst)
            except AssertionError as error:
                raise AssertionError(f"step {step}: {error}") from None
            e.ask("update", 0.001, step)
        moved = peer.distance(e.arrays("read", "value", "FILE")["fc.weight"], start["fc.weight"])
        assert moved > 1e-3, f"the steps moved fc.weight by {moved} only"
    return (f"{steps} steps of {batch}: loss {worst.loss:.2g}, gradients {worst.gradient:.2g} "
            f"({worst.where}; PyTorch's float32 {worst.theirs:.2g}), {worst.ratio:.2f} of the limit, "
            f"running statistics {worst.running:.2g} ({worst.running32:.2g}); {len(worst.edges)} batches on the edge of a "
            f"ReLU or pool ({sum(worst.edges)} decisions, margin {worst.margin:.2f} of float32's error)")


# ---- the model and its file ------------------------------------------------------------------------

def macs_of(net):
    """Multiply-accumulates of convolutions and linear layers, by hooks."""
    total = [0, 0]

    def count(module, inputs, output):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            total[0] += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.BatchNorm2d):
            total[1] += 4 * output[0].numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            total[1] += 2 * output[0].numel()
    hooks = [m.register_forward_hook(count) for m in net.modules()]
    net.eval()(torch.zeros(1, 1, 28, 28))
    for hook in hooks:
        hook.remove()
    return total[0], total[0] + total[1]


def check_model(data, scratch, model):
    net = net_of(model)
    parameters = sum(p.numel() for p in net.parameters())
    with peer.engine(data, scratch, model) as e:
        words = e.ask("describe")
        assert int(words[0]) == parameters, f"{words[0]} parameters, torchvision has {parameters}"
        assert words[4:] == list(net.state_dict()), "names or order of the state dict"
    text = subprocess.run([os.environ["ISOBIT"], "describe", "--model", model, "--json"],
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    described = json.loads(text.splitlines()[-1])
    macs, convention = macs_of(net)
    assert described["parameters"] == parameters
    assert described["macs"] == macs, (described["macs"], macs)
    assert described["macs_counting_tool"] == convention, (described, convention)
    return f"{parameters} parameters, {macs} MACs, {convention} by the counting tool's convention"


def check_file(data, scratch, model):
    """Ours into torchvision, strictly; torchvision's into ours; the same logits in evaluation."""
    greatest, path = 0.0, os.path.join(scratch, model + ".safetensors")
    x = data.inputs(data.test_first, 64, torch.float32)
    with peer.engine(data, scratch, model, "adam", lr=0.001) as e:
        e.ask("initialize", 3)
        for step in range(3):
            e.ask("step", 32 * step, 32, 1, step, 0.001)
        e.ask("save", path)
        saved = peer.read_safetensors(path)
        for name, tensor in net_of(model).state_dict().items():
            assert saved[name].shape == tuple(tensor.shape), (name, saved[name].shape)
            assert torch.from_numpy(saved[name].copy()).dtype == tensor.dtype, name
        assert saved["bn1.num_batches_tracked"] == 3
        torch.manual_seed(5)
        theirs = net_of(model)
        theirs.train()(data.inputs(0, 32, torch.float32))  # running statistics of its own
        for net in (net_of(model, torch.float32, saved), theirs):
            if net is theirs:
                e.give("load", {n: t.numpy() for n, t in theirs.state_dict().items()})
            ours = e.arrays("predict", data.test_first, 64, "FILE")["logits"]
            with torch.no_grad():
                greatest = max(greatest, float(np.abs(ours - net.eval()(x).numpy()).max()))
        e.ask("save", path)
        again = peer.read_safetensors(path)
        for name, tensor in theirs.state_dict().items():
            assert np.array_equal(again[name], tensor.numpy()), f"{name} changed on the way"
    assert greatest <= LOGIT_TOLERANCE, f"logits differ by {greatest:.3g}"
    return f"logits within {greatest:.2g}"


def check_initial(data, scratch, model):
    """Kaiming-normal by fan out, ones and zeros, torch.nn.Linear's default; every tensor its own."""
    worst, net = 0.0, net_of(model)
    with peer.engine(data, scratch, model) as e:
        e.ask("initialize", 1)
        drawn = e.arrays("read", "value", "FILE")
    flat = []
    for name, tensor in net.state_dict().items():
        values = drawn[name].ravel().astype(np.float64)
        if tensor.dim() == 4:
            fan_out = tensor.shape[0] * tensor.shape[2] * tensor.shape[3]
            z, n = values / np.sqrt(2 / fan_out), values.size
            scores = {"mean": z.mean() * np.sqrt(n), "variance": (np.mean(z * z) - 1) * np.sqrt(n / 2),
                      "skew": np.mean(z ** 3) * np.sqrt(n / 15),
                      "kurtosis": (np.mean(z ** 4) - 3) * np.sqrt(n / 96),
                      "neighbours": np.mean(z[1:] * z[:-1]) * np.sqrt(n - 1)}
            for what, score in scores.items():
                worst = max(worst, abs(score))
                assert abs(score) < 5, f"{name}: {what} is {score:.1f} sigmas off"
            flat.append(z[:3000])
        elif name == "fc.weight" or name == "fc.bias":
            bound = 1 / np.sqrt(net.fc.in_features)
            assert np.abs(values).max() <= bound * (1 + 1e-6)
            assert abs(values.mean()) < 5 * bound / np.sqrt(3 * values.size)
        else:
            want = 1 if name.endswith(("running_var", ".weight")) else 0
            assert np.all(values == want), name
    for a, x in enumerate(flat):
        for y in flat[:a]:
            n = min(x.size, y.size)
            score = abs(np.mean(x[:n] * y[:n])) * np.sqrt(n)
            assert score < 5.5, f"two convolutions are alike, {score:.1f} sigmas"
    return f"greatest deviation {worst:.1f} sigmas"


def main():
    torch.set_num_threads(min(2, len(os.sched_getaffinity(0))))
    failed = 0
    with peer.scratch_directory() as scratch:
        data = peer.find_data(scratch)
        print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}, "
              f"data set {data.name}")
        for model in MODELS:
            for check in (check_model, check_file, check_initial, check_steps):
                start = time.monotonic()
                try:
                    outcome = f"ok: {check.__name__} {model}: " + check(data, scratch, model)
                except Exception as error:  # every check has its say
                    failed += 1
                    if not isinstance(error, AssertionError):
                        traceback.print_exc(file=sys.stdout)
                    outcome = f"FAILED: {check.__name__} {model}: {error}"
                print(f"{outcome} [{time.monotonic() - start:.1f} s]", flush=True)
    return 1 if failed else 0


sys.exit(main())
