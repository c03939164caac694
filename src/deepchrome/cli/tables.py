"""Tables on standard output: drawn on a terminal, tab-separated for other programs, or as JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Cell = str | int | float | None


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows below their column names.

    Floats get four decimals; ``None`` becomes an empty cell. On a terminal that is too narrow, column names are broken
    into lines at their underscores.
    """
    texts = [[_format_cell(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            typer.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
    fits = sum(widths) + 3 * len(widths) + 1 <= console.width
    table = Table(*(columns if fits else [name.replace("_", "\n") for name in columns]))
    for i, column in enumerate(table.columns):
        column.justify = "left" if rows and isinstance(rows[0][i], str) else "right"
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table)


def _format_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def print_rows(rows: "Sequence[DataclassInstance]", terminal_columns: tuple[str, ...]) -> None:
    """Print dataclass instances as a table.

    Parameters
    ----------
    rows
        One dataclass instance per row; at least one.
    terminal_columns
        The fields to show on a terminal, few enough to fit in 80 characters. Other programs get all fields.
    """
    names = terminal_columns if sys.stdout.isatty() else tuple(field.name for field in fields(rows[0]))
    print_table(names, [[getattr(row, name) for name in names] for row in rows])


def print_json(document: object) -> None:
    """Print a document as indented JSON."""
    typer.echo(json.dumps(document, indent=1))
