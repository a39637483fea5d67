"""Checkpoints: a run that was killed or stopped any number of times ends as the undisturbed one.

environment: ISOBIT, ISOBIT_TEST_DATA; ISOBIT_KILLS, how many times to kill (4); ISOBIT_TEST_SEED
"""
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import sealing
from runner import run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
KILLS = int(os.environ.get("ISOBIT_KILLS", "4"))
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))
SMALL = ["--dataset", "digits", "--data-dir", DATA, "--test-size", "200", "--log-interval", "1"]
MLP = [*SMALL, "--model", "mlp", "--train-size", "3000", "--epochs", "3", "--optimizer", "adam"]
MODELS = {
    "mlp": MLP,
    "cnn": [*SMALL, "--model", "cnn", "--train-size", "640", "--epochs", "3", "--batch-size", "32"],
    "resnet18": [*SMALL, "--model", "resnet18", "--train-size", "72", "--epochs", "2",
                 "--batch-size", "16", "--optimizer", "sgd", "--momentum", "0.9",
                 "--test-size", "32"],
}
SAME = ("model_sha256", "optimizer_sha256", "experiment_sha256", "test_loss", "test_accuracy",
        "metrics", "model_bytes")
CHANCE = random.Random(SEED)


def start(directory, *words, **options):
    return subprocess.Popen([ISOBIT, "train", *words], cwd=directory, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(child, code, message=""):
    out, err = child.communicate(timeout=300)
    assert child.returncode == code, f"exit code {child.returncode}, not {code}: {err}"
    assert message in err, f"'{message}' is not in: {err}"
    return out


def train(directory, *words, code=0, message="", **options):
    out = finish(start(directory, *words, "--json", **options), code, message)
    return json.loads(out.splitlines()[-1]) if code == 0 else None


def run_of(directory, runs):
    """The one run below a --runs-dir, None while there is none with a record."""
    for folder, _, names in os.walk(os.path.join(directory, runs)):
        if "run.json" in names and not os.path.basename(folder).startswith(".new-"):
            return folder
    return None


def record_of(run):
    with open(os.path.join(run, "run.json"), encoding="utf-8") as stream:
        return json.load(stream)


def metrics_of(run):
    """Without what depends on the time."""
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    kept = [(m["key"], m["step"], m["epoch"], m["value"]) for m in lines
            if m["key"] != "train_seconds"]
    keys = [(m["key"], m["step"]) for m in lines]
    assert len(set(keys)) == len(keys), "a metric is there twice"
    return kept


def state_of(run):
    """Every file with its content's hash."""
    found = {}
    for folder, _, names in os.walk(run):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, run)] = hashlib.sha256(stream.read()).hexdigest()
    return found


def check_same(directory, run, reference):
    record, wanted = record_of(run), record_of(reference)
    assert record["status"] == "finished" and record["exit_code"] == 0
    for key in SAME:
        assert record["results"][key] == wanted["results"][key], key
    assert record["confusion"] == wanted["confusion"]
    assert metrics_of(run) == metrics_of(reference)
    assert sorted(os.listdir(run)) == ["metrics.jsonl", "misclassified.json",
                                       "model.safetensors", "optimizer.safetensors",
                                       "resources.jsonl", "run.json"], os.listdir(run)
    assert bytes_of(run, "misclassified.json") == bytes_of(reference, "misclassified.json")
    assert record["started"] and len(record["resumes"]["times"]) == record["resumes"]["count"]


def bytes_of(run, name):
    with open(os.path.join(run, name), "rb") as stream:
        return stream.read()


def machine(name):
    """Another thread count and instruction set each time."""
    isas = ["auto", "auto", "scalar"] if name == "mlp" else ["auto"]
    if os.uname().machine == "x86_64" and "avx2" in open("/proc/cpuinfo", encoding="ascii").read():
        isas.append("avx2")
    return ["--threads", str(CHANCE.randint(1, 3)), "--isa", CHANCE.choice(isas)]


def checkpoints_of(run):
    folder = os.path.join(run, "checkpoints")
    return sorted(name for name in os.listdir(folder) if name.endswith(".json"))


def kill_until_done(directory, name, kills, seconds, reference):
    """Starts, kills and resumes; returns how many kills there were."""
    done = 0
    for attempt in range(1000):
        runs = f"{name}-{attempt}"
        words = [*MODELS[name], "--runs-dir", runs, "--checkpoint-every",
                 str(CHANCE.choice([1, 3, 7]))]
        run = None
        while True:
            child = start(directory, *words)
            if done >= kills and run is not None:
                finish(child, 0)
                break
            try:
                child.communicate(timeout=CHANCE.uniform(0.05, 0.8 * seconds))
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                done += 1
            else:
                assert child.returncode == 0
            run = run_of(directory, runs)
            if child.returncode == 0:
                break
            if run is not None:
                words = ["--resume", run, *machine(name)]
        check_same(directory, run, reference)
        if done >= kills:
            return done
    raise AssertionError("no kill hit")


def test_kills(directory):
    shares = {"mlp": KILLS - 2 * (KILLS // 4), "cnn": KILLS // 4, "resnet18": KILLS // 4}
    for name, kills in shares.items():
        begun = time.monotonic()
        train(directory, *MODELS[name], "--runs-dir", name)
        seconds = time.monotonic() - begun
        done = kill_until_done(directory, name, kills, seconds, run_of(directory, name))
        print(f"{name}: killed {done} times, then the same hashes")


def test_signals(directory):
    train(directory, *MLP, "--runs-dir", "whole")
    whole = run_of(directory, "whole")
    words = [*MLP, "--runs-dir", "parts"]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        child = start(directory, *words)
        child.stdout.readline()  # training has begun
        child.send_signal(number)
        finish(child, code, "--resume")
        run = run_of(directory, "parts")
        record = record_of(run)
        assert record["status"] == "interrupted" and record["exit_code"] == code
        assert 1 <= len(checkpoints_of(run)) <= 2
        words = ["--resume", run, "--threads", "1"]
    with open(os.path.join(run, "checkpoints", checkpoints_of(run)[-1]), encoding="utf-8") as stream:
        before = json.load(stream)
    result = train(directory, *words)
    check_same(directory, run, whole)
    resumes = record_of(run)["resumes"]
    assert resumes["count"] == 3
    assert resumes["earlier_seconds"] == before["total_seconds"] > before["train_seconds"] > 0
    last_part = result["train_seconds"] - before["train_seconds"]
    assert result["total_seconds"] > before["total_seconds"] + last_part > last_part >= 0
    before = state_of(run)
    again = train(directory, "--resume", run)
    assert again == result, "a finished run tells its results"
    assert "is finished" in finish(start(directory, "--resume", run), 0)
    assert state_of(run) == before


def test_signal_in_evaluation(directory):
    """The checkpoint lies between the last step and the evaluation."""
    words = [*MLP, "--test-size", "10000", "--test-batch-size", "1", "--epochs", "2", "--threads",
             "1"]
    train(directory, *words, "--runs-dir", "whole")
    child = start(directory, *words, "--runs-dir", "parts")
    for line in child.stdout:
        if line.startswith("Train Epoch: 1 [2944/3000"):
            break
    time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    finish(child, 143, "after step")
    run = run_of(directory, "parts")
    train(directory, "--resume", run)
    check_same(directory, run, run_of(directory, "whole"))


def test_second_signal(directory):
    """Ends at once: both are pending when the process is let go on."""
    child = start(directory, *MLP, "--epochs", "1000")
    child.stdout.readline()
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
        child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode in (-signal.SIGTERM, -signal.SIGINT), child.returncode


def load(path):
    """The tensors of a safetensors file, as the bits of their elements."""
    with open(path, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
        data = stream.read()
    return {name: struct.unpack(f"<{(end - begin) // 4}I", data[begin:end])
            for name, (begin, end) in ((key, value["data_offsets"])
                                       for key, value in header.items())}


def interrupted_run(directory, runs, *words):
    """A run with two checkpoints that was stopped."""
    child = start(directory, *MLP, "--checkpoint-every", "5", "--runs-dir", runs, *words)
    for _ in range(20):
        child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    finish(child, 143)
    run = run_of(directory, runs)
    assert len(checkpoints_of(run)) == 2
    return run


def flip(path):
    with open(path, "r+b") as stream:
        middle = os.path.getsize(path) // 2
        stream.seek(middle)
        byte = stream.read(1)[0]
        stream.seek(middle)
        stream.write(bytes([byte ^ 1]))


def shorten(path):
    os.truncate(path, os.path.getsize(path) - 1)


def empty(path):
    os.truncate(path, 0)


def test_damage(directory):
    reference = interrupted_run(directory, "reference")
    other = interrupted_run(directory, "other", "--seed", "2")
    newest = checkpoints_of(reference)[-1]
    stem = os.path.join("checkpoints", newest[:-len(".json")])
    for suffix in (".json", ".model.safetensors", ".optimizer.safetensors"):
        for damage in (flip, shorten, empty, os.unlink):
            if suffix == ".json" and damage is os.unlink:
                continue  # then the one before it is the newest
            run = os.path.join(directory, "copy")
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(reference, run)
            damage(os.path.join(run, stem + suffix))
            before = state_of(run)
            train(directory, "--resume", run, code=3, message=stem + suffix)
            assert state_of(run) == before, "a refusal changes nothing"
    os.unlink(os.path.join(run, stem + ".json"))  # as the message says
    train(directory, "--resume", run)
    train(directory, "--resume", reference)
    check_same(directory, run, reference)
    run = interrupted_run(directory, "foreign")
    shutil.rmtree(os.path.join(run, "checkpoints"))
    shutil.copytree(os.path.join(other, "checkpoints"), os.path.join(run, "checkpoints"))
    train(directory, "--resume", run, code=3, message="another experiment")
    sealing.replace(other, '\\"seed\\":2', '\\"seed\\":3')
    train(directory, "--resume", other, code=3, message="the record was changed")


def rewrite_value(run, stem, suffix, bits):
    """The last float of a checkpoint's file, with hashes and seal made good again."""
    path = os.path.join(run, stem + suffix)
    with open(path, "r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(bits.to_bytes(4, "little"))
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    json_path = os.path.join(run, stem + ".json")
    with open(json_path, encoding="ascii") as stream:
        text = stream.read()
    key = "model_sha256" if "model" in suffix else "optimizer_sha256"
    text = re.sub(f'"{key}":"[0-9a-f]*"', f'"{key}":"{digest}"', text)
    with open(json_path, "w", encoding="ascii") as stream:
        stream.write(sealing.sealed(text[:text.rindex(',"sha256":"')] + "}"))


def test_unsettled_checkpoint(directory):
    """A value that exact arithmetic never stores: such a checkpoint was not written by its rules."""
    reference = interrupted_run(directory, "reference")
    newest = checkpoints_of(reference)[-1]
    stem = os.path.join("checkpoints", newest[:-len(".json")])
    for suffix in (".model.safetensors", ".optimizer.safetensors"):
        for bits, code in ((0x00000001, 3), (0x80000000, 3), (0x0D7FFFFF, 3), (0x3F000000, 0)):
            run = os.path.join(directory, "copy")
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(reference, run)
            rewrite_value(run, stem, suffix, bits)
            train(directory, "--resume", run, code=code,
                  message="of tensor" if code == 3 else "")


def test_metrics_damage(directory):
    run = interrupted_run(directory, "runs")
    empty(os.path.join(run, "metrics.jsonl"))
    train(directory, "--resume", run, code=3, message="metrics.jsonl")


def test_without_checkpoint(directory):
    """Killed before the first one: from the beginning."""
    train(directory, *MLP, "--runs-dir", "whole")
    run = interrupted_run(directory, "parts")
    shutil.rmtree(os.path.join(run, "checkpoints"))
    train(directory, "--resume", run)
    check_same(directory, run, run_of(directory, "whole"))


def test_unreadable_checkpoints(directory):
    """What cannot be looked at is not taken for nothing: that would throw the run away."""
    run = interrupted_run(directory, "runs")
    folder = os.path.join(run, "checkpoints")
    os.rename(folder, folder + "-aside")
    with open(folder, "w", encoding="ascii"):  # root reads any folder, but not a file as one
        pass
    before = state_of(run)
    train(directory, "--resume", run, code=3, message=folder)
    assert state_of(run) == before, "a refusal changes nothing"


def test_usage(directory):
    run = interrupted_run(directory, "runs")
    before = state_of(run)
    for words in (["--seed", "2"], ["--model", "cnn"], ["--lr", "0.5"], ["--epochs", "9"],
                  ["--momentum", "0.5"], ["--dry-run"], ["--runs-dir", "x"]):
        train(directory, "--resume", run, *words, code=2, message=words[0])
    train(directory, "--resume", run, "--data-dir", "nowhere", "--no-download", code=3)
    train(directory, "--resume", "nowhere", code=3, message="holds no run record")
    train(directory, "--resume", directory, code=3, message="holds no run record")
    assert state_of(run) == before
    train(directory, "--resume", run, "--seed", "1", "--epochs", "3")  # as they are


def test_lock(directory):
    child = start(directory, *MLP, "--epochs", "1000")
    child.stdout.readline()
    run = run_of(directory, "runs")
    train(directory, "--resume", run, code=1, message="another process")
    child.kill()
    child.communicate()
    child = start(directory, "--resume", run)
    child.stdout.readline()
    train(directory, "--resume", run, code=1, message="another process")
    child.send_signal(signal.SIGTERM)
    finish(child, 143)


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, 200 * 1024))


def test_full_disk(directory):
    """A file size limit stands in for it."""
    train(directory, *MLP, "--runs-dir", "whole")
    run = interrupted_run(directory, "parts")
    before = {name: value for name, value in state_of(run).items() if "checkpoints" in name}
    train(directory, "--resume", run, code=1, message="checkpoint", preexec_fn=limited)
    after = {name: value for name, value in state_of(run).items() if "checkpoints" in name}
    assert after == before, "the earlier checkpoints stay, and nothing else"
    assert record_of(run)["status"] == "failed"
    train(directory, "--resume", run)
    check_same(directory, run, run_of(directory, "whole"))


def test_trace(directory):
    """Changes no bit, and is the same whether the run was killed or not."""
    train(directory, *MLP, "--runs-dir", "without")
    train(directory, *MLP, "--runs-dir", "whole", "--trace", "--threads", "1")
    whole = run_of(directory, "whole")
    with open(os.path.join(whole, "trace.bin"), "rb") as stream:
        header = json.loads(stream.readline())
        records = stream.read()
    words = 2 + sum(4 if trained else 2 for trained in header["trained"])
    steps = 3 * 47
    assert len(records) == (steps + 1) * 8 * (words + 1)
    last = struct.unpack(f"<{words}Q", records[-8 * (words + 1):-8])
    assert last[0] == steps
    tensors = load(os.path.join(whole, "model.safetensors"))
    at = 2
    for name, trained in zip(header["tensors"], header["trained"]):
        at += 2 if trained else 0
        for base, word in zip((0x0a3f6a8885a308d3, 0x13198a2e03707344), last[at:at + 2]):
            total = 0
            for bits in reversed(tensors[name]):
                total = (total * base + bits + 1) % (2**61 - 1)
            assert total == word, name
        at += 2
    run = interrupted_run(directory, "parts", "--trace")
    train(directory, "--resume", run)
    with open(os.path.join(run, "trace.bin"), "rb") as stream:
        stream.readline()
        assert stream.read() == records
    for traced in (whole, run):
        os.unlink(os.path.join(traced, "trace.bin"))
        check_same(directory, traced, run_of(directory, "without"))
    run = interrupted_run(directory, "late")
    train(directory, "--resume", run, "--trace", code=2, message="--trace")


def test_support_vector_machine(directory):
    words = ["--dataset", "digits", "--data-dir", DATA, "--model", "svm", "--train-size", "3000",
             "--test-size", "200", "--threads", "1"]
    whole = train(directory, *words, "--runs-dir", "whole")
    child = start(directory, *words, "--runs-dir", "parts")
    while run_of(directory, "parts") is None:
        time.sleep(0.005)
    child.kill()
    child.communicate()
    run = run_of(directory, "parts")
    again = train(directory, "--resume", run, message="from the beginning")
    assert again["model_sha256"] == whole["model_sha256"]
    assert record_of(run)["resumes"]["count"] == 1


def test_initial_model(directory):
    """--init-model is known by its content: a copy elsewhere does, another file does not."""
    train(directory, *MLP, "--runs-dir", "first")
    model = os.path.join(run_of(directory, "first"), "model.safetensors")
    words = [*MLP, "--init-model", model]
    train(directory, *words, "--runs-dir", "whole")
    run = interrupted_run(directory, "parts", "--init-model", model)
    moved = os.path.join(directory, "moved")
    os.rename(model, moved)
    train(directory, "--resume", run, code=3, message="--init-model")
    whole = os.path.join(run_of(directory, "whole"), "model.safetensors")
    train(directory, "--resume", run, "--init-model", whole, code=3, message="--init-model")
    train(directory, "--resume", run, "--init-model", moved)
    check_same(directory, run, run_of(directory, "whole"))


if __name__ == "__main__":
    print(f"ISOBIT_TEST_SEED={SEED}")
    sys.exit(run_tests(globals()))
