"""Plot the results of ``dc bench featurize``."""

from pathlib import Path
from typing import Final

from deepchrome.benchmarks.common.figures import new_figure, save_figure
from deepchrome.benchmarks.common.results import Results
from deepchrome.benchmarks.common.tables import FLOOR, GROUP_TITLES, format_seconds

# One colour per group, dark enough on white.
_COLOURS: Final = {
    "floor": "#8c8c8c",
    "engine": "#0b6e4f",
    "process": "#2a9d8f",
    "reference": "#9b2226",
    "peer": "#457b9d",
}


def plot(results: Results, folder: Path) -> list[Path]:
    """Plot the wall-clock time of each program on a logarithmic axis.

    If results exist for several numbers of reads, the plot shows the largest that the other programs counted.

    Returns
    -------
    list of Path
        ``featurize.png`` and ``featurize.svg`` in ``folder``.

    Raises
    ------
    NotInstalledError
        matplotlib is not installed.
    """
    rows = [row for row in results.rows if row.group in _COLOURS]
    work = max((row.work for row in rows if row.group in ("reference", "peer")), default=max(row.work for row in rows))
    rows = sorted((row for row in rows if row.work == work), key=lambda row: -row.seconds)
    figure = new_figure(9, 0.8 + 0.26 * len(rows))
    axes = figure.subplots()
    medians = [row.seconds for row in rows]
    spread = [[row.seconds - min(row.wall) for row in rows], [max(row.wall) - row.seconds for row in rows]]
    places = range(len(rows))
    # Points instead of bars: a logarithmic axis has no zero for a bar to start at.
    axes.hlines(places, 0, medians, color="#e0e0e0", linewidth=0.8)
    for group, colour in _COLOURS.items():
        members = [i for i, row in enumerate(rows) if row.group == group]
        if members:
            points = [medians[i] for i in members]
            ranges = [[side[i] for i in members] for side in spread]
            label = GROUP_TITLES[group]
            axes.errorbar(points, members, xerr=ranges, fmt="o", color=colour, markersize=5, label=label)
    axes.set_yticks(places, [row.name + (" *" if row.scale != 1 else "") for row in rows], fontsize=8)
    axes.set_xscale("log")
    axes.legend(fontsize=7, loc="upper right", frameon=False)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(f" {format_seconds(row.seconds)} s", (max(row.wall), place), va="center", fontsize=7)
    floor = next((row.seconds for row in rows if row.name == FLOOR), None)
    if floor:
        axes.axvline(floor, color="black", linewidth=0.7, linestyle=":")
    footnote = "; * extrapolated from a part of the bins" if any(row.scale != 1 for row in rows) else ""
    axes.set_xlabel(f"wall-clock seconds, median and range{footnote}", fontsize=8)
    title = f"{work:,} reads, {results.settings['bins']:,} bins, {results.machine['cores']} cores"
    axes.set_title(f"{title} ({results.machine['processor']})", fontsize=9, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0.1, y=0.01)
    return save_figure(figure, folder, results)
