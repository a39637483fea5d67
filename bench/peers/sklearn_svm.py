"""One fit of scikit-learn's SVC on a data set's files, for bench/svm.py.

Prints what LIBSVM inside it says (a line "obj = ..." for each pair) and one JSON object at the end.
"""
import argparse
import json
import os
import sys
import time

import numpy as np
from sklearn.svm import SVC


def load(directory, part, count):
    images = np.fromfile(os.path.join(directory, f"{part}-images-idx3-ubyte"), np.uint8)[16:]
    labels = np.fromfile(os.path.join(directory, f"{part}-labels-idx1-ubyte"), np.uint8)[8:]
    return images.reshape(len(labels), -1)[:count or None], labels[:count or None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True, help="the data set's folder")
    parser.add_argument("--mean", type=float, required=True)
    parser.add_argument("--deviation", type=float, required=True)
    parser.add_argument("--train-size", type=int, default=0)
    parser.add_argument("--test-size", type=int, default=0)
    parser.add_argument("--kernel", default="rbf")
    parser.add_argument("--C", type=float, default=1.0)
    parser.add_argument("--gamma", default="scale")
    parser.add_argument("--cache-mb", type=float, default=2048)
    options = parser.parse_args()
    features = []
    for part, count in (("train", options.train_size), ("t10k", options.test_size)):
        images, labels = load(options.directory, part, count)
        features.append(((images / 255.0 - options.mean) / options.deviation, labels))
    (train, train_labels), (test, test_labels) = features
    model = SVC(kernel=options.kernel, C=options.C, gamma=options.gamma,
                cache_size=options.cache_mb, verbose=True)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(train, train_labels)
    fit_seconds, fit_cpu = time.perf_counter() - start, time.process_time() - cpu
    start = time.perf_counter()
    predictions = model.predict(test)
    predict_seconds = time.perf_counter() - start
    sys.stdout.flush()
    print()
    print(json.dumps({"fit_seconds": fit_seconds, "fit_cpu_seconds": fit_cpu,
                      "predict_seconds": predict_seconds,
                      "accuracy": float((predictions == test_labels).mean()),
                      "support_vectors": int(model.n_support_.sum()),
                      "gamma": float(model._gamma)}))


if __name__ == "__main__":
    main()
