"""Support vector machines beside scikit-learn's SVC and LIBSVM's own programs: objective, accuracy,
model files both ways, metrics; one hash; what is refused before training.

On digits, and on MNIST where ISOBIT_TEST_DATA has it.
environment: ISOBIT, the program; ISOBIT_TEST_DATA, a data directory; SOURCE_DIR, for golden hashes
"""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
DATA = os.path.abspath(os.environ["ISOBIT_TEST_DATA"])
GOLDEN = os.path.join(os.environ["SOURCE_DIR"], "tests", "golden", "svm-0.3.txt")
NORMALIZATION = {"digits": (0.1198, 0.2610), "mnist": (0.1307, 0.3081)}
DATASETS = [name for name in NORMALIZATION if os.path.isdir(os.path.join(DATA, name))]
SMALL = ["--model", "svm", "--dataset", "digits", "--train-size", "400", "--test-size", "200"]


def run(*words, cwd=None, code=0, message=""):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ISOBIT")}
    done = subprocess.run([ISOBIT, *words, "--data-dir", DATA], cwd=cwd, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    assert message in done.stderr, f"'{message}' is not in: {done.stderr}"
    return done.stdout


def fit(directory, *words):
    return json.loads(run("train", "--model", "svm", "--json", *words, cwd=directory).splitlines()[-1])


def features(dataset, part, count):
    import numpy as np
    mean, deviation = NORMALIZATION[dataset]
    place = os.path.join(DATA, dataset, part)
    images = np.fromfile(place + "-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784)[:count]
    labels = np.fromfile(place + "-labels-idx1-ubyte", np.uint8)[8:][:count]
    return (images / 255.0 - mean) / deviation, labels


def objectives_in(text):
    return [float(found) for found in re.findall(r"obj = (\S+?),", text)]


def sklearn_fit(directory, dataset, train, test, **parameters):
    """In a child, because LIBSVM inside prints its objectives to file descriptor 1."""
    code = ("import json, sys; sys.path.insert(0, sys.argv[1]); import test_svm\n"
            "from sklearn.svm import SVC\n"
            "x, y = test_svm.features(sys.argv[2], 'train', int(sys.argv[3]))\n"
            "z, t = test_svm.features(sys.argv[2], 't10k', int(sys.argv[4]))\n"
            "model = SVC(verbose=True, **json.loads(sys.argv[5])).fit(x, y)\n"
            "sys.stdout.flush()\n"
            "print('\\n' + json.dumps([int(v) for v in model.predict(z)]))\n")
    done = subprocess.run([sys.executable, "-c", code, os.path.dirname(os.path.abspath(__file__)),
                           dataset, str(train), str(test), json.dumps(parameters)], cwd=directory,
                          text=True, stdout=subprocess.PIPE, check=True)
    return objectives_in(done.stdout), json.loads(done.stdout.splitlines()[-1])


def need_sklearn():
    try:
        import sklearn.svm  # noqa: F401
    except ImportError as why:
        raise Skip(f"there is no scikit-learn: {why}") from None


def close(ours, theirs, limit):
    assert len(ours) == len(theirs) > 0, (len(ours), len(theirs))
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
    assert worst <= limit, f"objectives differ by {worst}"
    return worst


def test_scikit_learn(directory):
    need_sklearn()
    settings = [("rbf", 10.0, "scale", {}), ("poly", 1.0, "auto", {}),
                ("sigmoid", 0.5, 0.0005, {"coef0": -0.5}), ("linear", 0.01, None, {}),
                ("poly", 0.3, "scale", {"degree": 2, "coef0": 1.0})]
    train, test = 700, 1000
    for dataset in DATASETS:
        for kernel, c, gamma, more in settings:
            words = ["--dataset", dataset, "--train-size", str(train), "--test-size", str(test),
                     "--kernel", kernel, "--C", str(c)]
            parameters = {"kernel": kernel, "C": c, **more}
            if gamma is not None:
                words += ["--svm-gamma", str(gamma)]
                parameters["gamma"] = gamma
            for name, value in more.items():
                words += [f"--{name}", str(value)]
            ours = fit(directory, *words)
            objectives, predictions = sklearn_fit(directory, dataset, train, test, **parameters)
            _, labels = features(dataset, "t10k", test)
            accuracy = sum(int(p) == int(t) for p, t in zip(predictions, labels)) / test
            worst = close(ours["objectives"], objectives, 1e-3)
            assert abs(ours["test_accuracy"] - accuracy) <= 0.0021, (words, ours, accuracy)
            print(f"{dataset} {kernel} C={c}: accuracy {ours['test_accuracy']:.4f}, scikit-learn "
                  f"{accuracy:.4f}, objectives within {worst:.1e}")


def write_libsvm(path, dataset, part, count):
    import numpy as np
    values, labels = features(dataset, part, count)
    with open(path, "w", encoding="ascii") as stream:
        for i in np.argsort(labels, kind="stable"):
            stream.write(f"{labels[i]} " + " ".join(f"{k + 1}:{float(v)!r}" for k, v in
                                                    enumerate(values[i])) + "\n")


def predict_accuracy(directory, model):
    done = subprocess.run(["svm-predict", "test.txt", model, "out.txt"], cwd=directory, text=True,
                          stdout=subprocess.PIPE, check=True)
    return int(re.search(r"\((\d+)/", done.stdout).group(1))


def test_libsvm(directory):
    if shutil.which("svm-train") is None:
        raise Skip("there is no svm-train (libsvm-tools)")
    train, test = 400, 300
    for dataset in DATASETS:
        write_libsvm(os.path.join(directory, "train.txt"), dataset, "train", train)
        write_libsvm(os.path.join(directory, "test.txt"), dataset, "t10k", test)
        sizes = ["--dataset", dataset, "--train-size", str(train), "--test-size", str(test)]
        ours = fit(directory, *sizes, "--C", "5", "--runs-dir", "runs-" + dataset)
        done = subprocess.run(["svm-train", "-c", "5", "-g", repr(ours["svm_gamma"]), "train.txt",
                               "theirs.model"], cwd=directory, text=True, stdout=subprocess.PIPE,
                              check=True)
        close(ours["objectives"], objectives_in(done.stdout), 1e-3)
        theirs = predict_accuracy(directory, "theirs.model")
        assert abs(theirs - round(ours["test_accuracy"] * test)) <= 1, (theirs, ours)
        path = os.path.join(ours["run_dir"], "model.safetensors")
        # ours -> LIBSVM -> ours
        done = subprocess.run([ISOBIT, "export", "--libsvm", path, "-o", "ours.model"],
                              cwd=directory, check=False)
        assert done.returncode == 0
        assert predict_accuracy(directory, "ours.model") == round(ours["test_accuracy"] * test)
        for model, count in (("ours.model", round(ours["test_accuracy"] * test)),
                             ("theirs.model", theirs), (path, round(ours["test_accuracy"] * test))):
            told = json.loads(run("test", model, "--dataset", dataset, "--test-size", str(test),
                                  "--json", cwd=directory).splitlines()[-1])
            assert told["test_correct"] == count and told["model"] == "svm", (model, told)
            assert told["test_loss"] is None and told["support_vectors"] > 0
        # Its features are of another normalisation: that is noticed.
        run("test", "theirs.model", "--dataset", dataset, "--normalize", "half", cwd=directory,
            code=3, message="--normalize")


def golden():
    with open(GOLDEN, encoding="ascii") as stream:
        return dict(line.split() for line in stream if not line.startswith("#"))


def test_one_hash(directory):
    listed = subprocess.run([ISOBIT, "devices", "--json"], stdout=subprocess.PIPE, text=True,
                            check=True)
    isas = json.loads(listed.stdout)["isas"]
    want = golden()
    for kernel in ("rbf", "poly", "linear", "sigmoid"):
        found = set()
        for isa in isas:
            for threads, cache in (("1", "2048"), ("2", "1"), ("3", "2048"), ("7", "1")):
                if isa == "scalar" and threads in "37":
                    continue
                result = fit(directory, *SMALL[2:], "--kernel", kernel, "--isa", isa, "--threads",
                             threads, "--cache-mb", cache)
                found.add((result["model_sha256"], result["experiment_sha256"]))
        assert found == {(want[f"{kernel}.model"], want[f"{kernel}.experiment"])}, (kernel, found)
    other = fit(directory, *SMALL[2:], "--C", "2")
    assert other["experiment_sha256"] != want["rbf.experiment"]
    same = fit(directory, *SMALL[2:], "--C", "1.0", "--svm-gamma", "scale", "--save-model")
    assert same["experiment_sha256"] == want["rbf.experiment"]


def place_of(directory, result):
    return os.path.join(directory, result["run_dir"])


TABLE = "model.normalization.safetensors"
STANDARD = ["--normalize", "standard"]


def scaled_by_sklearn(dataset, train, test):
    """The features of training and test images; constant pixels are 0 in both."""
    import numpy as np
    from sklearn.preprocessing import StandardScaler
    mean, deviation = NORMALIZATION[dataset]
    bytes_of = [features(dataset, part, count) for part, count in (("train", train), ("t10k", test))]
    images = [np.rint((x * deviation + mean) * 255) for x, _ in bytes_of]
    scaler = StandardScaler().fit(images[0])
    varies = scaler.var_ > 0
    return [scaler.transform(x) * varies for x in images], [y for _, y in bytes_of], scaler


def test_standard_is_scikit_learns(directory):
    need_sklearn()
    import numpy as np
    from sklearn.svm import SVC
    train, test = 700, 1000
    for dataset in DATASETS:
        (x, z), (y, t), scaler = scaled_by_sklearn(dataset, train, test)
        for kernel, c, gamma in (("rbf", 10.0, "scale"), ("poly", 1.0, "auto"), ("linear", 0.01, None)):
            words = ["--svm-gamma", gamma] if gamma else []
            ours = fit(directory, "--dataset", dataset, "--train-size", str(train), "--test-size",
                       str(test), "--kernel", kernel, "--C", str(c), *words, *STANDARD)
            model = SVC(kernel=kernel, C=c, **({"gamma": gamma} if gamma else {})).fit(x, y)
            accuracy = float((model.predict(z) == t).mean())
            assert abs(ours["test_accuracy"] - accuracy) <= 0.0021, (dataset, kernel, accuracy)
            assert abs(ours["support_vectors"] - int(model.n_support_.sum())) <= 3
            worst = close(ours["objectives"], objectives_of(model, x), 1e-3)
            if gamma:
                assert abs(ours["svm_gamma"] / model._gamma - 1) < 1e-9
            print(f"{dataset} {kernel}: accuracy {ours['test_accuracy']:.4f}, scikit-learn "
                  f"{accuracy:.4f}, objectives within {worst:.1e}")
        # The file ends with its two tensors, in the order of their names.
        table = np.fromfile(os.path.join(place_of(directory, ours), TABLE), np.uint8)[-2 * 784 * 8:]
        deviation, mean = table.view(np.float64).reshape(2, 784)
        assert np.allclose(mean, scaler.mean_, rtol=1e-12, atol=1e-12)
        assert np.allclose(deviation ** 2, scaler.var_, rtol=1e-9, atol=1e-9)


def test_class_weights_are_scikit_learns(directory):
    need_sklearn()
    import numpy as np
    from sklearn.svm import SVC
    (x, z), (y, t), _ = scaled_by_sklearn("digits", 500, 500)
    listed = {label: 0.25 + label / 2 for label in range(10)}
    for text, weights in (("balanced", "balanced"), (",".join(map(str, listed.values())), listed)):
        ours = fit(directory, "--train-size", "500", "--test-size", "500", "--dataset", "digits",
                   "--C", "0.5", "--class-weight", text, *STANDARD)
        model = SVC(C=0.5, class_weight=weights).fit(x, y)
        close(ours["objectives"], objectives_of(model, x), 1e-3)
        assert abs(ours["support_vectors"] - int(model.n_support_.sum())) <= 3
        assert abs(ours["test_accuracy"] - float((model.predict(z) == t).mean())) <= 0.0041
    plain = fit(directory, *SMALL[2:], "--C", "0.5")
    ones = fit(directory, *SMALL[2:], "--C", "0.5", "--class-weight", ",".join(["1.0"] * 10))
    assert ones["objectives"] == plain["objectives"]
    assert ones["experiment_sha256"] != plain["experiment_sha256"]
    same = fit(directory, *SMALL[2:], "--C", "0.5", "--class-weight", ",".join(["1"] * 10))
    assert same["experiment_sha256"] == ones["experiment_sha256"]


def objectives_of(model, x):
    sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "bench", "peers"))
    from sklearn_svm import objectives_by_pair
    return objectives_by_pair(model, x)


def test_standard_has_one_hash(directory):
    want = golden()
    listed = subprocess.run([ISOBIT, "devices", "--json"], stdout=subprocess.PIPE, text=True,
                            check=True)
    for kernel in ("rbf", "poly"):
        found = set()
        for isa in json.loads(listed.stdout)["isas"]:
            for threads, cache in (("2", "2048"), ("1", "1")):
                result = fit(directory, *SMALL[2:], *STANDARD, "--kernel", kernel, "--isa", isa,
                             "--threads", threads, "--cache-mb", cache)
                found.add((result["model_sha256"], result["experiment_sha256"]))
        assert found == {(want[f"{kernel}.standard.model"], want[f"{kernel}.standard.experiment"])}, \
            (kernel, found)
    one, two = (fit(directory, *SMALL[2:], "--normalize", name) for name in ("raw", "unit"))
    assert one["experiment_sha256"] != two["experiment_sha256"]
    # the same problem with rbf and scale, but for rounding
    assert abs(one["objective"] / two["objective"] - 1) < 1e-6


def test_standard_needs_its_table(directory):
    result = fit(directory, *SMALL[2:], *STANDARD, "--save-model")
    place = place_of(directory, result)
    path, table = (os.path.join(place, name) for name in ("model.safetensors", TABLE))
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        claim = json.load(stream)["files"][TABLE]
    with open(table, "rb") as stream:
        good = stream.read()
    assert claim == {"bytes": len(good), "sha256": hashlib.sha256(good).hexdigest()}
    count = round(result["test_accuracy"] * 200)
    beside = os.path.join(directory, "digits_svm.safetensors")
    for model in (path, place, beside):
        told = json.loads(run("test", model, "--dataset", "digits", "--test-size", "200", "--json",
                              cwd=directory).splitlines()[-1])
        assert told["test_correct"] == count, (model, told)
    export = [ISOBIT, "export", "--libsvm", path, "-o", "out.model"]
    assert subprocess.run(export, cwd=directory, check=False).returncode == 0
    if shutil.which("svm-predict"):
        check_export(directory, count)
    run("test", "out.model", "--dataset", "digits", *STANDARD, cwd=directory, code=2,
        message="standard")
    os.remove(os.path.join(directory, "digits_svm.normalization.safetensors"))
    run("test", beside, "--dataset", "digits", cwd=directory, code=3,
        message="digits_svm.normalization.safetensors")
    changed = bytearray(good)
    changed[-1000] ^= 1
    for content in (bytes(changed), good[:-1], None):
        os.remove(table)
        if content is not None:
            with open(table, "wb") as stream:
                stream.write(content)
        run("test", path, "--dataset", "digits", cwd=directory, code=3, message=TABLE)
        for words in (export, [ISOBIT, "verify", place]):
            done = subprocess.run(words, cwd=directory, text=True, capture_output=True, check=False)
            assert done.returncode == 3 and TABLE in done.stdout + done.stderr, done


def check_export(directory, count):
    import numpy as np
    mean, deviation = NORMALIZATION["digits"]
    (x, labels), (z, tests) = (features("digits", part, n) for part, n in (("train", 400), ("t10k", 200)))
    x, z = (np.rint((v * deviation + mean) * 255) for v in (x, z))
    spread = x.std(axis=0)
    z = np.where(spread > 0, (z - x.mean(axis=0)) / np.where(spread > 0, spread, 1), 0)
    with open(os.path.join(directory, "test.txt"), "w", encoding="ascii") as stream:
        for row, label in zip(z, tests):
            stream.write(f"{label} " + " ".join(f"{k + 1}:{float(v)!r}" for k, v in enumerate(row)) + "\n")
    assert abs(predict_accuracy(directory, "out.model") - count) <= 1 and len(labels) == 400


def test_standard_resumes_with_its_table(directory):
    """Stopped while fitting: the record goes on with its own table, and with no other."""
    words = ["train", "--model", "svm", "--dataset", "digits", "--train-size", "9000", "--test-size",
             "200", "--threads", "1", "--json", *STANDARD, "--data-dir", DATA]
    process = subprocess.Popen([ISOBIT, *words], cwd=directory, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    runs = os.path.join(directory, "runs", "digits-svm")
    while process.poll() is None and not (os.path.isdir(runs) and
                                          [n for n in os.listdir(runs) if n[0] != "."]):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    if process.wait(timeout=120) != 143:
        raise Skip("the run could not be stopped in time")
    place = os.path.join(runs, [n for n in os.listdir(runs) if n[0] != "."][0])
    table = os.path.join(place, TABLE)
    with open(table, "rb") as stream:
        good = stream.read()
    changed = bytearray(good)
    changed[-1000] ^= 1
    for content in (bytes(changed), None):
        os.remove(table)
        if content is not None:
            with open(table, "wb") as stream:
                stream.write(content)
        run("train", "--resume", place, cwd=directory, code=3, message=TABLE)
    with open(table, "wb") as stream:
        stream.write(good)
    resumed = json.loads(run("train", "--resume", place, "--json", cwd=directory).splitlines()[-1])
    fresh = fit(directory, *words[3:-2], "--runs-dir", "again")
    assert resumed["model_sha256"] == fresh["model_sha256"]


def test_record_and_metrics(directory):
    text = run("train", *SMALL, "--save-model", cwd=directory)
    for word in ("Test set: Accuracy: ", "precision", "weighted", "Support vectors", "Fit time"):
        assert word in text, word
    assert os.path.exists(os.path.join(directory, "digits_svm.safetensors"))
    result = fit(directory, *SMALL[2:], "--runs-dir", "second")
    place = os.path.join(directory, result["run_dir"])
    assert sorted(os.listdir(place)) == ["metrics.jsonl", "misclassified.json",
                                         "model.safetensors", "resources.jsonl", "run.json"]
    assert result["optimizer_sha256"] is None and result["test_loss"] is None
    with open(os.path.join(place, "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    assert record["results"] == result and record["status"] == "finished"
    canonical = json.loads(record["canonical"])
    assert canonical["kernel"] == "rbf" and canonical["C"] == 1
    for name in ("epochs", "lr", "cache_mb", "degree", "coef0", "batch_size", "optimizer"):
        assert name not in canonical, name
    for verb in ("update", "verify"):
        done = subprocess.run([ISOBIT, "hash", verb, "result", result["run_dir"]], cwd=directory,
                              stdout=subprocess.PIPE, check=False)
        assert done.returncode == 0
    check_metrics(record)


def check_metrics(record):
    try:
        from sklearn.metrics import precision_recall_fscore_support
    except ImportError as why:
        raise Skip(f"there is no scikit-learn: {why}") from None
    labels, predictions = [], []
    for label, row in enumerate(record["confusion"]):
        for prediction, count in enumerate(row):
            labels += [label] * count
            predictions += [prediction] * count
    metrics = record["results"]["metrics"]
    for average in ("macro", "weighted"):
        wanted = precision_recall_fscore_support(labels, predictions, average=average,
                                                 zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), wanted):
            assert abs(metrics[f"{average}_{name}"] - value) < 1e-12, (average, name)
    wanted = precision_recall_fscore_support(labels, predictions, labels=range(10), zero_division=0)
    for name, values in zip(("precision", "accuracy", "f1"), wanted):
        for ours, theirs, support in zip(metrics[f"class_{name}"], values, wanted[3]):
            assert ours is None and support == 0 or abs(ours - theirs) < 1e-12, name


def test_metrics_of_networks(directory):
    text = run("train", "--model", "mlp", "--dataset", "digits", "--epochs", "1", "--train-size",
               "320", "--test-size", "60", "--json", cwd=directory)
    result = json.loads(text.splitlines()[-1])
    with open(os.path.join(directory, result["run_dir"], "run.json"), encoding="utf-8") as stream:
        record = json.load(stream)
    assert record["results"] == result and "support_vectors" not in result
    check_metrics(record)


def test_bad_hyperparameters(directory):
    for words, message in ((["--C", "0"], "above 0"), (["--C", "-1"], "above 0"),
                           (["--C", "nan"], "--C"), (["--C", "inf"], "--C"),
                           (["--svm-gamma", "0"], "scale, auto or a number above 0"),
                           (["--svm-gamma", "nan"], "--svm-gamma"),
                           (["--tolerance", "0"], "--tolerance"),
                           (["--kernel", "poly", "--degree", "0"], "--degree"),
                           (["--kernel", "poly", "--coef0", "nan"], "--coef0"),
                           (["--kernel", "poly", "--degree", "100", "--coef0", "1000"], "binary32"),
                           (["--kernel", "rbf", "--degree", "2"], "--degree has no effect"),
                           (["--kernel", "linear", "--svm-gamma", "auto"], "--svm-gamma has no"),
                           (["--kernel", "quadratic"], "linear, poly, rbf, sigmoid"),
                           (["--class-weight", "1,2"], "10 classes"),
                           (["--class-weight", ",".join(["1"] * 11)], "10 classes"),
                           (["--class-weight", "1,0,1"], "commas"),
                           (["--class-weight", "equal"], "balanced"),
                           (["--cache-mb", "0"], "--cache-mb"), (["--train-size", "1"], "one class"),
                           (["--train-size", "60001"], "60001"), (["--epochs", "2"], "--epochs has"),
                           (["--lr", "0.1"], "--lr has no effect"), (["--dry-run"], "--dry-run")):
        run("train", *SMALL, *words, cwd=directory, code=2, message=message)
    run("train", "--model", "cnn", "--C", "1", cwd=directory, code=2, message="--model svm")
    assert os.listdir(directory) == [], "nothing is left by what is refused"


def test_damaged_models(directory):
    result = fit(directory, *SMALL[2:])
    path = os.path.join(directory, result["run_dir"], "model.safetensors")
    copy = os.path.join(directory, "copy")
    with open(path, "rb") as stream:
        good = stream.read()
    for bad in (good[:-1], good.replace(b"rbf", b"xyz"), good.replace(b"n_support", b"n_suppurt"),
                good.replace(b'"deviation":"0.261"', b'"deviation":"-.261"')):
        assert bad != good
        with open(copy, "wb") as stream:
            stream.write(bad)
        run("test", copy, "--dataset", "digits", cwd=directory, code=3)
    run("test", path, "--dataset", "digits", "--model", "cnn", cwd=directory, code=3)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
