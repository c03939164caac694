"""Write the newest saved results into docs/benchmarks.md and docs/scale.md.

Each generated section of a document lies between ``<!-- bench:SECTION -->`` and ``<!-- /bench:SECTION -->``.
Usage, in a checkout: ``python -m deepchrome.benchmarks.maintain.figures [--check]``.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from deepchrome.benchmarks.common.results import Results, newest_results
from deepchrome.benchmarks.maintain.count_section import count_section
from deepchrome.benchmarks.maintain.sections import featurize_section, many_section, scale_section, train_section
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError

RESULTS: Final = Path("benchmarks/results")
DOCUMENTS: Final = (Path("docs/benchmarks.md"), Path("docs/scale.md"))
# By section: the kind of results that the section shows, and the function that writes it.
_SECTIONS: Mapping[str, tuple[str, Callable[[Results, str], str]]] = {
    "featurize": ("featurize", featurize_section),
    "count": ("count", count_section),
    "train": ("train", train_section),
    "many": ("many", many_section),
    "scale": ("many", scale_section),
}


def update(document: Path, results: Path, *, write: bool) -> list[str]:
    """Find the generated sections of a document that are out of date; update them if ``write`` is true.

    Parameters
    ----------
    document
        The Markdown file.
    results
        The folder of saved results.
    write
        Whether to write the document if a section has changed.

    Returns
    -------
    list of str
        The sections that were out of date.

    Raises
    ------
    MissingInputError
        The document does not exist, or there are no results for a section that shows some.
    BadDataError
        The document has no generated section, or a section has no end.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingInputError(f"{document}: no such file") from None
    sections = [section for section in _SECTIONS if f"<!-- bench:{section} -->" in text]
    if not sections:
        raise BadDataError(
            f"{document}: no generated section. Add a marker such as <!-- bench:{next(iter(_SECTIONS))} -->."
        )
    outdated = []
    for section in sections:
        updated = _replace_section(text, section, document, results)
        if updated != text:
            outdated.append(section)
            text = updated
    if write and outdated:
        document.write_text(text, encoding="utf-8")
    return outdated


def _replace_section(text: str, section: str, document: Path, results: Path) -> str:
    kind, write_section = _SECTIONS[section]
    match = re.search(rf"(?<=<!-- bench:{section} -->\n).*?(?=<!-- /bench:{section} -->)", text, re.DOTALL)
    if not match:
        raise BadDataError(f"{document}: section {section} has no end. Add <!-- /bench:{section} -->.")
    found = newest_results(results, kind)
    if found is None and not match[0].strip():
        return text  # waits for its first results
    if found is None:
        raise MissingInputError(f"{results}: no results of dc bench {kind}. Run it and save its results there.")
    directory, newest = found
    link = Path(os.path.relpath(directory, document.parent)).as_posix()
    return f"{text[: match.start()]}{write_section(newest, link)}\n{text[match.end() :]}"


def main(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, and exit with code 65 if a document is out of date.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of saved results.")] = RESULTS,
    documents: Annotated[
        list[Path] | None,
        typer.Option("--document", help="Document to update; repeatable.", show_default=" ".join(map(str, DOCUMENTS))),
    ] = None,
) -> None:
    """Write the newest saved results into documents."""
    for document in documents or DOCUMENTS:
        try:
            outdated = update(document, results, write=not check)
        except DeepchromeError as error:
            typer.echo(f"figures: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        if outdated and check:
            sections = ", ".join(outdated)
            typer.echo(f"figures: {document}: out of date ({sections}). Run this without --check.", err=True)
            raise typer.Exit(BadDataError.exit_code)
        for section in outdated:
            typer.echo(f"{document}: {section} updated", err=True)


if __name__ == "__main__":
    typer.run(main)
