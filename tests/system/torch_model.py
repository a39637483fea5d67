"""Initial weights, model files, dropout, evaluation and divergence against PyTorch."""
import itertools
import json
import math
import os
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

from torch_peer import (NETS, EngineError, engine, net_of, read_safetensors, trained_file,
                        write_safetensors)
from torch_training import Worst

REFUSED, DIVERGED = 3, 4


# ---- initial weights -----------------------------------------------------------------------------

def fan_in(shapes, name):
    weight = shapes[name.replace(".bias", ".weight")]
    return int(np.prod(weight[1:]))


def test_uniform(name, values, bound):
    """values are U(-bound, bound): range, mean, variance, shape, independence of neighbours.
    Returns the greatest deviation in sigmas (the shape's apart)."""
    v, n = values.ravel().astype(np.float64) / bound, values.size
    assert np.abs(v).max() <= 1 + 1e-7, f"{name}: {np.abs(v).max()} beyond the bound"
    if n > 1000:
        assert np.abs(v).max() > 1 - 10 / n, f"{name}: the bound is never reached"
    scores = {"mean": v.mean() * math.sqrt(3 * n),
              "variance": (np.mean(v * v) - 1 / 3) / math.sqrt(4 / 45 / n)}
    for lag in (1, 4, 16, 64, 128, 512):
        if n > 4 * lag:
            scores[f"lag {lag}"] = np.mean(v[lag:] * v[:-lag]) * 3 * math.sqrt(n - lag)
    for what, score in scores.items():
        assert abs(score) < 4.5, f"{name}: {what} is {score:.1f} sigmas off"
    ordered = (np.sort(v) + 1) / 2
    ks = max((np.arange(1, n + 1) / n - ordered).max(), (ordered - np.arange(n) / n).max())
    assert ks * math.sqrt(n) < 2.0, f"{name}: not uniform, KS {ks * math.sqrt(n):.2f}"
    return max(abs(s) for s in scores.values())


def correlation(a, b):
    """In sigmas, of two independent samples of U(-1, 1)."""
    n = min(a.size, b.size)
    a, b = (x.ravel()[:n] / np.abs(x).max() for x in (a.astype(np.float64), b.astype(np.float64)))
    return abs(np.mean(a * b)) * 3 * math.sqrt(n)


def check_initial(data, scratch):
    """torch.nn's default distribution, different for every tensor and every bit of the seed."""
    seeds = (1, 2, 3, 0, 1 + 2**32, 2**64 - 1)
    worst = worst_pair = 0.0
    for model, net in NETS.items():
        drawn = {}
        with engine(data, scratch, model) as e:
            for seed in seeds:
                e.ask("initialize", seed)
                drawn[seed] = e.arrays("read", "value", "FILE")
            e.ask("initialize", 1)
            again = e.arrays("read", "value", "FILE")
        shapes = {n: p.shape for n, p in net().named_parameters()}
        for seed, (name, shape) in itertools.product(seeds, shapes.items()):
            bound = 1 / math.sqrt(fan_in(shapes, name))
            worst = max(worst, test_uniform(f"{model} {name}, seed {seed}", drawn[seed][name],
                                            bound))
            # What torch.nn draws by default is of that same kind.
        torch.manual_seed(1)
        for name, p in net().named_parameters():
            test_uniform(f"PyTorch's {name}", p.detach().numpy(),
                         1 / math.sqrt(fan_in(shapes, name)))
        assert all(np.array_equal(again[n], drawn[1][n]) for n in shapes), "seed 1 twice"
        everything = [((s, n), drawn[s][n]) for s in seeds for n in shapes]
        for (a, x), (b, y) in itertools.combinations(everything, 2):
            score = correlation(x, y)
            worst_pair = max(worst_pair, score)
            assert score < 5, f"{model}: {a} and {b} are alike, {score:.1f} sigmas"
    return f"greatest deviation {worst:.1f} sigmas, of pairs {worst_pair:.1f} sigmas"


# ---- files ---------------------------------------------------------------------------------------

def check_model_file(data, scratch):
    """PyTorch loads our file, strictly, and gives the same logits; we load one written here."""
    greatest = 0.0
    path = os.path.join(scratch, "model.safetensors")
    for model, net in NETS.items():
        names = list(net().state_dict())
        with engine(data, scratch, model) as e:
            words = e.ask("describe")
            assert int(words[0]) == sum(p.numel() for p in net().parameters()), words[0]
            assert words[4:] == names, f"order of tensors: {words[4:]}"
            e.ask("load", trained_file(data, scratch, model))
            e.ask("save", path)
            saved = read_safetensors(path)
            assert set(saved) == set(names)
            for name, tensor in net().state_dict().items():
                assert saved[name].shape == tuple(tensor.shape), (name, saved[name].shape)
                assert saved[name].dtype == np.float32
            peer = net_of(model, saved, torch.float32)  # strict
            for first in range(data.test_first, data.test_first + 256, 64):
                ours = e.arrays("predict", first, 64, "FILE")["logits"]
                with torch.no_grad():
                    theirs = peer(data.inputs(first, 64, torch.float32)).numpy()
                greatest = max(greatest, float(np.abs(ours - theirs).max()))
            assert greatest <= 1e-4, f"{model}: logits differ by {greatest:.3g}"
            torch.manual_seed(5)
            peer = NETS[model]()
            e.give("load", {n: t.numpy() for n, t in peer.state_dict().items()})
            ours = e.arrays("predict", data.test_first, 64, "FILE")["logits"]
            with torch.no_grad():
                theirs = peer(data.inputs(data.test_first, 64, torch.float32)).numpy()
            greatest = max(greatest, float(np.abs(ours - theirs).max()))
            assert greatest <= 1e-4, f"{model}, PyTorch's weights: logits differ by {greatest:.3g}"
    return f"logits within {greatest:.2g}"


# ---- dropout -------------------------------------------------------------------------------------

def bare_weights(e):
    """Weights that make every hidden activation exactly 1 before dropout."""
    weights = e.arrays("read", "value", "FILE")
    return {n: (np.ones if n.endswith("bias") else np.zeros)(w.shape, np.float32)
            for n, w in weights.items()}


def masks_of(e, net, count, seed, step):
    """The factor that dropout puts on every activation of each of its layers."""
    e.ask("gradients", 0, count, seed, step)
    return [e.arrays("activations", layer, count, "FILE")["y"]
            for _, _, layer in net.DROPOUTS]


def check_dropout_masks(data, scratch):
    """Rate within 4 sigmas, factors exact, mean kept, every mask its own."""
    worst = {"rate": 0.0, "pair": 0.0}
    for model, net in NETS.items():
        with engine(data, scratch, model) as e:
            e.give("load", bare_weights(e))
            masks = {key: masks_of(e, net, 64, *key) for key in
                     ((1, 0), (1, 1), (1, 2), (2, 0), (1 + 2**32, 0), (1, 2**32))}
            part = masks_of(e, net, 13, 1, 0)
            e.ask("dropout", 0)
            for mask in masks_of(e, net, 64, 1, 0):
                assert np.all(mask == 1), "activations without dropout"
        for index, (p, features, _) in enumerate(net.DROPOUTS):
            scale = np.float32(1 / (1 - p))
            for key, mask in masks.items():
                m = mask[index]
                assert m.shape == (64, features), m.shape
                assert np.all((m == 0) | (m == scale)), f"{model}: factors {np.unique(m)[:5]}"
                dropped = m == 0
                sigma = math.sqrt(p * (1 - p) / m.size)
                score = abs(dropped.mean() - p) / sigma
                mean = abs(m.mean(dtype=np.float64) - 1) / (sigma / (1 - p))
                worst["rate"] = max(worst["rate"], score, mean)
                assert score < 4 and mean < 4, \
                    f"{model} dropout {index} {key}: rate {dropped.mean():.5f}, {score:.1f} sigmas"
                # Every sample and every feature drops at the same rate.
                for axis, n in ((1, features), (0, 64)):
                    rates = np.abs(dropped.mean(axis=axis) - p).max() / math.sqrt(p * (1 - p) / n)
                    assert rates < 6, f"{model} dropout {index}: a line is {rates:.1f} sigmas off"
            assert np.array_equal(part[index], masks[1, 0][index][:13]), \
                "a sample's mask depends on the size of the batch"
        flat = {(key, i): (m.ravel() == 0) - net.DROPOUTS[i][0]
                for key, mask in masks.items() for i, m in enumerate(mask)}
        for (a, x), (b, y) in itertools.combinations(flat.items(), 2):
            n = min(x.size, y.size)
            score = abs(np.mean(x[:n] * y[:n])) * math.sqrt(n) / (x.std() * y.std())
            worst["pair"] = max(worst["pair"], score)
            assert score < 5, f"{model}: masks {a} and {b} are alike, {score:.1f} sigmas"
        for mask in masks[1, 0]:
            rows = (mask == 0) - (mask == 0).mean()
            score = np.abs((rows[1:] * rows[:-1]).mean()) * math.sqrt(mask.size) / rows.var()
            assert score < 5, f"{model}: neighbouring samples are dropped alike"
    return f"rate and mean {worst['rate']:.1f} sigmas, pairs {worst['pair']:.1f} sigmas"


def check_dropout_gradients(data, scratch):
    """Training as it is, dropout on: PyTorch with the same masks gives the same gradients."""
    worst = Worst()
    for model, net in NETS.items():
        with engine(data, scratch, model) as bare, engine(data, scratch, model) as e:
            bare.give("load", bare_weights(bare))
            e.ask("load", trained_file(data, scratch, model))
            weights = e.arrays("read", "value", "FILE")
            for step, count in ((0, 64), (5, 21)):
                masks = [torch.from_numpy(m.copy()) for m in masks_of(bare, net, count, 9, step)]
                loss = e.loss("gradients", 500, count, 9, step)
                worst.compare(e, data, model, weights, 500, count, loss, masks)
    return worst.text()


# ---- evaluation ----------------------------------------------------------------------------------

def check_evaluation(data, scratch):
    """Loss, accuracy and confusion matrix over test images; the batch changes nothing."""
    first, count, worst, skipped = data.test_first, 1000, 0.0, 0
    for model in NETS:
        path = trained_file(data, scratch, model)
        peer = net_of(model, read_safetensors(path), torch.float64)
        with torch.no_grad():
            logits = torch.cat([peer(data.inputs(first + i, 250, torch.float64))
                                for i in range(0, count, 250)])
        y = data.targets(first, count)
        loss = F.cross_entropy(logits, y).item()
        answers = []
        for batch in (1, 64):
            with engine(data, scratch, model, capacity=batch) as e:
                e.ask("load", path)
                answers.append(e.ask("evaluate", first, count))
        with engine(data, scratch, model, capacity=250) as e:
            e.ask("load", path)
            answers.append(e.ask("evaluate", first, count))
            ours = np.concatenate([e.arrays("predict", first + i, 250, "FILE")["predictions"]
                                   for i in range(0, count, 250)])
        assert answers[0] == answers[1] == answers[2], f"{model}: the batch changes the evaluation"
        error = abs(float(answers[0][0]) - loss) / loss
        worst = max(worst, error)
        assert error <= 1e-6, f"{model}: test loss {answers[0][0]} where float64 gives {loss}"
        top = logits.topk(2, dim=1).values
        clear = (top[:, 0] - top[:, 1]).numpy() > 1e-5
        skipped += int((~clear).sum())
        theirs = logits.argmax(1).numpy()
        assert np.array_equal(ours[clear], theirs[clear]), f"{model}: predictions"
        correct = int((ours == y.numpy()).sum())
        assert int(answers[0][1]) == correct and float(answers[0][2]) == correct / count
        confusion = np.zeros((10, 10), int)
        np.add.at(confusion, (y.numpy(), ours), 1)
        assert np.array_equal(confusion.ravel(), np.array(answers[0][3:], int)), "confusion"
    return f"loss {worst:.2g}, predictions equal ({skipped} near ties left out)"


# ---- divergence ----------------------------------------------------------------------------------

def planted(e, model, isa, name, elements, value):
    """What the engine says about a step with one such weight; fails if it says nothing."""
    e.ask("initialize", 1)
    e.ask("plant", name, elements // 2, value)
    try:
        e.ask("step", 0, 2, 1, 6, 0.01)
    except EngineError as error:
        assert error.status == DIVERGED, str(error)
        assert "step 7" in error.message, error.message
        return error.message
    raise AssertionError(f"{value} in {name} ({model}, {isa}) went unnoticed")


def check_planted(data, scratch):
    """One inf or NaN among the weights ends the step with status 4, naming step and tensor, on
    every instruction set and with every optimiser."""
    cases, misnamed = 0, []
    with engine(data, scratch, "mlp") as e:
        isas = e.ask("isas")
    kinds = [(model, isa, "sgd") for model in NETS for isa in isas]
    kinds += [("mlp", "auto", "adadelta"), ("mlp", "auto", "adam")]
    for model, isa, optimizer in kinds:
        shapes = {n: p.numel() for n, p in NETS[model]().named_parameters()}
        whole = optimizer == "sgd" and (model, isa) != ("cnn", "scalar")
        values = ("inf", "-inf", "nan") if whole else ("inf",)
        # Optimiser state outlives a failed step: only plain SGD may use one engine for all.
        groups = [list(itertools.product(shapes, values))]
        if optimizer != "sgd":
            groups = [[case] for case in groups[0][::2]]
        for group in groups:
            with engine(data, scratch, model, optimizer, isa=isa) as e:
                for name, value in group:
                    message = planted(e, model, isa, name, shapes[name], value)
                    cases += 1
                    if name not in message:
                        misnamed.append(f"{value} in {name} ({model}, {isa}): {message}")
    assert not misnamed, f"{len(misnamed)} of {cases} misnamed, first: {misnamed[0]}"
    return f"{cases} planted values found and named"


def run_cli(directory, *words):
    return subprocess.run([os.environ["ISOBIT"], "train", "--epochs", "1", "--train-size", "640",
                           "--test-size", "100", "--runs-dir", directory, *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check_diverging_runs(data, scratch):
    """The command line: exit 4 with step and tensor, by the rate; a file with a planted weight is
    refused."""
    common = ("--dataset", data.name, "--data-dir", data.directory)
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        good = run_cli(directory, "--model", "mlp", *common, "--json")
        assert good.returncode == 0, good.stderr
        assert len(json.loads(good.stdout.splitlines()[-1])["model_sha256"]) == 64
        for optimizer, model in (("adadelta", "cnn"), ("sgd", "mlp"), ("adam", "mlp")):
            ended = run_cli(directory, "--model", model, *common, "--optimizer", optimizer, "--lr",
                            "1e30", "--json")
            assert ended.returncode == DIVERGED, (optimizer, ended.returncode, ended.stderr)
            assert "step" in ended.stderr, ended.stderr
        for name in ("conv2.weight", "fc2.bias"):
            weights = dict(read_safetensors(trained_file(data, scratch, "cnn")))
            weights[name] = weights[name].copy()
            weights[name].flat[3] = np.inf
            path = os.path.join(directory, "planted.safetensors")
            write_safetensors(path, weights)
            ended = run_cli(directory, "--model", "cnn", *common, "--init-model", path)
            assert ended.returncode == REFUSED, (name, ended.returncode, ended.stderr)
            assert f"element 3 of tensor {name} is not finite" in ended.stderr, ended.stderr
    return "exit 4, and 3 for the file"
