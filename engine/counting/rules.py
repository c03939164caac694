"""Turn options into the rule that the kernels apply to each read."""

from typing import Final

import numpy as np

from deepchrome.engine import kernels
from deepchrome.engine.counting.options import ReadOptions

# The fraction of multicov without -f: any overlap of regions shorter than 10^9 bp is more.
_ANY_OVERLAP: Final = 1e-9
_POINTS: Final = {None: 0, "five-prime": kernels.FIVE_PRIME, "center": kernels.CENTER}
NO_TARGETS: Final = np.zeros((0, 5), np.int64)


def make_rule(options: ReadOptions, strand_mask: int, strand_value: int) -> kernels.Rule:
    """Return the rule of some options, without the tables of sequences.

    Parameters
    ----------
    options
        The options; see :meth:`~deepchrome.engine.counting.options.ReadOptions.check`.
    strand_mask, strand_value
        How the format gives the strand; see :class:`~deepchrome.engine.kernels.layout.Rule`.
    """
    blacklist = options.blacklist.intervals if options.blacklist else np.zeros((0, 2), np.int32)
    fraction = options.overlap_fraction
    return kernels.Rule(
        stranded=options.strand is not None,
        strand_mask=strand_mask,
        strand_value=strand_value,
        by_span=options.split or fraction is not None,
        fraction=float(_ANY_OVERLAP if fraction is None else fraction),
        reciprocal=options.reciprocal,
        split=options.split,
        changes=bool(options.shift or options.extend or options.point or options.blacklist),
        shift=options.shift,
        extend=options.extend,
        point=_POINTS[options.point],
        blacklist=blacklist,
        targets=NO_TARGETS,
    )
