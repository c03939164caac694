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
    for i, output in enumerate(outputs):
        for other in outputs[:i]:
            if _overlap(output, other):  # guard: distinct-outputs
                raise UsageError(f"{output}: another output has the same path ({other}). Choose another path")
    for path in inputs:
        for output in outputs:
            if _overlap(output, path):  # guard: outputs-are-no-inputs
                raise UsageError(f"{output}: this output would replace an input ({path}). Choose another path")


def data_files(*paths: Path | None) -> list[Path]:
    """Return the files at these paths; for a directory, the Parquet and CSV files in it."""
    files = []
    for path in paths:
        if path is not None and path.is_dir():
            files += [file for pattern in ("*.parquet", "*.csv", "*.csv.gz") for file in sorted(path.glob(pattern))]
        elif path is not None:
            files.append(path)
    return files


def _overlap(one: Path, other: Path) -> bool:
    """Return whether two paths are the same file or directory, or one contains the other."""
    first, second = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    if first.is_relative_to(second) or second.is_relative_to(first):
        return True
    # Hard links, and file systems that ignore upper and lower case.
    return first.exists() and second.exists() and first.samefile(second)
