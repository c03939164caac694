"""Read bigWig files with pybigtools."""

import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.engine.counting.bigwig_index import check_bigwig, is_bigwig_head
from deepchrome.errors import BadDataError, MissingInputError, NotInstalledError

SIGNAL_FORMAT: Final = "bigWig"  # as tallies and feature files state it


def is_bigwig(path: str) -> bool:
    """Return whether ``path`` is a readable bigWig file; False for URLs and standard input."""
    if path == "-" or is_url(path) or not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as file:
            return is_bigwig_head(file.read(4))
    except PermissionError:
        return False


def open_bigwig(name: str) -> BufferedReader:
    """Open a bigWig file.

    Raises
    ------
    MissingInputError
        The file does not exist or may not be read, or ``name`` is a URL or standard input.
    """
    if name == "-" or is_url(name):
        raise MissingInputError("a bigWig file is read from a disk only. Download it first")
    try:
        return open(name, "rb")
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingInputError(error.strerror or str(error)) from None


class BigWig:
    """A bigWig file, read with pybigtools.

    Attributes
    ----------
    size
        Size of the file in bytes.
    chroms
        Length in bp of each chromosome, by name.
    least_bases
        Number of bases with data that the header states, less those that can lie beyond the ends of chromosomes.

    Raises
    ------
    BadDataError
        The file is damaged or truncated. All methods can raise it, too.
    NotInstalledError
        pybigtools is not installed.
    """

    def __init__(self, file: BufferedReader) -> None:
        try:
            import pybigtools
        except ModuleNotFoundError:
            raise NotInstalledError(
                "reading bigWig files needs pybigtools. Install it with: pip install 'deepchrome[bigwig]'"
            ) from None
        try:
            past_end = check_bigwig(file)
        except ValueError as error:
            raise damaged(str(error)) from None
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        # The library prints to standard error if it is to open a damaged file by its name.
        self._reader = _guarded(pybigtools.open, file)
        self.chroms: dict[str, int] = _guarded(self._reader.chroms)
        if max(self.chroms.values(), default=0) > MAX_POSITION_BP:
            raise damaged("a chromosome is too long")
        self.least_bases = int(_guarded(self._reader.info)["summary"]["basesCovered"]) - past_end

    def total(self, summary: str, chrom: str, start: int, end: int) -> float:
        """Return the sum of the signal (``sum``), or the number of bases with data (``bases_covered``)."""
        values = _guarded(
            self._reader.values, chrom, start, end, bins=1, summary=summary, exact=True, uncovered=0.0, fillna=None
        )
        return float(values[0])

    def fill(self, out: npt.NDArray[np.float64], chrom: str, start: int) -> None:
        """Write the value of every base from ``start`` into ``out``; 0 for bases without data."""
        _guarded(self._reader.values, chrom, start, start + len(out), uncovered=0.0, fillna=None, arr=out)


def _guarded(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the library, and turn its errors into a BadDataError."""
    try:
        return call(*args, **kwargs)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        # A panic of the library, which is no Exception, and its other errors: the data do not fit the format.
        text = " ".join(str(error).split())
        raise damaged(text[:200]) from None


def damaged(reason: str) -> BadDataError:
    """Return the error for a file that does not fit the format."""
    return BadDataError(f"damaged or truncated bigWig file ({reason}). Get the file again")
