"""Compare the paths of outputs and inputs, so that no output replaces another output or an input."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepchrome.errors import UsageError


def check_distinct(outputs: Sequence[Path], inputs: Iterable[Path] = ()) -> None:
    """Check that outputs are different files, and that none of them is an input.

    Links and different spellings of a path are followed. A path may be a directory; everything in it then counts.

    Raises
    ------
    UsageError
        Two outputs, or an output and an input, are the same file, or one of them contains the other.
    """
    places = _Places()
    for path in outputs:
        other = places.find(path)
        if other is not None:  # guard: distinct-outputs
            raise UsageError(f"{path}: another output has the same path ({other}). Choose another path")
        places.add(path)
    for path in inputs:
        output = places.find(path)
        if output is not None:  # guard: outputs-are-no-inputs
            raise UsageError(f"{output}: this output would replace an input ({path}). Choose another path")


def data_files(*paths: Path | None) -> list[Path]:
    """Return the files at these paths; for a directory, the Parquet files in it, or its CSV files if it has none."""
    files = []
    for path in paths:
        if path is not None and path.is_dir():
            tables = sorted(path.glob("*.parquet"))
            files += tables or [*sorted(path.glob("*.csv")), *sorted(path.glob("*.csv.gz"))]
        elif path is not None:
            files.append(path)
    return files


class _Places:
    """The places of some paths: their spelling without links, and the numbers of their files if there are any."""

    def __init__(self) -> None:
        self._at: dict[Path, Path] = {}
        self._below: dict[Path, Path] = {}
        self._by_number: dict[tuple[int, int], Path] = {}

    def add(self, path: Path) -> None:
        """Add a path."""
        real = Path(os.path.realpath(path))
        self._at[real] = path
        self._below |= dict.fromkeys(real.parents, path)
        if (number := _file_number(real)) is not None:
            self._by_number[number] = path

    def find(self, path: Path) -> Path | None:
        """Return the added path that is the same file or directory as ``path``, contains it or lies in it."""
        real = Path(os.path.realpath(path))
        around = (self._at.get(parent) for parent in (real, *real.parents))
        found = next((place for place in around if place is not None), None)
        if found is None and not real.is_file():  # nothing lies in a file
            found = self._below.get(real)
        # Hard links, and file systems that ignore upper and lower case.
        number = _file_number(real)
        return found if found is not None or number is None else self._by_number.get(number)


def _file_number(real: Path) -> tuple[int, int] | None:
    try:
        found = real.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
