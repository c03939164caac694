"""The README's figures: written between markers from the newest saved results, never by hand."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from deepchrome.benchmarks.contestants import PEERS, REFERENCE
from deepchrome.benchmarks.results import Results, Row, newest_results
from deepchrome.benchmarks.show import FLOOR, seconds
from deepchrome.errors import BadDataError, MissingInputError


def update(readme: Path, results: Path, *, write: bool) -> list[str]:
    """Bring every marked part of a text up to date.

    Parameters
    ----------
    readme
        The text; a part begins with ``<!-- bench:KIND -->`` and ends with ``<!-- /bench:KIND -->``.
    results
        The directory with the directories of saved results.
    write
        Whether to write the text, if anything changed.

    Returns
    -------
    list of str
        The kinds whose part was not up to date.

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
    parts = [kind for kind in _PARTS if f"<!-- bench:{kind} -->" in text]
    if not parts:
        raise BadDataError(f"{readme}: no <!-- bench:{'|'.join(_PARTS)} --> in it")
    for kind in parts:
        marked = re.compile(rf"(<!-- bench:{kind} -->\n)(?:.*?\n)?(<!-- /bench:{kind} -->)", re.DOTALL)
        found = newest_results(results, kind)
        if found is None:
            raise MissingInputError(f"{results}: no results of dc bench {kind}; make some with --save {results}")
        where, newest = found
        if not marked.search(text):
            raise BadDataError(f"{readme}: <!-- bench:{kind} --> has no end, <!-- /bench:{kind} -->")
        # Beside the text where it can be, so that links hold; tests keep the two apart.
        root = readme.resolve().parent
        link = where.resolve().relative_to(root) if where.resolve().is_relative_to(root) else where
        body = _PARTS[kind](newest, link.as_posix())
        fresh = marked.sub(lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text)  # type: ignore[misc]
        if fresh != text:
            changed.append(kind)
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
            f"{work:,} reads as `gzip` packs them ({packed:.3g} MB), {results.settings['genes']:,} genes, "
            f"{results.settings['bins']:,} bins",
        )
        + f" The floor is `{FLOOR}`, the fastest program that only unpacks the file.",
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
    ratio = f"{row.seconds / floor.seconds:,.2f}" if floor else ""
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
    notes.append(
        f"Parsing and counting take {results.figures['parse_and_count_ns_per_read']:.1f} ns a read on one core."
    )
    for name, said in (
        ("load the kernels", "Loading the compiled kernels takes {} s"),
        ("compile the kernels, the first run ever", "compiling them, which only the first run ever does, {} s."),
    ):
        if row := results.row("start-up", name):
            notes.append(said.format(seconds(row.seconds)))
    return [_joined(notes)]


def _joined(sentences: list[str]) -> str:
    """Join sentences, and fragments of which the second goes on where the first ended."""
    text = " ".join(sentence if sentence.endswith(".") else f"{sentence};" for sentence in sentences)
    return text.replace("; *", "; ").replace(";;", ";")


def _training(results: Results, where: str) -> str:
    """Write the models side by side: lockstep beside the plain loop."""
    lines = [
        _measured(results, f"{results.settings['genes']:,} training genes a model, batch {results.settings['batch']}"),
        "",
        "| | genes a second | range | seconds per 100 epochs |",
        "|---|---|---|---|",
    ]
    for row in results.rows:
        if row.group == "training":
            rates = sorted(row.work / wall for wall in row.wall)
            span = f"{rates[0]:,.0f} - {rates[-1]:,.0f}"
            hundred = 100 * row.seconds / results.settings["epochs"]
            lines.append(f"| {row.name} | {row.work / row.seconds:,.0f} | {span} | {seconds(hundred)} |")
    return "\n".join([*lines, "", _again(results, where)])


def _many(results: Results, where: str) -> str:
    """Write what many files at a time come to, and the projection."""
    settings = results.settings
    lines = [
        _measured(results, f"{settings['files']:,} files of {settings['reads']:,} reads"),
        "",
        "| | wall | reads a second | peak memory |",
        "|---|---|---|---|",
    ]
    for row in results.rows:
        if row.group == "many":
            rate = f"{row.work / row.seconds:,.0f}"
            lines.append(f"| {row.name} | {seconds(row.seconds)} s | {rate} | {max(row.rss_mib):,.0f} MiB |")
    lines += ["", f"Efficiency on {settings['cores']} cores: {results.figures['efficiency']:.2f}.", ""]
    return "\n".join([*lines, _again(results, where)])


def _measured(results: Results, what: str) -> str:
    machine = results.machine
    tools = ", ".join(
        f"{name} {results.versions[name]}" for name in ("bedtools", "samtools", "igzip") if name in results.versions
    )
    return (
        f"Measured on {machine['cores']} cores ({machine['processor']}, Python {machine['python']}"
        f"{', ' + tools if tools and results.kind == 'featurize' else ''}), {results.when[:10]}: {what}; "
        f"medians of up to {results.settings['rounds']} runs taken in turn."
    )


def _again(results: Results, where: str) -> str:
    return f"All figures: [{where}]({where}). Again, on your machine:\n\n```sh\n{results.command}\n```"


_PARTS: Mapping[str, Callable[[Results, str], str]] = {"featurize": _featurize, "train": _training, "many": _many}
