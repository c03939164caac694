"""Find the samples in the table ``metadata.tsv`` that ENCODE offers with every selection of files.

Its columns: https://www.encodeproject.org/help/batch-download/.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from deepchrome.common.urls import url_file_name
from deepchrome.engine.features.sample_tables import SampleRow, TableRow, count_of
from deepchrome.errors import BadDataError

_REQUIRED: Final = ("File accession", "File format", "Output type", "Biosample term name")
_TARGET: Final = "Experiment target"
_ASSEMBLIES: Final = ("File assembly", "Assembly")  # now, and until 2020
_URL: Final = "File download URL"
# Samples with different values here are different, although the name of the biosample is the same.
_CONDITIONS: Final = (
    "Biosample treatments",
    "Biosample treatments amount",
    "Biosample treatments duration",
    "Biosample genetic modifications methods",
    "Biosample genetic modifications targets",
)
_ORGANISM = re.compile(r"-[a-z]+$")  # H3K4me3-human, H3K4me3-mouse, H3K4me3-dmelanogaster
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_READS_SUFFIXES: Final = (".bam", ".tagalign.gz", ".tagalign", ".bed.gz", ".bed", ".bigwig", ".bw")


def is_metadata(columns: Sequence[str]) -> bool:
    """Return whether a table with these columns is the ``metadata.tsv`` of ENCODE."""
    return all(name in columns for name in _REQUIRED)


def read_metadata_rows(
    table: Path, columns: Sequence[str], rows: Sequence[TableRow], notes: list[str]
) -> list[SampleRow]:
    """Return the files of reads that the table lists, or those of signal if it lists no reads.

    Parameters
    ----------
    table, columns, rows
        The table, its columns and its rows.
    notes
        Lines for the user about rows that are left out are appended to this list.

    Returns
    -------
    list of SampleRow
        The epigenome is the name of the biosample, with treatments and genetic modifications, made safe as a file
        name. The mark is the target without the organism; without a target, the assay without ``-seq``. The path is
        that of the file beside the table, if there is one, or the URL.

    Raises
    ------
    BadDataError
        The table lists neither reads nor signal; they have several output types or assemblies; two biosamples get the
        same name; or a file is neither beside the table nor at a URL.
    """
    targets = [row for row in rows if not _is_control(row)]
    reads = [row for row in targets if _is_reads(row)]
    chosen = reads or [row for row in targets if row.fields["File format"].lower() == "bigwig"]
    if not chosen:
        formats = ", ".join(sorted({row.fields["File format"] for row in targets})) or "none"
        raise BadDataError(
            f"{table}: the metadata table of ENCODE, without files of aligned reads or signal (formats: {formats}). "
            "Select files of the format bam"
        )
    _check_one_value(table, columns, chosen, "Output type")
    if assembly := next((name for name in _ASSEMBLIES if name in columns), None):
        _check_one_value(table, columns, chosen, assembly)
    kind = "reads" if reads else "signal"
    output, build = chosen[0].fields["Output type"], chosen[0].fields.get(assembly or "", "")
    notes.append(f"{table}: the metadata table of ENCODE; {kind}: {output} {f'({build})' if build else ''}".rstrip())
    if n := len(rows) - len(targets):
        notes.append(f"{table}: {count_of(n, 'row')} of controls left out")
    others = Counter(row.fields["File format"] for row in targets if row not in chosen)
    if others:
        listed = ", ".join(f"{name} {n}" for name, n in sorted(others.items()))
        notes.append(f"{table}: {count_of(others.total(), 'row')} of other formats left out ({listed})")
    names = _name_epigenomes(table, chosen)
    found = [SampleRow(row.where, names[_biosample(row)], _mark(row), _find_file(table, row)) for row in chosen]
    if n := sum(row.path == source.fields.get(_URL) for row, source in zip(found, chosen, strict=True)):
        notes.append(f"{table}: {count_of(n, 'file')} not beside the table, read from the web")
    notes += _describe_experiments(table, found, chosen)
    return found


def _is_control(row: TableRow) -> bool:
    """Return whether a row is a control: it has no target, although its assay needs one."""
    target, assay = row.fields.get(_TARGET, "").strip(), row.fields.get("Assay", "").strip()
    if target:
        return target.lower().startswith("control")
    return not assay or "control" in assay.lower() or "chip" in assay.lower() or "cut&" in assay.lower()


def _is_reads(row: TableRow) -> bool:
    file_format, output = row.fields["File format"].lower(), row.fields["Output type"].lower()
    return file_format in ("bam", "tagalign") or (file_format.startswith("bed") and "alignments" in output)


def _biosample(row: TableRow) -> str:
    """Return the name of the biosample, with what was done to it."""
    parts = [row.fields["Biosample term name"], *(row.fields.get(name, "") for name in _CONDITIONS)]
    return " ".join(part.strip() for part in parts if part.strip())


def _mark(row: TableRow) -> str:
    if target := row.fields.get(_TARGET, "").strip():
        return _safe(_ORGANISM.sub("", target))
    return _safe(row.fields.get("Assay", "").strip().removesuffix("-seq"))


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).strip("_")


def _name_epigenomes(table: Path, rows: Iterable[TableRow]) -> dict[str, str]:
    """Return the name of the epigenome for each biosample. Two biosamples must not get the same name."""
    biosample_of: dict[str, str] = {}
    for biosample in dict.fromkeys(map(_biosample, rows)):
        earlier = biosample_of.setdefault(_safe(biosample), biosample)
        if earlier != biosample:
            raise BadDataError(
                f"{table}: {earlier!r} and {biosample!r} would both be named {_safe(biosample)}. Make a table with the "
                "columns epigenome, mark and path"
            )
    return {biosample: name for name, biosample in biosample_of.items()}


def _find_file(table: Path, row: TableRow) -> str:
    """Return the name of the file beside the table, or its URL."""
    accession, url = row.fields["File accession"].strip(), row.fields.get(_URL, "").strip()
    if url and (table.parent / (name := url_file_name(url))).is_file():
        return name
    paths = table.parent.glob(f"{accession}.*") if accession.isalnum() else ()  # else it could be a pattern or a path
    beside = sorted(path.name for path in paths if _has_reads(path, accession))
    if len(beside) > 1:
        raise BadDataError(f"{row.where}: several files of {accession} beside the table ({', '.join(beside)})")
    if beside:
        return beside[0]
    if not url:
        raise BadDataError(f"{row.where}: no file of {accession} beside the table, and no {_URL}")
    return url


def _has_reads(path: Path, accession: str) -> bool:
    return path.is_file() and path.name[len(accession) :].lower() in _READS_SUFFIXES


def _check_one_value(table: Path, columns: Sequence[str], rows: Sequence[TableRow], column: str) -> None:
    """Refuse files that must not be mixed, and show how to select some of them."""
    values = Counter(row.fields[column] for row in rows)
    if len(values) < 2:
        return
    listed = ", ".join(f"{value or 'none'} {n}" for value, n in values.most_common())
    first = values.most_common(1)[0][0]
    place = list(columns).index(column) + 1
    raise BadDataError(
        f"{table}: files with {len(values)} values of {column!r} ({listed}), which must not be mixed. Keep one of "
        f"them, for example with awk -F'\\t' 'NR == 1 || ${place} == \"{first}\"'"
    )


def _describe_experiments(table: Path, found: Sequence[SampleRow], rows: Sequence[TableRow]) -> list[str]:
    """Return a line for each epigenome and mark whose files are from several experiments."""
    experiments: dict[tuple[str, str], dict[str, None]] = {}
    for sample, row in zip(found, rows, strict=True):
        experiment = row.fields.get("Experiment accession", "")
        experiments.setdefault((sample.epigenome, sample.mark), {})[experiment] = None
    return [
        f"{table}: {epigenome} {mark} has files of {len(names)} experiments ({', '.join(names)}): donors or treatments "
        "may differ"
        for (epigenome, mark), names in experiments.items()
        if len(names) > 1
    ]
