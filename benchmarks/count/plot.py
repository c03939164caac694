"""Plot the results of ``dc bench count``."""

from pathlib import Path
from typing import Final

from deepchrome.benchmarks.common.figures import new_figure, save_figure
from deepchrome.benchmarks.common.results import Results
from deepchrome.benchmarks.common.tables import GROUP_TITLES, format_seconds
from deepchrome.benchmarks.count.inputs import SETS

# One colour per kind of program, dark enough on white.
_OWN, _EXACT, _OTHER = "#2a9d8f", "#457b9d", "#9b2226"
_LABELS: Final = {_OWN: "dc count", _EXACT: "equal counts", _OTHER: "other counts, or another quantity"}


def plot(results: Results, folder: Path) -> list[Path]:
    """Plot the wall-clock time of each program on a logarithmic axis, one panel per set of regions.

    Returns
    -------
    list of Path
        ``count.png`` and ``count.svg`` in ``folder``.

    Raises
    ------
    NotInstalledError
        matplotlib is not installed.
    """
    equal = {one.name for one in results.parity if one.cells and not one.different}
    panels = [(name, [row for row in results.rows if row.group == name]) for name in SETS]
    panels = [(name, sorted(rows, key=lambda row: -row.seconds)) for name, rows in panels if rows]
    heights = [len(rows) + 2 for _, rows in panels]
    figure = new_figure(9, 0.6 + 0.26 * sum(heights))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, rows) in zip(all_axes, panels, strict=True):
        for place, row in enumerate(rows):
            is_equal = f"{name}: {row.name}" in equal
            colour = _OWN if row.name.startswith("dc count") else _EXACT if is_equal else _OTHER
            # Points instead of bars: a logarithmic axis has no zero for a bar to start at.
            axes.plot([min(row.wall), max(row.wall)], [place, place], color=colour, linewidth=1)
            axes.plot(row.seconds, place, "o", color=colour, markersize=5)
            axes.annotate(f" {format_seconds(row.seconds)} s", (max(row.wall), place), va="center", fontsize=7)
        axes.set_yticks(range(len(rows)), [row.name + (" *" if row.scale != 1 else "") for row in rows], fontsize=8)
        axes.set_xscale("log")
        n_regions = results.settings[f"regions, {name}"]
        axes.set_title(f"{n_regions:,} regions: {GROUP_TITLES[name]}", fontsize=9, loc="left")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.margins(x=0.1)
    for colour, label in _LABELS.items():
        all_axes[0].plot([], [], "o", color=colour, markersize=5, label=label)
    all_axes[0].legend(fontsize=7, loc="upper right", frameon=False)
    scaled = "; * extrapolated from a part of the regions" if any(row.scale != 1 for row in results.rows) else ""
    all_axes[-1].set_xlabel(f"wall-clock seconds, median and range{scaled}", fontsize=8)
    cores, processor = results.machine["cores"], results.machine["processor"]
    figure.suptitle(f"{results.settings['reads']:,} reads, {cores} cores ({processor})", fontsize=9, x=0.01, ha="left")
    return save_figure(figure, folder, results)
