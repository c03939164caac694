"""The command ``dc demo``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import ForceOption
from deepchrome.cli.tables import print_table

if TYPE_CHECKING:
    from deepchrome.train.scoring.evaluate import Evaluation


def demo(
    out: Annotated[Path, typer.Option(help="Directory for all output. An earlier demo in it is replaced.")] = Path(
        "demo"
    ),
    force: ForceOption = False,
) -> None:
    """Run the whole analysis on simulated data, in about a minute.

    Simulates reads, counts them, labels the genes, trains models, tests them, and writes reports. A pooled model
    predicts an epigenome whose expression it has not seen.
    """
    from deepchrome.cli.startup import load_kernels

    load_kernels()
    from deepchrome.demo import run_demo
    from deepchrome.engine.features.summary import SUMMARY_COLUMNS, summary_rows

    done = run_demo(out, lambda line: print_note(f"dc demo: {line}"), force=force)
    typer.echo("\nReads: counts per file (dc featurize)")
    columns = SUMMARY_COLUMNS[:-1]  # without the status
    print_table(columns, [tuple(row[name] for name in columns) for row in summary_rows(done.outcomes)])
    typer.echo("\nLabels: RPKM above the epigenome's median (dc labels)")
    print_table(
        ("epigenome", "genes", "median_rpkm", "positive_fraction", "flipped_label_fraction"),
        [(a.epigenome, a.genes, a.median_rpkm, a.positive_fraction, a.flipped_label_fraction) for a in done.audits],
    )
    best = {epigenome.epigenome: epigenome.bayes_auroc for epigenome in done.simulated}
    of_areas = ("epigenome", "held_out", "test_genes", "auroc", "auroc_low", "auroc_high", "best_possible_auroc")

    def print_areas(evaluations: "Sequence[Evaluation]") -> None:
        print_table(
            of_areas,
            [
                (e.epigenome, e.held_out, e.n_test, e.auroc, e.auroc_low, e.auroc_high, best[e.epigenome])
                for e in evaluations
            ],
        )

    typer.echo("\nModels: test AUROC, and the best AUROC that the reads allow (dc train, dc evaluate)")
    print_areas(done.evaluations)
    held_out = next(e.epigenome for e in done.pooled_evaluations if e.held_out)
    typer.echo(
        f"\nPooled model: {held_out} is predicted without its expression (dc train --pooled --hold-out {held_out})"
    )
    print_areas(done.pooled_evaluations)
    typer.echo(f"\nsimulated reads, genes and expression, and their true parameters: {done.data}")
    typer.echo(f"features: {done.features}")
    typer.echo(f"models and scores: {done.run}, {done.pooled}")
    for note in dict.fromkeys((*done.report.notes, *done.pooled_report.notes)):
        print_note(f"dc demo: {note}")
    typer.echo(f"reports, to open in a browser: {done.report.report}, {done.pooled_report.report}")
