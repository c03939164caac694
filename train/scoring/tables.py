"""Write tables of scores with a description of where they come from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write
from deepchrome.errors import UsageError
from deepchrome.train.run.directory import Run
from deepchrome.train.run.layout import CONFIG, model_path
from deepchrome.train.scoring.predict import THRESHOLD
from deepchrome.version import VERSION

_SUFFIXES: Final = (".parquet", ".tsv", ".csv")
_DOCUMENT_KEY: Final = b"deepchrome"


def describe_scores(
    run: Run, models: Sequence[str], *, command: str = "", contrast: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Describe where scores come from.

    Parameters
    ----------
    run
        The run whose models made the scores.
    models
        Names of these models.
    command
        The command line.
    contrast
        (A, B) if the table holds differences A - B instead of scores.

    Returns
    -------
    dict
        JSON values: ``deepchrome`` (version), ``command``, ``run_sha256`` (see :func:`identify_run`), ``trained_on``
        (the epigenomes of each model), ``log2_scale`` (of predicted expression; null without), and ``threshold`` of
        calls or ``contrast``.
    """
    names = [*dict.fromkeys(models)]
    return {
        "deepchrome": VERSION,
        "command": command,
        "run_sha256": identify_run(run, names),
        "trained_on": {name: run.config.trained_on(name) for name in names},
        "log2_scale": None if run.config.fit.task == "classify" else "log2(RPKM + 1)",
        **({"threshold": THRESHOLD} if contrast is None else {"contrast": list(contrast)}),
    }


def identify_run(run: Run, models: Sequence[str]) -> str:
    """Return the SHA-256 of the bytes of config.json and of some models of a run, one after the other, as hexadecimal.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in (run.path / CONFIG, *(model_path(run.path, name) for name in models)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check_table_path(path: Path) -> None:
    """Check that a table can be written in the format that its suffix names.

    Raises
    ------
    UsageError
        The suffix is none of ``.parquet``, ``.tsv`` and ``.csv``.
    """
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"{path}: unknown table format. Use the suffix {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")


def side_file(path: Path) -> Path | None:
    """Return the file beside a table that describes it; ``None`` for Parquet, which holds the description itself."""
    return None if path.suffix == ".parquet" else path.with_name(f"{path.name}.json")


def write_table(path: Path, table: pl.DataFrame, document: Mapping[str, Any] | None = None) -> None:
    """Write a table as Parquet, TSV or CSV, according to the suffix of ``path``.

    Parameters
    ----------
    path
        The file to write.
    table
        Its content.
    document
        JSON values that describe the table. They are stored in a Parquet file, under the key ``deepchrome`` of its
        metadata, or in the file beside the table that :func:`side_file` names. Default: no description.

    Raises
    ------
    UsageError
        The suffix is none of these formats.
    StorageError
        A file cannot be written. An existing file is left as it was.
    """
    check_table_path(path)
    side = side_file(path)
    if document is not None and side is not None:
        with atomic_write(side) as temporary:
            temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".tsv":
            # Do not quote values, because our own table readers do not remove quotes.
            table.write_csv(file, separator="\t", quote_style="never")
        elif path.suffix == ".csv":
            table.write_csv(file)
        else:
            stored = table.to_arrow()
            if document is not None:
                stored = stored.replace_schema_metadata({_DOCUMENT_KEY: json.dumps(document).encode()})
            pq.write_table(stored, file, write_page_checksum=True)
