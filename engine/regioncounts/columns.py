"""Names of the columns of a table of counts: one column per file of reads, named after the file."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from deepchrome.common.urls import is_url, url_file_name

STDIN_NAME: Final = "stdin"
# What may follow the name of a sample in the name of its file, from the end.
_SUFFIXES: Final = (
    ".gz",
    ".bgz",
    ".tagalign",
    ".bed",
    ".bedpe",
    ".bam",
    ".cram",
    ".tsv",
    ".txt",
    ".fragments",
    ".bw",
    ".bigwig",
)
# Tabs and line ends would break the table. Other control characters would act on a terminal.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def column_names(paths: Sequence[str], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Name the columns of files of reads.

    Parameters
    ----------
    paths
        Files, URLs, or ``-`` for standard input.
    taken
        Names that other columns of the table have.

    Returns
    -------
    tuple of str
        For each path the name of its file, without directory and known suffixes such as ``.bam``. A name that is taken
        gets a number: ``liver.2``. Control characters become ``_``, and bytes that are not UTF-8 are escaped.
    """
    used = set(taken)
    names = []
    for path in paths:
        base = _base_name(path)
        name, number = base, 1
        while name in used:  # guard: distinct-columns
            number += 1
            name = f"{base}.{number}"
        used.add(name)
        names.append(name)
    return tuple(names)


def _base_name(path: str) -> str:
    """Return the name of a file without its known suffixes."""
    if path == "-":
        return STDIN_NAME
    name = url_file_name(path) if is_url(path) else Path(path).name
    shortened = name
    while (suffix := Path(shortened).suffix) and suffix.lower() in _SUFFIXES:
        shortened = shortened.removesuffix(suffix)
    text = (shortened or name).encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub("_", text)
