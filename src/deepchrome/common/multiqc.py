"""Write sections for reports of MultiQC: JSON files of its custom content, named ``*_mqc.json``.

See https://docs.seqera.io/multiqc/custom_content. Tested with MultiQC 1.35.
"""

import html
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from deepchrome.common.files import atomic_write, special_kind
from deepchrome.errors import StorageError

Value = int | float | str
_MADE_BY: Final = "deepchrome"
_MAX_BYTES: Final = 1 << 26  # read of a file that may be another program's

# MultiQC takes sample names for file names, and by default removes such parts (fn_clean_exts and fn_clean_trim of its
# configuration). A dot is safe only in the name of a histone variant, H2A.Z or H3.3.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9+~_-]+(?:\.[Z3])?")
_CUT_PARTS: Final = re.compile(
    r"ccs|Aligned|ReadsPerGene|^(?:[_-]|runs_|short_summary_)|(?:[_-]|_val|_trimmed|_mqc|_summary|_matrix)$|_(?:CpGRet"
    r"|CpHRet|NanoStats|Summary|bismark|counts|covdist|coverage|cv_table|dup|fastqc|gopeaks|isize|mapq|overall|qual"
    r"|slamdunk|star|strand|tophat|totalBase|totalRead|trimmer|vep)"
)


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes
    ----------
    file
        Name of its file, which ends in ``_mqc.json``.
    id
        Unique among all sections of all programs. Files with the same id are shown as one section.
    title, description
        Heading, and what the numbers mean. Plain text, which may have links in HTML.
    plot
        Type of the section. ``generalstats`` are columns of the first table of the report.
    data
        By sample: the values by column, or by x for lines.
    headers
        By column: how to show it. For tables and general statistics.
    options
        Options of the plot (``pconfig``).
    parent
        Id, name and description of the group of sections.
    """

    file: str
    id: str
    title: str
    description: str
    plot: Literal["table", "generalstats", "linegraph", "bargraph"]
    data: Mapping[str, Mapping[str, Value]] = field(repr=False)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parent: tuple[str, str, str] | None = None

    def document(self) -> dict[str, Any]:
        """Return the content of the file.

        MultiQC shortens names such as ``liver.sorted-H3K4me3`` to ``liver``, and would show only one of several files
        with the same short name. It leaves the names alone in a list, which it allows for all but general statistics.
        """
        data: Any = {plain_text(sample): dict(values) for sample, values in self.data.items()}
        identity = self.id
        if not all(map(keeps_name, data)):  # guard: multiqc-names
            if self.plot == "generalstats":
                data = {sample: values for sample, values in data.items() if keeps_name(sample)}
            else:
                # Of several lists with one id, MultiQC shows only the last.
                identity += f"_{zlib.crc32(json.dumps(data, sort_keys=True).encode()):08x}"
                data = [data]
        document: dict[str, Any] = {
            "made_by": _MADE_BY,
            "id": identity,
            "section_name": self.title,
            "description": self.description,
            "plot_type": self.plot,
            "pconfig": {"id": f"{identity}_plot", "title": self.title, **self.options},
        }
        if self.parent:
            names = ("parent_id", "parent_name", "parent_description")
            document |= dict(zip(names, self.parent, strict=True))
        if self.headers:
            document["headers"] = {name: dict(header) for name, header in self.headers.items()}
        return document | {"data": data}


def keeps_name(sample: str) -> bool:
    """Return whether MultiQC shows the name of a sample as it is, with its default configuration."""
    return bool(_PLAIN_NAME.fullmatch(sample)) and not _CUT_PARTS.search(sample)


def plain_text(text: str) -> str:
    """Return a text from data so that a browser shows it as it is, and no part of it as markup."""
    # A file name may have bytes that are not UTF-8.
    return html.escape(text.encode("utf-8", "backslashreplace").decode())  # guard: multiqc-markup


def without_none(values: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return the values that are known. MultiQC leaves the cells of the others empty."""
    return {name: value for name, value in values.items() if value is not None}


def section_is_foreign(path: Path) -> bool:
    """Return whether a file of another program has the name of a section.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    if not os.path.lexists(path):
        return False
    if special_kind(path) or not path.exists():
        return True
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not data:  # an empty file has nothing to lose
        return False
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return True
    return not isinstance(document, dict) or document.get("made_by") != _MADE_BY


def write_sections(directory: Path, sections: Sequence[Section]) -> None:
    """Write the files of some sections, and replace existing ones. Sections without data only replace.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    for section in sections:
        path = directory / section.file
        if not section.data and not os.path.lexists(path):
            continue  # MultiQC would warn of it
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(section.document()) + "\n", encoding="utf-8")
