"""The command that fetches Roadmap's files, or those of a manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError


def download(
    out: Annotated[Path, typer.Option(help="Directory for the files, and manifest.tsv with their sizes and hashes.")],
    epigenomes: Annotated[str, typer.Option(help="Names, separated by commas, or all.")] = "all",
    marks: Annotated[
        str | None,
        typer.Option(
            help="Names, separated by commas; core: the five; all: what the manifest lists. "
            "Default: core, or all of one's own --manifest."
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Table with kind, epigenome, mark, url, bytes, sha256, instead of Roadmap's core marks."),
    ] = None,
    no_tables: Annotated[
        bool, typer.Option("--no-tables", help="Reads only, without expression, genes and names of epigenomes.")
    ] = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, max=16, help="Files at a time.")] = 4,
    allow_no_eof: Annotated[
        bool, typer.Option("--allow-no-eof", help="Accept bgzip and BAM without their end-of-file block.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be fetched and how large it is; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The closing table as JSON.")] = False,
) -> None:
    """Fetch Roadmap's reads, expression and genes: resumed where cut, checked before a file takes its name."""
    from deepchrome.cli.show_download import DownloadProgress, show_fetched, show_plan
    from deepchrome.engine.roadmap.download import download as run
    from deepchrome.engine.roadmap.download import plan_downloads
    from deepchrome.engine.roadmap.manifest import CORE_MARKS, check_manifest_path, read_manifest, select_entries

    which = marks or ("all" if manifest else "core")
    listed = read_manifest(manifest)
    check_manifest_path(out, manifest, listed)
    entries = select_entries(
        listed,
        None if epigenomes == "all" else epigenomes.split(","),
        None if which == "all" else CORE_MARKS if which == "core" else which.split(","),
        tables=not no_tables,
        by_rule=manifest is None,
    )
    if any(entry.bytes is None for entry in entries):
        typer.echo("asking for the sizes that the manifest does not have", err=True)
    if dry_run:
        planned = plan_downloads(out, entries, jobs)
        show_plan(planned, as_json)
        _exit_as([file.error for file in planned])
        return
    with DownloadProgress() as progress:
        done = run(out, entries, jobs=jobs, allow_no_eof=allow_no_eof, observer=progress)
    show_fetched(done, out, as_json)
    _exit_as([fetched.error for fetched in done])


def _exit_as(errors: Sequence[DeepchromeError | None]) -> None:
    """Exit as the gravest of the errors asks: bad data before a network that failed, that before what is not there."""
    codes = {error.exit_code for error in errors if error}
    for error in (BadDataError, StorageError, MissingInputError):
        if error.exit_code in codes:
            raise typer.Exit(error.exit_code)
