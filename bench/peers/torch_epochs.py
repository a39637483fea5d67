#!/usr/bin/env python3
"""Trains the CNN of the PyTorch MNIST example in PyTorch, and prints the loss and accuracy on the test
images after each epoch: the peer of `isobit train --model cnn --optimizer adadelta --gamma 0.7`, and of
the configurations of experiments/container.yaml.

example: bench/peers/torch_epochs.py --data-dir data --batch-size 32 --lr 0.5 --epochs 2 --seed 1"""

import argparse
import os

import numpy as np
import torch

from torch_step import cnn

IMAGES, LABELS = 16, 8  # bytes of IDX headers
EPOCH_DECAY = 0.7
MEAN, DEVIATION = 0.1307, 0.3081


def read_part(directory, part):
    images = np.fromfile(os.path.join(directory, f"{part}-images-idx3-ubyte"), np.uint8, offset=IMAGES)
    labels = np.fromfile(os.path.join(directory, f"{part}-labels-idx1-ubyte"), np.uint8, offset=LABELS)
    pixels = torch.from_numpy(images).reshape(-1, 1, 28, 28).float()
    return (pixels / 255 - MEAN) / DEVIATION, torch.from_numpy(labels).long()


def test(model, images, labels):
    model.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for x, y in zip(images.split(1000), labels.split(1000)):
            output = model(x)
            loss += torch.nn.functional.nll_loss(output, y, reduction="sum").item()
            right += int((output.argmax(1) == y).sum())
    return loss / len(labels), right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    directory = os.path.join(arguments.data_dir, "mnist")
    images, labels = read_part(directory, "train")
    held_out = read_part(directory, "t10k")
    model = cnn(torch)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=arguments.lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=EPOCH_DECAY)
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        for rows in torch.randperm(len(labels)).split(arguments.batch_size):
            optimizer.zero_grad()
            torch.nn.functional.nll_loss(model(images[rows]), labels[rows]).backward()
            optimizer.step()
        schedule.step()
        loss, accuracy = test(model, *held_out)
        print(f"torch {torch.__version__}, batch size {arguments.batch_size}, lr {arguments.lr}, seed "
              f"{arguments.seed}, epoch {epoch}: test loss {loss:.4f}, accuracy {100 * accuracy:.2f} %",
              flush=True)


if __name__ == "__main__":
    main()
