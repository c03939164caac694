"""The command ``dc featurize``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.errors import BadDataError, UsageError


def featurize(
    genes: Annotated[
        Path, typer.Option(help="Gene table: TSV with gene_id, chrom, tss; gene_info; GTF, GFF3; BED6. May be gzipped.")
    ],
    genome: Annotated[str, typer.Option(help="hg19, hg38, or a chrom.sizes file.")],
    out: Annotated[Path, typer.Option(help="Directory for one Parquet file per epigenome, and summary.tsv.")],
    reads: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files <epigenome>-<mark>.tagAlign.gz (BED, BAM, CRAM), URLs or directories of them, or -."
        ),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Table with columns epigenome, mark, path, instead of READS.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="<epigenome>-<mark> of a single file or of -.")] = None,
    bin_size: Annotated[int, typer.Option(help="In bp.")] = 100,
    flank: Annotated[int, typer.Option(help="bp on either side of the TSS.")] = 5000,
    marks: Annotated[
        str | None, typer.Option(help="Which, separated by commas, in the order of the columns; default: all.")
    ] = None,
    edge: Annotated[
        Literal["zero", "drop", "error"],
        typer.Option(help="Genes with bins beyond their chromosome: such bins count 0, drop the gene, or refuse."),
    ] = "zero",
    unknown_chrom: Annotated[
        Literal["error", "skip", "bedtools"],
        typer.Option(
            help="Reads on a chromosome that the genome lacks: refuse, leave out, or put on its first as bedtools."
        ),
    ] = "error",
    unique_genes: Annotated[
        bool, typer.Option("--unique-genes", help="Keep only the first row of each gene id.")
    ] = False,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Accept a file without reads.")] = False,
    allow_no_eof: Annotated[
        bool, typer.Option("--allow-no-eof", help="Accept bgzip and BAM without their end-of-file block.")
    ] = False,
    min_mapq: Annotated[
        int, typer.Option("-q", "--min-mapq", min=0, max=255, help="BAM: leave out reads of lower quality.")
    ] = 0,
    include_duplicates: Annotated[
        bool, typer.Option("-D", "--include-duplicates", help="BAM: count duplicates too.")
    ] = False,
    include_qc_fail: Annotated[
        bool, typer.Option("-F", "--include-qc-fail", help="BAM: count reads that failed quality control too.")
    ] = False,
    same_strand: Annotated[
        bool, typer.Option("-s", "--same-strand", help="Count only reads on the gene's strand.")
    ] = False,
    opposite_strand: Annotated[
        bool, typer.Option("-S", "--opposite-strand", help="Count only reads not on the gene's strand.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Files at a time; default: as many as threads.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("-t", "--threads", min=1, help="Threads in all; default: the usable cores.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Count on a running Dask cluster: tcp://host:port, or a scheduler file.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="i/n: only the i-th of n parts of the epigenomes, for job arrays.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Count all again and replace what is there; else what holds is kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The closing table as JSON.")] = False,
) -> None:
    """Count reads in bins around every TSS: one Parquet file per epigenome, exactly bedtools' counts."""
    from deepchrome.cli.startup import load_kernels

    if same_strand and opposite_strand:
        raise UsageError("-s and -S exclude each other")
    if scheduler and (jobs or threads):
        raise UsageError("--jobs and --threads are for this machine; how much runs on a cluster, its workers decide")
    part = _shard(shard) if shard else None
    load_kernels()
    from deepchrome.cli.show_featurize import FeaturizeProgress, show_outcomes
    from deepchrome.engine.counting.options import ReadOptions
    from deepchrome.engine.features.featurize import featurize as run

    options = ReadOptions(
        unknown_chrom=unknown_chrom,
        allow_empty=allow_empty,
        allow_no_eof=allow_no_eof,
        strand="same" if same_strand else "opposite" if opposite_strand else None,
        min_mapq=min_mapq,
        include_duplicates=include_duplicates,
        include_qc_fail=include_qc_fail,
    )
    with FeaturizeProgress() as progress:
        outcomes = run(
            reads or (),
            genes=genes,
            genome=genome,
            out=out,
            samples=samples,
            name=name,
            bin_size=bin_size,
            flank=flank,
            marks=marks.split(",") if marks else None,
            edge=edge,
            unique_genes=unique_genes,
            options=options,
            jobs=jobs,
            threads=threads,
            scheduler=scheduler,
            shard=part,
            force=force,
            observer=progress,
        )
    show_outcomes(outcomes, progress.windows, out, as_json)
    failures = [outcome.error for outcome in outcomes if outcome.error]
    if failures:
        raise typer.Exit(failures[0].exit_code if len(outcomes) == 1 else BadDataError.exit_code)


def _shard(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal()):
        raise UsageError(f"--shard {text}: say which part of how many, like 1/8")
    return int(i), int(n)
