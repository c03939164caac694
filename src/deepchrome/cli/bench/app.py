"""Assemble the ``dc bench`` commands."""

import typer

from deepchrome.cli.bench.compare import compare
from deepchrome.cli.bench.count import count
from deepchrome.cli.bench.featurize import featurize
from deepchrome.cli.bench.many import many
from deepchrome.cli.bench.train import train

bench = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Compare counts with other programs, then measure times.",
)
for command in (featurize, count, many, train, compare):
    bench.command(command.__name__)(command)
