"""Draw the figure of docs/labels.md: the published AUROC against the share of flipped labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from deepchrome.errors import BadDataError, NotInstalledError, UsageError
from deepchrome.train.datasets.labels import LabelAudit
from deepchrome.train.report.drawing import (
    OFF,
    ON,
    lighten_frame,
    matplotlib_is_installed,
    new_figure,
    save_figure,
)

SUFFIXES: Final = (".svg", ".png")


def draw_audit(audits: Sequence[LabelAudit], path: Path) -> None:
    """Plot DeepChrome's published AUROC against the share of labels that the string comparison flips.

    Each epigenome is one point. The title shows Pearson's correlation r.

    Parameters
    ----------
    audits
        Results of the label audit. Epigenomes without a published AUROC are left out.
    path
        File to write, ``.svg`` or ``.png``.

    Raises
    ------
    UsageError
        The suffix is unknown.
    NotInstalledError
        matplotlib is not installed.
    BadDataError
        Fewer than two epigenomes have a published AUROC.
    StorageError
        The file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: unknown figure format {path.suffix!r}. Use {' or '.join(SUFFIXES)}.")
    if not matplotlib_is_installed():
        raise NotInstalledError(
            "matplotlib, which draws figures, is not installed. Run: pip install 'deepchrome[figures]'"
        )
    published = [audit for audit in audits if audit.published_auroc is not None]
    if len(published) < 2:
        raise BadDataError(
            f"{path}: the figure needs at least 2 epigenomes with a published AUROC, got {len(published)}"
        )
    flipped = np.array([100 * audit.flipped_label_fraction for audit in published])
    auroc = np.array([audit.published_auroc for audit in published], float)
    none_flipped = flipped == 0

    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for chosen, colour, name in ((none_flipped, OFF, "none"), (~none_flipped, ON, "some")):
        label = f"{name} flipped ({chosen.sum()}): mean AUROC {auroc[chosen].mean():.3f}" if chosen.any() else None
        axes.scatter(flipped[chosen], auroc[chosen], s=28, color=colour, edgecolor="white", linewidth=0.6, label=label)
    axes.set_xlabel("labels that the string comparison flips (%)")
    axes.set_ylabel("DeepChrome's published test AUROC")
    both_vary = flipped.std() > 0 and auroc.std() > 0
    correlation = f", r = {np.corrcoef(flipped, auroc)[0, 1]:.3f}" if both_vary else ""
    axes.set_title(f"{len(published)} epigenomes{correlation}", loc="left")
    lighten_frame(axes, grid=0.25)
    axes.legend(frameon=False)
    save_figure(figure, path, dpi=200)
