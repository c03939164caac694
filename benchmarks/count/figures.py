"""Name the rows of ``dc bench count``, and compute the figures that it is judged by."""

from collections.abc import Sequence
from typing import Any, Final

from deepchrome.benchmarks.common.results import Parity, Row
from deepchrome.benchmarks.common.tables import format_threads
from deepchrome.benchmarks.count.inputs import BAM, TAGALIGN

ENGINE: Final = "engine"
"""The group of the library calls."""
TSS_WINDOWS: Final = "TSS windows of dc featurize"
GOAL_RATE: Final = 0.8
GOAL_RATIO: Final = 10


def process_row_name(reads: str, threads: int) -> str:
    """Return the name of the row of ``dc count``."""
    return f"dc count, {reads}, {format_threads(threads)}"


def engine_row_name(regions: str, reads: str, threads: int) -> str:
    """Return the name of the row of a library call; ``regions`` is the name of a set, or :data:`TSS_WINDOWS`."""
    return f"{regions}, {reads}, {format_threads(threads)}"


def parity_name(regions: str, row: str) -> str:
    """Return the name of the comparison of a row with ``dc count``."""
    return f"{regions}: {row}"


def index_figure(regions: str) -> str:
    """Return the name of the time for indexing a set of regions."""
    return f"{regions}: index the regions, once per run (s)"


def acceptance_figures(
    rows: Sequence[Row], parity: Sequence[Parity], sets: Sequence[str], threads: Sequence[int]
) -> dict[str, Any]:
    """Compute the rate of the engine relative to TSS windows, the ratio to other programs, and memory.

    Parameters
    ----------
    rows, parity
        The measured tasks, and the comparisons of counts.
    sets
        Names of the sets of regions.
    threads
        Numbers of threads of ``dc count``. The ratio is for the largest.

    Returns
    -------
    dict
        Figures by name.
    """
    seconds = {(row.group, row.name): row.seconds for row in rows}
    figures: dict[str, Any] = {}
    for name in sets:
        for reads in (BAM, TAGALIGN):
            for n in threads:
                base = seconds[ENGINE, engine_row_name(TSS_WINDOWS, reads, n)]
                row = engine_row_name(name, reads, n)
                figures[f"{row}: rate ÷ rate in TSS windows (goal {GOAL_RATE})"] = base / seconds[ENGINE, row]
    for name in sets:
        for reads in (BAM, TAGALIGN):
            if fastest := fastest_exact(rows, parity, name, reads):
                own = seconds[name, process_row_name(reads, max(threads))]
                figures[f"{name}, {reads}: fastest exact program"] = fastest.name
                figures[f"{name}, {reads}: its time ÷ time of dc count (goal {GOAL_RATIO})"] = fastest.seconds / own
    for name in sets:
        peaks = [max(row.rss_mib) for row in rows if row.group == name and row.name.startswith("dc count")]
        figures[f"{name}: peak memory of dc count (MiB)"] = max(peaks)
    return figures


def fastest_exact(rows: Sequence[Row], parity: Sequence[Parity], name: str, reads: str) -> Row | None:
    """Return the fastest other program whose counts are those of ``dc count``, on one set and file of reads."""
    exact = {one.name for one in parity if one.cells and not one.different}
    others = [
        row
        for row in rows
        if row.group == name and row.name.endswith(f", {reads}") and parity_name(name, row.name) in exact
    ]
    return min(others, key=lambda row: row.seconds, default=None)
