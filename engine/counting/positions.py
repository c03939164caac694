"""Sample the positions of reads at random, to measure the complexity of a library."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.counting.quality import PositionSample

MAX_DISTINCT: Final = 1 << 15
_ALL: Final = np.uint64(np.iinfo(np.uint64).max)

Keys = npt.NDArray[np.uint64]


class PositionSampler:
    """The keys of positions below a limit, and how many reads have each.

    A key depends only on the position and looks random, so the keys below a limit are a random sample of the
    positions, with all of their reads. The limit is halved as often as is needed to keep at most ``MAX_DISTINCT`` keys.

    Attributes
    ----------
    limit
        The largest key in the sample.
    """

    def __init__(self) -> None:
        self.limit = _ALL
        self._halvings = 0
        self._keys: Keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)

    def add(self, keys: Keys, counts: npt.NDArray[np.int64] | None = None) -> None:
        """Add reads at the positions of some keys: one read for each key, or as many as ``counts`` says."""
        new = np.ones(len(keys), np.int64) if counts is None else counts
        merged, place = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        sums = np.bincount(place, np.concatenate([self._counts, new]), len(merged)).astype(np.int64)
        self._keys, self._counts = merged, sums
        while self._cut() > MAX_DISTINCT:
            self.limit >>= np.uint64(1)
            self._halvings += 1

    def _cut(self) -> int:
        """Drop keys above the limit; return how many are left."""
        n = int(np.searchsorted(self._keys, self.limit, "right"))
        self._keys, self._counts = self._keys[:n], self._counts[:n]
        return n

    @classmethod
    def joined(cls, samplers: Iterable["PositionSampler"]) -> "PositionSampler":
        """Return the sample of the reads of several samplers. It does not depend on how the reads were shared out."""
        joined = cls()
        samplers = list(samplers)
        joined.limit = min((sampler.limit for sampler in samplers), default=_ALL)
        joined._halvings = max((sampler._halvings for sampler in samplers), default=0)
        for sampler in samplers:
            joined.add(sampler._keys, sampler._counts)
        return joined

    def sample(self) -> PositionSample:
        """Return the numbers of reads and positions in the sample."""
        counts = self._counts
        return PositionSample(
            fraction=0.5**self._halvings,
            reads=int(counts.sum()),
            distinct=len(counts),
            once=int((counts == 1).sum()),
            twice=int((counts == 2).sum()),
        )
