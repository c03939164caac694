"""Random generators that depend only on a seed, a name and an epoch."""

import hashlib

import numpy as np


def random_generator(seed: int, name: str, epoch: int = 0) -> np.random.Generator:
    """Return the random generator of one epigenome's model in one epoch.

    Parameters
    ----------
    seed
        The seed of the whole run.
    name
        The name of the epigenome, or a constant for data without a name.
    epoch
        1 for the first epoch; 0 for random numbers drawn before it, such as the initial weights.
    """
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.SFC64([seed, number, epoch]))
