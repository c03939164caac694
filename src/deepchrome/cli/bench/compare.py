"""The command ``dc bench compare``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.errors import BadDataError

if TYPE_CHECKING:
    pass
from deepchrome.cli.bench.common import JSON, print_renderables


def compare(
    first: Annotated[Path, typer.Argument(help="Results: a JSON file, or the directory that --save made.")],
    second: Annotated[Path, typer.Argument(help="Results to hold against them.")],
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 65 if a row fell behind.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Compare two results row by row; a row is slower if each median lies outside the other's range."""
    import json
    from dataclasses import asdict

    from deepchrome.benchmarks.common.results import compare as run
    from deepchrome.benchmarks.common.results import read_results
    from deepchrome.benchmarks.common.show import comparison

    one, other = read_results(first), read_results(second)
    rows = run(one, other)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_renderables([comparison(rows)])
    if one.machine != other.machine:
        typer.echo("dc bench: not measured on the same machine: the ratios say little", err=True)
    slower = [row.name for row in rows if row.verdict == "slower"]
    if slower and fail:
        raise BadDataError(f"{second}: {len(slower)} of {len(rows)} rows fell behind: {', '.join(slower[:5])}")
