"""Which images `isobit train --split 70-10-20 --seed S` takes: NUMERICS.md, "Randomness", in numpy."""
import numpy as np

SPLIT = 3  # the stream
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(blocks, seed, tag):
    """The four words of each block, with step 0."""
    c0, c1 = blocks & WORD, blocks >> HALF
    c2, c3 = np.zeros_like(blocks), np.full_like(blocks, tag)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1 = (p1 >> HALF) ^ c1 ^ np.uint64(k0), p1 & WORD
        c2, c3 = (p0 >> HALF) ^ c3 ^ np.uint64(k1), p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def split_70_10_20(count, seed):
    """Indices for training, validation and test, into the training images followed by the test
    images."""
    element = np.arange(count, dtype=np.uint64)
    words = philox(element // np.uint64(64) * np.uint64(16) + element % np.uint64(16), seed,
                   SPLIT << 24)
    word = words[(element // np.uint64(16) % np.uint64(4)).astype(np.int64),
                 np.arange(count)]
    partner = (word * (element + np.uint64(1)) >> HALF).astype(np.int64).tolist()
    entries = list(range(count))
    for i in range(count - 1, -1, -1):
        j = partner[i]
        entries[i], entries[j] = entries[j], entries[i]
    train, validation = count * 7 // 10, count // 10
    return entries[:train], entries[train:train + validation], entries[train + validation:]
