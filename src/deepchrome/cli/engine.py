"""Commands of the engine: featurize, simulate, export, verify."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.errors import BadDataError, UsageError


def register(app: typer.Typer) -> None:
    """Add the engine's commands to ``app``."""
    app.command("featurize")(featurize)
    app.command("verify")(verify)
    app.command("export")(export)
    app.command("simulate")(simulate)


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
    from deepchrome.cli.show import FeaturizeProgress, show_outcomes
    from deepchrome.engine.counting.formats import ReadOptions
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


def verify(
    features: Annotated[Path, typer.Argument(help="What dc featurize wrote: the directory, or one file of it.")],
    reads: Annotated[
        list[str] | None, typer.Argument(help="The files of reads it was made from, or their URLs.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Table with columns epigenome, mark, path, instead of READS.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="<epigenome>-<mark> of a single file or of -.")] = None,
    genes: Annotated[int, typer.Option("--genes", min=1, help="Genes to recount, drawn at random.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 1,
    genome: Annotated[
        Path | None, typer.Option(help="The chrom.sizes file, if the features are not on a bundled genome.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
) -> None:
    """Recount a sample of genes by another route, one read at a time, and compare every bin."""
    import json
    from dataclasses import asdict

    from deepchrome.engine.features.samples import find_samples, read_samples
    from deepchrome.engine.features.verify import verify as run

    if bool(reads) == bool(samples):
        raise UsageError("give READS (files or directories), or --samples TABLE")
    chosen = read_samples(samples) if samples else find_samples(reads or [], name)
    results = run(features, chosen, n_genes=genes, seed=seed, genome=genome)
    if as_json:
        typer.echo(json.dumps([asdict(result) | {"agrees": result.agrees} for result in results], indent=1))
    else:
        for result in results:
            verdict = "equal" if result.agrees else f"DIFFERENT in {result.different} bins ({result.first})"
            typer.echo(
                f"{result.epigenome}\t{result.mark}\t{result.genes} genes\t{result.bins} bins\t"
                f"{result.reads} reads ({result.reads_stored} stored)\t{verdict}"
            )
    if wrong := [result for result in results if not result.agrees]:
        raise BadDataError(f"{features}: {len(wrong)} of {len(results)} files of reads give other counts than stored")


def export(
    features: Annotated[Path, typer.Argument(help="What dc featurize wrote: a directory, or one file of it.")],
    out: Annotated[
        Path, typer.Option(help="Directory for train.csv, valid.csv, test.csv; one each for several epigenomes.")
    ],
    labels: Annotated[Path | None, typer.Option(help="Label table, as dc labels --out writes it.")] = None,
    epigenomes: Annotated[str, typer.Option(help="Names, separated by commas, or all.")] = "all",
    split: Annotated[
        Literal["published", "random", "chromosome"],
        typer.Option(help="published: thirds in the order of gene ids. random, chromosome: by --seed."),
    ] = "published",
    split_file: Annotated[
        Path | None, typer.Option(help="TSV with gene_id and split (train, valid, test), instead of --split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random choices in --split.")] = 1,
    header: Annotated[bool, typer.Option("--header", help="Write a header; the published files have none.")] = False,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="Leave out genes without a label.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    form: Annotated[Literal["csv"], typer.Option("--format", help="DeepChrome's text format.")] = "csv",  # noqa: ARG001 - one so far
) -> None:
    """Write features in DeepChrome's text format: GeneID, BinID, a column per mark, label."""
    if labels is None:
        raise UsageError(
            "the format holds labels: give --labels FILE; dc labels --expression TABLE --out FILE makes one"
        )
    from deepchrome.engine.features.export import export_csv, split_from
    from deepchrome.train.datasets.splits import split_genes

    chosen = None if epigenomes == "all" else epigenomes.split(",")
    splitter = split_from(split_file) if split_file else partial(split_genes, method=split, seed=seed)
    for done in export_csv(
        features, out, labels, splitter, epigenomes=chosen, header=header, drop_unlabelled=drop_unlabelled, force=force
    ):
        train, valid, test = done.genes
        left_out = f"; {done.unlabelled} without a label left out" if done.unlabelled else ""
        typer.echo(f"{done.epigenome}: {train} train, {valid} valid, {test} test genes{left_out}", err=True)
        typer.echo(f"{done.epigenome}: columns GeneID, BinID, {', '.join(done.marks)}, label", err=True)


def simulate(
    out: Annotated[Path, typer.Option(help="Directory for the reads, genes.tsv, expression.tsv and truth/.")],
    epigenomes: Annotated[int, typer.Option(help="How many, named E001, E002, E130, ...")] = 2,
    genes: Annotated[int, typer.Option(help="How many, on hg19.")] = 600,
    reads: Annotated[int, typer.Option(help="Reads in each file, exactly.")] = 200_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    marks: Annotated[
        str, typer.Option(help="Some of the five, separated by commas.")
    ] = "H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3",
    shuffle: Annotated[bool, typer.Option("--shuffle", help="The same reads in random order.")] = False,
    container: Annotated[Literal["gzip", "bgzip", "plain"], typer.Option("--format", help="Of the reads.")] = "gzip",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier simulation in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Simulate reads, genes and expression, with the truth beside them (docs/simulation.md)."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from deepchrome.engine.simulation.simulate import simulate as write_simulation

    names = marks.split(",")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Simulating", total=epigenomes * len(names))
        done = write_simulation(
            out,
            epigenomes=epigenomes,
            genes=genes,
            reads=reads,
            seed=seed,
            marks=names,
            shuffle=shuffle,
            container=container,
            force=force,
            on_file=lambda name: progress.update(task, advance=1, description=name),
        )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done], indent=1))
    else:
        typer.echo((out / "truth" / "summary.tsv").read_text(encoding="utf-8"), nl=False)
    typer.echo(f"{out}: {epigenomes * len(names)} files of {reads} reads, genes.tsv, expression.tsv, truth/", err=True)
