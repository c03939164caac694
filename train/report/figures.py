"""Draw the figures of a report as PNG and SVG files, for papers. See docs/report.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.errors import StorageError
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.report.accuracy import Accuracy
from deepchrome.train.report.accuracy_figures import build_accuracy_figures
from deepchrome.train.report.drawing import (
    GREY,
    MAP_COLOURS,
    OFF,
    ON,
    PUBLISHED_COLOURS,
    lighten_frame,
    new_figure,
    save_figure,
)
from deepchrome.train.report.evidence import Evidence
from deepchrome.train.report.patterns import ACTIVE, CLASSES, Patterns
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import roc_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("png", "svg")
# The first letters of figures that not every report has.
_OPTIONAL: Final = ("patterns_", "observed_", "regression_", "contrast_", "yardsticks", "calibration", "transfer")


def draw_figures(
    folder: Path,
    run: Run,
    accuracy: Accuracy,
    patterns: Patterns | None,
    evidence: Mapping[str, Evidence],
    style: str = "default",
) -> tuple[Path, ...]:
    """Draw all figures of a report. Delete figures of an earlier report that this one does not have.

    - patterns_<model>: maps of both classes, with the mean of each mark
    - observed_<epigenome>: reads per bin (mean and quartiles) of the genes that are on, and of those that are off
    - auroc: test AUROC of all epigenomes, sorted
    - yardsticks, calibration, regression_<epigenome>, transfer, contrast_<a>_<b>: see
      :mod:`~deepchrome.train.report.accuracy_figures`
    - roc: ROC curves of all epigenomes
    - training: training curves of all epigenomes

    Returns
    -------
    tuple of Path
        The files, in the order drawn.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    import matplotlib as mpl

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot create the directory ({error.strerror or error})") from error
    written = []
    with mpl.rc_context({"font.size": 9}):
        for name, figure in _build_figures(run, accuracy, patterns, evidence, style):
            for form in FORMATS:
                path = folder / f"{name}.{form}"
                save_figure(figure, path, dpi=160)
                written.append(path)
    for stem in _OPTIONAL:
        for stale in {path for form in FORMATS for path in folder.glob(f"{stem}*.{form}")}.difference(written):
            stale.unlink()
    return tuple(written)


def _build_figures(
    run: Run, accuracy: Accuracy, patterns: Patterns | None, evidence: Mapping[str, Evidence], style: str
) -> "Iterator[tuple[str, Figure]]":
    inputs = run.config.inputs
    if patterns is not None:
        for i, model in enumerate(patterns.models):
            title = f"{model}, {patterns.recipe.name} recipe"
            yield f"patterns_{model}", _map_figure(patterns.value[i], inputs, title, style)
    for epigenome, item in evidence.items():
        yield f"observed_{epigenome}", _observed_figure(epigenome, item, inputs)
    yield "auroc", _auroc_figure(run, accuracy)
    yield from build_accuracy_figures(accuracy)
    yield "roc", _roc_figure(accuracy)
    if run.metrics().height:
        yield "training", _training_figure(run)


def _map_figure(value: NDArray[np.float32], inputs: InputSpec, title: str, style: str = "default") -> "Figure":
    """Draw the maps of both classes, "on" above "off", each with the mean and the number of active bins of every mark.

    Parameters
    ----------
    value
        float32 (2, bins, marks), from 0 to 1. The first axis is off, then on.
    inputs
        Description of the models' input.
    title
        Title of the figure.
    style
        ``default``, or ``published`` for the four colour levels of the paper.
    """
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap, Normalize

    if style == "published":
        colours: Any = ListedColormap(PUBLISHED_COLOURS)
        norm: Any = BoundaryNorm([0, 0.25, 0.5, 0.75, 1], 4)
    else:
        colours, norm = LinearSegmentedColormap.from_list("reads", MAP_COLOURS), Normalize(0, 1)
    figure = new_figure(7.6, 4.2)
    grid = figure.subplots(2, 2, width_ratios=(5, 1), sharex="col")
    left, right, label = _bin_axis(inputs)
    image = None
    for (axes, bars), c in zip(grid, (1, 0), strict=True):
        rows = value[c].T
        marks = np.arange(len(rows))
        image = axes.imshow(
            rows, aspect="auto", cmap=colours, norm=norm, interpolation="nearest",
            extent=(left, right, len(rows) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_yticks(marks, inputs.marks)
        axes.set_title(f"genes {CLASSES[c]}", loc="left", fontsize=9)
        axes.axvline(0 if inputs.flank else (left + right) / 2, color="#444444", linewidth=0.6, linestyle=":")
        bars.barh(marks, rows.mean(1), color=ON if c else OFF, height=0.7)
        bars.set_ylim(len(rows) - 0.5, -0.5)
        bars.set_yticks([])
        bars.spines[["top", "right"]].set_visible(False)
        for mark, count in enumerate((rows > ACTIVE).sum(1)):
            bars.annotate(str(count), (rows.mean(1)[mark], mark), (3, 0), textcoords="offset points", va="center")
        bars.margins(x=0.3)
    grid[1, 0].set_xlabel(label)
    grid[1, 1].set_xlabel("mean value")
    grid[0, 1].set_title("mean (active)", loc="left", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    assert image is not None
    figure.colorbar(image, ax=grid[:, 0], label="value", fraction=0.03, pad=0.01, aspect=30)
    return figure


def _bin_axis(inputs: InputSpec) -> tuple[float, float, str]:
    """Return both ends and the label of the axis along the bins.

    The unit is kb from the TSS, or bin numbers if the flank is unknown.
    """
    order = "5'→3'" if inputs.orient == "strand" else "in genomic order"
    if inputs.flank is None:
        return 0.5, inputs.n_bins + 0.5, "bin"
    return -inputs.flank / 1000, inputs.flank / 1000, f"kb from the TSS, {order}"


def _observed_figure(epigenome: str, evidence: Evidence, inputs: InputSpec) -> "Figure":
    figure = new_figure(2.1 * len(inputs.marks), 2.3)
    left, right, label = _bin_axis(inputs)
    edges = np.linspace(left, right, inputs.n_bins + 1)
    x = (edges[1:] + edges[:-1]) / 2
    for mark, axes in enumerate(np.atleast_1d(figure.subplots(1, len(inputs.marks)))):
        for c, colour in ((0, OFF), (1, ON)):
            reads = evidence.observed[c]
            axes.fill_between(x, reads.low[:, mark], reads.high[:, mark], color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, reads.mean[:, mark], color=colour, linewidth=1.2, label=f"{CLASSES[c]} ({reads.genes})")
        axes.set_title(inputs.marks[mark], loc="left", fontsize=9)
        lighten_frame(axes)
    figure.axes[0].set_ylabel("reads per bin")
    figure.axes[0].legend(frameon=False, fontsize=8, title="genes")
    figure.supxlabel(label, fontsize=9)
    figure.suptitle(f"{epigenome}: mean and middle half of the genes", x=0.01, ha="left", fontsize=10)
    return figure


def _auroc_figure(run: Run, accuracy: Accuracy) -> "Figure":
    rows = sorted((row for row in accuracy.evaluations if row.auroc is not None), key=lambda row: row.auroc or 0)
    published = {row.epigenome: row.published_auroc for row in run.summary()}
    figure = new_figure(max(3.5, 0.16 * len(rows) + 1.5), 3)
    axes = figure.add_subplot()
    positions, areas = np.arange(len(rows)), np.array([row.auroc for row in rows], float)
    interval = np.array([(row.auroc_low, row.auroc_high) for row in rows], float).reshape(-1, 2).T
    axes.bar(
        positions, areas, yerr=np.abs(interval - areas), color="#6baed6", error_kw={"linewidth": 0.8}, label="this run"
    )
    points = [(i, published[row.epigenome]) for i, row in enumerate(rows) if published[row.epigenome] is not None]
    if points:
        axes.plot(*zip(*points, strict=True), "D", color=ON, markersize=3.5, label="published in 2016")
    names = [f"{row.epigenome} (held out)" if row.held_out else row.epigenome for row in rows]
    axes.set_xticks(positions, names, rotation=90, fontsize=7)
    axes.set_ylim(0.5, 1)
    axes.set_ylabel("test AUROC")
    axes.legend(frameon=False, loc="upper left", ncols=2, fontsize=8)
    lighten_frame(axes)
    return figure


def _roc_figure(accuracy: Accuracy) -> "Figure":
    figure = new_figure(3.6, 3.4)
    axes = figure.add_subplot()
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=0.7, linestyle=":")
    for _, part in roc_points(accuracy.scored).group_by("epigenome", maintain_order=True):
        axes.plot(part["false_positive_rate"], part["true_positive_rate"], color=OFF, linewidth=0.8, alpha=0.5)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_aspect("equal")
    lighten_frame(axes)
    return figure


def _training_figure(run: Run) -> "Figure":
    figure = new_figure(6.4, 2.8)
    loss, area = figure.subplots(1, 2)
    for _, part in run.metrics().group_by("epigenome", maintain_order=True):
        loss.plot(part["epoch"], part["train_loss"], color=OFF, linewidth=0.8, alpha=0.5)
        loss.plot(part["epoch"], part["valid_loss"], color=ON, linewidth=0.8, alpha=0.5)
        area.plot(part["epoch"], part["valid_auroc"], color=ON, linewidth=0.8, alpha=0.5)
    loss.set_title("loss: training blue, validation orange", loc="left", fontsize=9)
    area.set_title("validation AUROC", loc="left", fontsize=9)
    for axes in (loss, area):
        axes.set_xlabel("epoch")
        lighten_frame(axes)
    return figure
