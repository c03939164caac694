"""The command ``dc demo``."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import ForceOption
from deepchrome.cli.tables import print_table


def demo(
    out: Annotated[Path, typer.Option(help="Directory for all output. An earlier demo in it is replaced.")] = Path(
        "demo"
    ),
    force: ForceOption = False,
) -> None:
    """Run the whole analysis on simulated data, in about a minute.

    Simulates reads, counts them, labels the genes, trains models, tests them, and writes a report.
    """
    from deepchrome.cli.startup import load_kernels

    load_kernels()
    from deepchrome.demo import run_demo
    from deepchrome.engine.features.summary import SUMMARY_COLUMNS

    done = run_demo(out, lambda line: print_note(f"dc demo: {line}"), force=force)
    typer.echo("\nReads: counts per file (dc featurize)")
    columns = SUMMARY_COLUMNS[:-1]  # without the status
    print_table(columns, [tuple(outcome.row()[name] for name in columns) for outcome in done.outcomes])
    typer.echo("\nLabels: RPKM above the epigenome's median (dc labels)")
    print_table(
        ("epigenome", "genes", "median_rpkm", "positive_fraction", "flipped_label_fraction"),
        [(a.epigenome, a.genes, a.median_rpkm, a.positive_fraction, a.flipped_label_fraction) for a in done.audits],
    )
    typer.echo("\nModels: test AUROC, and the best AUROC that the reads allow (dc train, dc evaluate)")
    best = {epigenome.epigenome: epigenome.bayes_auroc for epigenome in done.simulated}
    print_table(
        ("epigenome", "test_genes", "auroc", "auroc_low", "auroc_high", "best_possible_auroc"),
        [(e.epigenome, e.n_test, e.auroc, e.auroc_low, e.auroc_high, best[e.epigenome]) for e in done.evaluations],
    )
    typer.echo(f"\nsimulated reads, genes and expression, and their true parameters: {done.data}")
    typer.echo(f"features: {done.features}")
    typer.echo(f"models and scores: {done.run}")
    for note in done.report.notes:
        print_note(f"dc demo: {note}")
    typer.echo(f"report, to open in a browser: {done.report.report}")
