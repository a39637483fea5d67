"""Networks drawn at random, as files of rows."""


class Drawn:
    """Rows of (kind, keys) for images of 28 x 28, drawn at random."""

    def __init__(self, chance):
        self.chance, self.rows, self.number = chance, [], 0
        self.channels, self.side = 1, 28
        for _ in range(chance.randint(1, 4)):
            self.draw_stage()
        self.add("mean" if chance.random() < 0.3 else "flatten")
        for _ in range(chance.randint(0, 2)):
            self.add("linear", out=chance.choice((7, 16, 31, 64)), bias=chance.random() < 0.8)
            self.add("relu")
        self.add("linear", out="classes", bias=chance.random() < 0.8)

    def add(self, kind, **keys):
        self.number += 1
        self.rows.append((kind, {"name": f"r{self.number}", **keys}))
        return f"r{self.number}"

    def draw_conv(self, **given):
        # One weight before a normalisation has no gradient: its size is taken out again.
        kernel = self.chance.choice([k for k in (1, 2, 3, 3, 3, 5, 7)
                                     if k <= self.side and (k > 1 or self.channels > 1)] or [1])
        keys = {"out": self.chance.choice((3, 5, 8, 16, 17, 32)), "kernel": kernel,
                "stride": self.chance.choice((1, 1, 2)), "pad": self.chance.randint(0, kernel // 2),
                "bias": self.chance.random() < 0.7, **given}
        self.channels = keys["out"]
        self.side = (self.side + 2 * keys["pad"] - keys["kernel"]) // keys["stride"] + 1
        return self.add("conv", **keys)

    def draw_stage(self):
        self.draw_conv()
        if self.chance.random() < 0.5:
            self.add("batch-norm")
        if self.chance.random() < 0.8:
            self.add("relu")
        if self.chance.random() < 0.35:
            start = f"r{self.number}"
            self.draw_conv(out=self.channels, kernel=3, stride=1, pad=1)
            end = self.add("batch-norm")
            self.add("add", rows=(end, start))
            self.add("relu")
        if self.chance.random() < 0.6 and self.side >= 3:
            size = self.chance.choice((2, 2, 3))
            keys = {"size": size, "stride": self.chance.choice((1, 2, size)),
                    "pad": self.chance.randint(0, size // 2)}
            self.side = (self.side + 2 * keys["pad"] - size) // keys["stride"] + 1
            self.add(self.chance.choice(("max-pool", "max-pool", "average-pool")), **keys)
        if self.chance.random() < 0.2:
            self.add("dropout", p=0.25)

    def text(self):
        def value(of):
            if isinstance(of, bool):
                return "true" if of else "false"
            return "[" + ", ".join(of) + "]" if isinstance(of, tuple) else str(of)
        lines = ["name: drawn", "rows:"]
        for kind, keys in self.rows:
            lines.append(f"  - {kind}: {{" + ", ".join(f"{k}: {value(v)}"
                                                       for k, v in keys.items()) + "}")
        return "\n".join(lines) + "\n"
