"""Text that the sections of several benchmarks share."""

import textwrap

from deepchrome.benchmarks.common.results import Results, Row
from deepchrome.benchmarks.common.tables import format_seconds

_TOOLS = {"featurize": ("bedtools", "samtools", "igzip"), "count": ("bedtools", "samtools", "featureCounts")}


def describe_measurement(results: Results, data: str, note: str = "") -> str:
    """Return a paragraph with date, machine, software and data of a measurement."""
    machine = results.machine
    software = [f"Python {machine['python']}"]
    software += [
        f"{name} {results.versions[name]}" for name in _TOOLS.get(results.kind, ()) if name in results.versions
    ]
    rounds = results.settings["rounds"]
    runs = "one run each" if rounds == 1 else f"medians of up to {rounds} interleaved runs"
    return wrap(
        f"Measured on {results.when[:10]} on {machine['cores']} cores ({machine['processor']}; {', '.join(software)}). "
        f"Data: {data}. Times are {runs}. {note}".rstrip()
    )


def describe_repetition(results: Results, directory: str) -> str:
    """Return a paragraph with links to the results in ``directory``, and the command that repeats the measurement."""
    files = f"[{results.kind}.json]({directory}/{results.kind}.json), [log]({directory}/{results.kind}.log)"
    return f"All figures: {files}. To repeat the measurement:\n\n```sh\n{results.command}\n```"


def format_range(row: Row) -> str:
    """Format the shortest and the longest wall-clock time of a row."""
    return f"{format_seconds(min(row.wall))} - {format_seconds(max(row.wall))}"


def wrap(prose: str) -> str:
    """Wrap a paragraph at 120 columns."""
    return textwrap.fill(prose, 120, break_long_words=False, break_on_hyphens=False)


def bullet(prose: str) -> str:
    """Wrap a paragraph as an item of a list."""
    return textwrap.indent(wrap(prose), "  ").replace("  ", "- ", 1)
