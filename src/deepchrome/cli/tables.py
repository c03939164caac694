"""Tables on stdout: drawn on a terminal, tab separated for other programs."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Cell = str | int | float | None


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows under their column names; fractions with four decimals, nothing for ``None``."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            typer.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for i, column in enumerate(table.columns):
        column.justify = "left" if rows and isinstance(rows[0][i], str) else "right"
    for row in texts:
        table.add_row(*map(Text, row))
    Console().print(table)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def print_rows(rows: "Sequence[DataclassInstance]", narrow: tuple[str, ...]) -> None:
    """Print dataclasses as a table: all columns, or on a terminal those that fit in 80 characters."""
    names = narrow if sys.stdout.isatty() else tuple(field.name for field in fields(rows[0]))
    print_table(names, [[getattr(row, name) for name in names] for row in rows])
