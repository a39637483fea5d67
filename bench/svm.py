"""The 12 SVM settings of seed 003's tables 5 and 6 on each data set: isobit beside scikit-learn,
interleaved on this machine, and beside LIBSVM's svm-train.

  bench/svm.py measure   fits each setting --rounds times: isobit with --threads threads, isobit with
                         one, each scikit-learn, in turn; objective and accuracy of each
  bench/svm.py libsvm    adds svm-train's objectives and svm-predict's accuracy, once a setting
  bench/svm.py full      all of MNIST, RBF, C = 10: isobit, then each scikit-learn, once
  bench/svm.py table     writes the table from the results

Results are kept in --json as they come, so that a run can be continued.
"""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NORMALIZATION = {"mnist": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}
SETTINGS = [(dataset, kernel, gamma, c) for dataset in NORMALIZATION for kernel in ("poly", "rbf")
            for gamma in ("scale", "auto") for c in ("0.1", "1", "10")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "libsvm", "full", "table"))
    parser.add_argument("--isobit", default=os.path.join(HERE, "../build/release/isobit"))
    parser.add_argument("--peer", action="append", metavar="NAME:ROUNDS:PYTHON",
                        help="an interpreter that has scikit-learn, and in how many of the rounds "
                             "it takes part (default: sklearn:3:/usr/bin/python3)")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train-size", type=int, default=10000)
    parser.add_argument("--test-size", type=int, default=2000)
    parser.add_argument("--only", type=int, metavar="N", help="the N-th setting alone, from 0")
    parser.add_argument("--json", default="docs/results/svm.json")
    parser.add_argument("--markdown", default="docs/results/svm.md")
    options = parser.parse_args()
    options.settings = SETTINGS if options.only is None else SETTINGS[options.only:][:1]
    return options


def run(words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


def objectives_in(text):
    return [float(found) for found in re.findall(r"obj = (\S+?),", text)]


def fit_isobit(options, setting, threads, directory):
    dataset, kernel, gamma, c = setting
    text = run([options.isobit, "train", "--model", "svm", "--dataset", dataset,
                         "--data-dir", options.data_dir, "--kernel", kernel, "--svm-gamma", gamma,
                         "--C", c, "--train-size", str(options.train_size), "--test-size",
                         str(options.test_size), "--threads", str(threads), "--runs-dir", directory,
                         "--json"])
    result = json.loads(text.splitlines()[-1])
    return {"fit_seconds": result["train_seconds"], "predict_seconds": result["predict_seconds"],
            "accuracy": result["test_accuracy"], "objectives": result["objectives"],
            "macro_f1": result["metrics"]["macro_f1"], "gamma": result["svm_gamma"],
            "support_vectors": result["support_vectors"], "isa": result["isa"],
            "model_sha256": result["model_sha256"]}


def fit_sklearn(options, setting, python):
    dataset, kernel, gamma, c = setting
    mean, deviation = NORMALIZATION[dataset]
    text = run([python, os.path.join(HERE, "peers/sklearn_svm.py"), "--directory",
                         os.path.join(options.data_dir, dataset), "--mean", str(mean),
                         "--deviation", str(deviation), "--kernel", kernel, "--C", c, "--gamma",
                         gamma, "--train-size", str(options.train_size), "--test-size",
                         str(options.test_size)])
    return {**json.loads(text.splitlines()[-1]), "objectives": objectives_in(text)}


def summarize(fits):
    seconds = [fit["fit_seconds"] for fit in fits]
    return {**fits[-1], "rounds": len(fits),
            "fit_seconds": {"median": statistics.median(seconds), "min": min(seconds),
                            "max": max(seconds)}}


def load(options):
    if os.path.exists(options.json):
        with open(options.json, encoding="utf-8") as stream:
            return json.load(stream)
    return {"machine": {"cpu": cpu_name(), "cpus": os.cpu_count(), "system": f"{platform.system()} {platform.release().split('.')[0]}"},
            "train_size": options.train_size, "test_size": options.test_size,
            "threads": options.threads, "rounds": options.rounds, "settings": {}}


def save(options, results):
    os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as stream:
        json.dump(results, stream, indent=1)
        stream.write("\n")


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        names = re.findall(r"model name\s*: (.*)", stream.read())
    return names[0] if names else platform.machine()


def measure(options, results):
    for setting in options.settings:
        key = " ".join(setting)
        if key in results["settings"]:
            continue
        fits = {"isobit": [], "isobit_1": [], **{name: [] for name, _, _ in options.peers}}
        with tempfile.TemporaryDirectory() as directory:
            for number in range(options.rounds):
                fits["isobit"].append(fit_isobit(options, setting, options.threads, directory))
                fits["isobit_1"].append(fit_isobit(options, setting, 1, directory))
                for name, rounds, python in options.peers:
                    if number < rounds:
                        fits[name].append(fit_sklearn(options, setting, python))
        hashes = {fit["model_sha256"] for fit in fits["isobit"] + fits["isobit_1"]}
        if len(hashes) != 1:
            sys.exit(f"{key}: isobit gave {len(hashes)} models")
        results["settings"][key] = {name: summarize(fits[name]) for name in fits}
        save(options, results)
        print(line_of(key, results["settings"][key]), flush=True)


def write_libsvm_data(options, dataset, part, count, path):
    import numpy as np
    sys.path.insert(0, os.path.join(HERE, "peers"))
    from sklearn_svm import load as load_part
    images, labels = load_part(os.path.join(options.data_dir, dataset), part, count)
    mean, deviation = NORMALIZATION[dataset]
    table = [repr((v / 255.0 - mean) / deviation) for v in range(256)]
    with open(path, "w", encoding="ascii") as stream:
        for i in np.argsort(labels, kind="stable"):
            features = " ".join(f"{k + 1}:{table[v]}" for k, v in enumerate(images[i]))
            stream.write(f"{labels[i]} {features}\n")


def add_libsvm(options, results):
    with tempfile.TemporaryDirectory() as directory:
        for setting in options.settings:
            dataset, kernel, _, c = setting
            entry = results["settings"].get(" ".join(setting))
            if entry is None or "libsvm" in entry:
                continue
            files = {part: os.path.join(directory, f"{dataset}-{part}") for part in ("train", "t10k")}
            for part, count in (("train", options.train_size), ("t10k", options.test_size)):
                if not os.path.exists(files[part]):
                    write_libsvm_data(options, dataset, part, count, files[part])
            model = os.path.join(directory, "model")
            text = run(["svm-train", "-t", "1" if kernel == "poly" else "2", "-c", c, "-g",
                                 repr(entry["isobit"]["gamma"]), "-m", "2000", files["train"], model])
            # What svm-train prints for a problem ends with its rho; the order is that of the pairs.
            accuracy = run(["svm-predict", files["t10k"], model,
                                     os.path.join(directory, "out")])
            entry["libsvm"] = {"objectives": objectives_in(text),
                               "accuracy": float(re.search(r"\((\d+)/", accuracy).group(1)) /
                               options.test_size}
            save(options, results)
            print(line_of(" ".join(setting), entry), flush=True)


def fit_full(options, results):
    """scikit-learn's time here is that of its CPU: it has one thread and may be interrupted."""
    options.train_size = options.test_size = 0
    setting = ("mnist", "rbf", "scale", "10")
    with tempfile.TemporaryDirectory() as directory:
        results["full"] = {"isobit": fit_isobit(options, setting, options.threads, directory)}
    save(options, results)
    for name, _, python in options.peers:
        results["full"][name] = fit_sklearn(options, setting, python)
        save(options, results)


def full_lines(full):
    ours = full["isobit"]
    lines = ["## All of MNIST", "",
             "60,000 training and 10,000 test images, RBF, C = 10, gamma = scale, cache of 2048 MB "
             "(`bench/svm.py full`). Objective: as above.", "",
             "| | fit, s | accuracy % | support vectors | objective | ratio |",
             "| --- | --- | --- | --- | --- | --- |",
             f"| isobit | {ours['fit_seconds']:.1f} | {100 * ours['accuracy']:.2f} | "
             f"{ours['support_vectors']} | | |"]
    for name, peer in full.items():
        if name != "isobit":
            lines.append(
                f"| {name} | {peer['fit_cpu_seconds']:.1f} (CPU) | {100 * peer['accuracy']:.2f} | "
                f"{peer['support_vectors']} | "
                f"{greatest_difference(ours['objectives'], peer['objectives']):.1e} | "
                f"{peer['fit_cpu_seconds'] / ours['fit_seconds']:.1f} |")
    return [*lines, ""]


def greatest_difference(ours, theirs):
    if len(ours) != len(theirs):
        return float("nan")
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))


def peers_of(entry):
    return [name for name in entry if name not in ("isobit", "isobit_1", "libsvm")]


def time_of(fits):
    seconds = fits["fit_seconds"]
    if fits["rounds"] == 1:
        return f"{seconds['median']:.3f}"
    return f"{seconds['median']:.3f} ({seconds['min']:.3f} to {seconds['max']:.3f})"


def line_of(key, entry):
    ours, one = entry["isobit"], entry["isobit_1"]
    cells = [*key.split(), time_of(ours), time_of(one)]
    for name in peers_of(entry):
        median = entry[name]["fit_seconds"]["median"]
        cells += [time_of(entry[name]), f"{median / ours['fit_seconds']['median']:.0f}",
                  f"{median / one['fit_seconds']['median']:.0f}"]
    peer = entry[peers_of(entry)[0]]
    cells += [f"{100 * ours['accuracy']:.2f}", f"{100 * peer['accuracy']:.2f}"]
    libsvm = entry.get("libsvm")
    cells.append("-" if libsvm is None else f"{100 * libsvm['accuracy']:.2f}")
    cells.append(f"{greatest_difference(ours['objectives'], peer['objectives']):.1e}")
    cells.append("-" if libsvm is None else
                 f"{greatest_difference(ours['objectives'], libsvm['objectives']):.1e}")
    cells.append(f"{ours['macro_f1']:.4f}")
    cells.append(str(ours["support_vectors"]))
    return "| " + " | ".join(cells) + " |"


def headings_of(entry):
    found = ["data set", "kernel", "gamma", "C", "isobit fit, s", "isobit, 1 thread"]
    for name in peers_of(entry):
        found += [f"{name}, s", "ratio", "to 1 thread"]
    return found + ["accuracy %", "sklearn %", "LIBSVM %", "objective: sklearn",
                    "objective: LIBSVM", "macro F1", "support vectors"]


def write_table(options, results):
    machine, settings = results["machine"], results["settings"]
    first = next(iter(settings.values()))
    summary = []
    for name in peers_of(first):
        ratios = [entry[name]["fit_seconds"]["median"] / entry["isobit"]["fit_seconds"]["median"]
                  for entry in settings.values()]
        summary += [f"{name} takes {min(ratios):.0f} to {max(ratios):.0f} times as long as isobit "
                    f"with {results['threads']} threads.", ""]
    lines = [
        "# Support vector machines", "",
        f"{results['train_size']} training and {results['test_size']} test images, pixels "
        f"normalised by the data set's mean and deviation, tolerance 0.001. "
        f"{machine['cpus']} CPUs of an {machine['cpu']}, {machine['system']}, shared with other "
        f"work. Fit times are medians (least to greatest) over {results['rounds']} interleaved "
        f"rounds (one figure: one round), isobit with {results['threads']} threads and with one; scikit-learn's SVC has "
        "one, and a cache of 2048 MB too. Objective: the greatest relative difference of the dual "
        "objective over the 45 pairs.", "",
        "Commands: `bench/svm.py measure`, `bench/svm.py libsvm`, `bench/svm.py table`.", "",
        *summary,
        "| " + " | ".join(headings_of(first)) + " |", "|" + " --- |" * len(headings_of(first)),
        *[line_of(key, settings[key]) for key in (" ".join(s) for s in SETTINGS)
          if key in settings], ""]
    if "full" in results:
        lines += full_lines(results["full"])
        lines += [results["full_note"], ""] if "full_note" in results else []
    with open(options.markdown, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines))


def main():
    options = arguments()
    peers = [peer.split(":", 2) for peer in options.peer or ["sklearn:3:/usr/bin/python3"]]
    options.peers = [(name, int(rounds), python) for name, rounds, python in peers]
    results = load(options)
    if options.what == "measure":
        measure(options, results)
    elif options.what == "libsvm":
        add_libsvm(options, results)
    elif options.what == "full":
        fit_full(options, results)
    write_table(options, results)


if __name__ == "__main__":
    main()
