"""The command ``dc visualize``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.tables import print_table
from deepchrome.errors import UsageError


def visualize(
    run: Annotated[Path, typer.Argument(help="What dc train wrote.")],
    out: Annotated[Path, typer.Option(help="Directory for report.html, patterns.parquet and figures/.")],
    features: Annotated[
        Path | None, typer.Argument(help="The run's features, if they have moved; goes with --expression.")
    ] = None,
    expression: Annotated[Path | None, typer.Option(help="The run's expression table, if it has moved.")] = None,
    recipe: Annotated[
        Literal["stable", "published"], typer.Option(help="How pattern maps are made; see docs/report.md.")
    ] = "stable",
    starts: Annotated[
        int | None, typer.Option(help="Random starts per map.", show_default="8, or 1 if published")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the optimizer.", show_default="300, or 1000 if published")
    ] = None,
    style: Annotated[
        Literal["default", "published"], typer.Option(help="published: the four colour levels of the paper.")
    ] = "default",
    gene: Annotated[
        list[str] | None, typer.Option(help="A gene, by id or symbol, that the report must have; repeatable.")
    ] = None,
    maps_only: Annotated[bool, typer.Option("--maps-only", help="From the models alone, without the data.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="CPU cores.", show_default="all usable")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the report to a browser on this machine, until interrupted.")
    ] = False,
    port: Annotated[int, typer.Option(help="For --serve; 0: any that is free.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the report in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """See what the models learned: pattern maps, the evidence for them, and a report to open in a browser."""
    if (features is None) != (expression is None):
        raise UsageError("FEATURES and --expression go together")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads} makes no sense")
    if seed < 0:
        raise UsageError(f"--seed {seed} makes no sense")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.report.page import serve_report
    from deepchrome.train.report.patterns import RECIPES
    from deepchrome.train.report.visualize import visualize as make

    changed = {name: value for name, value in (("starts", starts), ("steps", steps)) if value is not None}
    made = make(
        run,
        out,
        recipe=replace(RECIPES[recipe], **changed),  # type: ignore[arg-type]
        style=style,
        features=features,
        expression=expression,
        maps_only=maps_only,
        genes=gene or (),
        seed=seed,
        placement=Placement(device, threads),
        force=force,
        say=lambda line: typer.echo(f"dc visualize: {line}", err=True),
    )
    columns = ("epigenome", "class", "mark", "mean_value", "active_bins", "correlation_with_observed")
    if as_json:
        import json

        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in made.rows], indent=1))
    else:
        print_table(columns, made.rows)
    for note in made.notes:
        typer.echo(f"dc visualize: {note}", err=True)
    typer.echo(f"dc visualize: {made.report} ({made.report_bytes / 1e6:.1f} MB), {len(made.figures)} figures", err=True)
    if serve:
        with serve_report(made.report, port) as (address, wait):
            typer.echo(f"dc visualize: {address} (for this machine only; Ctrl-C ends it)", err=True)
            wait()
