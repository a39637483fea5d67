"""One fit of scikit-learn's SVC on a data set's files, for bench/svm.py and bench/svm_peer.py.

Prints what LIBSVM inside it says (a line "obj = ..." for each pair) and one JSON object at the end.
"""
import argparse
import json
import os
import sys
import time

import numpy as np
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from split import split_70_10_20


def load(directory, part, count):
    images = np.fromfile(os.path.join(directory, f"{part}-images-idx3-ubyte"), np.uint8)[16:]
    labels = np.fromfile(os.path.join(directory, f"{part}-labels-idx1-ubyte"), np.uint8)[8:]
    return images.reshape(len(labels), -1)[:count or None], labels[:count or None]


def load_drawn(options):
    """As isobit --split 70-10-20 --seed draws them, as bytes."""
    parts = [load(options.directory, part, 0) for part in ("train", "t10k")]
    images, labels = (np.concatenate(both) for both in zip(*parts))
    train, _, test = split_70_10_20(len(labels), options.draw_seed)
    train, test = train[:options.train_size or None], test[:options.test_size or None]
    return (images[train].astype(np.float64), labels[train]), (images[test].astype(np.float64),
                                                               labels[test])


def load_official(options):
    return tuple(((images / 255.0 - options.mean) / options.deviation, labels)
                 for images, labels in (load(options.directory, "train", options.train_size),
                                        load(options.directory, "t10k", options.test_size)))


def objectives_by_pair(model, train):
    """1/2 b'Kb - sum |b| of each two classes, from dual_coef_."""
    starts = np.concatenate([[0], np.cumsum(model.n_support_)])
    vectors, gamma, found = train[model.support_], model._gamma, []
    for a in range(len(model.n_support_)):
        for b in range(a + 1, len(model.n_support_)):
            first, second = (slice(starts[c], starts[c + 1]) for c in (a, b))
            beta = np.concatenate([model.dual_coef_[b - 1, first], model.dual_coef_[a, second]])
            x = np.concatenate([vectors[first], vectors[second]])[beta != 0]
            beta = beta[beta != 0]
            dot = x @ x.T
            if model.kernel == "linear":
                values = dot
            elif model.kernel == "poly":
                values = (gamma * dot) ** 3
            else:
                norms = np.diag(dot)
                values = np.exp(-gamma * np.maximum(norms[:, None] + norms - 2 * dot, 0))
            found.append(float(beta @ values @ beta / 2 - np.abs(beta).sum()))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True, help="the data set's folder")
    parser.add_argument("--mean", type=float)
    parser.add_argument("--deviation", type=float)
    parser.add_argument("--draw-seed", type=int,
                        help="merge, draw by this seed and scale by StandardScaler instead")
    parser.add_argument("--train-size", type=int, default=0)
    parser.add_argument("--test-size", type=int, default=0)
    parser.add_argument("--kernel", default="rbf")
    parser.add_argument("--C", type=float, default=1.0)
    parser.add_argument("--gamma", default="scale")
    parser.add_argument("--cache-mb", type=float, default=2048)
    options = parser.parse_args()
    drawn = options.draw_seed is not None
    (train, train_labels), (test, test_labels) = (load_drawn if drawn else load_official)(options)
    if drawn:
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
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
    more = {"dual_objectives": objectives_by_pair(model, train)} if drawn else {}
    print(json.dumps({**more, "fit_seconds": fit_seconds, "fit_cpu_seconds": fit_cpu,
                      "predict_seconds": predict_seconds,
                      "accuracy": float((predictions == test_labels).mean()),
                      "macro_f1": float(f1_score(test_labels, predictions, average="macro")),
                      "support_vectors": int(model.n_support_.sum()),
                      "gamma": float(model._gamma)}))


if __name__ == "__main__":
    main()
