"""The command ``dc verify``."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.errors import BadDataError, UsageError


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
