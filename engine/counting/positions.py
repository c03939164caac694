"""Sample the positions of reads at random, to measure the complexity of a library."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.counting.quality import PositionSample

MAX_DISTINCT: Final = 1 << 14
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
        if counts is None:
            keys, counts = _count_equal(np.sort(keys))
        places = np.searchsorted(self._keys, keys)
        is_old = np.append(self._keys, _ALL)[places] == keys
        is_old &= places < len(self._keys)
        self._counts[places[is_old]] += counts[is_old]
        # Two sorted arrays: a stable sort merges them.
        merged = np.concatenate([self._keys, keys[~is_old]])
        order = np.argsort(merged, kind="stable")
        self._keys, self._counts = merged[order], np.concatenate([self._counts, counts[~is_old]])[order]
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

    def sample(self, all_reads: int) -> PositionSample:
        """Return the numbers of reads and positions in the sample. ``all_reads`` is the number of all reads."""
        counts = self._counts
        return PositionSample(
            fraction=0.5**self._halvings,
            reads=int(counts.sum()),
            all_reads=all_reads,
            distinct=len(counts),
            once=int((counts == 1).sum()),
            twice=int((counts == 2).sum()),
        )


def _count_equal(keys: Keys) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return the different values of a sorted array, and how often each occurs."""
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    return keys[first], np.diff(np.append(first, len(keys)))
