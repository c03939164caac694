"""The commands ``dc bench ...``: compare counts first, then times."""

import typer

from deepchrome.cli.bench.compare import compare
from deepchrome.cli.bench.featurize import featurize
from deepchrome.cli.bench.many import many
from deepchrome.cli.bench.train import train

bench = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure: counts compared first, then times, beside the floors and what else one could use.",
)
bench.command("featurize")(featurize)
bench.command("train")(train)
bench.command("many")(many)
bench.command("compare")(compare)
