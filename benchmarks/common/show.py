"""Results for people: tables on the terminal, and a plot."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from rich.table import Table

from deepchrome.benchmarks.common.results import Compared, Results, Row
from deepchrome.errors import UsageError

FLOOR: Final = "igzip -dc"
GROUPS: Final = {
    "floor": "floors",
    "engine": "the engine, a library call, warm",
    "process": "whole processes",
    "reference": "the reference path",
    "peer": "what else one could use",
    "step": "their steps",
    "start-up": "start-up",
    "sweep": "cost of windows and bin size",
    "training": "training",
    "many": "many files",
}
# One colour a group; dark enough on white, and told apart without colour vision by their order in the plot.
_COLOURS: Final = {
    "floor": "#8c8c8c",
    "engine": "#0b6e4f",
    "process": "#2a9d8f",
    "reference": "#9b2226",
    "peer": "#457b9d",
}


def tables(results: Results) -> Iterable[Table]:
    """Lay results out: parity first, then the rows by group, then what is missing, then single figures."""
    if results.parity:
        yield _parity(results)
    for work in sorted({row.work for row in results.rows}, key=lambda work: (work == 0, work)):
        yield _rows(results, work)
    if results.missing:
        missing = Table("not here", "how to get it", title="Missing")
        for one in results.missing:
            missing.add_row(one.name, one.how)
        yield missing
    if results.figures:
        figures = Table("figure", "value", title="Figures")
        for name, value in results.figures.items():
            figures.add_row(
                name,
                f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value),
            )
        yield figures


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def seconds(value: float) -> str:
    """Write seconds with three digits, or to the millisecond."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def times(ratio: float) -> str:
    """Write a ratio: two decimals, none from 100 on."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def note(row: Row) -> str:
    """Say what stands behind a row that is scaled from a part of its work."""
    if row.scale == 1:
        return ""
    return f"last step x {row.scale:.3g}" if row.group in ("reference", "peer") else f"x {row.scale:.3g}"


def _parity(results: Results) -> Table:
    table = Table(
        "counts of", "reads", "bins compared", "different", "", title="Parity, every bin", title_justify="left"
    )
    for one in results.parity:
        verdict = one.reason and f"counts otherwise: {one.reason}"
        table.add_row(one.name, f"{one.work:,}", f"{one.cells:,}", f"{one.different:,}", verdict or "equal")
    return table


def _rows(results: Results, work: int) -> Table:
    unit = "genes" if results.kind == "train" else "reads"
    table = Table(title=f"{work:,} {unit}" if work else "no reads", title_justify="left")
    floor = next((row for row in results.rows if row.name == FLOOR and row.work == work), None)
    columns = [
        "",
        "wall s",
        "min - max",
        "runs",
        "CPU s",
        "peak MiB",
        f"{unit}/s",
        "÷ igzip" if floor else "",
        "scaled",
    ]
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < i < 8 else "left")
    for group, title in GROUPS.items():
        rows = [row for row in results.rows if row.group == group and row.work == work]
        if rows:
            table.add_section()
            table.add_row(f"[bold]{title}[/bold]")
        for row in rows:
            table.add_row(
                f"  {row.name}",
                seconds(row.seconds),
                f"{seconds(min(row.wall))} - {seconds(max(row.wall))}",
                str(len(row.wall)),
                seconds(median(row.cpu)),
                f"{median(row.rss_mib):,.0f}" if any(row.rss_mib) else "",
                f"{work / row.seconds:,.3g}" if work and row.seconds else "",
                times(row.seconds / floor.seconds) if floor else "",
                note(row),
            )
    return table


def comparison(rows: Sequence[Compared]) -> Table:
    """Lay two results out side by side."""
    table = Table("", "", "work", "first s", "second s", "second / first", "", title="Medians of wall-clock seconds")
    for row in rows:
        cells = f"{row.work:,}", seconds(row.first), seconds(row.second), f"{row.ratio:.3f}", row.verdict
        table.add_row(row.group, row.name, *cells)
    return table


def plot(results: Results, folder: Path) -> list[Path]:
    """Draw a race as bars, wall-clock time on a logarithmic axis; as PNG and SVG.

    Raises
    ------
    UsageError
        matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError("plots need matplotlib: pip install 'deepchrome[figures]'") from None
    rows = [row for row in results.rows if row.group in _COLOURS]
    work = max((row.work for row in rows if row.group in ("reference", "peer")), default=max(row.work for row in rows))
    rows = sorted((row for row in rows if row.work == work), key=lambda row: -row.seconds)
    figure = Figure(figsize=(9, 0.8 + 0.26 * len(rows)), layout="constrained")
    axes = figure.subplots()
    middles = [row.seconds for row in rows]
    spread = [[row.seconds - min(row.wall) for row in rows], [max(row.wall) - row.seconds for row in rows]]
    places = range(len(rows))
    places = range(len(rows))
    # Points, not bars: a logarithmic axis has no zero for a bar to begin at.
    axes.hlines(places, 0, middles, color="#e0e0e0", linewidth=0.8)
    for group, colour in _COLOURS.items():
        members = [i for i, row in enumerate(rows) if row.group == group]
        if members:
            at = [middles[i] for i in members]
            ranges = [[side[i] for i in members] for side in spread]
            axes.errorbar(at, members, xerr=ranges, fmt="o", color=colour, markersize=5, label=GROUPS[group])
    axes.set_yticks(places, [row.name + (" *" if row.scale != 1 else "") for row in rows], fontsize=8)
    axes.set_xscale("log")
    axes.legend(fontsize=7, loc="upper right", frameon=False)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(f" {seconds(row.seconds)} s", (max(row.wall), place), va="center", fontsize=7)
    floor = next((row.seconds for row in rows if row.name == FLOOR), None)
    if floor:
        axes.axvline(floor, color="black", linewidth=0.7, linestyle=":")
    starred = "; * scaled from a part of the bins" if any(row.scale != 1 for row in rows) else ""
    axes.set_xlabel(f"seconds, wall clock, median and range{starred}", fontsize=8)
    title = f"{work:,} reads, {results.settings['bins']:,} bins, {results.machine['cores']} cores"
    axes.set_title(f"{title} ({results.machine['processor']})", fontsize=9, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0.1, y=0.01)
    paths = [folder / "featurize.png", folder / "featurize.svg"]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": results.kind}):  # text as text; same bytes every time
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
