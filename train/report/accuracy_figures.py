"""Draw how well the models of a run do on test genes: yardsticks, calibration, regression, transfer and contrasts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.train.models.metrics import calibration_curve
from deepchrome.train.report.accuracy import Accuracy, Transfer
from deepchrome.train.report.drawing import GREY, MAP_COLOURS, OFF, ON, lighten_frame, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The report shows all contrasts; the first are drawn as files.
MAX_DRAWN_CONTRASTS: Final = 6
_DENSITY_BINS: Final = 60
_YARDSTICKS: Final = (
    (
        "all test genes",
        (
            ("auroc", "model", OFF, "o"),
            ("gene_mean_auroc", "gene mean", ON, "D"),
            ("nearest_auroc", "nearest epigenome", "#009e73", "s"),
            ("fused_auroc", "model and gene mean", "#444444", "|"),
        ),
    ),
    (
        "variable genes",
        (
            ("variable_auroc", "model", OFF, "o"),
            ("variable_gene_mean_auroc", "gene mean", ON, "D"),
            ("variable_nearest_auroc", "nearest epigenome", "#009e73", "s"),
        ),
    ),
)


def build_accuracy_figures(accuracy: Accuracy) -> "Iterator[tuple[str, Figure]]":
    """Yield the name of each figure, and the figure.

    - yardsticks: AUROC of the models and of what other epigenomes predict
    - calibration: calibration curves of all epigenomes
    - regression_<epigenome>: predicted and observed expression of test genes
    - transfer: AUROC of every model on every epigenome
    - contrast_<a>_<b>: predicted and observed change of expression, for up to :data:`MAX_DRAWN_CONTRASTS` pairs
    """
    if "yardsticks" not in accuracy.absent:
        yield "yardsticks", _yardstick_figure(accuracy)
    curves = [curve for genes in accuracy.scored if (curve := calibration_curve(genes.on, genes.scores))]
    if curves:
        figure = new_figure(3.6, 3.4)
        axes = figure.add_subplot()
        axes.plot((0, 1), (0, 1), color=GREY, linewidth=0.7, linestyle=":")
        for curve in curves:
            known = curve.genes > 0
            axes.plot(curve.mean_score[known], curve.fraction_on[known], color=OFF, linewidth=0.8, alpha=0.6)
        axes.set_xlabel("mean score of the genes")
        axes.set_ylabel("fraction of genes that are on")
        axes.set_aspect("equal")
        lighten_frame(axes)
        yield "calibration", figure
    if accuracy.transfer is not None:
        yield "transfer", _transfer_figure(accuracy.transfer)
    for genes in accuracy.scored:
        if accuracy.has_expression and genes.rpkm is not None and genes.log2_rpkm is not None:
            observed = np.log2(genes.rpkm + 1)
            figure = _density_figure(genes.epigenome, observed, genes.log2_rpkm, "log2(RPKM + 1)")
            yield f"regression_{genes.epigenome}", figure
    for contrast in accuracy.contrasts[:MAX_DRAWN_CONTRASTS]:
        if contrast.observed is not None:
            title = f"{contrast.a} against {contrast.b}"
            figure = _density_figure(title, contrast.observed, contrast.predicted, "log2 fold change")
            yield f"contrast_{contrast.a}_{contrast.b}", figure


def _yardstick_figure(accuracy: Accuracy) -> "Figure":
    rows = sorted(accuracy.evaluations, key=lambda row: row.auroc or 0)
    figure = new_figure(7.6, max(1.9, 0.17 * len(rows) + 1.3))
    places = np.arange(len(rows))
    for axes, (title, points) in zip(figure.subplots(1, 2, sharey=True), _YARDSTICKS, strict=True):
        for key, name, colour, marker in points:
            areas = np.array([getattr(row, key) for row in rows], np.float64)
            axes.plot(areas, places, marker, color=colour, markersize=4 if marker != "|" else 8, label=name)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("test AUROC")
        axes.set_ylim(-0.7, len(rows) - 0.3)
        lighten_frame(axes)
    names = [f"{row.epigenome} (held out)" if row.held_out else row.epigenome for row in rows]
    figure.axes[0].set_yticks(places, names, fontsize=7)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _transfer_figure(transfer: Transfer) -> "Figure":
    from matplotlib.colors import LinearSegmentedColormap

    n, m = transfer.auroc.shape
    figure = new_figure(max(3.2, 0.2 * m + 1.8), max(1.6, 0.2 * n + 1.4))
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("auroc", MAP_COLOURS)
    image = axes.imshow(transfer.auroc, cmap=colours, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(m), transfer.epigenomes, rotation=90, fontsize=7)
    axes.set_yticks(np.arange(n), transfer.models, fontsize=7)
    axes.set_xlabel(f"{transfer.genes} test genes of")
    axes.set_ylabel("model of")
    figure.colorbar(image, ax=axes, label="AUROC")
    return figure


def _density_figure(title: str, x: NDArray[np.float64], y: NDArray[np.float64], label: str) -> "Figure":
    """Draw predicted values against observed ones as a density, on a square with equal axes."""
    figure = new_figure(3.8, 3.5)
    axes = figure.add_subplot()
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    axes.plot((low, high), (low, high), color=GREY, linewidth=0.7, linestyle=":")
    _draw_density(axes, x, y, (low, high))
    axes.set_xlabel(f"observed {label}")
    axes.set_ylabel(f"predicted {label}")
    axes.set_title(title, loc="left", fontsize=9)
    lighten_frame(axes)
    return figure


def _draw_density(axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], limits: tuple[float, float]) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    counts, *_ = np.histogram2d(y, x, _DENSITY_BINS, (limits, limits))
    # The lightest colours would not differ from the background.
    colours: Any = LinearSegmentedColormap.from_list("genes", MAP_COLOURS[1:])
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        origin="lower", extent=(*limits, *limits), cmap=colours, norm=LogNorm(1, max(2, counts.max())),
        interpolation="nearest",
    )  # fmt: skip
    axes.figure.colorbar(image, ax=axes, label="genes")
