"""What test_torch.py stands on: the engine as a process, files, data, and the networks in PyTorch."""
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as error:
    print(f"skipped: {sys.executable} has no PyTorch ({error}); Debian: python3-torch")
    sys.exit(77)

TOOL = os.path.join(os.environ["BUILD_DIR"], "tests", "engine_tool")
MEAN, DEVIATION = 0.1307, 0.3081
TYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}


# ---- files ---------------------------------------------------------------------------------------

def read_safetensors(path):
    """Name -> array, in the order of the file."""
    with open(path, "rb") as stream:
        content = stream.read()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + size])
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = np.frombuffer(content[8 + size + begin:8 + size + end], TYPES[entry["dtype"]])
        arrays[name] = data.reshape(entry["shape"])
    return arrays


def write_safetensors(path, arrays):
    """F32 and I64 arrays; the wider first, so that all are aligned."""
    header, offset, ordered = {}, 0, sorted(arrays.items(), key=lambda item: item[1].itemsize < 8)
    for name, array in ordered:
        size = array.itemsize * array.size
        header[name] = {"dtype": {"<i8": "I64", "<f4": "F32"}[array.dtype.newbyteorder("<").str],
                        "shape": list(array.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for _, array in ordered:
            stream.write(np.ascontiguousarray(array).tobytes())


def scratch_directory():
    """In memory where there is room: the engine flushes every file it writes."""
    memory = "/dev/shm"
    room = os.path.isdir(memory) and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free
    return tempfile.TemporaryDirectory(dir=memory if room and room > 2**29 else None)


# ---- data ----------------------------------------------------------------------------------------

class Data:
    """One data set: where the engine finds it, and its bytes read here from the idx files."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        folder = os.path.join(directory, name)
        images, labels = [], []
        for part in ("train", "t10k"):
            raw = np.fromfile(os.path.join(folder, part + "-images-idx3-ubyte"), np.uint8)
            images.append(raw[16:].reshape(-1, 28, 28))
            raw = np.fromfile(os.path.join(folder, part + "-labels-idx1-ubyte"), np.uint8)
            labels.append(raw[8:])
        self.test_first = len(images[0])
        self.images, self.labels = np.concatenate(images), np.concatenate(labels)

    def inputs(self, first, count, dtype):
        """Normalised as PyTorch's example does, the arithmetic in dtype."""
        v = torch.from_numpy(self.images[first:first + count].copy()).to(dtype)
        return ((v / 255 - MEAN) / DEVIATION).unsqueeze(1)

    def targets(self, first, count):
        return torch.from_numpy(self.labels[first:first + count].astype(np.int64))


def find_data(scratch):
    """Real MNIST where this machine has it, else the generated digits."""
    def prepare(directory, name, *mirror):
        return subprocess.run([TOOL, "prepare", directory, name, *mirror],
                              stderr=subprocess.DEVNULL).returncode == 0
    own, mirror = os.environ.get("ISOBIT_DATA_DIR"), os.environ.get("ISOBIT_MIRROR")
    if own and os.path.exists(os.path.join(own, "mnist", "t10k-labels-idx1-ubyte")):
        return Data(own, "mnist")
    if mirror and prepare(scratch, "mnist", mirror):
        return Data(scratch, "mnist")
    prepared = os.environ.get("ISOBIT_TEST_DATA")
    if prepared and os.path.isdir(os.path.join(prepared, "digits")):
        return Data(prepared, "digits")
    assert prepare(scratch, "digits"), "engine_tool cannot generate the data set digits"
    return Data(scratch, "digits")


# ---- the engine ----------------------------------------------------------------------------------

class EngineError(Exception):
    def __init__(self, status, message):
        super().__init__(f"status {status}: {message}")
        self.status, self.message = status, message


class Engine:
    """One model in one engine_tool process."""

    def __init__(self, data, scratch, model, optimizer="adadelta", isa="auto", threads=2,
                 capacity=64, **options):
        words = [w for key, value in options.items()
                 for w in (key.replace("_", "-"), str(value))]
        self.file = os.path.join(scratch, "exchange.safetensors")
        self.process = subprocess.Popen(
            [TOOL, model, optimizer, isa, str(threads), str(capacity), data.directory, data.name,
             *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        """The words of the answer; EngineError when the engine refuses."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"engine_tool died at: {words}, status {self.process.wait()}"
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "ok":
            return rest.split()
        status, _, message = rest.partition(" ")
        raise EngineError(int(status), message)

    def loss(self, *words):
        return float(self.ask(*words)[0])

    def arrays(self, *words):
        """The tensors a command writes to a file, given as the word FILE."""
        self.ask(*(self.file if word == "FILE" else word for word in words))
        return read_safetensors(self.file)

    def give(self, command, arrays):
        write_safetensors(self.file, arrays)
        self.ask(command, self.file)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0, "engine_tool failed at its end"


@contextlib.contextmanager
def engine(*arguments, **options):
    opened = Engine(*arguments, **options)
    try:
        yield opened
    except BaseException:
        opened.process.kill()
        opened.process.wait()
        raise
    opened.close()


def trained_file(data, scratch, model):
    """model.safetensors after 50 steps of 64 without dropout, written by the engine."""
    path = os.path.join(scratch, f"trained-{model}.safetensors")
    if not os.path.exists(path):
        with engine(data, scratch, model) as e:
            e.ask("dropout", 0)
            e.ask("initialize", 7)
            for step in range(50):
                e.ask("step", 64 * step, 64, 1, step, 1.0)
            e.ask("save", path)
    return path


# ---- the networks in PyTorch ---------------------------------------------------------------------

class Decisions:
    """What each ReLU and pool decided. A gradient jumps where an activation is so near to zero, or
    two of a window so near to each other, that float32 cannot tell; there the engine's decisions
    may be taken over, each checked to be such a case."""
    RESOLUTION = 2e-6  # of the layer's greatest activation

    def __init__(self, layers=None):
        self.layers, self.taken = layers, 0  # taken: decisions that differ from float64's own

    def _allow(self, margin, differs, scale):
        self.taken += int(differs.sum())
        if differs.any():
            worst = (margin[differs].max() / scale).item()
            assert worst <= self.RESOLUTION, f"a decision is wrong by {worst:.3g} of the layer"

    def relu(self, a, layer, mask):
        if self.layers is None:
            return F.relu(a) * mask
        positive = self.layers[layer]["positive"].reshape(a.shape)
        kept = torch.as_tensor(mask).expand_as(a) != 0
        b = a.detach()
        self._allow(b.abs(), ((b > 0) != positive) & kept, b.abs().max())
        return a * positive * mask

    def pool(self, a, layer):
        if self.layers is None:
            return F.max_pool2d(a, 2)
        windows = a.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
        chosen = windows.gather(-1, self.layers[layer]["argmax"].unsqueeze(-1)).squeeze(-1)
        margin = F.relu(windows.detach().amax(-1)) - F.relu(chosen.detach())
        self._allow(margin, margin > 0, a.detach().abs().max())
        return chosen


class Cnn(nn.Module):
    """The network of the PyTorch MNIST example; masks take the place of its dropout."""
    DROPOUTS = ((0.25, 64 * 12 * 12, 1), (0.5, 128, 2))  # p, features, our layer

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x, masks=(1, 1), decisions=None):
        d = decisions or Decisions()
        x = self.conv2(d.relu(self.conv1(x), 0, 1))
        x = d.relu(torch.flatten(d.pool(x, 1), 1), 1, masks[0])
        x = d.relu(self.fc1(x), 2, masks[1])
        return self.fc2(x)


class Mlp(nn.Module):
    DROPOUTS = ((0.2, 512, 0), (0.2, 512, 1))

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 512)
        self.fc2 = nn.Linear(512, 512)
        self.fc3 = nn.Linear(512, 10)

    def forward(self, x, masks=(1, 1), decisions=None):
        d = decisions or Decisions()
        x = d.relu(self.fc1(torch.flatten(x, 1)), 0, masks[0])
        return self.fc3(d.relu(self.fc2(x), 1, masks[1]))


def decisions_of(e, model, count):
    """The engine's own, of the pass just made."""
    layers = []
    for layer in range(3 if model == "cnn" else 2):
        stored = e.arrays("activations", layer, count, "FILE")
        y = torch.from_numpy(stored["y"].copy())
        if model == "cnn" and layer == 0:
            y = y.reshape(count, 26, 26, 32).permute(0, 3, 1, 2)
        found = {"positive": y > 0}
        if "argmax" in stored:
            cells = stored["argmax"].reshape(count, 12, 12, 64).astype(np.int64)
            found["argmax"] = torch.from_numpy(cells).permute(0, 3, 1, 2)
        layers.append(found)
    return Decisions(layers)


NETS = {"cnn": Cnn, "mlp": Mlp}


def net_of(model, arrays, dtype):
    net = NETS[model]().to(dtype)
    net.load_state_dict({name: torch.from_numpy(a.copy()).to(dtype) for name, a in arrays.items()})
    return net


def gradients_of(net, x, y, masks=(1, 1), decisions=None, smoothing=0.0):
    """Mean loss and name -> gradient (float64 arrays)."""
    net.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x, masks, decisions), y, label_smoothing=smoothing)
    loss.backward()
    return loss.item(), {name: p.grad.double().numpy() for name, p in net.named_parameters()}


def distance(a, b):
    """||a - b|| / ||b||; what differs from zero is infinitely far from it."""
    difference = np.linalg.norm((a.astype(np.float64) - b).ravel())
    if difference == 0:
        return 0.0
    norm = np.linalg.norm(b.ravel())
    return difference / norm if norm > 0 else float("inf")
