"""The command ``dc count``."""

import hashlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deepchrome.cli.options import AllowNoEofOption, ForceOption, GenomeOption, ThreadsOption, check_outputs
from deepchrome.cli.read_options import (
    AllowEmptyOption,
    BlacklistOption,
    CenterOption,
    ChromAliasOption,
    ExtendOption,
    FivePrimeOption,
    FragmentsOption,
    IncludeDuplicatesOption,
    IncludeQcFailOption,
    MinMapqOption,
    NoBuildCheckOption,
    OppositeStrandOption,
    OverlapFractionOption,
    ProperPairsOption,
    ReciprocalOption,
    SameStrandOption,
    ShiftOption,
    SplitOption,
    UnknownChromOption,
    alias_file,
    make_read_options,
)
from deepchrome.common.urls import hide_secrets, is_url
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.engine.annotation.genome import Genome

_CONTAINERS: Final = ("tsv", "parquet", "multicov")
_READS_FORMAT: Final = "bed"  # says what READS are, unlike the other formats
_STDOUT: Final = "-"


def count(
    reads: Annotated[
        list[str], typer.Argument(metavar="READS", help="Files of reads or fragments, URLs, or - for stdin.")
    ],
    out: Annotated[str, typer.Option("-o", "--out", help="Table to write, or - for stdout.")],
    regions: Annotated[
        Path | None, typer.Option(help="Regions to count in: BED with 3 or more columns, GTF or GFF3.")
    ] = None,
    genome_bins: Annotated[
        int | None, typer.Option(metavar="SIZE", help="Count in bins of the whole genome, of this width (bp).")
    ] = None,
    genome: GenomeOption = None,
    feature: Annotated[
        str | None, typer.Option(metavar="TYPE", help="GTF and GFF3: count in features of this type, such as exon.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="tsv|parquet|multicov|bed",
            help="Format to write; multicov is what bedtools multicov prints. "
            "bed, given on its own or as well, is for READS: take them for BED, whatever they look like.",
            show_default="parquet for OUT.parquet, otherwise tsv",
        ),
    ] = None,
    min_mapq: MinMapqOption = 0,
    proper_pairs: ProperPairsOption = False,
    include_duplicates: IncludeDuplicatesOption = False,
    include_qc_fail: IncludeQcFailOption = False,
    same_strand: SameStrandOption = False,
    opposite_strand: OppositeStrandOption = False,
    overlap_fraction: OverlapFractionOption = None,
    reciprocal: ReciprocalOption = False,
    split: SplitOption = False,
    fragments: FragmentsOption = False,
    extend: ExtendOption = 0,
    shift: ShiftOption = 0,
    five_prime: FivePrimeOption = False,
    center: CenterOption = False,
    blacklist: BlacklistOption = None,
    chrom_alias: ChromAliasOption = None,
    no_build_check: NoBuildCheckOption = False,
    unknown_chrom: UnknownChromOption = "error",
    allow_empty: AllowEmptyOption = False,
    allow_no_eof: AllowNoEofOption = False,
    qc: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for qc.tsv and a report that MultiQC reads.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Number of files to count at a time.", show_default="threads"),
    ] = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary of each file as JSON.")] = False,
) -> None:
    """Count reads in any regions, as bedtools multicov does.

    The table has a row per region and a column per file. Regions may overlap, nest and repeat. Regions and reads may
    come in any order.
    """
    from deepchrome.cli.startup import load_kernels

    container = _choose_container(formats or [], out)
    if (regions is None) == (genome_bins is None):
        raise UsageError("give either --regions or --genome-bins")
    if feature is not None and regions is None:
        raise UsageError("--feature needs --regions with a GTF or GFF3 file")
    to_stdout = out == _STDOUT
    if to_stdout and as_json:
        raise UsageError("--json needs --out with a file, because the counts go to standard output")
    inputs = [*(Path(path) for path in reads if path != "-" and not is_url(path)), *alias_file(chrom_alias)]
    inputs += [path for path in (regions, blacklist, Path(genome) if genome else None) if path is not None]
    if not to_stdout:
        check_outputs(Path(out), inputs=[path for path in inputs if path.is_file()], force=force)
    if qc is not None and not force:
        from deepchrome.engine.features.multiqc import check_report

        check_report(qc)
    load_kernels(fragments=fragments)
    from deepchrome.cli.progress import progress_bars
    from deepchrome.cli.show_count import COLUMNS, CountProgress, show_counts
    from deepchrome.engine.annotation.genome import read_genome
    from deepchrome.engine.annotation.regions import genome_bins as make_bins
    from deepchrome.engine.annotation.regions import read_regions
    from deepchrome.engine.regioncounts.count import check_read_files, count_files
    from deepchrome.engine.regioncounts.write import check_counts, send_counts, write_counts

    check_read_files(reads)
    chromosomes = read_genome(genome) if genome else _genome_of(reads)
    options = make_read_options(
        chromosomes,
        same_strand=same_strand,
        opposite_strand=opposite_strand,
        five_prime=five_prime,
        center=center,
        blacklist=blacklist,
        chrom_alias=chrom_alias,
        no_build_check=no_build_check,
        min_mapq=min_mapq,
        proper_pairs=proper_pairs,
        include_duplicates=include_duplicates,
        include_qc_fail=include_qc_fail,
        overlap_fraction=overlap_fraction,
        reciprocal=reciprocal,
        split=split,
        fragments=fragments,
        extend=extend,
        shift=shift,
        unknown_chrom=unknown_chrom,
        allow_empty=allow_empty,
        allow_no_eof=allow_no_eof,
        format=_READS_FORMAT if _READS_FORMAT in (formats or []) else None,
    )
    table = read_regions(regions, feature) if regions else make_bins(chromosomes, genome_bins or 0)
    with progress_bars(*COLUMNS) as bars:
        counts = count_files(
            reads,
            table,
            chromosomes,
            options,
            threads=threads,
            jobs=jobs,
            hashed=container == "parquet" or as_json,
            observer=CountProgress(bars, reads),
        )
    check_counts(container, counts)
    record = {"command": _command(), "regions_sha256": _sha256(regions)} if container == "parquet" else {}
    if to_stdout:
        send_counts(sys.stdout.buffer, counts, container, record)
    else:
        write_counts(Path(out), counts, container, record)
    if qc is not None:
        from deepchrome.engine.features.multiqc import write_qc_report

        write_qc_report(qc, counts.names, counts.tallies, force=force)
    show_counts(counts, out, as_json)


def _choose_container(formats: list[str], out: str) -> str:
    """Return the format to write.

    Raises
    ------
    UsageError
        One does not exist, several are given, or OUT has the suffix of a compressed file.
    """
    if unknown := [name for name in formats if name not in (*_CONTAINERS, _READS_FORMAT)]:
        choices = ", ".join((*_CONTAINERS, _READS_FORMAT))
        raise UsageError(f"--format must be one of {choices}, got {unknown[0]!r}")
    wanted = [name for name in dict.fromkeys(formats) if name != _READS_FORMAT]
    if len(wanted) > 1:
        raise UsageError(f"--format names several formats to write ({', '.join(wanted)}). Choose one")
    container = wanted[0] if wanted else "parquet" if out.endswith(".parquet") else "tsv"
    if container != "parquet" and out.endswith((".gz", ".bgz", ".zst")):
        raise UsageError(f"{out}: text is written uncompressed. Use --out - and a pipe: dc count ... --out - | bgzip")
    return container


def _genome_of(reads: list[str]) -> "Genome":
    """Return the genome in the headers of BAM and CRAM files."""
    from deepchrome.engine.counting.headers import genome_from_headers

    return genome_from_headers(reads)


def _command() -> str:
    """Return the command line as text, without the secrets in URLs."""
    line = shlex.join(["dc", *map(hide_secrets, sys.argv[1:])])
    return line.encode("utf-8", "backslashreplace").decode()  # a file name may have bytes that are not UTF-8


def _sha256(path: Path | None) -> str | None:
    """Return the SHA-256 of a regular file; None for anything else."""
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
