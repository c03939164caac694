"""The command ``dc featurize``."""

from functools import partial
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
    ReadsFormatOption,
    ReciprocalOption,
    SameStrandOption,
    ShiftOption,
    SplitOption,
    UnknownChromOption,
    alias_file,
    make_read_options,
)
from deepchrome.errors import BadDataError, UsageError


def featurize(
    genes: Annotated[
        Path,
        typer.Option(help="Gene table: TSV with gene_id, chrom and tss; Roadmap's gene_info; GTF; GFF3; or BED6."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Directory for summary.tsv and one Parquet file per epigenome.")
    ],
    reads: ReadsArgument = None,
    genome: GenomeOption = None,
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
    unique_genes: Annotated[
        bool, typer.Option("--unique-genes", help="Keep only the first row of each gene ID.")
    ] = False,
    allow_few: Annotated[
        bool,
        typer.Option("--allow-few", help="Accept files with fewer than 1 % of their reads on the genes' chromosomes."),
    ] = False,
    allow_no_eof: AllowNoEofOption = False,
    allow_empty: AllowEmptyOption = False,
    unknown_chrom: UnknownChromOption = "error",
    no_build_check: NoBuildCheckOption = False,
    chrom_alias: ChromAliasOption = None,
    reads_format: ReadsFormatOption = None,
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

    if scheduler and (jobs or threads):
        raise UsageError("--jobs and --threads cannot be used with --scheduler. The cluster sets its own limits.")
    selected_shard = parse_shard(shard) if shard else None
    load_kernels(fragments=fragments)
    from deepchrome.cli.progress import progress_bars
    from deepchrome.cli.show_featurize import COLUMNS, FeaturizeProgress, show_outcomes
    from deepchrome.engine.features.featurize import featurize as run

    options = partial(
        make_read_options,
        same_strand=same_strand,
        opposite_strand=opposite_strand,
        five_prime=five_prime,
        center=center,
        blacklist=blacklist,
        chrom_alias=chrom_alias,
        no_build_check=no_build_check,
        unknown_chrom=unknown_chrom,
        allow_empty=allow_empty,
        allow_few=allow_few,
        allow_no_eof=allow_no_eof,
        format=reads_format,
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
            marks=marks.split(",") if marks else None,
            bin_size=bin_size,
            flank=flank,
            edge=edge,
            unique_genes=unique_genes,
            options=options,
            jobs=jobs,
            threads=threads,
            scheduler=scheduler,
            shard=selected_shard,
            force=force,
            inputs=[*([blacklist] if blacklist else []), *alias_file(chrom_alias)],
            observer=progress,
        )
    show_outcomes(outcomes, progress.windows, out, as_json)
    failures = [outcome.error for outcome in outcomes if outcome.error]
    if failures:
        raise typer.Exit(failures[0].exit_code if len(outcomes) == 1 else BadDataError.exit_code)
