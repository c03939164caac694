"""The command ``dc visualize``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import DeviceOption, JsonOption, RunArgument, ThreadsOption
from deepchrome.cli.tables import print_json, print_table
from deepchrome.errors import UsageError


def visualize(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="Directory for report.html, patterns.parquet and figures/.")],
    features: Annotated[
        Path | None,
        typer.Argument(
            metavar="FEATURES", help="New path of the run's features, if they have moved. Needs --expression."
        ),
    ] = None,
    expression: Annotated[
        Path | None, typer.Option(help="New path of the run's expression table, if it has moved.")
    ] = None,
    recipe: Annotated[
        Literal["stable", "published"], typer.Option(help="How pattern maps are computed; see docs/report.md.")
    ] = "stable",
    starts: Annotated[
        int | None, typer.Option(help="Number of random starts per map.", show_default="8; 1 with --recipe published")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Number of optimizer steps per map.", show_default="300; 1000 with --recipe published"),
    ] = None,
    style: Annotated[
        Literal["default", "published"],
        typer.Option(help="Colours of the maps. published: the four levels of the 2016 paper."),
    ] = "default",
    gene: Annotated[
        list[str] | None, typer.Option(help="Id or symbol of a gene that the report must show. Can be repeated.")
    ] = None,
    maps_only: Annotated[
        bool, typer.Option("--maps-only", help="Use the models alone, without the data of the run.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random starts.")] = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the report to browsers on this machine until interrupted.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port for --serve; 0 for any free port.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the report in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a report that shows what the models of a run learned.

    The report opens in a browser. It has pattern maps, the evidence for them in the data, and single genes.
    """
    if (features is None) != (expression is None):
        raise UsageError("FEATURES and --expression must be given together")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.report.page import serve_report
    from deepchrome.train.report.patterns import RECIPES
    from deepchrome.train.report.visualize import visualize as make_report

    changed = {name: value for name, value in (("starts", starts), ("steps", steps)) if value is not None}
    made = make_report(
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
        on_message=lambda line: print_note(f"dc visualize: {line}"),
    )
    columns = ("epigenome", "class", "mark", "mean_value", "active_bins", "correlation_with_observed")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in made.rows])
    else:
        print_table(columns, made.rows)
    for note in made.notes:
        print_note(f"dc visualize: {note}")
    print_note(f"dc visualize: {made.report} ({made.report_bytes / 1e6:.1f} MB), {len(made.figures)} figures")
    if serve:
        with serve_report(made.report, port) as (address, wait):
            print_note(f"dc visualize: {address} (for this machine only; press Ctrl-C to stop)")
            wait()
