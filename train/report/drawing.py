"""Colours, empty figures, and reproducible files, for all figures. Importing this module does not load matplotlib."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deepchrome.common.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange are distinct for colour-blind readers (Okabe & Ito 2008).
OFF, ON, GREY = "#0072b2", "#d55e00", "#8a97a3"
# From light to dark.
MAP_COLOURS: Final = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
PUBLISHED_COLOURS: Final = ("#ffffff", "#fdd0a2", "#f16913", "#a50f15")


def matplotlib_is_installed() -> bool:
    """Return whether figures can be drawn."""
    return find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> "Figure":
    """Create an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def lighten_frame(axes: "Axes", grid: float = 0.2) -> None:
    """Remove the upper and right edge of a plot, and draw a grid of this opacity."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=grid)


def save_figure(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a figure in the format of the suffix of ``path``, ``.png`` or ``.svg``.

    The same figure always gives the same bytes. Text in an SVG file stays text.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    import matplotlib as mpl

    form = path.suffix[1:]
    # The date, and identifiers drawn at random, would differ from run to run.
    metadata = {"Date": None} if form == "svg" else {}
    with mpl.rc_context({"svg.hashsalt": "deepchrome", "svg.fonttype": "none"}), atomic_write(path) as temporary:
        figure.savefig(temporary, format=form, dpi=dpi, metadata=metadata)
