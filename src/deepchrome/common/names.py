"""Check names that are used as file and column names, and define the names of the three parts of a split."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from deepchrome.errors import BadDataError

SPLIT_NAMES: Final = ("train", "valid", "test")
TRAIN, VALID, TEST = range(3)  # the parts of a split, as places in SPLIT_NAMES
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")


def check_name(name: str, what: str, where: str) -> str:
    """Return ``name`` if it is a safe file name and column name.

    Parameters
    ----------
    name
        The name to check.
    what
        What the name is for, such as ``an epigenome``; used in the error message.
    where
        Where the name was found, such as ``samples.tsv:3``; used in the error message.

    Raises
    ------
    BadDataError
        The name does not match ``[A-Za-z0-9._+-]{1,64}``, or is ``.`` or ``..``.
    """
    if not _SAFE_NAME.fullmatch(name) or name in {".", ".."}:  # guard: safe-names
        raise BadDataError(
            f"{where}: {name[:80]!r} is not a valid name for {what}. "
            "Use 1 to 64 letters, digits, '.', '_', '+' and '-'."
        )
    return name


def check_names(names: Iterable[str], what: str, where: str) -> None:
    """Check every name with :func:`check_name`."""
    for name in names:
        check_name(name, what, where)


def first_names(names: Sequence[str]) -> str:
    """Return the first three names as text, with dots if there are more."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
