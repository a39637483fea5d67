"""Exported ONNX models: valid, the same logits in onnxruntime as here over all test images, the same
bytes twice, and what is refused.

environment: ISOBIT; BUILD_DIR, with logits_tool; ISOBIT_TEST_DATA; ISOBIT_ONNX_PYTHON, an interpreter
that has onnx and onnxruntime (default: build/onnx-venv beside the build directory, then this one);
ISOBIT_OWN_NETWORKS, how many networks from files (2; 30 are the whole); ISOBIT_TEST_SEED draws them
"""
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time

from drawn_networks import Drawn
from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
BUILD = os.environ["BUILD_DIR"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
VENV = os.path.join(os.path.dirname(os.path.abspath(BUILD)), "onnx-venv", "bin", "python")
DATASETS = [name for name in ("digits", "mnist") if os.path.isdir(os.path.join(DATA, name))]
MODELS = {"cnn": 640, "mlp": 640, "resnet18": 64, "resnet50": 64}  # images of the short training
NETWORKS = int(os.environ.get("ISOBIT_OWN_NETWORKS", "2"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))

PEER = r"""
import json, sys
import numpy as np, onnx, onnxruntime
onnx_path, images, logits, mean, deviation = sys.argv[1:]
model = onnx.load(onnx_path)
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
x = np.fromfile(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
ours = np.fromfile(logits, np.float32).reshape(-1, 10)
x = ((x / 255.0 - float(mean)) / float(deviation)).astype(np.float32)
theirs = np.concatenate([session.run(["logits"], {"input": x[i:i + 500]})[0]
                         for i in range(0, len(x), 500)])
assert ours.shape == theirs.shape == (len(x), 10), (ours.shape, theirs.shape)
worst = np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(ours)))
print(json.dumps({"worst": float(worst), "images": len(x),
                  "finite": bool(np.isfinite(theirs).all()), "spread": float(ours.std()),
                  "ir": model.ir_version, "opset": model.opset_import[0].version,
                  "operations": sorted({node.op_type for node in model.graph.node}),
                  "weights": sorted(w.name for w in model.graph.initializer),
                  "producer": model.producer_name,
                  "notes": {entry.key: entry.value for entry in model.metadata_props}}))
"""


def python():
    for path in (os.environ.get("ISOBIT_ONNX_PYTHON"), VENV, sys.executable):
        if path and os.path.exists(path) and subprocess.run(
                [path, "-c", "import onnx, onnxruntime, numpy"], stderr=subprocess.DEVNULL,
                check=False).returncode == 0:
            return path
    raise Skip("no Python with onnx and onnxruntime; set ISOBIT_ONNX_PYTHON, or make deps")


def run(*words, cwd=None, code=0, message="", before=None):
    done = subprocess.run([ISOBIT, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=600, check=False, preexec_fn=before)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    assert message in done.stderr, f"'{message}' is not in: {done.stderr}"
    return done.stdout


def train(directory, model, dataset, size):
    """The run's directory."""
    run("train", "--model", model, "--dataset", dataset, "--data-dir", DATA, "--train-size",
        str(size), "--test-size", "100", "--epochs", "1", "--runs-dir", "runs", "--json",
        cwd=directory)
    for folder, _, names in os.walk(os.path.join(directory, "runs")):
        if "model.safetensors" in names:
            return folder
    raise AssertionError("the training wrote no model")


def compare(directory, model, name, datasets=tuple(DATASETS)):
    peer = python()
    for dataset in datasets:
        place = os.path.join(directory, dataset)
        os.mkdir(place)
        folder = train(place, model, dataset, MODELS.get(model, 64))
        record = json.load(open(os.path.join(folder, "run.json"), encoding="utf-8"))
        told = json.loads(run("export", "--onnx", folder, "--json"))
        path = os.path.join(folder, "model.onnx")
        content = open(path, "rb").read()
        assert told == {"path": path, "model": name, "bytes": len(content),
                        "sha256": hashlib.sha256(content).hexdigest()}, told
        logits = os.path.join(place, "logits")
        images = os.path.join(DATA, dataset, "t10k-images-idx3-ubyte")
        subprocess.run([os.path.join(BUILD, "tests", "logits_tool"),
                        os.path.join(folder, "model.safetensors"), dataset, images, logits],
                       check=True, timeout=600)
        notes = {"digits": ("0.1198", "0.261"), "mnist": ("0.1307", "0.3081")}[dataset]
        done = subprocess.run(
            [peer, "-c", PEER, path, images, logits, *notes], text=True, stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        print(f"{name} on {dataset}: {found['images']} images, worst {found['worst']:.3g}, "
              f"logits' deviation {found['spread']:.3g}")
        assert found["images"] == 10000 and found["finite"] and found["worst"] <= 1e-4, found
        assert (found["ir"], found["opset"], found["producer"]) == (8, 17, "isobit"), found
        assert "Identity" not in found["operations"] and "Dropout" not in found["operations"]
        assert found["notes"] == {
            "isobit.model_sha256": record["results"]["model_sha256"], "isobit.numerics": "0.3",
            "isobit.normalize": "dataset", "isobit.mean": notes[0], "isobit.std": notes[1],
            "isobit.classes": "0,1,2,3,4,5,6,7,8,9"}, found["notes"]
        with open(os.path.join(folder, "model.safetensors"), "rb") as file:
            names = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        assert found["weights"] == sorted(name for name in names if name != "__metadata__" and
                                          not name.endswith("num_batches_tracked"))


def test_cnn(directory):
    compare(directory, "cnn", "cnn")


def test_mlp(directory):
    compare(directory, "mlp", "mlp")


def test_resnet18(directory):
    compare(directory, "resnet18", "resnet18")


def test_resnet50(directory):
    compare(directory, "resnet50", "resnet50")


def test_files_of_rows(directory):
    print(f"ISOBIT_TEST_SEED={SEED}")
    for number in range(NETWORKS):
        drawn = Drawn(random.Random(f"{SEED} {number}"))
        place = os.path.join(directory, str(number))
        os.mkdir(place)
        path = os.path.join(place, "drawn.yaml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(drawn.text())
        print(" ".join(kind for kind, _ in drawn.rows))
        compare(place, path, "drawn", DATASETS[:1])


def test_files(directory):
    """The same bytes twice; nothing is left of an export that failed; damage is found."""
    model = os.path.join(directory, "m.safetensors")
    shutil.copy(os.path.join(train(directory, "mlp", "digits", 64), "model.safetensors"), model)
    run("export", "--onnx", model, "--dataset", "digits")
    run("export", "--onnx", model, "--dataset", "digits", "-o", os.path.join(directory, "b.onnx"))
    first = open(os.path.join(directory, "m.onnx"), "rb").read()
    assert first == open(os.path.join(directory, "b.onnx"), "rb").read() and len(first) > 2e6
    run("export", "--onnx", model, message="no run record beside")
    content = open(model, "rb").read()
    out = os.path.join(directory, "out")
    os.mkdir(out)
    target = os.path.join(out, "x.onnx")
    damaged = os.path.join(directory, "d.safetensors")
    for bytes_ in (b"", content[:-1], content[:100], b"\xff" * 8 + content[8:],
                   content.replace(b"fc1.weight", b"fc9.weight", 1),
                   content.replace(b"[512,784]", b"[784,512]", 1)):
        with open(damaged, "wb") as file:
            file.write(bytes_)
        run("export", "--onnx", damaged, "-o", target, code=3, message="d.safetensors")
    run("export", "--onnx", "missing.safetensors", code=3, message="there is no model file")
    run("export", "--onnx", model, "-o", os.path.join(directory, "none", "x.onnx"), code=1)

    def small_disk():  # a write beyond it fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run("export", "--onnx", model, "-o", target, code=1, before=small_disk)
    assert os.listdir(out) == [], os.listdir(out)


def test_refused(directory):
    folder = train(directory, "mlp", "digits", 64)
    model = os.path.join(folder, "model.safetensors")
    run("export", model, code=2, message="--onnx")
    run("export", "--onnx", "--libsvm", model, code=2, message="one format")
    run("export", "--onnx", model, "-o", model, code=2, message="is the model itself")
    run("train", "--model", "svm", "--dataset", "digits", "--data-dir", DATA, "--train-size", "100",
        "--test-size", "100", "--runs-dir", "svm", cwd=directory)
    for place, _, names in os.walk(os.path.join(directory, "svm")):
        if "model.safetensors" in names:
            run("export", "--onnx", place, code=2, message="support vector machine")
            assert "model.onnx" not in os.listdir(place)
            return
    raise AssertionError("the training wrote no model")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
