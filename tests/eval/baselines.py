#!/usr/bin/env python3
"""The baselines once more, in numpy and straight from their papers: where baselines.json comes from.

    tests/eval/baselines.py            writes baselines.json beside this file
    tests/eval/baselines.py --check    fails unless it says what this program computes

src/eval/baselines/tests.rs compares the library with the file; tests/eval/main.rs runs the check.
"""
import json
import pathlib
import sys

import numpy as np

FILE = pathlib.Path(__file__).with_name("baselines.json")
ROWS, WIDTH, COMPONENTS = 60, 8, 5


def rows():
    """Correlated rows of bytes, from a linear congruential generator."""
    state, drawn = 7, []
    for _ in range(ROWS * WIDTH):
        state = (state * 1103515245 + 12345) % 2**31
        drawn.append((state >> 16) % 256)
    x = np.array(drawn, dtype=float).reshape(ROWS, WIDTH)
    for at in range(1, WIDTH):
        x[:, at] = (0.6 * x[:, at - 1] + 0.4 * x[:, at]).round()
    return x.astype(int)


def pca(x):
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    values, vectors = values[::-1], vectors[:, ::-1]
    # Of two directions the one whose largest number is positive.
    largest = vectors[np.abs(vectors).argmax(axis=0), range(WIDTH)]
    return values[:COMPONENTS], (vectors * np.sign(largest))[:, :COMPONENTS]


def itq(v, iterations):
    """trainITQ.m, from the identity instead of a random rotation."""
    r = np.eye(v.shape[1])
    for _ in range(iterations):
        b = np.where(v @ r >= 0, 1.0, -1.0)
        ub, _, ua = np.linalg.svd(b.T @ v)
        r = ua.T @ ub.T
    return r


def spectral(v, bits):
    """trainSH.m and compressSH.m, line by line."""
    eps = np.finfo(float).eps
    mn, mx = v.min(axis=0) - eps, v.max(axis=0) + eps
    r = mx - mn
    max_mode = np.ceil((bits + 1) * r / r.max()).astype(int)
    modes = np.ones((max_mode.sum() - len(max_mode) + 1, v.shape[1]))
    m = 0
    for i in range(v.shape[1]):
        modes[m + 1 : m + max_mode[i], i] = range(2, max_mode[i] + 1)
        m += max_mode[i] - 1
    modes -= 1
    omegas = modes * (np.pi / r)
    values = -(omegas**2).sum(axis=1)
    modes = modes[np.argsort(-values, kind="stable")[1 : bits + 1]]
    omega0 = np.pi / r
    signs = [np.prod(np.sin((v - mn) * (omega0 * mode) + np.pi / 2), axis=1) > 0 for mode in modes]
    return np.array(signs).T


def text(bits):
    return ["".join("1" if bit else "0" for bit in row) for row in bits]


def computed():
    x = rows()
    values, vectors = pca(x)
    v = (x - x.mean(axis=0)) @ vectors
    rotation = itq(v, 50)
    return {
        "rows": x.tolist(),
        "mean": x.mean(axis=0).tolist(),
        "variances": values.tolist(),
        "components": vectors.T.tolist(),
        "pca_codes": text(v > 0),
        "itq_rotation": rotation.tolist(),
        "itq_codes": text(v @ rotation > 0),
        "spectral_3": text(spectral(v[:, :3], 3)),
        # More bits than components: several waves on one.
        "spectral_12": text(spectral(v, 12)),
    }


def close(one, other):
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(close(*pair) for pair in zip(one, other))
    return one == other if isinstance(one, str) else abs(one - other) < 1e-9 * max(1, abs(one))


if __name__ == "__main__":
    found = computed()
    if "--check" not in sys.argv:
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
        FILE.write_text("{\n" + lines + "\n}\n")
        sys.exit()
    kept = json.loads(FILE.read_text())
    wrong = [name for name in found if name not in kept or not close(found[name], kept[name])]
    if wrong:
        sys.exit(f"{FILE} differs from numpy in {', '.join(wrong)}")
    print(f"numpy {np.__version__} computes the same")
