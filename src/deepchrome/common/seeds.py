"""Random generators that depend on a seed and a name only."""

import hashlib

import numpy as np


def random_generator(seed: int, epigenome: str, epoch: int = 0) -> np.random.Generator:
    """Return the source of all that is random for one model in one epoch; 0 is before the first."""
    name = int.from_bytes(hashlib.sha256(epigenome.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.SFC64([seed, name, epoch]))
