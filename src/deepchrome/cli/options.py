"""Options and arguments that several commands share, functions that parse or check their values, and warnings.

A command declares a shared option by its type: ``seed: SeedOption = 1``.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.common.files import special_kind
from deepchrome.common.paths import check_distinct
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.train.datasets.load import LoadReport

Device = Literal["auto", "cpu", "cuda"]

# Inputs.
ReadsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="READS",
        help="Files of reads named <epigenome>-<mark>.*, their directories or URLs, or - for stdin.",
    ),
]
FeaturesArgument = Annotated[
    Path, typer.Argument(metavar="FEATURES", help="Directory written by dc featurize, or one Parquet file from it.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Directory written by dc train.")]
GenomeOption = Annotated[
    str | None,
    typer.Option(
        help="Genome: hg38, GRCh38, mm39, ..., or a chrom.sizes file.", show_default="the headers of BAM and CRAM files"
    ),
]
SamplesOption = Annotated[
    Path | None,
    typer.Option(
        help="Table (TSV or CSV) with columns epigenome, mark and path; sample sheet of nf-core with a column bam; or "
        "metadata.tsv of ENCODE. Replaces READS."
    ),
]
NameOption = Annotated[
    str | None, typer.Option(help="Epigenome and mark of a single file or of stdin, as <epigenome>-<mark>.")
]
ExpressionOption = Annotated[
    Path | None, typer.Option(help="Expression table (TSV): gene_id, then RPKM in one column per epigenome.")
]
AllowNoEofOption = Annotated[
    bool, typer.Option("--allow-no-eof", help="Accept bgzip, BAM and CRAM files without an end-of-file block.")
]

# Selections.
EpigenomesOption = Annotated[str, typer.Option(help="Names of epigenomes, separated by commas, or all.")]
MarksOption = Annotated[
    str | None,
    typer.Option(help="Marks to use, separated by commas. The columns get this order.", show_default="all"),
]
ModelOfOption = Annotated[
    str | None,
    typer.Option(
        help="Use the model of this epigenome for all of FEATURES.", show_default="the model of each epigenome"
    ),
]
LabelThresholdOption = Annotated[
    float | None,
    typer.Option(min=0, help="A gene is on if its RPKM is above this number.", show_default="the median RPKM"),
]

# What to accept in features to score.
AllowOtherGenomeOption = Annotated[
    bool, typer.Option("--allow-other-genome", help="Score features of another genome than that of the training.")
]
AllowUnlikeOption = Annotated[
    bool, typer.Option("--allow-unlike", help="Score features even if their reads are unlike those of the training.")
]

# How to run.
DeviceOption = Annotated[Device, typer.Option(help="Device to compute on. auto uses a GPU if there is one.")]
ThreadsOption = Annotated[
    int | None, typer.Option("-t", "--threads", min=1, help="Number of threads.", show_default="all usable cores")
]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Work on a running Dask cluster: tcp://host:port, or a scheduler file.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of all random choices.")]

# Outputs.
ForceOption = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]


def parse_names(text: str) -> list[str] | None:
    """Return the names in ``A,B,C``, or None for ``all``."""
    return None if text == "all" else text.split(",")


def parse_shard(text: str) -> tuple[int, int]:
    """Return the numbers in ``i/n``.

    Raises
    ------
    UsageError
        The text has another form, or i is not between 1 and n.
    """
    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards)):
        raise UsageError(f"--shard must be i/n with i from 1 to n, got {text}")
    return int(number), int(shards)


def parse_contrast(text: str | None) -> tuple[str, str] | None:
    """Return the two names in ``A,B``; ``None`` if there is no text.

    Raises
    ------
    UsageError
        There are not two names.
    """
    if text is None:
        return None
    names = text.split(",")
    if len(names) != 2 or not all(names):
        raise UsageError(f"--contrast must be two epigenomes, such as E012,E013 (got {text!r})")
    return names[0], names[1]


def make_importable(model: str) -> None:
    """Let a network of the user, ``module:Class``, be a module in the current directory, as with ``python -m``."""
    if ":" in model and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def check_output_free(path: Path | None, force: bool) -> None:
    """Raise an error if ``path`` is a directory, a pipe or a device, or if it exists and ``force`` is False.

    A link exists even if its target does not.

    Raises
    ------
    UsageError
        The file exists, or is no regular file.
    """
    if path is None:
        return
    if kind := special_kind(path):
        raise UsageError(f"{path}: is {kind}. Give the path of a file.")
    if os.path.lexists(path) and not force:
        raise UsageError(f"{path}: file exists", remedy="force")


def check_outputs(*outputs: Path | None, inputs: Iterable[Path], force: bool) -> None:
    """Check that the outputs of a command are different files, not among its inputs, and free.

    Parameters
    ----------
    outputs
        Paths of the outputs; ``None`` for an output that was not requested.
    inputs
        Every file that the command reads.
    force
        Whether existing outputs may be replaced.

    Raises
    ------
    UsageError
        Two paths are the same file, or an output exists and ``force`` is False.
    """
    check_distinct([path for path in outputs if path is not None], inputs)
    for path in outputs:
        check_output_free(path, force)


def note(command: str, text: str) -> None:
    """Print a note of a command on standard error."""
    print_note(f"dc {command}: {text}")


def warn(command: str, text: str) -> None:
    """Print a warning of a command on standard error."""
    print_note(f"dc {command}: warning: {text}")


def show_report(command: str, report: "LoadReport") -> None:
    """Print what users should know about loaded data on standard error."""
    for text in report.notes:
        note(command, text)
    for text in (*report.warnings, *report.split_warnings):
        warn(command, text)
    for text in report.label_warnings:
        warn(command, f"{text}. Choose the threshold with --label-threshold or --label-genes.")
