#!/usr/bin/env python3
"""Writes what the fuzz harnesses start from: OUT/<harness>/<seed>, each a small valid input or one
that nearly is.

usage: fuzz_corpus.py OUT
"""
import base64
import gzip
import hashlib
import io
import json
import os
import struct
import sys
import zipfile
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def files_in(folder):
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yaml"):
            with open(os.path.join(folder, name), "rb") as stream:
                yield name, stream.read()


def experiment():
    seeds = {name: text for name, text in files_in(os.path.join(ROOT, "experiments"))
             if name != "prices.yaml"}
    seeds["words"] = (b"#! seeds=1,2\nname: a\nbase: {split: 70-10-20}\nselect: validation_loss\n"
                      b"cells:\n  - {name: x, grid: {optimizer: [sgd, adam]}}\n"
                      b"  - {name: y, seeds: [4]}\n")
    return seeds


def prices():
    with open(os.path.join(ROOT, "experiments", "prices.yaml"), "rb") as stream:
        shipped = stream.read()
    return {"shipped": shipped,
            "small": b"prices:\n  - {name: a, match: EPYC, on-demand: 0.5, spot: ~, currency: USD,"
                     b" date: 2026-11-25, source: s}\n"}


def idx():
    images = struct.pack(">IIII", 2051, 2, 28, 28) + bytes(range(256)) * 6 + bytes(32)
    labels = struct.pack(">II", 2049, 3) + bytes([1, 2, 3])
    return {"images": images, "labels": labels, "images.gz": gzip.compress(images, mtime=0),
            "labels.gz": gzip.compress(labels, mtime=0)}


def npy(kind, shape, data):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("|u1", "(4, 3, 2)", bytes(range(24))))
        archive.writestr("y.npy", npy("<i8", "(4,)", struct.pack("<4q", 0, 1, 0, 1)))
    return out.getvalue()


def png():
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(3))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# 8 x 8 pixels of grey.
JPEG = ("/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4R"
        "DgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAA"
        "AAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z")


def images():
    """The first byte says what the rest is."""
    sha256 = "0" * 64
    lock = {"format": 1, "name": "a", "height": 1, "width": 1, "channels": 1, "classes": 2,
            "class_names": ["x", "y"], "train_count": 1, "test_count": 1, "mean": 0.5,
            "standard_deviation": 0.25,
            "files": [{"name": f"{part}-{kind}-idx{n}-ubyte", "bytes": size, "sha256": sha256}
                      for part in ("train", "t10k")
                      for kind, n, size in (("images", 3, 17), ("labels", 1, 9))]}
    return {"png": b"\0" + png(), "jpeg": b"\1" + base64.b64decode(JPEG),
            "pgm": b"\2P5\n# c\n2 2\n255\nabcd",
            "npy": b"\3" + npy("|u1", "(2, 3)", bytes(6)), "lock": b"\3" + compact(lock),
            "csv": b"\4label,a,b,c,d\r\n1,2,3,4,5\r\n0,6,7,8,9\r\n1,0,0,0,255\n0,1,1,1,1\n",
            "npz": b"\5" + npz(), "labels": b"\6" + struct.pack(">III", 0x801, 2, 1)[:8] + b"\0\1",
            "rows": b"\6" + struct.pack(">III", 0x0C02, 2, 2) + struct.pack(">4i", 0, 5, 1, 5),
            "labels.gz": b"\6" + gzip.compress(struct.pack(">II", 0x801, 2) + b"\0\1", mtime=0),
            "cifar": b"\7" + bytes(3073) + b"\1" + bytes(range(256)) * 12}


def safetensors_file(tensors, metadata=None):
    """tensors: (name, dtype, shape, bytes)."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape, values in tensors:
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = compact(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def safetensors():
    return {"two": safetensors_file([("w", "F32", [2, 3], bytes(24)), ("b", "F32", [2], bytes(8))],
                                    {"format": "pt"}),
            "scalar": safetensors_file([("step", "I64", [], struct.pack("<q", 7))]),
            "empty": safetensors_file([("none", "F64", [0, 4], b""), ("u", "U8", [3], b"abc")])}


def libsvm(scale, zero):
    """Two classes, 16 features; zero: what a pixel of 0 becomes, left out when it is 0."""
    lines = ["svm_type c_svc", "kernel_type rbf", "gamma 0.0625", "nr_class 2", "total_sv 3",
             "rho -0.25", "label 0 1", "nr_sv 2 1", "SV"]
    for coefficient, byte in ((0.5, 255), (0.5, 51), (-1, 102)):
        value = scale(byte)
        features = [f"{i}:{value if i % 3 else zero!r}" for i in range(1, 17)
                    if i % 3 or zero != 0]
        lines.append(" ".join([str(coefficient), *features]) + " ")
    return ("\n".join(lines) + "\n").encode()


def svm():
    parameters = {"model": "svm", "kernel": "poly", "degree": "3", "C": "1", "coef0": "0.5",
                  "deviation": "0.3081", "gamma": "0.1", "mean": "0.1307", "tolerance": "0.001"}
    return {"unit": b"\0" + libsvm(lambda byte: byte / 255, 0),
            "mnist": b"\1" + libsvm(lambda byte: (byte / 255 - 0.1307) / 0.3081,
                                    (0 - 0.1307) / 0.3081),
            "half": b"\2" + libsvm(lambda byte: (byte / 255 - 0.5) / 0.5, -1.0),
            "safetensors": safetensors_file(
                [("dual_coef", "F64", [1, 3], struct.pack("<3d", 0.5, 0.5, -1)),
                 ("intercept", "F64", [1], struct.pack("<d", 0.25)),
                 ("classes", "I32", [2], struct.pack("<2i", 0, 1)),
                 ("n_support", "I32", [2], struct.pack("<2i", 2, 1)),
                 ("support", "I32", [3], bytes(12)),
                 ("support_vectors", "U8", [3, 16], bytes(range(48)))], parameters)}


def trace():
    header = {"format": 1, "tensors": ["fc1.weight", "fc1.bias", "bn.mean"],
              "trained": [True, True, False], "shapes": [[4, 3], [4], [2]]}

    def of(steps, change=None, chained=False):
        words, content = [], compact({**header, "format": 2}) + b"\n"
        for step in range(steps + 1):
            row = [step, 0x3F800000 if step else 0] + [step * 1000 + i for i in range(10)]
            if step == change:
                row[2] += 5
            words += row
            content += struct.pack("<12Q", *row)
            content += hashlib.sha256(content).digest()[:8]
        if chained:
            return content
        return compact(header) + b"\n" + struct.pack(f"<{len(words)}Q", *words)

    def pair(a, b):
        return struct.pack("<H", len(a)) + a + b
    return {"alone": pair(of(3), b""), "same": pair(of(2), of(2)), "other": pair(of(3), of(3, 2)),
            "longer": pair(of(2), of(3)), "cut": pair(of(3), of(3)[:-5]),
            "chained": pair(of(3, chained=True), of(3, 2, True)),
            "earlier": pair(of(3), of(3, chained=True))}


def record():
    epochs, sha256 = 2, "0" * 64
    canonical = json.dumps({"numerics": "0.3", "model": "mlp", "seed": 18446744073709551615,
                            "epochs": epochs, "lr": 0.5, "optimizer": "sgd"})
    run = {"format": 1, "run_id": "20260101T000000Z-000001", "experiment": "digits-mlp",
           "status": "finished", "message": None, "exit_code": 0,
           "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z",
           "resumes": {"count": 1, "times": ["2026-01-01T00:00:30Z"], "earlier_seconds": 9.5},
           "experiment_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
           "canonical": canonical,
           "configuration": {"dataset": "digits", "model": "mlp", "epochs": epochs, "lr": 0.5,
                             "seed": 18446744073709551615, "data_dir": "data", "init_model": None,
                             "trace": False, "log_interval": 10, "threads": 2},
           "environment": {"cpu_model": "a CPU", "backend": "cpu", "isa": "avx2", "threads": 2},
           "data": {"dataset": "digits", "sha256": {"train-images-idx3-ubyte": sha256}},
           "results": {"model_sha256": sha256, "optimizer_sha256": sha256, "test_accuracy": 0.1,
                       "test_loss": 0.5, "train_seconds": 3.5, "total_seconds": 4,
                       "images_per_second": 1e5, "metrics": {"macro_f1": 0.5}},
           "confusion": [[i + j for j in range(10)] for i in range(10)],
           "resources": {"seconds": 4.5, "energy_joules": 100.5,
                         "gpus": [{"name": "a GPU", "energy_joules": 10}]}}
    metrics = b"".join(compact({"key": key, "value": value, "step": epoch * 5, "epoch": epoch,
                                "timestamp": 1700000000000 + epoch}) + b"\n"
                       for epoch in (1, 2)
                       for key, value in (("train_loss", 1.5), ("test_accuracy", 0.8),
                                          ("validation_loss", "NaN"), ("epoch_train_loss", 0.7)))
    resources = b"".join(compact({"sample": i, "timestamp": 1700000000000 + i, "values": {
        "system/cpu_utilization_percentage": 50.5, "system/process_peak_rss_megabytes": 100.5,
        "system/process_seconds": i, "system/gpu_0_utilization_percentage": 10,
        "system/gpu_1_energy_joules": 5}}) + b"\n" for i in (0, 1))
    wrong = {"images": 12, "shown": [{"index": 3, "actual": 1, "predicted": 7, "probability": 0.9,
                                      "pixels": base64.b64encode(bytes(784)).decode()}]}
    cursor = {"format": 1, "servers": {"http://s": {"run_id": "a", "metrics_bytes": 10}}}
    checkpoint = {"format": 3, "experiment_sha256": sha256, "step": 7, "epoch": 1,
                  "step_in_epoch": 7, "learning_rate": 0.5, "loss_sum": 1.5, "train_seconds": 2.5,
                  "total_seconds": 3.5, "images": 448, "metrics_bytes": 100,
                  "metrics_sha256": sha256, "trace_bytes": 0, "trace_sha256": "",
                  "model_sha256": sha256, "optimizer_sha256": sha256}
    parts = [compact(run), metrics, resources, compact(wrong), compact(cursor),
             compact(checkpoint)[:-1]]
    unfinished = {**run, "status": "running", "results": None, "resources": None}
    return {"whole": b"\xff".join(parts), "unfinished": compact(unfinished) + b"\xff" + metrics,
            "alone": compact(run), "cut": b"\xff".join([compact(run)[:-9], metrics[:-9],
                                                        resources[:-9]])}


def main():
    for harness in (experiment, idx, images, prices, record, safetensors, svm, trace):
        folder = os.path.join(sys.argv[1], harness.__name__)
        os.makedirs(folder, exist_ok=True)
        for name, seed in harness().items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(seed)


main()
