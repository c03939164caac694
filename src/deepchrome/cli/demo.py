"""The command ``dc demo``."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.tables import print_table


def demo(
    out: Annotated[
        Path, typer.Option(help="Directory for all that is made; an earlier demo there is replaced.")
    ] = Path("demo"),
) -> None:
    """Run the whole main job on simulated data: reads, counts, labels, models, and how well they do."""
    from deepchrome.cli.startup import load_kernels

    load_kernels()
    from deepchrome.demo import run_demo
    from deepchrome.engine.features.summary import SUMMARY_COLUMNS

    done = run_demo(out, lambda line: typer.echo(f"dc demo: {line}", err=True))
    _head("Reads: what was counted (dc featurize)")
    columns = SUMMARY_COLUMNS[:-1]
    print_table(columns, [tuple(outcome.row()[name] for name in columns) for outcome in done.outcomes])
    _head("Labels: RPKM above the epigenome's median (dc labels)")
    print_table(
        ("epigenome", "genes", "median_rpkm", "positive_fraction", "flipped_label_fraction"),
        [(a.epigenome, a.genes, a.median_rpkm, a.positive_fraction, a.flipped_label_fraction) for a in done.audits],
    )
    _head("Models: test AUROC beside the best that these reads allow (dc train, dc evaluate)")
    best = {one.epigenome: one.bayes_auroc for one in done.simulated}
    print_table(
        ("epigenome", "test_genes", "auroc", "auroc_low", "auroc_high", "best_possible_auroc"),
        [(e.epigenome, e.genes, e.auroc, e.auroc_low, e.auroc_high, best[e.epigenome]) for e in done.evaluations],
    )
    typer.echo(f"\nreads, genes, expression and the truth: {done.data}")
    typer.echo(f"features: {done.features}")
    typer.echo(f"models and scores: {done.run}")
    for note in done.seen.notes:
        typer.echo(f"dc demo: {note}", err=True)
    typer.echo(f"report, to open in a browser: {done.seen.report}")


def _head(title: str) -> None:
    typer.echo(f"\n{title}")
