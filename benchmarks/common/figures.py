"""Make and save the figures of benchmarks with matplotlib."""

from pathlib import Path
from typing import Any

from deepchrome.benchmarks.common.results import Results
from deepchrome.errors import NotInstalledError


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of a size in inches.

    Raises
    ------
    NotInstalledError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise NotInstalledError(
            "matplotlib is not installed. Install it with: pip install 'deepchrome[figures]'"
        ) from None
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, folder: Path, results: Results) -> list[Path]:
    """Save a figure as PNG and SVG, named after the kind of the results, and return the paths."""
    from matplotlib import rc_context

    paths = [folder / f"{results.kind}.png", folder / f"{results.kind}.svg"]
    # Keep text as text in the SVG, and write the same bytes for the same results.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": results.kind}):
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
