"""The changes of test_changes.py: what each may touch, and how it is seen to work."""
import json
import os
import random
import struct
import subprocess
from collections import namedtuple

DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
# A slow and two fast ways to the same bits.
WAYS = (("scalar", 1), ("auto", 2), ("auto", 3))


def small(images=640):
    return "--epochs", "1", "--train-size", str(images), "--test-size", "200"


class Program:
    """An isobit that was built with a change, and a directory of its own."""

    def __init__(self, path, directory):
        self.path, self.directory = path, directory
        os.makedirs(directory)

    def run(self, *words, code=0):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("ISOBIT")}
        done = subprocess.run([self.path, *words], cwd=self.directory, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        assert done.returncode == code, f"{' '.join(words)}: exit {done.returncode}: {done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def train(self, *words, dataset="digits", data=DATA):
        return json.loads(self.run("train", "--dataset", dataset, "--data-dir", data, "--runs-dir",
                                   os.path.join(self.directory, "runs"), "--json", *words))

    def train_all_ways(self, *words, images=640):
        """The same bits from the reference and the kernels, whatever the number of threads."""
        runs = [self.train(*small(images), *words, "--isa", isa, "--threads", str(threads))
                for isa, threads in WAYS]
        for name in ("model_sha256", "optimizer_sha256"):
            found = {r[name] for r in runs}
            assert len(found) == 1, f"{name} of {WAYS}: {[r[name] for r in runs]}"
        assert runs[0]["test_accuracy"] > 0.3, f"accuracy {runs[0]['test_accuracy']}"
        return runs[0]


def told(run):
    return f"{run['test_accuracy']:.0%} right, {run['model_sha256'][:12]} in {len(WAYS)} ways"


def tensors(path):
    """The tensors of a safetensors file: name, (dtype, shape, bytes)."""
    with open(path, "rb") as stream:
        head = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
        body = stream.read()
    head.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])])
            for name, t in head.items()}


def export_onnx(program, run):
    path = os.path.join(program.directory, "model.onnx")
    program.run("export", run["run_dir"], "--onnx", "--output", path)
    with open(path, "rb") as stream:
        return stream.read()


# ---- an operation -------------------------------------------------------------------------------

LEAKY = """name: leakymlp
rows:
  - flatten
  - linear: {name: fc1, out: 64}
  - leaky-relu: {name: leaky, p: 0.01}
  - linear: {name: fc2, out: classes}
"""


def leaky_mlp(program):
    path = os.path.join(program.directory, "leakymlp.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(LEAKY)
    return path


def check_leaky_relu(program):
    run = program.train_all_ways("--model", leaky_mlp(program))
    assert b"LeakyRelu" in export_onnx(program, run), "no LeakyRelu in the ONNX graph"
    return told(run)


# ---- an optimiser -------------------------------------------------------------------------------

def check_rmsprop(program):
    words = ("--model", "mlp", "--optimizer", "rmsprop")
    run = program.train_all_ways(*words, "--lr", "0.001")
    kinds = {name.rsplit(".", 1)[-1]
             for name in tensors(os.path.join(run["run_dir"], "optimizer.safetensors"))}
    assert "square_avg" in kinds, f"the states are {kinds}"
    plain = program.train(*small(), *words)
    same = program.train(*small(), *words, "--rho", "0.99", "--eps", "1e-8", "--lr", "0.01")
    assert same["experiment_sha256"] == plain["experiment_sha256"], "the defaults are not PyTorch's"
    assert "rmsprop: 0.99" in " ".join(program.run("train", "--help").split()), "--help"
    assert "rmsprop" in program.run("completion", "bash"), "completion"
    assert "--beta1" in program.run("train", *words, "--beta1", "0.9", code=2), "--beta1"
    return told(run)


# ---- a data set ---------------------------------------------------------------------------------

COUNTS = (("train", 60000), ("t10k", 10000))


def write_stand_in(directory):
    """The files whose SHA-256 stand in kmnist.patch: ten patterns of noise, rolled."""
    shapes = [random.Random(number).randbytes(784) for number in range(10)]
    os.makedirs(directory)
    for part, count in COUNTS:
        with open(f"{directory}/{part}-images-idx3-ubyte", "wb") as stream:
            stream.write(struct.pack(">4I", 2051, count, 28, 28))
            for i in range(count):
                shape, by = shapes[i * 7 % 10], i % 29
                stream.write(shape[by:] + shape[:by])
        with open(f"{directory}/{part}-labels-idx1-ubyte", "wb") as stream:
            stream.write(struct.pack(">2I", 2049, count) + bytes(i * 7 % 10 for i in range(count)))


def check_kmnist(program):
    data = os.path.join(program.directory, "data")
    folder = os.path.join(data, "kmnist")
    where = ("--dataset", "kmnist", "--data-dir", data)
    program.run("data", "verify", *where, code=3)
    write_stand_in(folder)
    program.run("data", "verify", *where)
    assert "kmnist" in program.run("data", "show"), "data show"
    run = program.train("--model", "mlp", *small(), dataset="kmnist", data=data)
    with open(os.path.join(run["run_dir"], "run.json"), encoding="utf-8") as stream:
        assert '"kmnist"' in stream.read(), "run.json does not name the data set"
    with open(f"{folder}/t10k-labels-idx1-ubyte", "r+b") as stream:
        stream.seek(100)
        stream.write(b"\x09")
    program.run("data", "verify", *where, code=3)
    return f"verified, {run['test_accuracy']:.0%} right; a changed byte is found"


# ---- a network ----------------------------------------------------------------------------------

def check_lenet300(program):
    shown = program.run("describe", "--model", "lenet300")
    assert "266,610" in shown or "266610" in shown, shown
    run = program.train_all_ways("--model", "lenet300", "--optimizer", "adam", "--lr", "0.003",
                                 images=1280)
    assert b"fc3.bias" in export_onnx(program, run), "fc3.bias is not in the ONNX graph"
    # the same rows in a user's own file are the same network
    path = os.path.join(program.directory, "own.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(program.run("model", "show", "lenet300"))
    ones = [program.train(*small(), "--model", model) for model in ("lenet300", path)]
    assert ones[0]["experiment_sha256"] == ones[1]["experiment_sha256"], "another experiment"
    return f"266610 parameters; {told(run)}"


# ---- a backend ----------------------------------------------------------------------------------

def check_stub_backend(program):
    words = ("train", "--dataset", "digits", "--data-dir", DATA, "--model", "mlp", *small())
    said = program.run(*words, "--backend", "stub", code=6)
    assert "the backend stub cannot compute" in said, said
    assert "stub" in program.run("train", "--help"), "--help does not name it"
    assert program.train("--model", "mlp", *small())["backend"] == "cpu", "auto is another now"
    assert "stub: available" in program.run("devices"), "devices"
    return "exit 6: " + said.strip().splitlines()[-1]


# ---- two of them beside PyTorch -----------------------------------------------------------------

TORCH_STEPS = 20


def beside_torch(program):
    """leakymlp under RMSprop, whole batches of the first 64 digits: float32's distance from PyTorch,
    whose own weights start where ours do."""
    try:
        import torch
    except ImportError:
        return "skipped: no PyTorch"
    words = ("--model", leaky_mlp(program), "--optimizer", "rmsprop", "--schedule", "constant",
             "--train-size", "64", "--batch-size", "64", "--test-size", "64")

    def weights_of(*more):
        run = program.train(*words, *more)
        found = tensors(os.path.join(run["run_dir"], "model.safetensors"))
        return {name: torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(shape)
                for name, (_, shape, raw) in found.items()}

    start = weights_of("--lr", "0", "--epochs", "1")
    ours = weights_of("--epochs", str(TORCH_STEPS))
    net = torch.nn.Sequential()
    net.add_module("fc1", torch.nn.Linear(784, 64))
    net.add_module("leaky", torch.nn.LeakyReLU(0.01))
    net.add_module("fc2", torch.nn.Linear(64, 10))
    net.load_state_dict(start)
    with open(os.path.join(DATA, "digits", "train-images-idx3-ubyte"), "rb") as stream:
        pixels = torch.frombuffer(bytearray(stream.read(16 + 64 * 784)[16:]), dtype=torch.uint8)
    with open(os.path.join(DATA, "digits", "train-labels-idx1-ubyte"), "rb") as stream:
        labels = torch.tensor(list(stream.read(8 + 64)[8:]))
    images = (pixels.reshape(64, 784).float() / 255 - 0.1198) / 0.2610
    optimizer = torch.optim.RMSprop(net.parameters())
    for _ in range(TORCH_STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    worst = 0.0
    for name, theirs in net.state_dict().items():
        moved = (theirs - start[name]).norm().item()
        worst = max(worst, (ours[name] - theirs).norm().item() / moved)
    assert worst < 1e-4, f"after {TORCH_STEPS} steps {worst:.2g} of the way apart"
    return f"{TORCH_STEPS} steps of RMSprop end within {worst:.1g} of the way they went"


# allowed: lines that may be added to files that are there; nothing may be taken away. A definition
# belongs into NUMERICS.md whatever it costs.
Change = namedtuple("Change", "name allowed new_files check")
CHANGES = (
    Change("kmnist", {"src/catalog/datasets.c": 26}, 0, check_kmnist),
    Change("stub-backend", {"src/catalog/backends.inc": 1}, 1, check_stub_backend),
    Change("lenet300", {}, 1, check_lenet300),
    Change("leaky-relu", {"src/backend/operations.inc": 2, "NUMERICS.md": 4}, 3,  # a line each way
           check_leaky_relu),
    Change("rmsprop", {"src/catalog/optimizers.inc": 1, "NUMERICS.md": 4}, 4, check_rmsprop),
)
