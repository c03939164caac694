"""The figure of docs/labels.md: labels that the published rule flips, against DeepChrome's published AUROC."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.labels import LabelAudit

FORMATS: Final = (".svg", ".png")


def draw_audit(audits: Sequence[LabelAudit], path: Path) -> None:
    """Draw flipped labels against the published AUROC, a point per epigenome, with Pearson's r.

    Parameters
    ----------
    audits
        Those without a published AUROC are left out.
    path
        ``.svg`` or ``.png``.

    Raises
    ------
    UsageError
        Another suffix, or matplotlib is not installed.
    BadDataError
        Fewer than two epigenomes with a published AUROC.
    StorageError
        The file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: figures are written as {' or '.join(FORMATS)}")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("figures need matplotlib: pip install 'deepchrome[figures]'") from None
    known = [audit for audit in audits if audit.published_auroc is not None]
    if len(known) < 2:
        raise BadDataError(f"{len(known)} epigenomes with a published AUROC; the figure needs two or more")
    flipped = np.array([100 * audit.flipped_label_fraction for audit in known])
    auroc = np.array([audit.published_auroc for audit in known], float)
    without = flipped == 0

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for chosen, colour, name in ((without, "#0072b2", "none"), (~without, "#d55e00", "some")):
        label = f"{name} flipped ({chosen.sum()}): mean AUROC {auroc[chosen].mean():.3f}" if chosen.any() else None
        axes.scatter(flipped[chosen], auroc[chosen], s=28, color=colour, edgecolor="white", linewidth=0.6, label=label)
    axes.set_xlabel("labels that the string comparison flips (%)")
    axes.set_ylabel("DeepChrome's published test AUROC")
    spread = flipped.std() > 0 and auroc.std() > 0
    correlation = f", r = {np.corrcoef(flipped, auroc)[0, 1]:.3f}" if spread else ""
    axes.set_title(f"{len(known)} epigenomes{correlation}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    # A fixed salt and no date: the same table gives the same file.
    with mpl.rc_context({"svg.hashsalt": "deepchrome", "svg.fonttype": "none"}), atomic_write(path) as temporary:
        figure.savefig(
            temporary, format=path.suffix[1:], dpi=200, metadata={"Date": None} if path.suffix == ".svg" else {}
        )
