"""The command ``dc labels``."""

import json
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepchrome.cli.tables import print_table

if TYPE_CHECKING:
    pass
from deepchrome.cli.options import check_output_free


def labels(
    expression: Annotated[Path, typer.Option(help="RPKM per gene and epigenome: TSV, gzip or not; - for stdin.")],
    rule: Annotated[
        Literal["numeric", "published"],
        typer.Option(help="numeric: RPKM above the median. published: the string comparison of 2016."),
    ] = "numeric",
    out: Annotated[
        Path | None, typer.Option(help="Write the labels: gene_id, then 0 or 1 per epigenome (TSV).")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw flipped labels against the published AUROC (.svg or .png).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Audit the labels of every epigenome: how many genes are on, and how many the published rule got wrong."""
    check_output_free(out, force)
    check_output_free(figure, force)
    from deepchrome.train.datasets.expression import read_expression
    from deepchrome.train.datasets.labels import LabelAudit, audit_labels, write_labels
    from deepchrome.train.report.label_figure import draw_audit

    table = read_expression(expression)
    for note in table.notes:
        typer.echo(f"dc labels: {note}", err=True)
    audits = audit_labels(table, rule)
    if figure is not None:
        draw_audit(audits, figure)
    if out is not None:
        write_labels(out, table, rule)
    if as_json:
        typer.echo(json.dumps([asdict(audit) for audit in audits], indent=1))
    else:
        print_table([field.name for field in fields(LabelAudit)], [astuple(audit) for audit in audits])
