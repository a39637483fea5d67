"""The engine against PyTorch: losses, gradients, optimisers, initial weights, files, dropout,
evaluation, divergence. PyTorch's float64 is the truth, its float32 the measure."""
import functools
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch_peer as peer  # exits 77 without PyTorch
import torch
import torch_model as model
import torch_training as training

CHECKS = (
    functools.partial(training.check_steps, model="cnn"),
    functools.partial(training.check_steps, model="mlp"),
    training.check_small_batches,
    training.check_label_smoothing,
    training.check_optimizers,
    training.check_average,
    training.check_schedule,
    training.check_schedules,
    model.check_initial,
    model.check_model_file,
    model.check_dropout_masks,
    model.check_dropout_gradients,
    model.check_evaluation,
    model.check_planted,
    model.check_diverging_runs,
)


def title(check):
    if isinstance(check, functools.partial):
        return f"{check.func.__name__} {check.keywords['model']}"
    return check.__name__


def main():
    torch.set_num_threads(min(2, len(os.sched_getaffinity(0))))
    failed = 0
    with peer.scratch_directory() as scratch:
        data = peer.find_data(scratch)
        print(f"PyTorch {torch.__version__}, data set {data.name}")
        for check in CHECKS:
            start = time.monotonic()
            try:
                outcome = "ok: " + title(check) + ": " + check(data, scratch)
            except Exception as error:  # every check has its say
                failed += 1
                if not isinstance(error, AssertionError):
                    traceback.print_exc(file=sys.stdout)
                outcome = f"FAILED: {title(check)}: {error}"
            print(f"{outcome} [{time.monotonic() - start:.1f} s]", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
