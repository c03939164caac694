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
    places = [_Place(path) for path in outputs]
    for i, output in enumerate(places):
        for other in places[:i]:
            if output.overlaps(other):  # guard: distinct-outputs
                raise UsageError(f"{output.path}: another output has the same path ({other.path}). Choose another path")
    for place in map(_Place, inputs):
        for output in places:
            if output.overlaps(place):  # guard: outputs-are-no-inputs
                raise UsageError(
                    f"{output.path}: this output would replace an input ({place.path}). Choose another path"
                )


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


class _Place:
    """A path, its spelling without links, and the number of the file if there is one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = Path(os.path.realpath(path))
        try:
            found = self._real.stat()
            self._number: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except OSError:
            self._number = None

    def overlaps(self, other: "_Place") -> bool:
        """Return whether both are the same file or directory, or one contains the other."""
        if self._real.is_relative_to(other._real) or other._real.is_relative_to(self._real):
            return True
        # Hard links, and file systems that ignore upper and lower case.
        return self._number is not None and self._number == other._number
