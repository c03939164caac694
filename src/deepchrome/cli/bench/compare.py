"""The command ``dc bench compare``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.bench.common import BenchJsonOption, print_tables
from deepchrome.cli.messages import print_note
from deepchrome.cli.tables import print_json
from deepchrome.errors import BadDataError

_MAX_NAMED_ROWS = 5


def compare(
    first: Annotated[Path, typer.Argument(help="Results: a JSON file, or its directory.")],
    second: Annotated[Path, typer.Argument(help="Results to compare with the first.")],
    fail: Annotated[
        bool, typer.Option("--fail", help="Exit with code 65 if a row is slower in the second results.")
    ] = False,
    as_json: BenchJsonOption = False,
) -> None:
    """Compare two saved results row by row.

    A row counts as slower or faster if the median of each result lies outside the
    range of the other result's runs.
    """
    from deepchrome.benchmarks.common.results import compare as compare_results
    from deepchrome.benchmarks.common.results import read_results
    from deepchrome.benchmarks.common.tables import comparison_table

    one, other = read_results(first), read_results(second)
    rows = compare_results(one, other)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_tables([comparison_table(rows)])
    if one.machine != other.machine:
        print_note("dc bench: the results are from different machines, so the ratios mean little")
    slower = [row.name for row in rows if row.verdict == "slower"]
    if slower and fail:
        names = ", ".join(slower[:_MAX_NAMED_ROWS])
        raise BadDataError(f"{second}: {len(slower)} of {len(rows)} rows are slower than in {first} ({names})")
