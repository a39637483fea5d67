#!/usr/bin/env python3
"""Draws the README's pictures from docs/results/*.tsv: python3 docs/figures/draw.py."""
import html
import math
import os

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "..", "results")
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"]


def columns(name):
    with open(os.path.join(RESULTS, name + ".tsv"), encoding="utf-8") as stream:
        lines = [line.split("\t") for line in stream.read().splitlines() if line[0] != "#"]
    return [[float(v) for v in column] for column in zip(*lines[1:])]


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(words)}</text>'


def step_of(span):
    unit = 10 ** math.floor(math.log10(span))
    return next(unit * s for s in (1, 2, 5, 10) if unit * s >= span)


def plot(box, x_label, y_label, lines, y_range=None, powers=False, marks=True):
    """lines: (name, xs, ys, colour). The legend goes where y_range leaves room: the upper edge."""
    left, top, right, bottom = box
    xs = [x for _, line, _, _ in lines for x in line]
    ys = [y for _, _, line, _ in lines for y in line]
    low, high = y_range or (0, max(ys) * 1.25)
    scale = math.log2 if powers else float
    first, last = scale(min(xs)), scale(max(xs))
    x_at = lambda x: left + (scale(x) - first) / (last - first) * (right - left)
    y_at = lambda y: bottom - (y - low) / (high - low) * (bottom - top)
    out = []
    step = step_of((high - low) / 6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    for i in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1):
        y = y_at(i * step)
        out += [f'<path class="rule" d="M{left} {y:.1f}H{right}"/>',
                text(left - 6, y + 4, f"{i * step:.{digits}f}", "end")]
    span = step_of((max(xs) - min(xs)) / 6)
    ticks = sorted(set(xs)) if powers or len(set(xs)) < 8 and span == 1 else [
        i * span for i in range(math.ceil(min(xs) / span), math.floor(max(xs) / span) + 1)]
    out += [text(x_at(x), bottom + 17, f"{x:.0f}") for x in ticks]
    middle = (top + bottom) / 2
    out += [text((left + right) / 2, bottom + 38, x_label),
            text(left - 52, middle, y_label, extra=f' transform="rotate(-90 {left - 52} {middle})"'),
            f'<path class="edge" d="M{left} {top}V{bottom}H{right}"/>']
    for i, (name, at, values, colour) in enumerate(lines):
        spots = [(x_at(x), y_at(y)) for x, y in zip(at, values)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        out.append(f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{path}"/>')
        if marks:
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in spots]
        y = (bottom - 14 - 18 * (len(lines) - 1 - i)) if y_range else top + 12 + 18 * i
        out += [f'<path stroke="{colour}" stroke-width="3" d="M{right - 30} {y}H{right - 6}"/>',
                text(right - 36, y + 4, name, "end")]
    return out


def save(name, width, height, title, parts):
    body = "\n".join(parts)
    with open(os.path.join(HERE, name + ".svg"), "w", encoding="utf-8") as stream:
        stream.write(f"""<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" \
font-family="sans-serif" font-size="13" role="img" aria-labelledby="t"><title id="t">{html.escape(title)}</title>
<style>text{{fill:#16202a}}.paper{{fill:#fff}}.rule{{stroke:#d9dee3}}.edge{{stroke:#56616c;fill:none}}
@media (prefers-color-scheme:dark){{text{{fill:#e6eaee}}.paper{{fill:#12171c}}.rule{{stroke:#343d46}}\
.edge{{stroke:#a3adb7}}}}</style>
<rect class="paper" width="{width}" height="{height}"/>
{text(width / 2, 22, title)}
{body}
</svg>
""")


def main():
    epochs, *seeds = columns("accuracy-by-epoch")
    save("accuracy", 720, 360, "CNN of the PyTorch MNIST example, five seeds: test accuracy by epoch",
         plot((80, 40, 700, 305), "epoch", "test accuracy (%)",
              [(f"seed {i + 1}", epochs, ys, COLOURS[i]) for i, ys in enumerate(seeds)],
              y_range=(98, 99.4)))
    batch, one, _, two, memory = columns("scaling-batch")
    images, train, total, _ = columns("scaling-data")
    seconds, resident, anonymous = columns("scaling-memory")
    blue, orange = COLOURS[:2]
    save("scaling", 900, 640, "Training the CNN on MNIST: cost as work grows",
         plot((80, 45, 430, 275), "batch size", "microseconds per image",
              [("1 thread", batch, one, blue), ("2 threads", batch, two, orange)], powers=True)
         + plot((530, 45, 880, 275), "batch size", "peak resident memory (MB)",
                [("bench step, 2 threads", batch, memory, orange)], powers=True)
         + plot((80, 350, 430, 585), "training images", "seconds",
                [("training, one epoch", images, train, blue),
                 ("from start to exit", images, total, orange)])
         + plot((530, 350, 880, 585), "seconds of a long run", "memory (MB)",
                [("resident", seconds, resident, blue),
                 ("of it anonymous", seconds, anonymous, orange)], marks=False))


if __name__ == "__main__":
    main()
