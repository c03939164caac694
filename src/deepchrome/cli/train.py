"""Commands of the trainer: labels, train, evaluate, predict."""

import json
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.tables import print_table
from deepchrome.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the trainer's commands to ``app``."""
    app.command("labels")(labels)


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
    for path in (out, figure):
        if path is not None and path.exists() and not force:
            raise UsageError(f"{path} exists; --force replaces it")
    from deepchrome.train.expression import read_expression
    from deepchrome.train.label_figure import draw_audit
    from deepchrome.train.labels import LabelAudit, audit_labels, write_labels

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
