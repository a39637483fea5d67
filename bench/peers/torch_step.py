#!/usr/bin/env python3
"""Times training steps of the PyTorch MNIST example's network, as `isobit bench step` does.

Prints one JSON object. The data is made up front; a step is zero_grad, forward, loss, backward and
optimiser step, on a batch that is already a normalised float tensor (isobit's own step also turns
bytes into floats)."""

import argparse
import contextlib
import json
import statistics
import sys
import time


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", choices=["cnn", "mlp"], default="cnn")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--optimizer", choices=["adadelta", "adam", "sgd"], default="adadelta")
    p.add_argument("--mode", choices=["eager", "channels-last", "compile", "bf16"], default="eager")
    p.add_argument("--seconds", type=float, default=3.0)
    return p.parse_args()


def network(torch, name):
    nn, functional = torch.nn, torch.nn.functional

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 32, 3, 1)
            self.conv2 = nn.Conv2d(32, 64, 3, 1)
            self.dropout1 = nn.Dropout(0.25)
            self.dropout2 = nn.Dropout(0.5)
            self.fc1 = nn.Linear(9216, 128)
            self.fc2 = nn.Linear(128, 10)

        def forward(self, x):
            x = functional.relu(self.conv1(x))
            x = functional.relu(self.conv2(x))
            x = self.dropout1(functional.max_pool2d(x, 2))
            x = functional.relu(self.fc1(torch.flatten(x, 1)))
            return functional.log_softmax(self.fc2(self.dropout2(x)), dim=1)

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(784, 512), nn.Linear(512, 512)
            self.fc3, self.dropout = nn.Linear(512, 10), nn.Dropout(0.2)

        def forward(self, x):
            x = self.dropout(functional.relu(self.fc1(torch.flatten(x, 1))))
            x = self.dropout(functional.relu(self.fc2(x)))
            return functional.log_softmax(self.fc3(x), dim=1)

    return Cnn() if name == "cnn" else Mlp()


def main():
    args = parse()
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = network(torch, args.model).train()
    layout = torch.contiguous_format
    if args.mode == "channels-last":
        layout = torch.channels_last
        model = model.to(memory_format=layout)
    optimizer = {
        "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
        "adam": lambda p: torch.optim.Adam(p, lr=0.001),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    }[args.optimizer](model.parameters())
    run = torch.compile(model) if args.mode == "compile" else model
    # Strokes on a dark ground, as sparse as digits: the same for every framework.
    batches = []
    for i in range(32):
        x = torch.zeros(args.batch_size, 1, 28, 28)
        x[:, :, 4:24, 10 + i % 6 : 13 + i % 6] = 0.9
        x[:, :, 8 + i % 9 : 11 + i % 9, 5:23] = 0.9
        x = ((x - 0.1307) / 0.3081).contiguous(memory_format=layout)
        batches.append((x, torch.randint(0, 10, (args.batch_size,))))

    def step(i):
        x, y = batches[i % len(batches)]
        optimizer.zero_grad()
        half = args.mode == "bf16"
        with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            out = run(x)
        loss = torch.nn.functional.nll_loss(out.float(), y)
        loss.backward()
        optimizer.step()
        return loss

    for i in range(10):
        step(i)
    times = []
    until = time.perf_counter() + args.seconds
    while len(times) < 10 or time.perf_counter() < until:
        start = time.perf_counter()
        step(len(times)).item()
        times.append(1e3 * (time.perf_counter() - start))
    json.dump(
        {
            "peer": f"torch {torch.__version__} {args.mode}",
            "step_ms_median": statistics.median(times),
            "step_ms_min": min(times),
            "steps": len(times),
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
