"""Colours of all figures, and functions to create and save figures. Importing this module does not load matplotlib."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deepchrome.common.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange are distinct for colour-blind readers (Okabe & Ito 2008).
OFF, ON, GREY = "#0072b2", "#d55e00", "#8a97a3"
# From light to dark. PUBLISHED_COLOURS are the four levels of the maps in the DeepChrome paper.
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
    """Remove the upper and right edge of a plot, and draw a grid with the opacity ``grid``."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=grid)


def save_figure(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a figure as PNG or SVG, according to the suffix of ``path``.

    The same figure always gives the same bytes. Text in an SVG file stays text.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    import matplotlib as mpl

    file_format = path.suffix[1:]
    # A date and random identifiers would make the files of two runs differ.
    metadata = {"Date": None} if file_format == "svg" else {}
    with mpl.rc_context({"svg.hashsalt": "deepchrome", "svg.fonttype": "none"}), atomic_write(path) as temporary:
        figure.savefig(temporary, format=file_format, dpi=dpi, metadata=metadata)
