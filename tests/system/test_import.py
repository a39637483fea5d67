"""Images as users have them: each format from import through train to report, damaged ones of each
refused with nothing left behind, and the same bits whatever a set is called.

environment: ISOBIT, the program
"""
import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib

from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
NETWORK = ("name: small\nrows:\n  - conv: {out: 8, kernel: 3, pad: 1}\n  - relu\n"
           "  - max-pool: {size: 2}\n  - flatten\n  - linear: {out: classes}\n")


def isobit(directory, *words, code=0):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ISOBIT")}
    done = subprocess.run([ISOBIT, *words], cwd=directory, env=environment, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    return done


def path_of(directory, name):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def write(directory, name, data):
    with open(path_of(directory, name), "wb") as stream:
        stream.write(data if isinstance(data, bytes) else data.encode())


def refused(directory, words, *parts, code=3, name="bad"):
    """The import is refused with these words, and leaves nothing."""
    done = isobit(directory, "data", "import", *words, "--name", name, code=code)
    for part in parts:
        assert part in done.stderr, f"'{part}' is not in: {done.stderr}"
    assert not os.path.exists(os.path.join(directory, "data", name))


def lock_of(directory, name):
    with open(os.path.join(directory, "data", name, "dataset.json"), encoding="utf-8") as stream:
        return json.load(stream)


def train(directory, name, *words):
    write(directory, "small.yaml", NETWORK)
    done = isobit(directory, "train", "--model", "small.yaml", "--dataset", name, "--epochs", "1",
                  "--batch-size", "16", "--threads", "1", "--json", *words)
    return json.loads(done.stdout.splitlines()[-1])


def train_to_report(directory, name):
    """A tiny run, tested again and reported."""
    trained = train(directory, name)
    tested = isobit(directory, "test", trained["run_dir"], "--json")
    assert json.loads(tested.stdout.splitlines()[-1])["test_accuracy"] == trained["test_accuracy"]
    isobit(directory, "verify", trained["run_dir"])
    isobit(directory, "export", "--onnx", trained["run_dir"])
    isobit(directory, "report", "runs", "-o", "page.html")
    with open(os.path.join(directory, "page.html"), encoding="utf-8") as stream:
        assert "test accuracy" in stream.read()
    return trained


# ---- images of our own, as numbers that follow from their place --------------------------------


def pixel(image, y, x, c=0):
    return (image * 37 + y * 11 + x * 7 + c * 60) * 2654435761 % 4294967296 >> 24


def grey(image, height, width):
    return bytes(pixel(image, y, x) for y in range(height) for x in range(width))


def coloured(image, height, width):
    return bytes(pixel(image, y, x, c) for y in range(height) for x in range(width)
                 for c in range(3))


def transposed(pixels, height, width):
    return bytes(pixels[y * width + x] for x in range(width) for y in range(height))


def idx(kind, extents, data):
    return struct.pack(f">HBB{len(extents)}I", 0, kind, len(extents), *extents) + data


def npy(kind, shape, data):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(arrays, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, array in arrays.items():
            archive.writestr(name + ".npy", array)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, colours, data, depth=8, before=b""):
    """data: rows without filters. colours: 0 grey, 2 RGB, 3 palette, 6 RGB and alpha."""
    row = len(data) // height
    lines = b"".join(b"\0" + data[y * row:(y + 1) * row] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)) +
            before + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def pgm(width, height, data):
    return f"P5\n# a comment\n{width} {height}\n255\n".encode() + data


def files_of(directory, name):
    folder = os.path.join(directory, "data", name)
    result = {}
    for file in os.listdir(folder):
        if file != "dataset.json":
            with open(os.path.join(folder, file), "rb") as stream:
                result[file] = stream.read()
    return result


# ---- each format -------------------------------------------------------------------------------


def write_digits(directory, folder, sideways=False):
    """8 x 8 digits of 10 classes; labels of the test images as QMNIST has them."""
    for part, first, count in (("train", 0, 60), ("t10k", 60, 20)):
        images = [grey(i, 8, 8) for i in range(first, first + count)]
        if sideways:
            images = [transposed(image, 8, 8) for image in images]
        write(directory, f"{folder}/{part}-images-idx3-ubyte.gz",
              gzip.compress(idx(8, [count, 8, 8], b"".join(images))))
        labels = [i % 10 for i in range(first, first + count)]
        if part == "train":
            write(directory, f"{folder}/{part}-labels-idx1-ubyte", idx(8, [count], bytes(labels)))
        else:
            rows = b"".join(struct.pack(">8i", label, *[9] * 7) for label in labels)
            write(directory, f"{folder}/{part}-labels-idx2-int", idx(0x0C, [count, 8], rows))


def test_idx(directory):
    write_digits(directory, "digits8")
    isobit(directory, "data", "import", "digits8", "--name", "digits8")
    lock = lock_of(directory, "digits8")
    assert (lock["height"], lock["width"], lock["channels"], lock["classes"]) == (8, 8, 1, 10)
    assert (lock["train_count"], lock["test_count"]) == (60, 20)
    files = files_of(directory, "digits8")
    for entry in lock["files"]:
        data = files[entry["name"]]
        assert len(data) == entry["bytes"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert files["t10k-labels-idx1-ubyte"][8:] == bytes(i % 10 for i in range(60, 80))
    isobit(directory, "data", "verify", "--dataset", "digits8")
    train_to_report(directory, "digits8")


def test_idx_transposed(directory):
    write_digits(directory, "upright")
    write_digits(directory, "sideways", sideways=True)
    isobit(directory, "data", "import", "upright", "--name", "upright")
    isobit(directory, "data", "import", "sideways", "--name", "turned", "--transpose")
    assert files_of(directory, "upright") == files_of(directory, "turned")
    # The canonical form has the content, not the name that a user gave it.
    one, other = (train_to_report(directory, name) for name in ("upright", "turned"))
    assert one["experiment_sha256"] == other["experiment_sha256"]
    assert one["model_sha256"] == other["model_sha256"]


def test_labels_from_one(directory):
    write(directory, "letters/train-images-idx3-ubyte",
          idx(8, [40, 5, 4], b"".join(grey(i, 5, 4) for i in range(40))))
    write(directory, "letters/train-labels-idx1-ubyte",
          idx(8, [40], bytes(1 + i % 4 for i in range(40))))
    done = isobit(directory, "data", "import", "letters", "--name", "letters", "--test-share",
                  "0.25")
    assert "labels begin with 1" in done.stdout
    lock = lock_of(directory, "letters")
    assert lock["classes"] == 4 and lock["made_from"]["first_label"] == 1
    assert (lock["train_count"], lock["test_count"]) == (32, 8)


def test_csv(directory):
    header = "label," + ",".join(f"pixel{i}" for i in range(784))
    lines = [f"{i % 10}," + ",".join(map(str, grey(i, 28, 28))) for i in range(50)]
    write(directory, "train.csv", "\r\n".join([header, *lines, ""]))
    isobit(directory, "data", "import", "train.csv", "--name", "kaggle", "--test-share", "0.2")
    lock = lock_of(directory, "kaggle")
    assert (lock["height"], lock["train_count"], lock["test_count"]) == (28, 40, 10)
    train_to_report(directory, "kaggle")
    # The same images without a header, and of another shape.
    write(directory, "plain.csv", "\n".join(lines))
    isobit(directory, "data", "import", "plain.csv", "--name", "plain", "--test-share", "0.2")
    assert files_of(directory, "plain") == files_of(directory, "kaggle")
    isobit(directory, "data", "import", "plain.csv", "--name", "wide", "--test-share", "0.2",
           "--size", "14x56")
    assert (lock_of(directory, "wide")["height"], lock_of(directory, "wide")["width"]) == (14, 56)

    for name, text, part in (
            ("quotes", f'{header}\n"1",' + lines[0][2:], "line 2: cells in quotes"),
            ("empty", f"{header}\n{lines[0]}\n1,," + lines[1][4:], "line 3: "),
            ("hole", f"{header}\n{lines[0]},\n", "line 2: 786 cells"),
            ("great", f"{header}\n{lines[0]}\n1,256," + lines[1].split(",", 2)[2],
             "line 3: cell 2 is 256"),
            ("label", f"{header}\n1000," + lines[0][2:], "line 2: label 1000"),
            ("text", f"{header}\nx," + lines[0][2:], "line 2: cell 1 is 'x'"),
            ("none", header.replace("label", "id") + "\n" + lines[0], "no column is called label"),
            ("oblong", "1," + ",".join("0" * 783), "783 values beside the label are no square"),
            ("nothing", "", "the file is empty")):
        write(directory, f"{name}.csv", text)
        refused(directory, [f"{name}.csv", "--test-share", "0.5"], f"{name}.csv: ", part)
    refused(directory, ["train.csv"], "--test-share X", code=2)


def arrays(channels=3, kind="u1", classes=20):
    make = {1: grey, 3: coloured}[channels]
    shape = (32, 32) if channels == 1 else (32, 32, channels)
    result = {}
    for part, first, count in (("train", 0, 80), ("test", 80, 20)):
        result[f"x_{part}"] = npy("|u1", (count, *shape),
                                  b"".join(make(i, 32, 32) for i in range(first, first + count)))
        code = {"u1": "B", "u2": "<H", "i8": "<q"}[kind]
        result[f"y_{part}"] = npy(("|" if kind == "u1" else "<") + kind, (count,),
                                  b"".join(struct.pack(code, i * classes // 20 % classes)
                                           for i in range(first, first + count)))
    return result


def test_npy(directory):
    write(directory, "set.npz", npz(arrays(kind="i8")))
    write(directory, "stored.npz", npz(arrays(), zipfile.ZIP_STORED))
    for name, data in arrays().items():
        write(directory, f"set/{name}.npy", data)
    isobit(directory, "data", "import", "set.npz", "--name", "twenty")
    isobit(directory, "data", "import", "stored.npz", "--name", "stored")
    isobit(directory, "data", "import", "set", "--name", "apart")
    lock = lock_of(directory, "twenty")
    assert (lock["channels"], lock["classes"]) == (3, 20)
    assert lock["files"][0]["name"] == "train-images-idx4-ubyte"
    assert files_of(directory, "twenty") == files_of(directory, "stored")
    assert files_of(directory, "twenty") == files_of(directory, "apart")
    train_to_report(directory, "twenty")

    good = arrays()
    for name, change, part in (
            ("one", {"y_test": good["y_train"]}, "y_test.npy: offset 0: labels of shape"),
            ("float", {"x_train": good["x_train"].replace(b"|u1", b"<f4")}, "x_train.npy: offset 0"),
            ("fortran", {"x_train": good["x_train"].replace(b"False", b"True ")}, "Fortran"),
            ("cut", {"x_train": good["x_train"][:-1]}, "x_train.npy: offset 128: the header"),
            ("great", {"y_train": npy("<i8", (80,), struct.pack("<80q", *[-1] * 80))}, "label -1"),
            ("flat", {"x_train": npy("|u1", (80, 9), bytes(720))}, "(count, height, width)")):
        write(directory, f"{name}.npz", npz({**good, **change}))
        refused(directory, [f"{name}.npz"], f"{name}.npz: ", part)
    archive = npz(good)
    write(directory, "short.npz", archive[:-30])
    refused(directory, ["short.npz"], "its end is missing")
    damaged = bytearray(archive)
    damaged[len(archive) // 2] ^= 1
    write(directory, "damaged.npz", bytes(damaged))
    refused(directory, ["damaged.npz"], "damaged.npz: offset ")
    write(directory, "lonely.npz", npz({"x_train": good["x_train"]}))
    refused(directory, ["lonely.npz"], "it has x_train, but no y_train")
    write(directory, "alone/x.npy", good["x_train"])
    refused(directory, ["alone"], "there are no labels")


def test_many_classes(directory):
    write(directory, "many.npz", npz({**arrays(1, "u2", 1000)}))
    isobit(directory, "data", "import", "many.npz", "--name", "many")
    lock = lock_of(directory, "many")
    assert lock["classes"] == 951 and lock["files"][1]["name"] == "train-labels-idx1-short"
    isobit(directory, "data", "verify", "--dataset", "data/many")
    train(directory, "many")
    done = isobit(directory, "train", "--model", "svm", "--dataset", "many", code=2)
    assert "951 classes" in done.stderr


def test_cifar(directory):
    def batch(first, count):
        return b"".join(bytes([i % 10]) + bytes(pixel(i, y, x, c) for c in range(3)
                                                for y in range(32) for x in range(32))
                        for i in range(first, first + count))
    write(directory, "cifar/data_batch_1.bin", batch(0, 20))
    write(directory, "cifar/data_batch_2.bin", batch(20, 20))
    write(directory, "cifar/test_batch.bin", batch(40, 10))
    write(directory, "cifar/batches.meta.txt", "\n".join("abcdefghij") + "\n")
    isobit(directory, "data", "import", "cifar", "--name", "cifar")
    files = files_of(directory, "cifar")
    assert files["train-images-idx4-ubyte"][20:] == b"".join(coloured(i, 32, 32) for i in range(40))
    assert lock_of(directory, "cifar")["class_names"] == list("abcdefghij")
    train(directory, "cifar")
    write(directory, "cifar/test_batch.bin", batch(40, 10)[:-5])
    refused(directory, ["cifar"], "test_batch.bin: offset 27657: the file ends within a record")
    write(directory, "cifar/test_batch.bin", b"\x0a" + batch(40, 10)[1:])
    refused(directory, ["cifar"], "test_batch.bin: offset 0: label 10")


def write_pictures(directory, folder, prefix=""):
    for label, name in enumerate(("ant", "bee", "cat")):
        for i in range(8):
            image = 8 * label + i
            write(directory, f"{folder}/{prefix}{name}/{i}.png",
                  png(10, 12, 2, coloured(image, 12, 10)))


def test_folder(directory):
    write_pictures(directory, "pictures")
    isobit(directory, "data", "import", "pictures", "--name", "pictures", "--test-share", "0.25")
    lock = lock_of(directory, "pictures")
    assert lock["class_names"] == ["ant", "bee", "cat"]
    assert (lock["train_count"], lock["test_count"]) == (18, 6)
    test_labels = files_of(directory, "pictures")["t10k-labels-idx1-ubyte"][8:]
    assert sorted(test_labels) == [0, 0, 1, 1, 2, 2]
    train_to_report(directory, "pictures")

    write_pictures(directory, "parts", "train/")
    for i, name in enumerate(("ant", "cat")):
        write(directory, f"parts/test/{name}/0.png", png(10, 12, 2, coloured(90 + i, 12, 10)))
        write(directory, f"parts/val/{name}/0.png", png(10, 12, 2, coloured(95 + i, 12, 10)))
    isobit(directory, "data", "import", "parts", "--name", "parts")
    assert lock_of(directory, "parts")["train_count"] == 26
    shutil.rmtree(os.path.join(directory, "parts/test"))
    isobit(directory, "data", "import", "parts", "--name", "validated")
    assert lock_of(directory, "validated")["test_count"] == 2

    # Palettes are their colours, PGM is grey, and several sizes become one.
    for i, (width, height) in enumerate(((8, 8), (16, 8), (9, 7))):
        for label, name in enumerate(("a", "b")):
            write(directory, f"grey/{name}/{i}.pgm",
                  pgm(width, height, grey(2 * i + label, height, width)))
            write(directory, f"grey/{name}/p{i}.png", png(8, 1, 0, b"\x5A", depth=1))
    refused(directory, ["grey", "--test-share", "0.5"], "--resize HxW")
    isobit(directory, "data", "import", "grey", "--name", "grey", "--test-share", "0.5", "--resize",
           "4x4")
    assert lock_of(directory, "grey")["channels"] == 1


def test_folder_refusals(directory):
    write_pictures(directory, "pictures")
    share = ["pictures", "--test-share", "0.25"]
    whole = png(10, 12, 2, coloured(0, 12, 10))
    bomb = png(1, 1, 0, b"\0").replace(struct.pack(">IIB", 1, 1, 8), struct.pack(">IIB", 60000,
                                                                               60000, 8))
    for name, data, part in (
            ("deep.png", png(10, 12, 2, bytes(720), depth=16), "16 bits a sample"),
            ("clear.png", png(10, 12, 6, bytes(480)), "transparency"),
            ("key.png", png(10, 12, 2, bytes(360), before=chunk(b"tRNS", bytes(6))), "transparent"),
            ("grey.png", png(10, 12, 0, bytes(120)), "an image of 1 channels"),
            ("small.png", png(9, 12, 2, bytes(324)), "12 x 9 pixels"),
            ("bomb.png", bomb, "60000 x 60000 pixels"),
            ("cut.png", whole[:-40], "no whole PNG file"),
            ("sum.png", whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], "no whole PNG file"),
            ("text.png", b"not an image", "no PNG file"),
            ("cut.jpg", b"\xff\xd8\xff\xe0", "no whole JPEG file"),
            ("text.jpg", b"not an image", "no JPEG file"),
            ("cut.pgm", pgm(10, 12, bytes(119)), "119 bytes of pixels"),
            ("notes.txt", b"notes", "no image")):
        path = f"pictures/bee/z{name}"
        write(directory, path, data)
        refused(directory, share, path, part)
        os.remove(os.path.join(directory, path))
    write(directory, "pictures/notes.txt", b"notes")
    refused(directory, share, "pictures/notes.txt: a file beside")
    os.remove(os.path.join(directory, "pictures/notes.txt"))
    write(directory, "pictures/bee/inner/0.png", whole)
    refused(directory, share, "pictures/bee/inner: a folder in that of a class")
    shutil.rmtree(os.path.join(directory, "pictures/bee/inner"))
    write(directory, "pictures/bee/z.png", whole)
    isobit(directory, "data", "import", *share, "--name", "whole")


def test_idx_refusals(directory):
    write_digits(directory, "set")
    labels = "set/train-labels-idx1-ubyte"
    good = idx(8, [60], bytes(i % 10 for i in range(60)))
    for data, part in (
            (good[:-1], "promises 60 bytes behind it, but there are 59"),
            (idx(8, [59], bytes(59)), "59 labels, but there are 60 images"),
            (idx(0x0C, [60], struct.pack(">60i", *[1000] * 60)), "offset 8: label 1000"),
            (idx(0x0D, [60], bytes(240)), "magic number"),
            (idx(0x0C, [60, 2**31], bytes(8)), "promises 515396075520 bytes"),
            (b"\0\0", "the file ends within the magic number"),
            (gzip.compress(good)[:-9], "set/train-labels-idx1-ubyte: offset "),
            (idx(8, [60], bytes(60)), "t10k")):
        write(directory, labels, data)
        if part != "t10k":
            refused(directory, ["set"], labels, part)
    os.remove(os.path.join(directory, labels))
    refused(directory, ["set"], "there are no labels beside it")
    write(directory, labels, good)
    write(directory, "set/emnist-train-labels-idx1-ubyte", good)
    refused(directory, ["set"], "both labels of one part")
    refused(directory, ["nowhere"], "nowhere", code=2)
    refused(directory, ["set", "./set"], "are one file", code=2)
    refused(directory, ["set"], "--name", name="a/b", code=2)
    refused(directory, ["set"], "isobit knows", name="mnist", code=2)


def test_names_and_places(directory):
    write_digits(directory, "digits8")
    isobit(directory, "data", "import", "digits8", "--name", "one", "--data-dir", "sets")
    done = isobit(directory, "data", "import", "digits8", "--name", "one", "--data-dir", "sets",
                  code=2)
    assert "sets/one is there already, with dataset.json in it" in done.stderr
    # Images that lie where the set would are not written over.
    write_digits(directory, "data/raw")
    before = files_of(directory, "raw")
    done = isobit(directory, "data", "import", "data/raw", "--name", "raw", code=2)
    assert "is there already" in done.stderr and files_of(directory, "raw") == before
    by_path = train(directory, "sets/one")
    by_name = train(directory, "one", "--data-dir", "sets")
    assert by_path["model_sha256"] == by_name["model_sha256"]
    assert by_path["experiment_sha256"] == by_name["experiment_sha256"]
    done = isobit(directory, "train", "--dataset", "sets/one", "--data-dir", "x", code=2)
    assert "leave one out" in done.stderr
    done = isobit(directory, "train", "--dataset", "two", code=2)
    assert "no data set is called 'two'" in done.stderr
    for words in (["data", "show"], ["describe", "--model", "small.yaml"],
                  ["model", "check", "small.yaml"]):
        isobit(directory, *words, "--dataset", "sets/one")
    done = isobit(directory, "data", "show", "--dataset", "sets/one", "-o", "sheet.png")
    assert "         6          2  9" in done.stdout and "        60         20  all" in done.stdout
    with open(os.path.join(directory, "sets/one/dataset.json"), encoding="utf-8") as stream:
        lock = json.load(stream)
    assert f"mean {lock['mean']:.4f}, standard deviation {lock['standard_deviation']:.4f}" in \
        done.stdout.split("measured")[1]
    assert "\u2588" in done.stdout
    with open(os.path.join(directory, "sheet.png"), "rb") as stream:
        sheet = stream.read()
    assert sheet[:4] == b"\x89PNG" and struct.unpack(">II", sheet[16:24]) == (122, 102)
    isobit(directory, "data", "show", "-o", "none.png", code=2)
    done = isobit(directory, "data", "prepare", "--dataset", "sets/one", code=2)
    assert "was imported" in done.stderr
    # A run goes on and is done again by its record.
    isobit(directory, "reproduce", by_name["run_dir"], "--data-dir", "sets")
    # What the lock file says is what must be there.
    labels = os.path.join(directory, "sets/one/t10k-labels-idx1-ubyte")
    with open(labels, "r+b") as stream:
        stream.seek(9)
        stream.write(b"\x07")
    done = isobit(directory, "train", "--model", "small.yaml", "--dataset", "sets/one", code=3)
    assert "sha256 wanted" in done.stderr and "import it again" in done.stderr
    isobit(directory, "data", "verify", "--dataset", "sets/one", code=3)
    lock = os.path.join(directory, "sets/one/dataset.json")
    with open(lock, encoding="utf-8") as stream:
        text = stream.read()
    for old, new in (('"classes": 10', '"classes": 1'), ('"height": 8', '"height": 9'),
                     ('"format": 1', '"format": 2'), ("{", "[")):
        with open(lock, "w", encoding="utf-8") as stream:
            stream.write(text.replace(old, new, 1))
        done = isobit(directory, "data", "show", "--dataset", "sets/one", code=3)
        assert "sets/one/dataset.json: " in done.stderr


def test_full_disk(directory):
    """Files may be of 1,000 bytes only: nothing stays of those that were written before."""
    write_digits(directory, "digits8")
    limit = "import resource, signal, subprocess, sys\n" \
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" \
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n" \
            "sys.exit(subprocess.run(sys.argv[1:], restore_signals=False).returncode)\n"
    done = subprocess.run([sys.executable, "-c", limit, ISOBIT, "data", "import", "digits8",
                           "--name", "one"], cwd=directory, text=True, stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE, check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr, done.stderr
    assert not os.path.exists(os.path.join(directory, "data"))


def test_sweep(directory):
    write_digits(directory, "digits8")
    isobit(directory, "data", "import", "digits8", "--name", "digits8")
    write(directory, "small.yaml", NETWORK)
    write(directory, "study.yaml",
          "name: own\nbase: {model: ./small.yaml, dataset: digits8, epochs: 1}\nseeds: [1, 2]\n")
    isobit(directory, "experiment", "check", "study.yaml")
    isobit(directory, "sweep", "study.yaml")
    isobit(directory, "report", "study.yaml")
    write(directory, "study.yaml",
          "name: own\nbase: {model: ./small.yaml, dataset: data/digits8, epochs: 1}\nseeds: [1]\n")
    done = isobit(directory, "experiment", "check", "study.yaml", code=2)
    assert "study.yaml:2: " in done.stderr and "is a path" in done.stderr


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
