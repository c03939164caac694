"""The command ``dc download``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import AllowNoEofOption, EpigenomesOption, JsonOption, parse_names
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError


def download(
    out: Annotated[Path, typer.Option(help="Directory for the files and manifest.tsv, which lists them.")],
    epigenomes: EpigenomesOption = "all",
    marks: Annotated[
        str | None,
        typer.Option(
            help="Names of marks, separated by commas; core (the five core marks); or all (those in the manifest).",
            show_default="core, or all with --manifest",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Table of files to download instead of Roadmap's: kind, epigenome, mark, url, bytes, sha256."
        ),
    ] = None,
    no_tables: Annotated[
        bool, typer.Option("--no-tables", help="Skip the tables of expression, genes and epigenome names.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, max=16, help="Number of files to download at the same time.")
    ] = 4,
    allow_no_eof: AllowNoEofOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and their sizes without downloading them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download Roadmap's reads, gene expression and genes.

    An interrupted download continues where it stopped. Every file is checked when it is complete.
    """
    from deepchrome.cli.progress import progress_bars
    from deepchrome.cli.show_download import COLUMNS, DownloadProgress, show_plan, show_results
    from deepchrome.engine.roadmap.download import download as run
    from deepchrome.engine.roadmap.download import plan_downloads
    from deepchrome.engine.roadmap.manifest import CORE_MARKS, check_manifest_path, read_manifest, select_entries

    chosen_marks = marks or ("all" if manifest else "core")
    listed = read_manifest(manifest)
    check_manifest_path(out, manifest, listed)
    entries = select_entries(
        listed,
        parse_names(epigenomes),
        CORE_MARKS if chosen_marks == "core" else parse_names(chosen_marks),
        tables=not no_tables,
        by_rule=manifest is None,
    )
    if any(entry.bytes is None for entry in entries):
        print_note("asking the server for file sizes that the manifest lacks")
    if dry_run:
        planned = plan_downloads(out, entries, jobs)
        show_plan(planned, as_json)
        _exit_with_worst_error([file.error for file in planned])
        return
    with progress_bars(*COLUMNS) as bars:
        results = run(out, entries, jobs=jobs, allow_no_eof=allow_no_eof, observer=DownloadProgress(bars))
    show_results(results, out, as_json)
    _exit_with_worst_error([result.error for result in results])


def _exit_with_worst_error(errors: Sequence[DeepchromeError | None]) -> None:
    """Exit with the code of the worst error, if there is one.

    Bad data are worse than a failed transfer, and a failed transfer is worse than a missing file.
    """
    codes = {error.exit_code for error in errors if error}
    for error in (BadDataError, StorageError, MissingInputError):
        if error.exit_code in codes:
            raise typer.Exit(error.exit_code)
