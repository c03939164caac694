"""The command ``dc verify``."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import FeaturesArgument, JsonOption, NameOption, ReadsArgument, SamplesOption, SeedOption
from deepchrome.cli.tables import print_json
from deepchrome.errors import BadDataError, UsageError


def verify(
    features: FeaturesArgument,
    reads: ReadsArgument = None,
    samples: SamplesOption = None,
    name: NameOption = None,
    genes: Annotated[int, typer.Option(min=1, help="Number of genes to recount, drawn at random.")] = 100,
    seed: SeedOption = 1,
    genome: Annotated[
        Path | None,
        typer.Option(help="The chrom.sizes file used by dc featurize. Not needed for a genome by name."),
    ] = None,
    blacklist: Annotated[Path | None, typer.Option(help="The blacklist used by dc featurize.")] = None,
    chrom_alias: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The chromAlias file used by dc featurize. Not needed for auto.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Recount some genes with a second, simpler counter and compare.

    The second counter handles one read at a time. Every bin of the sampled genes is compared.
    """
    from dataclasses import asdict

    from deepchrome.engine.features.samples import find_samples, read_samples
    from deepchrome.engine.features.verify import verify as verify_features

    if bool(reads) == bool(samples):
        raise UsageError("give either READS (files or directories) or --samples TABLE")
    # How many files a mark may have depends on the features: whether they were pooled.
    notes: list[str] = []
    chosen = read_samples(samples, pool=True, notes=notes) if samples else find_samples(reads or [], name, pool=True)
    for note in notes:
        print_note(note)
    results = verify_features(
        features, chosen, n_genes=genes, seed=seed, genome=genome, blacklist=blacklist, aliases=chrom_alias
    )
    if as_json:
        print_json([asdict(result) | {"agrees": result.agrees} for result in results])
    else:
        for result in results:
            typer.echo(
                f"{result.epigenome}\t{result.mark}\t{result.genes} genes\t{result.bins} bins\t"
                f"{result.reads} reads ({result.reads_stored} stored)\t{result.describe()}"
            )
    if wrong := [result for result in results if not result.agrees]:
        raise BadDataError(
            f"{features}: the recount differs from the stored counts in {len(wrong)} of {len(results)} marks"
        )
