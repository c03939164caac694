"""The command ``dc featurize``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.options import (
    AllowNoEofOption,
    GenomeOption,
    JsonOption,
    MarksOption,
    NameOption,
    ReadsArgument,
    SamplesOption,
    SchedulerOption,
    ThreadsOption,
    parse_shard,
)
from deepchrome.errors import BadDataError, UsageError


def featurize(
    genes: Annotated[
        Path,
        typer.Option(help="Gene table: TSV with gene_id, chrom and tss; Roadmap's gene_info; GTF; GFF3; or BED6."),
    ],
    genome: GenomeOption,
    out: Annotated[Path, typer.Option(help="Directory for summary.tsv and one Parquet file per epigenome.")],
    reads: ReadsArgument = None,
    samples: SamplesOption = None,
    name: NameOption = None,
    pool: Annotated[bool, typer.Option("--pool", help="Add up the files of the same epigenome and mark.")] = False,
    bin_size: Annotated[int, typer.Option(help="Bin width (bp).")] = 100,
    flank: Annotated[int, typer.Option(help="Window length on each side of the TSS (bp).")] = 5000,
    marks: MarksOption = None,
    edge: Annotated[
        Literal["zero", "drop", "error"],
        typer.Option(help="Genes with bins outside their chromosome: count these bins as 0, drop the gene, or stop."),
    ] = "zero",
    unknown_chrom: Annotated[
        Literal["error", "skip", "bedtools"],
        typer.Option(
            help="Reads on chromosomes that the genome lacks: stop, skip them, "
            "or place them on its first chromosome, as bedtools does."
        ),
    ] = "error",
    unique_genes: Annotated[
        bool, typer.Option("--unique-genes", help="Keep only the first row of each gene ID.")
    ] = False,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Accept files without reads.")] = False,
    allow_few: Annotated[
        bool,
        typer.Option("--allow-few", help="Accept files with fewer than 1 % of their reads on the genes' chromosomes."),
    ] = False,
    allow_no_eof: AllowNoEofOption = False,
    min_mapq: Annotated[
        int, typer.Option("-q", "--min-mapq", min=0, max=255, help="BAM: minimum mapping quality of counted reads.")
    ] = 0,
    include_duplicates: Annotated[
        bool, typer.Option("-D", "--include-duplicates", help="BAM: also count duplicates.")
    ] = False,
    include_qc_fail: Annotated[
        bool, typer.Option("-F", "--include-qc-fail", help="BAM: also count reads that failed quality control.")
    ] = False,
    same_strand: Annotated[
        bool, typer.Option("-s", "--same-strand", help="Count only reads on the strand of the gene.")
    ] = False,
    opposite_strand: Annotated[
        bool, typer.Option("-S", "--opposite-strand", help="Count only reads on the strand opposite to the gene.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            min=1,
            help="Number of files to count at the same time.",
            show_default="the number of threads",
        ),
    ] = None,
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    shard: Annotated[
        str | None,
        typer.Option(help="For job arrays: process only one of n parts of the epigenomes, given as i/n."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Recount everything and replace existing files. By default, valid files are kept."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count reads in bins around every TSS, as bedtools does.

    The counts equal those of bedtools multicov. Each epigenome gets one Parquet file.
    """
    from deepchrome.cli.startup import load_kernels

    if same_strand and opposite_strand:
        raise UsageError("-s and -S cannot be used together")
    if scheduler and (jobs or threads):
        raise UsageError("--jobs and --threads cannot be used with --scheduler. The cluster sets its own limits.")
    selected_shard = parse_shard(shard) if shard else None
    load_kernels()
    from deepchrome.cli.progress import progress_bars
    from deepchrome.cli.show_featurize import COLUMNS, FeaturizeProgress, show_outcomes
    from deepchrome.engine.counting.options import ReadOptions
    from deepchrome.engine.features.featurize import featurize as run

    options = ReadOptions(
        unknown_chrom=unknown_chrom,
        allow_empty=allow_empty,
        allow_few=allow_few,
        allow_no_eof=allow_no_eof,
        strand="same" if same_strand else "opposite" if opposite_strand else None,
        min_mapq=min_mapq,
        include_duplicates=include_duplicates,
        include_qc_fail=include_qc_fail,
    )
    with progress_bars(*COLUMNS) as bars:
        progress = FeaturizeProgress(bars)
        outcomes = run(
            reads or (),
            genes=genes,
            genome=genome,
            out=out,
            samples=samples,
            name=name,
            pool=pool,
            bin_size=bin_size,
            flank=flank,
            marks=marks.split(",") if marks else None,
            edge=edge,
            unique_genes=unique_genes,
            options=options,
            jobs=jobs,
            threads=threads,
            scheduler=scheduler,
            shard=selected_shard,
            force=force,
            observer=progress,
        )
    show_outcomes(outcomes, progress.windows, out, as_json)
    failures = [outcome.error for outcome in outcomes if outcome.error]
    if failures:
        raise typer.Exit(failures[0].exit_code if len(outcomes) == 1 else BadDataError.exit_code)
