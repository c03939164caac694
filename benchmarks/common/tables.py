"""Format results as tables for the terminal."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from rich.table import Table

from deepchrome.benchmarks.common.results import Results, Row, RowComparison

FLOOR: Final = "igzip -dc"
"""The fastest program that only decompresses the file: a lower bound for any program that reads it."""
GROUP_TITLES: Final = {
    "floor": "lower bounds",
    "engine": "engine, library call",
    "process": "dc featurize, whole process",
    "reference": "reference path",
    "peer": "other programs",
    "step": "steps of other programs",
    "start-up": "start-up",
    "sweep": "engine, by windows and bin size",
    "training": "training",
    "many": "many files",
    "windows": "windows of genes",
    "tss-bins": "bins of these windows",
    "peaks": "peaks",
    "bins": "bins of the genome",
}


def result_tables(results: Results) -> Iterable[Table]:
    """Yield tables of the results: parity, times (by number of reads or genes), missing programs, other figures."""
    if results.parity:
        yield _parity_table(results)
    for work in sorted({row.work for row in results.rows}, key=lambda work: (work == 0, work)):
        yield _rows_table(results, work)
    if results.missing:
        missing = Table("program", "how to install it", title="Not installed")
        for program in results.missing:
            missing.add_row(program.name, program.how)
        yield missing
    if results.figures:
        figures = Table("figure", "value", title="Other figures")
        for name, value in results.figures.items():
            figures.add_row(name, _format_figure(value))
        yield figures


def _parity_table(results: Results) -> Table:
    columns = ("program", "reads", "counts compared", "different", "result")
    table = Table(*columns, title="Counts compared with the engine's", title_justify="left")
    for parity in results.parity:
        result = "different" if parity.different else "equal"
        if parity.reason:
            result = f"expected to differ: {parity.reason}"
        table.add_row(parity.name, f"{parity.work:,}", f"{parity.cells:,}", f"{parity.different:,}", result)
    return table


def _rows_table(results: Results, work: int) -> Table:
    unit = "genes" if results.kind == "train" else "reads"
    table = Table(title=f"{work:,} {unit}" if work else f"no {unit}", title_justify="left")
    rows = [row for row in results.rows if row.work == work]
    floor = next((row for row in rows if row.name == FLOOR), None)
    table.add_column("")
    for column in ("wall s", "min - max", "runs", "CPU s", "peak MiB", f"{unit}/s", "÷ igzip" if floor else ""):
        table.add_column(column, justify="right")
    table.add_column("scaled")
    for group, title in GROUP_TITLES.items():
        members = [row for row in rows if row.group == group]
        if members:
            table.add_section()
            table.add_row(f"[bold]{title}[/bold]")
        for row in members:
            table.add_row(
                f"  {row.name}",
                format_seconds(row.seconds),
                f"{format_seconds(min(row.wall))} - {format_seconds(max(row.wall))}",
                str(len(row.wall)),
                format_seconds(median(row.cpu)),
                f"{median(row.rss_mib):,.0f}" if any(row.rss_mib) else "",
                f"{work / row.seconds:,.3g}" if work and row.seconds else "",
                format_ratio(row.seconds / floor.seconds) if floor else "",
                _scale_note(row),
            )
    return table


def _scale_note(row: Row) -> str:
    if row.scale == 1:
        return ""
    return f"last step x {row.scale:.3g}" if row.group in ("reference", "peer") else f"x {row.scale:.3g}"


def _format_figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def comparison_table(rows: Sequence[RowComparison]) -> Table:
    """Return a table that shows the median times of two results side by side, and their ratio."""
    columns = ("group", "name", "work", "first s", "second s", "second / first", "")
    table = Table(*columns, title="Medians of wall-clock seconds")
    for row in rows:
        medians = format_seconds(row.first), format_seconds(row.second)
        table.add_row(row.group, row.name, f"{row.work:,}", *medians, f"{row.ratio:.3f}", row.verdict)
    return table


def format_seconds(value: float) -> str:
    """Format seconds with up to three decimals: the larger the value, the fewer."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def format_ratio(ratio: float) -> str:
    """Format a ratio with two decimals, or with none if it is 100 or more."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def format_threads(n: int) -> str:
    """Format a number of threads."""
    return "1 thread" if n == 1 else f"{n} threads"
