"""The command ``dc labels``."""

from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import ForceOption, JsonOption, LabelThresholdOption, check_outputs, warn
from deepchrome.cli.tables import print_json, print_table


def labels(
    expression: Annotated[
        Path, typer.Option(help="Expression table (TSV): gene_id, then RPKM in one column per epigenome; - for stdin.")
    ],
    rule: Annotated[
        Literal["numeric", "published"],
        typer.Option(
            help="numeric: on if RPKM is above the median. "
            "published: RPKM compared as text, like the labels of the 2016 paper."
        ),
    ] = "numeric",
    label_threshold: LabelThresholdOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the labels to this file (TSV): gene_id, then 0 or 1 per epigenome.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw flipped labels against the published AUROC (.svg or .png).")
    ] = None,
    as_json: JsonOption = False,
    force: ForceOption = False,
) -> None:
    """Audit the labels of every epigenome under both label rules.

    Report the fraction of genes that are on, and the fraction that the two rules label differently.
    """
    check_outputs(out, figure, inputs=[expression], force=force)
    from deepchrome.train.datasets.expression import read_expression
    from deepchrome.train.datasets.labels import LabelAudit, audit_labels, describe_thresholds, write_labels
    from deepchrome.train.report.label_figure import draw_audit

    table = read_expression(expression)
    for note in table.notes:
        print_note(f"dc labels: {note}")
    audits = audit_labels(table, rule, label_threshold)
    if label_threshold is None:
        for text in describe_thresholds({"table": {audit.epigenome: audit.median_rpkm for audit in audits}}):
            warn("labels", f"{text}. Choose the threshold with --label-threshold.")
    if figure is not None:
        draw_audit(audits, figure)
    if out is not None:
        write_labels(out, table, rule, label_threshold)
    if as_json:
        print_json([asdict(audit) for audit in audits])
    else:
        print_table([field.name for field in fields(LabelAudit)], [astuple(audit) for audit in audits])
