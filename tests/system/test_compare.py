"""isobit compare and isobit reproduce: what is the same is found to be, and a bit that was flipped in
one gradient of a changed copy of the program is found at its step, tensor and element.

environment: ISOBIT, ISOBIT_TEST_DATA, SOURCE_DIR, BUILD_DIR, LIBRARY; ISOBIT_TEST_SEED
"""
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import sealing
from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
ROOT = os.environ["SOURCE_DIR"]
BUILD = os.environ["BUILD_DIR"]
CHANCE = random.Random(int(os.environ.get("ISOBIT_TEST_SEED", "0")) or time.time_ns() % 1000000)
SMALL = ["--dataset", "digits", "--data-dir", DATA, "--test-size", "100", "--epochs", "2"]
MLP = [*SMALL, "--model", "mlp", "--train-size", "640", "--optimizer", "sgd", "--momentum", "0.9"]
CNN = [*SMALL, "--model", "cnn", "--train-size", "256", "--batch-size", "32"]
# Between gradients and update of a step in the copy: FLIP holds step:tensor:element:bit, several of them with commas;
# FLIP_ISA the only instruction set on which they happen.
PLANTED = r"""
    const char *plan = getenv("FLIP"), *only = getenv("FLIP_ISA");
    if (plan != NULL && (only == NULL || strcmp(only, net->backend->info.isa) == 0))
        for (const char *at = plan; at != NULL; at = strchr(at, ','), at += at != NULL) {
            unsigned long at_step;
            size_t tensor, element;
            unsigned bit;
            if (sscanf(at, "%lu:%zu:%zu:%u", &at_step, &tensor, &element, &bit) != 4)
                abort();
            if (at_step != pass->step + 1)
                continue;
            const ib_parameter *p = ib_network_parameter(net, tensor);
            size_t bytes = (size_t)p->floats * sizeof(float);
            float *stored = malloc(bytes);
            uint32_t *bits = calloc((size_t)ib_shape_elements(&p->shape), sizeof *bits);
            IB_TRY(net->backend->ops->download(net->backend, &p->part[1], stored, bytes, err));
            ib_parameter_to_torch(p, stored, (float *)(void *)bits);
            bits[element] ^= 1u << bit;
            ib_parameter_from_torch(p, (const float *)(const void *)bits, stored);
            IB_TRY(net->backend->ops->upload(net->backend, &p->part[1], stored, bytes, err));
            free(stored);
            free(bits);
        }
"""


def call(*words, program=ISOBIT, code=0, cwd=None, **environment):
    done = subprocess.run([program, *words], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, env={**os.environ, **environment})
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    return done


def train(directory, *words, **options):
    done = call("train", *words, "--json", cwd=directory, **options)
    return json.loads(done.stdout.splitlines()[-1])


def compare(directory, *words, **options):
    done = call("compare", *words, "--json", cwd=directory, **options)
    return json.loads(done.stdout.splitlines()[-1])


def cached(name):
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as stream:
        found = re.search(rf"^{name}:[A-Z]+=(.*)$", stream.read(), re.M)
    return found.group(1) if found else ""


def build_changed(directory):
    """The program with the planted text, from a changed copy of one source and the library."""
    path = os.path.join(directory, "steps.c")
    with open(os.path.join(ROOT, "src/nn/steps.c"), encoding="utf-8") as stream:
        text = stream.read()
    place = "    return result->bad_loss ? IB_OK : ib_network_update("
    assert text.count(place) == 1, "nn/steps.c no longer holds the text to change"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace(place, PLANTED + place))
    sanitize = cached("ISOBIT_SANITIZE")
    flags = ["-std=c17", "-D_GNU_SOURCE", "-O2", "-ffp-contract=off", "-fno-math-errno",
             *([f"-fsanitize={sanitize}"] if sanitize else [])]
    objects = glob.glob(os.path.join(BUILD, "CMakeFiles/isobit_command.dir/src/command/*.o"))
    program = os.path.join(directory, "isobit-changed")
    done = subprocess.run([cached("CMAKE_C_COMPILER") or "cc", *flags, f"-I{ROOT}/src",
                           f"-I{ROOT}/include", f"-I{BUILD}/generated", path, *objects,
                           os.environ["LIBRARY"], "-ljansson", "-lyaml", "-lcurl", "-lz", "-lpng",
                           "-ljpeg", "-pthread", "-lm", "-o", program],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return program


def tensors_of(run):
    """Names and shapes, as the trace has them."""
    with open(os.path.join(run, "trace.bin"), "rb") as stream:
        header = json.loads(stream.readline())
    return list(zip(header["tensors"], header["shapes"]))


def random_flip(tensors, steps):
    """Step, tensor, element, and a bit of the mantissa."""
    tensor = CHANCE.randrange(len(tensors))
    elements = 1
    for extent in tensors[tensor][1]:
        elements *= extent
    return CHANCE.randint(1, steps), tensor, CHANCE.randrange(elements), CHANCE.randint(8, 22)


def index_of(element, shape):
    index = []
    for extent in reversed(shape):
        index.insert(0, element % extent)
        element //= extent
    return index


def flips_found(directory, program, words, steps, count):
    healthy = train(directory, *words, "--trace")
    unchanged = train(directory, *words, "--trace", program=program)
    assert unchanged["model_sha256"] == healthy["model_sha256"], "the copy without FLIP"
    tensors = tensors_of(os.path.join(directory, healthy["run_dir"]))
    found = 0
    for _ in range(40):
        step, tensor, element, bit = random_flip(tensors, steps)
        flip = f"{step}:{tensor}:{element}:{bit}"
        flipped = train(directory, *words, "--trace", program=program, FLIP=flip)
        keys = ("model_sha256", "optimizer_sha256")
        if all(flipped[key] == healthy[key] for key in keys):
            continue  # lost in rounding
        order = [healthy["run_dir"], flipped["run_dir"]]
        CHANCE.shuffle(order)
        answer = compare(directory, *order, "--threads", "1", code=5)
        assert answer["verdict"] == "different"
        told = answer["divergence"]
        name, shape = tensors[tensor]
        assert (told["step"], told["what"], told["tensor"]) == (step, "gradient", name), (flip, told)
        assert told["layer"] == name.split(".")[0] and told["tensors_differing"] == 1
        assert (told["element"], told["index"]) == (element, index_of(element, shape)), (flip, told)
        assert told["machine_agrees_with"] == order.index(healthy["run_dir"]) + 1
        a, b = (int(text, 16) for text in told["bits"])
        assert a ^ b == 1 << bit, (flip, told)
        text = call("compare", *order, cwd=directory, code=5).stdout
        assert f"First difference: step {step}, gradient of {name}, element {element} =" in text
        shutil.rmtree(os.path.join(directory, flipped["run_dir"]))
        found += 1
        if found == count:
            return
    raise AssertionError("the flips have no effect")


def test_flipped_bits(directory):
    program = build_changed(directory)
    flips_found(directory, program, MLP, 20, 6)
    flips_found(directory, program, CNN, 16, 2)


def test_several_elements(directory):
    """More than one: named only by a program that computes both."""
    program = build_changed(directory)
    flip = "3:0:70000:22,3:0:40321:22,3:0:99000:22"
    words = [*MLP, "--train-size", "256"]
    isas = json.loads(call("devices", "--json").stdout)["isas"]
    other = next((isa for isa in isas if isa not in ("auto", "scalar")), "auto")
    a = train(directory, *words, "--trace", "--isa", other)
    b = train(directory, *words, "--trace", "--isa", "scalar", program=program, FLIP=flip)
    told = compare(directory, a["run_dir"], b["run_dir"], "--isa", other, code=5)["divergence"]
    assert (told["step"], told["tensor"], told["element"]) == (3, "fc1.weight", None), told
    assert told["machine_agrees_with"] == 1 and "more than one element" in told["note"]
    if other == "auto":
        print("skipped: one instruction set only")
        return
    told = compare(directory, a["run_dir"], b["run_dir"], "--isa", other, code=5, program=program,
                   FLIP=flip, FLIP_ISA="scalar")["divergence"]
    assert (told["element"], told["index"]) == (40321, [51, 337]), told
    assert told["elements_differing"] == 3 and told["machine_agrees_with"] == 1


def test_compare(directory):
    a = train(directory, *MLP, "--trace", "--threads", "1")
    b = train(directory, *MLP, "--threads", "3")
    c = train(directory, *MLP, "--seed", "2", "--lr", "0.02")
    runs = [result["run_dir"] for result in (a, b, c)]
    answer = compare(directory, *runs)
    assert answer["verdict"] == "same bits" and answer["divergence"] is None
    assert answer["differences"] == {"seed": [1, 1, 2], "lr": [0.01, 0.01, 0.02]}
    assert [run["model_sha256"] for run in answer["runs"]] == \
        [result["model_sha256"] for result in (a, b, c)]
    assert compare(directory, runs[0], runs[2])["verdict"] == "other experiments"
    text = call("compare", *runs, cwd=directory).stdout
    for line in (r"seed +1 +1 +2$", r"threads +1 +3 +\d+$", rf"model +{a['model_sha256']} ",
                 r"training, s +\d+\.\d+ "):
        assert re.search("^" + line, text, re.M), line
    text = call("compare", *runs, runs[0], runs[1], cwd=directory).stdout
    assert len(re.findall(r"^\[\d\] ", text, re.M)) == 10, "many runs are rows"
    call("compare", runs[0], cwd=directory, code=2)
    call("compare", runs[0], "nowhere", cwd=directory, code=3)
    changed_run = os.path.join(directory, runs[1])  # a record that tells another result
    sealing.replace(changed_run, b["optimizer_sha256"], "0" * 64)
    told = compare(directory, *runs, code=5)["divergence"]
    assert told["runs"] == [1, 2] and told["result"] == "optimizer_sha256"
    assert "--trace" in told["note"] and told["step"] is None
    metrics = os.path.join(directory, runs[1], "metrics.jsonl")
    with open(metrics, encoding="utf-8") as stream:
        lines = stream.readlines()
    changed = json.loads(lines[1])
    lines[1] = json.dumps({**changed, "value": 7})
    with open(metrics, "w", encoding="utf-8") as stream:
        stream.write(sealing.chained(lines))
    record = sealing.read(changed_run)
    sealing.write(changed_run, record)
    sealing.replace(changed_run, b["optimizer_sha256"], "0" * 64)
    told = compare(directory, *runs, code=5)["divergence"]
    assert (told["metric"]["key"], told["metric"]["step"]) == (changed["key"], changed["step"])


def traced_runs(directory):
    """Two of one experiment, of which the second is said to have another result."""
    runs = [train(directory, *MLP, "--trace")["run_dir"] for _ in range(2)]
    place = os.path.join(directory, runs[1])
    record = sealing.read(place)
    record["results"]["test_loss"] = 7
    sealing.write(place, record)
    return runs


def test_damaged_trace(directory):
    runs = traced_runs(directory)
    told = compare(directory, *runs, code=5)["divergence"]
    assert told["what"] == "nothing" and "traces are the same" in told["note"]
    trace = os.path.join(directory, runs[1], "trace.bin")
    with open(trace, "rb") as stream:
        content = stream.read()
    trained = json.loads(content.split(b"\n", 1)[0])["trained"]
    step = 8 * (3 + sum(4 if has_gradient else 2 for has_gradient in trained))
    for bad in (b"", b"{}\n", b"no JSON\n" + content, content[:1000] + b"x" + content[1000:],
                content[:-step]):
        with open(trace, "wb") as stream:
            stream.write(bad)
        call("compare", *runs, cwd=directory, code=3)


def test_shapes_in_a_trace(directory):
    """A file may claim any shape: both traces claim it, and what differs is a tensor of it."""
    runs = traced_runs(directory)
    with open(os.path.join(directory, runs[0], "trace.bin"), "rb") as stream:
        first, words = stream.read().split(b"\n", 1)
    header = json.loads(first)
    size = 8 * (2 + sum(4 if trained else 2 for trained in header["trained"]))
    steps = [words[at:at + size] for at in range(0, len(words), size + 8)]
    for shape, code in (([0, 5], 3), ([1 << 62, 4], 3), ([-1], 3), (None, 3), ([1, 1, 1, 1, 1], 3),
                        ([1 << 14, 1 << 14], 5)):
        claimed = {**header, "shapes": [shape] * len(header["shapes"])}
        for number, run in enumerate(runs):
            with open(os.path.join(directory, run, "trace.bin"), "wb") as stream:
                # In the last step one element of the first tensor, whose value comes fourth.
                last = bytearray(steps[-1])
                last[32] ^= number
                stream.write(sealing.chained_trace(json.dumps(claimed).encode() + b"\n",
                                                   [*steps[:-1], bytes(last)]))
            place = os.path.join(directory, run)
            sealing.write(place, sealing.read(place))
        call("compare", *runs, cwd=directory, code=code)


def test_reproduce(directory):
    result = train(directory, *MLP, "--threads", "2", "--log-interval", "3")
    run = result["run_dir"]
    words = ["reproduce", run, "--data-dir", DATA, "--runs-dir", "again"]
    done = call(*words, "--isa", "scalar", "--threads", "1", cwd=directory)
    assert done.stdout.startswith("SAME BITS\n") and result["model_sha256"] in done.stdout
    answer = json.loads(call(*words, "--json", cwd=directory).stdout.splitlines()[-1])
    assert answer["same_bits"] is True and answer["differing"] is None
    assert answer["reproduced"]["model_sha256"] == result["model_sha256"]
    done = call(*words, "--seed", "2", "--json", cwd=directory, code=5)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["same_bits"] is False and answer["differing"] == "experiment_sha256"
    call(*words, "--seed", "1", cwd=directory)
    call("reproduce", run, "--data-dir", "nowhere", "--no-download", cwd=directory, code=3)
    call("reproduce", "nowhere", cwd=directory, code=3)
    call(*words, "--epochs", "3", cwd=directory, code=2)
    foreign = "neon" if os.uname().machine == "x86_64" else "avx2"
    call(*words, "--isa", foreign, cwd=directory, code=6)


def test_reproduce_other_records(directory):
    result = train(directory, *MLP, "--trace", "--seed", "18446744073709551615")
    run = os.path.join(directory, result["run_dir"])
    words = ["reproduce", run, "--data-dir", DATA]
    call(*words, cwd=directory)
    path = os.path.join(run, "run.json")
    shutil.copy(path, os.path.join(directory, "kept"))
    sealing.replace(run, result["model_sha256"], "0" * 64)
    done = call(*words, cwd=directory, code=5)
    assert "traces are the same" in done.stdout and "model_sha256 differs" in done.stdout
    shutil.copy(os.path.join(directory, "kept"), path)
    sealing.replace(run, '\\"seed\\":18446744073709551615', '\\"seed\\":5')
    call(*words, cwd=directory, code=3)
    shutil.copy(os.path.join(directory, "kept"), path)
    sealing.write(run, {**sealing.read(run), "results": None})
    call(*words, cwd=directory, code=3)


def test_records_of_an_older_version(directory):
    """Read, compared and reported for ever, but done again only by a program of that version."""
    old = sorted(glob.glob(os.path.join(ROOT, "docs", "results", "records", "mnist-cnn", "*", "")))
    assert len(old) > 1
    for run in old[:2]:
        with open(os.path.join(run, "run.json"), encoding="utf-8") as stream:
            assert '\\"numerics\\":\\"0.2\\"' in stream.read()
    done = call("reproduce", old[0], "--data-dir", DATA, cwd=directory, code=3)
    assert "NUMERICS 0.2" in done.stderr and "NUMERICS 0.3" in done.stderr, done.stderr
    done = call("compare", old[0], old[1], "--json", cwd=directory)
    assert json.loads(done.stdout.splitlines()[-1])
    call("report", os.path.dirname(os.path.dirname(old[0])), "-o", "old.html", cwd=directory)
    assert os.path.getsize(os.path.join(directory, "old.html")) > 1000


def test_reproduce_finds_the_step(directory):
    """A record of a machine that computed wrongly, reproduced on one that does not."""
    program = build_changed(directory)
    words = [*MLP, "--trace"]
    run = train(directory, *words, program=program, FLIP="7:2:500:22")["run_dir"]
    done = call("reproduce", run, "--data-dir", DATA, "--json", cwd=directory, code=5)
    told = json.loads(done.stdout.splitlines()[-1])["divergence"]
    assert (told["step"], told["tensor"], told["element"]) == (7, "fc2.weight", 500), told
    assert told["machine_agrees_with"] == 2


def test_support_vector_machine(directory):
    words = ["--dataset", "digits", "--data-dir", DATA, "--model", "svm", "--train-size", "300",
             "--test-size", "100"]
    runs = [train(directory, *words)["run_dir"] for _ in range(2)]
    assert compare(directory, *runs)["verdict"] == "same bits"
    call("reproduce", runs[0], "--data-dir", DATA, cwd=directory)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
