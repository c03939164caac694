"""The figures of README.md and docs/scale.md: written between markers from the newest saved results, never by hand."""

import os
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer

from deepchrome.benchmarks.common.results import Results, Row, newest_results
from deepchrome.benchmarks.common.show import FLOOR, seconds, times
from deepchrome.benchmarks.featurize.contestants import PEERS, REFERENCE
from deepchrome.benchmarks.featurize.race import COMPILING, KERNELS, LOADING
from deepchrome.benchmarks.many.race import PROJECTED_CORES
from deepchrome.errors import BadDataError, MissingInputError

RESULTS: Final = Path("benchmarks/results")
TEXTS: Final = (Path("README.md"), Path("docs/scale.md"))


def update(readme: Path, results: Path, *, write: bool) -> list[str]:
    """Bring every marked part of a text up to date.

    Parameters
    ----------
    readme
        The text; a part begins with ``<!-- bench:PART -->`` and ends with ``<!-- /bench:PART -->``.
    results
        The directory with the directories of saved results.
    write
        Whether to write the text, if anything changed.

    Returns
    -------
    list of str
        The parts that were not up to date.

    Raises
    ------
    MissingInputError
        There is no such text, or there are no results for one of its parts.
    BadDataError
        It has no marked part.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingInputError(f"{readme}: no such file") from None
    changed = []
    parts = [part for part in _PARTS if f"<!-- bench:{part} -->" in text]
    if not parts:
        raise BadDataError(f"{readme}: no <!-- bench:{'|'.join(_PARTS)} --> in it")
    for part in parts:
        kind, write_part = _PARTS[part]
        marked = re.compile(rf"(<!-- bench:{part} -->\n)(?:.*?\n)?(<!-- /bench:{part} -->)", re.DOTALL)
        found = newest_results(results, kind)
        if found is None:
            raise MissingInputError(f"{results}: no results of dc bench {kind}; make some with --save {results}")
        where, newest = found
        if not marked.search(text):
            raise BadDataError(f"{readme}: <!-- bench:{part} --> has no end, <!-- /bench:{part} -->")
        body = write_part(newest, Path(os.path.relpath(where, readme.parent)).as_posix())
        fresh = marked.sub(lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text)  # type: ignore[misc]
        if fresh != text:
            changed.append(part)
            text = fresh
    if write and changed:
        readme.write_text(text, encoding="utf-8")
    return changed


def _featurize(results: Results, where: str) -> str:
    """Write the race at the most reads that the peers ran with."""
    raced = [row.work for row in results.rows if row.group in ("reference", "peer")]
    work = max(raced, default=max(row.work for row in results.rows))
    rows = [row for row in results.rows if row.work == work]
    floor = next((row for row in rows if row.name == FLOOR), None)
    packed = results.figures[f"bytes, {work} reads"] / 1e6
    lines = [
        _measured(
            results,
            f"The floor is `{FLOOR}`, the fastest program that only unpacks the file.",
            f"{work:,} reads as `gzip` packs them ({packed:.3g} MB), {results.settings['genes']:,} genes, "
            f"{results.settings['bins']:,} bins",
        ),
        "",
        "| | wall | range | CPU | peak memory | ÷ floor |",
        "|---|---|---|---|---|---|",
    ]
    for group in ("floor", "engine", "process", "peer", "reference"):
        for row in sorted((row for row in rows if row.group == group), key=lambda row: row.seconds):
            if group == "floor" and row is not floor and row.name != "gzip -dc":
                continue
            lines.append(_line(row, floor, results))
    lines += ["", *_notes(results, work)]
    lines += ["", f"![Wall-clock time of each]({where}/featurize.svg)", "", _again(results, where)]
    return "\n".join(lines)


def _line(row: Row, floor: Row | None, results: Results) -> str:
    name = f"**floor: `{FLOOR}`**" if row is floor else f"**{row.name}**" if row.group == "reference" else row.name
    name += " *" if row.scale != 1 else ""
    name += " (not the same counts)" if any(p.name == row.name and p.reason for p in results.parity) else ""
    memory = f"{median(row.rss_mib):,.0f} MiB" if any(row.rss_mib) else ""
    cells = f"{seconds(row.seconds)} s", f"{seconds(min(row.wall))} - {seconds(max(row.wall))}"
    ratio = times(row.seconds / floor.seconds) if floor else ""
    return f"| {name} | {' | '.join(cells)} | {seconds(median(row.cpu))} s | {memory} | {ratio} |"


def _notes(results: Results, work: int) -> list[str]:
    rows = [row for row in results.rows if row.work == work]
    equal = [one for one in results.parity if not one.reason]
    notes = [
        f"Before any time was taken, the counts of {len(equal)} runs were compared with the engine's, bin by bin: "
        f"{sum(one.cells for one in equal):,} bins, {sum(one.different for one in equal):,} differences."
    ]
    inexact = {one.name: one.reason for one in results.parity if one.reason}
    notes += [f"{name}: {reason}." for name, reason in inexact.items()]
    if scaled := [row for row in rows if row.scale != 1 and row.group in ("reference", "peer")]:
        steps = {c.name: c.steps[-1] for c in (REFERENCE, *PEERS)}
        said = "; ".join(f"{steps[row.name]}: x {row.scale:.1f}" for row in scaled)
        notes.append(f"\\* The last step ran on a part of the bins, and its time is extrapolated to all ({said}).")
    if reference := next((row for row in rows if row.group == "reference"), None):
        ours = min((row for row in rows if row.group == "process"), key=lambda row: row.seconds)
        notes.append(
            f"The reference path takes {reference.seconds / ours.seconds:,.0f} times as long as `dc featurize`, "
            "the whole process."
        )
    notes.append(f"Parsing and counting take {results.figures[KERNELS]:.1f} ns a read on one core.")
    loading, compiling = (results.row("start-up", name) for name in (LOADING, COMPILING))
    if loading and compiling:
        notes.append(
            f"Python and the compiled kernels take {seconds(loading.seconds)} s to load; compiling them, which only "
            f"the first run ever does, takes {seconds(compiling.seconds)} s."
        )
    peaks = {row.work: max(row.rss_mib) for row in results.rows if row.group == "process"}
    if len(peaks) > 1:
        told = " and ".join(f"{peaks[n]:.0f} MiB with {n:,} reads" for n in (max(peaks), min(peaks)))
        notes.append(f"`dc featurize` peaks at {told}.")
    return [_wrapped(" ".join(notes))]


def _wrapped(prose: str) -> str:
    return textwrap.fill(prose, 120, break_long_words=False, break_on_hyphens=False)


def _training(results: Results, where: str) -> str:
    """Write the models side by side: lockstep beside the plain loop."""
    settings = results.settings
    lines = [
        _measured(results, "", f"{settings['genes']:,} training genes a model, batch {settings['batch']}"),
        "",
        "| | genes a second | range | seconds per 100 epochs |",
        "|---|---|---|---|",
    ]
    for row in results.rows:
        rates = sorted(row.work / wall for wall in row.wall)
        epochs = settings["gpu_epochs"] if row.name.startswith("GPU") else settings["epochs"]
        name = row.name + (" *" if row.scale != 1 else "")
        span = f"{rates[0]:,.0f} - {rates[-1]:,.0f}"
        lines.append(f"| {name} | {row.work / row.seconds:,.0f} | {span} | {seconds(100 * row.seconds / epochs)} |")
    if any(row.scale != 1 for row in results.rows):
        lines += ["", f"\\* {settings['plain_models']} models one after another, their time scaled to all."]
    return "\n".join([*lines, "", _again(results, where)])


def _many(results: Results, where: str) -> str:
    """Write what many files at a time come to."""
    lines = [
        *_many_table(results),
        "",
        _wrapped(f"{_efficiency(results)} docs/scale.md has the projection to Roadmap."),
    ]
    return "\n".join([*lines, "", _again(results, where)])


def _scale(results: Results, where: str) -> str:
    """Write the same with the projection to all of Roadmap, and what disk and network must bring for it."""
    figures = results.figures
    lines = [*_many_table(results), "", _wrapped(_efficiency(results))]
    if "remc_minutes_2_cores" in figures:
        lines += [
            "",
            "| all of Roadmap: 635 files, 19 billion reads, 150 GB | minutes | MB/s to read it at | of 10 Gbit/s |",
        ]
        lines.append("|---|---|---|---|")
        for cores in PROJECTED_CORES:
            rate = figures[f"remc_mb_per_second_{cores}_cores"]
            minutes = figures[f"remc_minutes_{cores}_cores"]
            lines.append(f"| {cores} cores | {minutes:.1f} | {rate:,.0f} | {rate / 1250:.0%} |")
    return "\n".join([*lines, "", _again(results, where)])


def _many_table(results: Results) -> list[str]:
    settings = results.settings
    lines = [
        _measured(
            results, "", f"{settings['files']:,} files of {settings['reads']:,} reads, {settings['bins']:,} bins"
        ),
        "",
        "| | wall | range | reads a second | peak memory |",
        "|---|---|---|---|---|",
    ]
    for row in results.rows:
        rate = f"{row.work / row.seconds:,.0f}" if row.work else ""
        cells = f"{seconds(row.seconds)} s", f"{seconds(min(row.wall))} - {seconds(max(row.wall))}", rate
        lines.append(f"| {row.name} | {' | '.join(cells)} | {max(row.rss_mib):,.0f} MiB |")
    return lines


def _efficiency(results: Results) -> str:
    figures, cores = results.figures, results.settings["cores"]
    said = f"The whole process does on {cores} cores {figures['efficiency']:.2f} of what {cores} times one core would"
    if "efficiency_without_start" in figures:
        said += f", and {figures['efficiency_without_start']:.2f} of it without the start of Python and the kernels"
    return f"{said}."


def _measured(results: Results, more: str, what: str) -> str:
    machine, tools = results.machine, ("bedtools", "samtools", "igzip") if results.kind == "featurize" else ()
    software = [f"Python {machine['python']}"]
    software += [f"{name} {results.versions[name]}" for name in tools if name in results.versions]
    return _wrapped(
        f"Measured on {machine['cores']} cores ({machine['processor']}, {', '.join(software)}), {results.when[:10]}: "
        f"{what}; medians of up to {results.settings['rounds']} runs taken in turn. {more}"
    )


def _again(results: Results, where: str) -> str:
    return f"All figures: [{where}]({where}). Again, on your machine:\n\n```sh\n{results.command}\n```"


# What each part is made from, and how.
_PARTS: Mapping[str, tuple[str, Callable[[Results, str], str]]] = {
    "featurize": ("featurize", _featurize),
    "train": ("train", _training),
    "many": ("many", _many),
    "scale": ("many", _scale),
}


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 65 if a text is out of date.")] = False,
    results: Annotated[Path, typer.Option(help="Directory of saved results.")] = RESULTS,
    files: Annotated[list[Path] | None, typer.Option("--file", help="A text with markers; repeatable.")] = None,
) -> None:
    """Write the newest saved results between the markers of README.md and docs/scale.md."""
    for file in files or TEXTS:
        changed = update(file, results, write=not check)
        if changed and check:
            typer.echo(f"{file}: {', '.join(changed)}: not the newest results of {results}", err=True)
            raise typer.Exit(BadDataError.exit_code)
        for part in changed:
            typer.echo(f"{file}: {part} updated", err=True)


if __name__ == "__main__":
    typer.run(main)
