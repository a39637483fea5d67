#!/usr/bin/env python3
"""Times training steps of isobit's networks in PyTorch, as `isobit bench step` does.

Serves one mode: reads a request a line ({"model", "batch_size", "optimizer", "seconds"}) from standard
input and answers with a JSON object a line, so that rounds can be interleaved with other programs
without starting PyTorch again. The data is made up front; a step is zero_grad, forward, loss, backward
and optimiser step, on a batch that is already a normalised float tensor (isobit's own step also turns
bytes into floats)."""

import argparse
import contextlib
import json
import resource
import statistics
import sys
import time

MODES = ("eager", "channels-last", "compile", "bf16")
FEWEST_STEPS, WARM_UP = 4, 3


def cnn(torch):
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

    return Cnn()


def mlp(torch):
    nn, functional = torch.nn, torch.nn.functional

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(784, 512), nn.Linear(512, 512)
            self.fc3, self.dropout = nn.Linear(512, 10), nn.Dropout(0.2)

        def forward(self, x):
            x = self.dropout(functional.relu(self.fc1(torch.flatten(x, 1))))
            x = self.dropout(functional.relu(self.fc2(x)))
            return functional.log_softmax(self.fc3(x), dim=1)

    return Mlp()


def make_network(torch, name):
    if name == "cnn":
        return cnn(torch)
    if name == "mlp":
        return mlp(torch)
    from bench_resnet import resnet  # torchvision's stages without torchvision

    return resnet(torch, name)


class Peer:
    def __init__(self, torch, mode):
        self.torch, self.mode = torch, mode
        self.networks = {}

    def network(self, name):
        if name not in self.networks:
            self.torch.manual_seed(1)
            model = make_network(self.torch, name).train()
            if self.mode == "channels-last":
                model = model.to(memory_format=self.torch.channels_last)
            run = self.torch.compile(model, dynamic=False) if self.mode == "compile" else model
            self.networks[name] = (model, run)
        return self.networks[name]

    def batches(self, size):
        """Strokes on a dark ground: dense arithmetic does not depend on the values."""
        torch = self.torch
        layout = torch.channels_last if self.mode == "channels-last" else torch.contiguous_format
        for i in range(8):
            x = torch.zeros(size, 1, 28, 28)
            x[:, :, 4:24, 10 + i % 6 : 13 + i % 6] = 0.9
            x[:, :, 8 + i % 9 : 11 + i % 9, 5:23] = 0.9
            x = ((x - 0.1307) / 0.3081).contiguous(memory_format=layout)
            yield x, torch.randint(0, 10, (size,))

    def measure(self, request):
        torch = self.torch
        model, run = self.network(request["model"])
        optimizer = {
            "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
            "adam": lambda p: torch.optim.Adam(p, lr=0.001),
            "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
        }[request["optimizer"]](model.parameters())
        batches = list(self.batches(request["batch_size"]))

        def step(i):
            x, y = batches[i % len(batches)]
            optimizer.zero_grad()
            half = self.mode == "bf16"
            with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
                out = run(x)
            loss = torch.nn.functional.cross_entropy(out.float(), y)
            loss.backward()
            optimizer.step()
            return loss

        for i in range(WARM_UP):
            step(i)
        times = []
        until = time.perf_counter() + request["seconds"]
        while len(times) < FEWEST_STEPS or time.perf_counter() < until:
            start = time.perf_counter()
            step(len(times)).item()
            times.append(1e3 * (time.perf_counter() - start))
        return {
            "step_ms_median": statistics.median(times),
            "step_ms_min": min(times),
            "steps": len(times),
            "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--mode", choices=MODES, default="eager")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    peer = Peer(torch, args.mode)
    print(json.dumps({"peer": f"torch {torch.__version__.split('+')[0]} {args.mode}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(peer.measure(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
