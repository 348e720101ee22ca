"""Synthetic codes and addresses with fixed seeds.

Codes are rows of bytes in the order of `numpy.packbits`: unit 0 is the most significant bit of byte
0. Queries are drawn from the same source as the rows, never from the rows themselves.
"""

import numpy as np

# Rows drawn at once; part of the definition, since each chunk has a random stream of its own.
CHUNK = 100_000
SPACE = 64  # dimensions of the space whose points are turned into codes


class Points:
    """A source of points; `draw` gives as many as wanted, the same ones for the same stream."""

    def __init__(self, bits: int, seed: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.projection = self.random.standard_normal((SPACE, bits), dtype=np.float32)

    def points(self, random: np.random.Generator, count: int) -> np.ndarray:
        """`count` points of the space."""
        raise NotImplementedError

    def draw(self, count: int, stream: int) -> np.ndarray:
        """The codes of `count` points: the signs of their projections."""
        parts = []
        for part, start in enumerate(range(0, count, CHUNK)):
            random = np.random.default_rng([self.seed, stream, part])
            points = self.points(random, min(CHUNK, count - start))
            parts.append(np.packbits(points @ self.projection > 0, axis=1))
        return np.concatenate(parts)


class Mixture(Points):
    """Tight clusters in 200 families, as many as make 200 points a cluster, but 2,000 at least."""

    def __init__(self, bits: int, rows: int, seed: int) -> None:
        super().__init__(bits, seed)
        clusters = max(2_000, rows // 200)
        normal = self.random.standard_normal
        families = normal((200, SPACE), dtype=np.float32)
        self.centers = families[np.arange(clusters) % 200]
        self.centers += np.float32(0.6) * normal((clusters, SPACE), dtype=np.float32)

    def points(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Points around randomly chosen centres."""
        centers = self.centers[random.integers(0, len(self.centers), count)]
        return centers + np.float32(0.45) * random.standard_normal(centers.shape, dtype=np.float32)


class Smooth(Points):
    """One Gaussian in 20 latent dimensions with some noise beside it: no clusters at all."""

    LATENT = 20

    def __init__(self, bits: int, seed: int) -> None:
        super().__init__(bits, seed)
        self.embedding = self.random.standard_normal((self.LATENT, SPACE), dtype=np.float32)

    def points(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Points near the latent subspace."""
        latent = random.standard_normal((count, self.LATENT), dtype=np.float32)
        noise = random.standard_normal((count, SPACE), dtype=np.float32)
        return latent @ self.embedding + np.float32(0.5) * noise


def mixture(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """256-bit codes in tight clusters."""
    source = Mixture(256, rows, seed=1)
    return source.draw(rows, 0), source.draw(queries, 1)


def smooth(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """256-bit codes without clusters."""
    source = Smooth(256, seed=2)
    return source.draw(rows, 0), source.draw(queries, 1)


def planted(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Random 256-bit codes; ten rows of each query are copies of it with 0 to 39 flipped bits."""
    random = np.random.default_rng(3)
    base = random.integers(0, 256, (rows, 32), dtype=np.uint8)
    wanted = random.integers(0, 256, (queries, 32), dtype=np.uint8)
    places = random.choice(rows, (queries, 10), replace=False)
    for query, place in zip(wanted, places, strict=True):
        flips = random.integers(0, 40, 10)
        # The bits of smallest rank in a random order are a random choice of that many.
        masks = random.random((10, 256)).argsort(axis=1) < flips[:, None]
        base[place] = query ^ np.packbits(masks, axis=1)
    return base, wanted


def uniform_addresses(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform 28-bit addresses."""
    random = np.random.default_rng(4)
    return (
        random.integers(0, 1 << 28, rows, dtype=np.uint32),
        random.integers(0, 1 << 28, queries, dtype=np.uint32),
    )


def clustered_addresses(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """28-bit addresses in clusters, some far fuller than others."""
    source = Mixture(28, rows, seed=5)
    return _addresses(source.draw(rows, 0)), _addresses(source.draw(queries, 1))


def _addresses(packed: np.ndarray) -> np.ndarray:
    """28 bits in four bytes, most significant first, as numbers below 2^28."""
    return (np.ascontiguousarray(packed).view(">u4").ravel() >> 4).astype(np.uint32)
