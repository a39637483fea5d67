"""The command line as users and scripts see it: exit codes, messages, JSON keys, records on disk,
signals, and nothing left behind by what fails.

environment: ISOBIT, the program; ISOBIT_TEST_DATA, a data directory with digits
"""
import base64
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys

from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
SMALL = ["--dataset", "digits", "--data-dir", DATA, "--epochs", "1", "--train-size", "640",
         "--test-size", "100"]
TRAIN_KEYS = ["model_sha256", "optimizer_sha256", "experiment_sha256", "test_accuracy",
              "test_loss", "train_seconds", "total_seconds", "images_per_second", "model_bytes",
              "peak_rss_bytes", "backend", "isa", "threads", "exact", "run_dir",
              "metrics"]


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


def run(*words, cwd=None, env=None, program=ISOBIT, **options):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ISOBIT")}
    environment.update(env or {})
    done = subprocess.run([program, *words], cwd=cwd, env=environment, text=True,
                          stdout=options.pop("stdout", subprocess.PIPE),
                          stderr=subprocess.PIPE, timeout=300, **options)
    return Done(done.returncode, done.stdout or "", done.stderr)


def files_below(directory):
    return sorted(os.path.relpath(os.path.join(folder, name), directory)
                  for folder, _, names in os.walk(directory) for name in names)


def sha256(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def expect(done, code, message=""):
    assert done.code == code, f"exit code {done.code}, not {code}: {done.err}"
    assert message in done.err, f"'{message}' is not in: {done.err}"
    if code != 0:
        assert done.err.startswith("isobit: ") or "\nisobit: " in done.err, done.err


def train(directory, *words, **options):
    return run("train", *SMALL, *words, cwd=directory, **options)


def train_json(directory, *words):
    done = train(directory, "--json", *words)
    expect(done, 0)
    lines = done.out.splitlines()
    assert len(lines) == 1, f"--json prints more than one line: {lines}"
    return json.loads(lines[0])


def test_help(directory):
    for words in (["--help"], ["-h"], ["help"]):
        done = run(*words)
        expect(done, 0)
        for command in ("data", "train", "test", "hash", "bench", "devices", "completion"):
            assert re.search(rf"^  {command} ", done.out, re.M), command
            expect(run(command, "--help"), 0)
    done = run("train", "--help")
    for option in ("epochs", "batch-size", "test-batch-size", "lr", "gamma", "no-accel", "dry-run",
                   "seed", "log-interval", "save-model", "optimizer", "momentum", "weight-decay",
                   "schedule", "split", "train-size", "normalize", "isa", "threads", "runs-dir",
                   "resume", "checkpoint-every", "trace"):
        assert f"  --{option}" in done.out, option
    for later in ("opencl", "--device"):
        assert later not in done.out, later


def test_version(directory):
    done = run("--version")
    expect(done, 0)
    assert re.match(r"isobit \d+\.\d+\.\d+ \(commit \S+, .+\), NUMERICS \d+\.\d+$",
                    done.out.strip()), done.out


def test_usage_errors(directory):
    cases = [
        ([], "isobit --help"), (["trian"], "did you mean 'train'?"), (["soak"], "not in this"),
        (["--verbose"], "the command comes first"),
        (["train", "--epoch", "3"], "did you mean --epochs?"),
        (["train", "--epochs", "0"], "from 1 to"), (["train", "--epochs"], "needs a value"),
        (["train", "--lr", "nan"], "--lr: 'nan'"), (["train", "--lr", "x"], "--lr: 'x'"),
        (["train", "--model", "vgg"], "one of cnn, lenet5, mlp, resnet18, resnet34, resnet50, svm"),
        (["train", "--model", "cnm"], "one of cnn, lenet5, mlp"),
        (["train", "--momentum", "0.9"], "--optimizer sgd"),
        (["train", "--device", "1"], "not in this version"),
        (["train", "--=3"], "unknown option --; see isobit train --help"),
        (["train", "--resume"], "needs a value"), (["train", "--checkpoint-every", "-1"], "from 0"),
        (["train", "extra"], "unexpected argument"),
        (["train", *SMALL, "--train-size", "999999"], "999999"),
        (["train", *SMALL, "--validation-size", "60000"], "fewer are left"),
        (["train", *SMALL, "--train-size", "59000", "--validation-size", "1001"], "fewer are left"),
        (["train", *SMALL, "--split", "70-10-20", "--validation-size", "9999"], "9999"),
        (["test"], "MODEL.safetensors"), (["test", "x", "--epochs", "1"], "takes no --epochs"),
        (["data"], "prepare|verify|show"), (["data", "prepair"], "did you mean prepare?"),
        (["hash", "update"], "data|model|result"), (["hash", "update", "model"], "PATH"),
        (["hash", "update", "result"], "run directory"), (["bench"], "roofline|step"),
        (["completion", "csh"], "zsh"), (["help", "trian"], "train"),
        (["sweep", "no.yaml"], "no.yaml"), (["report", "no.yaml"], "no.yaml"),
        (["experiment", "check", "no.yaml"], "there is no experiment file no.yaml"),
        (["compare"], "needs RUN RUN"), (["train", "--dry-run", "--watts", "9"], "--dry-run"),
    ]
    for words, message in cases:
        done = run(*words, cwd=directory)
        expect(done, 2, message)
        assert done.out == "", (words, done.out)
    expect(run("train", cwd=directory, env={"ISOBIT_ISA": "mmx"}), 2, "ISOBIT_ISA: 'mmx'")
    assert files_below(directory) == []


def test_options_without_effect(directory):
    """What would be ignored is refused, before anything is read or written."""
    cases = [(["data", "verify"], "--mirror"), (["data", "show"], "--mirror"),
             (["hash", "update", "model", "x"], "--data-dir"),
             (["hash", "verify", "result", "x"], "--data-dir"),
             (["bench", "roofline"], "--lr"), (["bench", "roofline"], "--batch-size"),
             (["bench", "roofline"], "--profile")]
    servers = ["--mlflow-experiment", "--mlflow-register", "--mlflow-study", "--mlflow-wait",
               "--prices", "--machine", "--watts"]
    cases += [(["train"], option) for option in servers]
    cases += [(["sweep", "x"], option) for option in servers if option not in servers[0:3:2]]
    for words, option in cases:
        done = run(*words, option, "1", cwd=directory, env={"MLFLOW_TRACKING_URI": ""})
        expect(done, 2, f"{option} has no effect")
    for words, env in ((["--mlflow", "http://127.0.0.1:9"], {"MLFLOW_TRACKING_URI": ""}),
                       ([], {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})):
        done = run("train", *words, "--machine", "none", "--prices", "none.yaml", cwd=directory,
                   env=env)
        expect(done, 2, "none.yaml")
    assert files_below(directory) == []


def test_unavailable(directory):
    foreign = "neon" if os.uname().machine == "x86_64" else "avx2"
    for words in (["--backend", "cuda"], ["--backend", "opencl"], ["--math", "fast"],
                  ["--isa", foreign]):
        expect(train(directory, *words), 6)
    expect(train(directory, env={"ISOBIT_ISA": foreign}), 6)
    assert files_below(directory) == []


def test_missing_data(directory):
    done = run("train", "--dataset", "mnist", "--data-dir", "none", "--no-download", cwd=directory)
    expect(done, 3, "isobit data prepare --dataset mnist")
    assert "could not be had" not in done.err
    done = run("train", "--dataset", "mnist", "--data-dir", "none", cwd=directory,
               env={"ISOBIT_MIRROR": "nowhere"})
    expect(done, 3, "isobit data prepare --dataset mnist")
    assert "could not be had: " in done.err and files_below(directory) == []
    expect(run("data", "verify", "--dataset", "digits", "--data-dir", "none", cwd=directory), 3)
    expect(run("hash", "update", "data", "--data-dir", "none", "--no-download", cwd=directory), 3)
    expect(run("data", "prepare", "--dataset", "mnist", "--mirror", "nowhere", cwd=directory), 1)
    assert not [name for name in files_below(directory) if "ubyte" in name]


def test_missing_data_is_got(directory):
    """Digits are drawn when they are wanted; a file that is damaged is not replaced."""
    words = ["train", "--model", "mlp", "--dataset", "digits", "--dry-run"]
    expect(run(*words, "--no-download", cwd=directory), 3, "is missing")
    assert not os.path.exists(os.path.join(directory, "data"))
    done = run(*words, cwd=directory)
    expect(done, 0)
    assert "digits/train-images-idx3-ubyte: generating" in done.err
    expect(run("data", "verify", "--dataset", "digits", cwd=directory), 0)
    with open(os.path.join(directory, "data/digits/t10k-labels-idx1-ubyte"), "r+b") as stream:
        stream.truncate(100)
    expect(run(*words, cwd=directory), 3, "100 bytes of content")


def test_data_directory_from_environment(directory):
    env = {"ISOBIT_DATA_DIR": DATA}
    expect(run("data", "verify", "--dataset", "digits", cwd=directory, env=env), 0)
    done = run("data", "verify", "--dataset", "digits", "--data-dir", "none", cwd=directory,
               env=env)
    expect(done, 3)


def test_damaged_data(directory):
    source = os.path.join(DATA, "digits")
    os.makedirs(os.path.join(directory, "data", "digits"))
    for name in os.listdir(source):
        with open(os.path.join(source, name), "rb") as stream:
            content = bytearray(stream.read())
        if name == "t10k-labels-idx1-ubyte":
            content[-1] ^= 1
        with open(os.path.join(directory, "data", "digits", name), "wb") as stream:
            stream.write(content)
    done = run("train", "--dataset", "digits", cwd=directory)
    expect(done, 3, "t10k-labels-idx1-ubyte")
    expect(run("data", "verify", "--dataset", "digits", cwd=directory), 3)
    assert not os.path.exists(os.path.join(directory, "runs"))


def test_unwritable_runs(directory):
    with open(os.path.join(directory, "file"), "w", encoding="ascii") as stream:
        stream.write("x")
    for place in ("file", "file/below", "/proc/isobit"):
        done = train(directory, "--runs-dir", place)
        expect(done, 1, "--runs-dir")
        assert done.out == "", "training began all the same"
    assert files_below(directory) == ["file"]


def test_dry_run(directory):
    done = train(directory, "--dry-run")
    expect(done, 0)
    assert done.out.count("Train Epoch") == 1 and done.out.count("Test set") == 1, done.out
    assert "dry run" in done.out
    result = train_json(directory, "--dry-run")
    assert list(result) == TRAIN_KEYS, list(result)
    assert result["run_dir"] is None and len(result["model_sha256"]) == 64
    assert files_below(directory) == []


def check_metrics(path):
    with open(path, encoding="utf-8") as stream:
        metrics = [json.loads(line) for line in stream]
    assert {"train_loss", "epoch_train_loss", "learning_rate", "test_loss",
            "test_accuracy"} <= {metric["key"] for metric in metrics}
    for metric in metrics:
        assert list(metric) == ["key", "value", "step", "epoch", "timestamp", "chain"], metric


def check_mistakes(path, record):
    """The images are the data set's own, and the most confident come first."""
    with open(path, encoding="utf-8") as stream:
        mistakes = json.load(stream)
    wrong = sum(map(sum, record["confusion"])) - sum(record["confusion"][i][i] for i in range(10))
    assert mistakes["images"] == wrong and len(mistakes["shown"]) == min(60, wrong) > 0
    folder = os.path.join(DATA, "digits")
    confidence = [shown["probability"] for shown in mistakes["shown"]]
    assert confidence == sorted(confidence, reverse=True)
    for shown in mistakes["shown"]:
        with open(os.path.join(folder, shown["file"]), "rb") as stream:
            stream.seek(16 + 784 * shown["index"])
            assert base64.b64decode(shown["pixels"]) == stream.read(784)
        labels = shown["file"].replace("images-idx3", "labels-idx1")
        with open(os.path.join(folder, labels), "rb") as stream:
            stream.seek(8 + shown["index"])
            assert stream.read(1)[0] == shown["actual"] != shown["predicted"]
        assert 0.1 < shown["probability"] <= 1
        assert record["confusion"][shown["actual"]][shown["predicted"]] > 0


def test_train_record(directory):
    result = train_json(directory, "--save-model", "--threads", "1")
    assert list(result) == TRAIN_KEYS, list(result)
    place = os.path.join(directory, result["run_dir"])
    assert sorted(os.listdir(place)) == ["metrics.jsonl", "misclassified.json",
                                         "model.safetensors", "optimizer.safetensors",
                                         "resources.jsonl", "run.json"]
    assert re.fullmatch(r"runs/digits-cnn/\d{8}T\d{6}Z-[0-9a-f]{6}", result["run_dir"])
    assert sha256(os.path.join(place, "model.safetensors")) == result["model_sha256"]
    assert sha256(os.path.join(place, "optimizer.safetensors")) == result["optimizer_sha256"]
    saved = os.path.join(directory, "digits_cnn_1epochs.safetensors")
    assert sha256(saved) == result["model_sha256"]
    assert os.path.getsize(saved) == result["model_bytes"]
    assert 0 <= result["test_accuracy"] <= 1 and result["exact"] is True
    assert 0 < result["train_seconds"] < result["total_seconds"]
    assert result["peak_rss_bytes"] > 1 << 20 and result["threads"] == 1
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    assert record["status"] == "finished" and record["exit_code"] == 0
    assert record["results"] == result
    canonical = record["canonical"]
    assert hashlib.sha256(canonical.encode()).hexdigest() == result["experiment_sha256"]
    assert json.dumps(json.loads(canonical), sort_keys=True, separators=(",", ":")) == canonical
    assert sum(map(sum, record["confusion"])) == 100
    correct = sum(record["confusion"][i][i] for i in range(10))
    assert abs(correct / 100 - result["test_accuracy"]) < 1e-12
    check_metrics(os.path.join(place, "metrics.jsonl"))
    check_mistakes(os.path.join(place, "misclassified.json"), record)


def test_one_hash(directory):
    """The command line's share of it; the whole is shown elsewhere."""
    first = train_json(directory, "--threads", "1", "--test-batch-size", "7")
    second = train_json(directory, "--threads", "3", "--runs-dir", "others", "--log-interval", "1",
                        "--isa", "scalar", "--train-size", "640")
    for key in ("model_sha256", "optimizer_sha256", "experiment_sha256", "test_loss"):
        assert first[key] == second[key], key
    other = train_json(directory, "--seed", "2")
    assert other["model_sha256"] != first["model_sha256"]
    assert other["experiment_sha256"] != first["experiment_sha256"]


def test_pytorch_lines(directory):
    done = train(directory, "--log-interval", "5")
    expect(done, 0)
    assert re.search(r"^Train Epoch: 1 \[0/640 \(0%\)\]\tLoss: \d+\.\d{6}\n"
                     r"Train Epoch: 1 \[320/640 \(50%\)\]\tLoss: \d+\.\d{6}\n\n"
                     r"Test set: Average loss: \d+\.\d{4}, Accuracy: \d+/100 \(\d+%\)\n\n",
                     done.out), done.out
    assert done.err == "", f"there is no terminal, but: {done.err!r}"


def test_test_command(directory):
    result = train_json(directory, "--normalize", "unit")
    model = os.path.join(result["run_dir"], "model.safetensors")
    done = run("test", model, "--data-dir", DATA, "--json", cwd=directory)
    expect(done, 0)
    tested = json.loads(done.out.splitlines()[-1])
    for key in ("model_sha256", "test_accuracy", "test_loss", "model_bytes"):
        assert tested[key] == result[key], f"{key}: test adopts the record's options"
    assert tested["model"] == "cnn" and tested["dataset"] == "digits"
    done = run("test", model, "--data-dir", DATA, cwd=directory)
    assert "Test set: Average loss" in done.out and "accuracy" in done.out
    whole = run("test", model, "--data-dir", DATA, "--test-size", "0", "--json", cwd=directory)
    expect(whole, 0)  # more images than any batch
    few = run("test", model, "--data-dir", DATA, "--test-size", "0", "--test-batch-size", "7",
              "--json", cwd=directory)
    for key in ("test_accuracy", "test_loss"):
        assert json.loads(whole.out.splitlines()[-1])[key] == json.loads(few.out.splitlines()[-1])[key]
    expect(run("test", model, "--data-dir", DATA, "--model", "mlp", cwd=directory), 3)
    expect(run("test", "nothing", "--data-dir", DATA, cwd=directory), 3, "no model file")
    with open(os.path.join(directory, model), "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x01")
    expect(run("test", model, "--data-dir", DATA, cwd=directory), 3, "run.json")
    os.rename(os.path.join(directory, model), os.path.join(directory, "short"))
    os.truncate(os.path.join(directory, "short"), 1000)
    expect(run("test", "short", "--dataset", "digits", "--data-dir", DATA, cwd=directory), 3)


def test_hash_command(directory):
    result = train_json(directory)
    model = os.path.join(result["run_dir"], "model.safetensors")
    data = ["--dataset", "digits", "--data-dir", DATA]
    for words in (["model"], ["model", model], ["result", result["run_dir"]], ["data", *data]):
        expect(run("hash", "verify", *words, cwd=directory), 3)
    assert "isobit-hashes.json" not in files_below(directory)
    for words in (["model", model], ["result", result["run_dir"]], ["data", *data]):
        expect(run("hash", "update", *words, cwd=directory), 0)
        expect(run("hash", "verify", *words, cwd=directory), 0)
    expect(run("hash", "verify", "model", cwd=directory), 0)
    again = train_json(directory)
    expect(run("hash", "verify", "result", again["run_dir"], cwd=directory), 0)
    path = os.path.join(directory, "isobit-hashes.json")
    with open(path, encoding="utf-8") as stream:
        book = stream.read()
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(book.replace(result["model_sha256"], "0" * 64))
    expect(run("hash", "verify", "result", again["run_dir"], cwd=directory), 3)
    expect(run("hash", "verify", "model", cwd=directory), 3)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("{")
    expect(run("hash", "verify", "model", cwd=directory), 3, "not valid JSON")
    os.unlink(os.path.join(directory, again["run_dir"], "model.safetensors"))
    os.unlink(path)
    expect(run("hash", "update", "result", again["run_dir"], cwd=directory), 3, "missing")


def test_hash_updates_at_once(directory):
    names = [os.path.join(directory, f"file{i}") for i in range(24)]
    for name in names:
        with open(name, "w", encoding="ascii") as stream:
            stream.write(name)
    at_once = [subprocess.Popen([ISOBIT, "hash", "update", "model", name], cwd=directory,
                                stdout=subprocess.DEVNULL) for name in names]
    assert [process.wait() for process in at_once] == [0] * len(names)
    with open(os.path.join(directory, "isobit-hashes.json"), encoding="utf-8") as stream:
        assert sorted(json.load(stream)["model"]) == sorted(names)


def plant(path, tensor, value):
    """Overwrites the first value of a tensor."""
    with open(path, "r+b") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        header = json.loads(stream.read(length))
        stream.seek(8 + length + header[tensor]["data_offsets"][0])
        stream.write(struct.pack("<f", value))


def last_record(directory):
    found = sorted(name for name in files_below(directory) if name.endswith("run.json"))
    with open(os.path.join(directory, found[-1]), encoding="utf-8") as stream:
        return json.load(stream), os.path.join(directory, os.path.dirname(found[-1]))


def test_planted_value(directory):
    train_json(directory, "--save-model", "--runs-dir", "first")
    start = os.path.join(directory, "digits_cnn_1epochs.safetensors")
    healthy = train_json(directory, "--init-model", start, "--runs-dir", "second")
    plant(start, "fc1.weight", float("inf"))
    expect(train(directory, "--init-model", start), 3, "fc1.weight is not finite")
    plant(start, "fc1.weight", 0.0)
    plant(start, "conv1.bias", 3e38)  # finite, but what it yields is not
    done = train(directory, "--init-model", start)
    expect(done, 4, "step 1")
    assert re.search(r"(conv|fc)\d", done.err), done.err
    record, place = last_record(os.path.join(directory, "runs"))
    assert record["status"] == "diverged" and record["exit_code"] == 4
    assert record["message"] in done.err and record["results"] is None
    assert record["experiment_sha256"] != healthy["experiment_sha256"]
    assert sorted(os.listdir(place)) == ["metrics.jsonl", "resources.jsonl", "run.json"]
    expect(train(directory, "--init-model", "nothing"), 3, "--init-model")


def test_divergence(directory):
    done = train(directory, "--optimizer", "sgd", "--lr", "1e25", "--json")
    expect(done, 4, "step")
    assert done.out == "", done.out
    assert last_record(directory)[0]["status"] == "diverged"


def test_signals(directory):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        child = subprocess.Popen(
            [ISOBIT, "train", "--dataset", "digits", "--data-dir", DATA, "--epochs", "1000",
             "--log-interval", "1", "--model", "mlp"], cwd=directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.readline()  # training has begun
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
        assert child.returncode == code, (child.returncode, err)
        record, place = last_record(directory)
        assert record["status"] == "interrupted" and record["exit_code"] == code
        assert signal.Signals(number).name in err
        assert sorted(os.listdir(place)) == ["checkpoints", "metrics.jsonl",
                                             "resources.jsonl", "run.json"]
        shutil.rmtree(place)


def test_standard_output_errors(directory):
    with open("/dev/full", "w", encoding="ascii") as full:
        for words in (["--help"], ["--version"], ["devices"], ["completion", "bash"],
                      ["train", *SMALL, "--dry-run", "--json"]):
            expect(run(*words, cwd=directory, stdout=full), 1, "standard output")


def test_closed_standard_streams(directory):
    """No file that is opened takes the place of a stream that the caller has closed."""
    for closed in (">&-", "<&- >&- 2>&-"):
        runs = os.path.join(directory, "runs" + str(len(closed)))
        done = run("-c", f'exec "$0" train "$@" {closed}', ISOBIT, *SMALL, "--log-interval", "1",
                   "--runs-dir", runs, program="sh", cwd=directory)
        assert done.code == 1, done.err
        record = os.path.join(runs, "digits-cnn", *os.listdir(os.path.join(runs, "digits-cnn")))
        with open(os.path.join(record, "run.json"), encoding="utf-8") as stream:
            assert json.load(stream)["status"] == "finished"
        check_metrics(os.path.join(record, "metrics.jsonl"))
    expect(run("-c", 'exec "$0" devices >&-', ISOBIT, program="sh"), 1, "standard output")
    assert run("-c", 'exec "$0" devices <&-', ISOBIT, program="sh").code == 0


def test_limit_on_files(directory):
    """ulimit -f kills a program that does not look; blocks are of 512 bytes."""
    for blocks in (0, 1, 64, 500):
        runs = os.path.join(directory, str(blocks))
        done = run("-c", f'ulimit -f {blocks}; exec "$0" train "$@"', ISOBIT, *SMALL, "--runs-dir",
                   runs, program="sh", cwd=directory)
        expect(done, 1, "File too large")
        assert ".tmp-" not in " ".join(files_below(directory)), files_below(directory)


def test_outputs_that_are_no_files(directory):
    """A device, pipe or folder is never replaced; behind a link, the file is."""
    pipe, link, file = (os.path.join(directory, name) for name in ("pipe", "link", "file"))
    os.mkfifo(pipe)
    step = ["bench", "step", "--model", "mlp", "--seconds", "0.01", "--profile"]
    for path in (pipe, directory):
        expect(run(*step, path), 1, f"{path} is no regular file")
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    os.symlink("file", link)
    with open(file, "w", encoding="ascii"):
        pass
    expect(run(*step, link), 0)
    assert os.readlink(link) == "file" and os.path.getsize(file) > 100
    os.unlink(file)
    expect(run(*step, link), 1, f"cannot follow the link {link}")
    os.unlink(link)
    os.symlink("link", link)
    expect(run(*step, link), 1, link)
    assert files_below(directory) == ["link", "pipe"], files_below(directory)


def test_mode_of_files(directory):
    """That of the umask, and the umask stays."""
    for mask, mode in (("022", 0o644), ("077", 0o600)):
        runs = os.path.join(directory, mask)
        done = run("-c", f'umask {mask}; exec "$0" train "$@"', ISOBIT, *SMALL, "--runs-dir", runs,
                   program="sh", cwd=directory)
        expect(done, 0)
        for name in files_below(runs):
            found = stat.S_IMODE(os.stat(os.path.join(runs, name)).st_mode)
            assert found == mode, (name, oct(found))


def test_progress_on_a_terminal(directory):
    for env, escapes in (({"TERM": "xterm", "NO_COLOR": ""}, True),
                         ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        ours, theirs = pty.openpty()
        child = subprocess.Popen([ISOBIT, "train", *SMALL], cwd=directory, stderr=theirs,
                                 stdout=subprocess.PIPE, env={**os.environ, **env})
        os.close(theirs)
        out = child.stdout.read().decode()
        drawn = b""
        try:
            while block := os.read(ours, 65536):
                drawn += block
        except OSError:
            pass  # how Linux tells the end of a terminal
        os.close(ours)
        assert child.wait() == 0
        text = drawn.decode()
        assert "epoch 1/1 [" in text and "images/s" in text and "ETA" in text, text
        assert ("\x1b" in text) == escapes, text
        assert "Train Epoch" in out and "ETA" not in out


def test_devices(directory):
    expect(run("devices"), 0)
    done = run("devices", "--json")
    expect(done, 0)
    found = json.loads(done.out)
    assert found["backend"] == "cpu" and found["isa"] in found["isas"], found
    assert "scalar" in found["isas"] and found["usable_cpus"] >= 1, found


def test_run_directory_as_model(directory):
    result = train_json(directory)
    place = os.path.join(directory, result["run_dir"])
    done = run("test", place, "--json", "--data-dir", DATA, cwd=directory)
    expect(done, 0)
    assert json.loads(done.out)["model_sha256"] == result["model_sha256"]
    expect(run("test", os.path.join(place, "optimizer.safetensors"), cwd=directory), 3,
           "this is another file")
    expect(run("test", directory, cwd=directory), 3, "there is no model file")
    expect(run("export", "--libsvm", place, "-o", "x", cwd=directory), 3, "model.safetensors")
    expect(run("report", place, "-o", place, cwd=directory), 2, "is a folder")
    assert "x" not in os.listdir(directory)
    assert not [name for name in os.listdir(os.path.dirname(place)) if name.endswith("_files")]


def test_more_than_the_memory(directory):
    """Refused before anything is written, and before the kernel kills what touches that much."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        there = 1024 * int(stream.readline().split()[1])
    few = ["--model", "resnet50", "--optimizer", "adam", "--data-dir", DATA, "--dataset", "digits"]
    done = run("describe", "--model", "resnet50", "--batch-size", "65536", "--json")
    expect(done, 0)
    needed = sum(v for k, v in json.loads(done.out).items()
                 if k.endswith("_bytes"))
    if needed <= there:
        raise Skip(f"this machine has {there} bytes, and 65,536 images need {needed}")
    for command in (["train", *few], ["train", "--dry-run", *few],
                    ["bench", "step", "--model", "resnet50", "--seconds", "0.1"]):
        expect(run(*command, "--batch-size", "65536", cwd=directory), 2, "smaller --batch-size")
    assert files_below(directory) == []


def test_awkward_paths(directory):
    name = "with space, \"quotes\" and \xe4"
    os.mkdir(os.path.join(directory, name))
    result = train_json(directory, "--runs-dir", name + "/deep" * 40)
    assert os.path.exists(os.path.join(directory, result["run_dir"], "model.safetensors"))


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
