"""isobit's safetensors files against the reference implementation, in both directions."""
import hashlib
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ["SOURCE_DIR"]
TOOL = os.path.join(os.environ["BUILD_DIR"], "tests", "safetensors_tool")


def enter_venv():
    """Runs this script again under an interpreter that has the safetensors package."""
    made = subprocess.run([os.path.join(SOURCE, "scripts", "test_venv.sh")], text=True,
                          stdout=subprocess.PIPE)
    answer = made.stdout.strip()
    if made.returncode == 77:
        print(answer)
        sys.exit(77)
    if made.returncode != 0:
        sys.exit(f"scripts/test_venv.sh failed: {answer}")
    environment = dict(os.environ, ISOBIT_IN_VENV="1")
    os.execve(answer, [answer, __file__], environment)


def tool(*arguments):
    return subprocess.run([TOOL, *arguments], text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def listing(path):
    """What the C reader says: name -> (dtype, shape, sha256 of the data), and metadata."""
    tensors, metadata = {}, {}
    for line in tool("list", path).splitlines():
        fields = line.split("\t")
        if fields[0] == "metadata":
            metadata[fields[1]] = fields[2]
        else:
            tensors[fields[0]] = tuple(fields[1:])
    return tensors, metadata


def described(arrays):
    """The same, as numpy sees it."""
    import numpy as np
    names = {np.dtype("f4"): "F32", np.dtype("f8"): "F64", np.dtype("i8"): "I64",
             np.dtype("i4"): "I32", np.dtype("u1"): "U8"}
    return {name: (names[a.dtype], "[" + ",".join(map(str, a.shape)) + "]",
                   hashlib.sha256(a.tobytes()).hexdigest()) for name, a in arrays.items()}


def check_python_reads_ours(directory):
    import numpy as np
    from safetensors import safe_open
    path = os.path.join(directory, "ours.safetensors")
    printed = tool("write", path).strip()
    with open(path, "rb") as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == printed, "hash of the written file"
    arrays = {}
    with safe_open(path, "numpy") as opened:
        assert opened.metadata() == {"format": "pt", "made by": "isobit"}, opened.metadata()
        for name in opened.keys():
            arrays[name] = opened.get_tensor(name)
    assert len(arrays) == 9, sorted(arrays)
    weights = (np.arange(210, dtype=np.float32) * np.float32(0.125) - 3).reshape(2, 3, 5, 7)
    assert np.array_equal(arrays["conv.weight"], weights)
    assert arrays["bn.num_batches_tracked"] == 9007199254740993
    assert arrays["bn.num_batches_tracked"].shape == ()
    assert arrays["halves"].tolist() == [0.5, -0.25, 1e300]
    assert arrays["counts"].tolist() == [[-1, 0], [1, 2147483647]]
    assert arrays["empty"].shape == (0, 3)
    assert arrays['name "quoted" \\ \u00e9'] == 65
    tensors, _ = listing(path)
    assert tensors == described(arrays), "our reader and the reference reader differ"


def check_we_read_pythons(directory):
    import numpy as np
    from safetensors.numpy import save_file
    path = os.path.join(directory, "theirs.safetensors")
    rng = np.random.default_rng(1)
    arrays = {
        "conv1.weight": rng.standard_normal((32, 1, 3, 3), dtype=np.float32),
        "fc1.weight": rng.standard_normal((128, 9216), dtype=np.float32),
        "steps": np.array(12345678901, dtype=np.int64),
        "doubles": rng.standard_normal((3, 5)),
        "ints": np.arange(-6, 6, dtype=np.int32).reshape(3, 4),
        "bytes": np.arange(7, dtype=np.uint8),
        "\u00fcml\u00e4ut \"q\"": np.zeros((1, 1), dtype=np.float32),
    }
    save_file(arrays, path, metadata={"format": "np", "k": "v"})
    tensors, metadata = listing(path)
    assert tensors == described(arrays), (tensors, described(arrays))
    assert metadata == {"format": "np", "k": "v"}, metadata


def check_both_refuse_damage(directory):
    from safetensors import SafetensorError, safe_open
    path = os.path.join(directory, "damaged.safetensors")
    tool("write", path)
    with open(path, "rb") as stream:
        good = stream.read()
    for damaged in (good[:-1], good + b"\0", good[:40], good[:8] + b"[" + good[9:],
                    b"\xff" * 8 + good[8:], good.replace(b'"F64"', b'"F63"')):
        with open(path, "wb") as stream:
            stream.write(damaged)
        ours = subprocess.run([TOOL, "list", path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode
        assert ours == 3, ours
        try:
            with safe_open(path, "numpy"):
                raise AssertionError("the reference reader accepts what ours refuses")
        except SafetensorError:
            pass


def main():
    if os.environ.get("ISOBIT_IN_VENV") != "1":
        enter_venv()
    for check in (check_python_reads_ours, check_we_read_pythons, check_both_refuse_damage):
        with tempfile.TemporaryDirectory() as directory:
            check(directory)
        print("ok:", check.__name__)


main()
