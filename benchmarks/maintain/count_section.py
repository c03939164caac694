"""Format the results of ``dc bench count`` as a section of a Markdown document."""

from collections.abc import Sequence
from statistics import median

from deepchrome.benchmarks.common.results import Parity, Results, Row
from deepchrome.benchmarks.common.tables import format_ratio, format_seconds, format_threads
from deepchrome.benchmarks.count.figures import (
    ENGINE,
    GOAL_RATE,
    GOAL_RATIO,
    TSS_WINDOWS,
    engine_row_name,
    fastest_exact,
    index_figure,
    parity_name,
    process_row_name,
)
from deepchrome.benchmarks.count.inputs import BAM, SETS, TAGALIGN
from deepchrome.benchmarks.maintain.prose import bullet, describe_measurement, describe_repetition, format_range, wrap

_TITLES = {
    "windows": "windows of genes (TSS ± 5 kb)",
    "tss-bins": "bins of these windows",
    "peaks": "peaks (150 to 2,000 bp)",
    "bins": "bins of the genome",
}
# With fewer reads, the table says little about the speed of counting.
_MANY_READS = 10_000_000


def count_section(results: Results, directory: str) -> str:
    """Return a section with the times of all programs in each set of regions, and the rates of the engine.

    Parameters
    ----------
    results
        The results.
    directory
        The path of their directory relative to the document.
    """
    settings = results.settings
    sets = [name for name in SETS if f"regions, {name}" in settings]
    data = (
        f"{settings['reads']:,} reads of 36 bp, sorted, as BAM (without sequences) and as tagAlign compressed by gzip"
    )
    note = "With so few reads, start-up takes most of the time." if settings["reads"] < _MANY_READS else ""
    lines = [describe_measurement(results, data, note)]
    for name in sets:
        rows = [row for row in results.rows if row.group == name]
        lines += ["", f"**{settings[f'regions, {name}']:,} {_TITLES[name]}**", "", *_set_table(results, name, rows)]
    lines += ["", *map(bullet, _notes(results)), "", *_rate_table(results, sets)]
    for name in sets:
        lines += _ratio_notes(results, name)
    lines += ["", f"![Wall-clock time of each program]({directory}/count.svg)"]
    return "\n".join([*lines, "", describe_repetition(results, directory)])


def _set_table(results: Results, name: str, rows: list[Row]) -> list[str]:
    parity = {one.name: one for one in results.parity}
    threads = results.settings["threads"]
    lines = [
        "| | equal counts | wall-clock time | range | CPU time | peak memory | ÷ dc count |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row.seconds):
        reads = next(reads for reads in (BAM, TAGALIGN) if f", {reads}" in row.name)
        own = next(one for one in rows if one.name == process_row_name(reads, threads))
        cells = [
            row.name + (" \\*" if row.scale != 1 else ""),
            _describe_parity(parity[parity_name(name, row.name)]),
            f"{format_seconds(row.seconds)} s",
            format_range(row),
            f"{format_seconds(median(row.cpu))} s",
            f"{max(row.rss_mib):,.0f} MiB",
            format_ratio(row.seconds / own.seconds),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _describe_parity(parity: Parity) -> str:
    if not parity.cells:
        return "other quantity"
    if parity.different:
        return f"no: {parity.different:,} of {parity.cells:,} differ"
    return f"yes, {parity.cells:,}"


def _notes(results: Results) -> list[str]:
    equal = [one for one in results.parity if one.cells]
    notes = [
        f"The counts of {len(equal)} runs were compared with those of `dc count`, region by region: "
        f"{sum(one.cells for one in equal):,} comparisons, {sum(one.different for one in equal):,} differences. The "
        "results are shown only if bedtools has no difference. The second column gives the number of regions compared.",
        "Time is that of the whole process: start-up, reading regions and reads, counting, writing the table. The last "
        "column compares with `dc count` on the same file of reads and the same number of cores.",
    ]
    if any(row.scale != 1 for row in results.rows):
        notes.append(
            "\\*: The program ran on a part of the regions, spread evenly. Its time is extrapolated to all, without "
            "its start-up."
        )
    quantities = {one.name.partition(": ")[2]: one.reason for one in results.parity if one.reason}
    notes += [f"{name}: {reason}." for name, reason in quantities.items()]
    return notes


def _rate_table(results: Results, sets: Sequence[str]) -> list[str]:
    """Return a table of the engine's rates, with the ratio to the rate in TSS windows."""
    seconds = {row.name: row.seconds for row in results.rows if row.group == ENGINE}
    kinds = [
        (reads, n) for reads in (BAM, TAGALIGN) for n in (1, 2) if engine_row_name(TSS_WINDOWS, reads, n) in seconds
    ]
    heads = [f"{reads}, {format_threads(n)}" for reads, n in kinds]
    lines = [
        wrap(
            "One pass of the engine (a library call), in million reads per second, and the ratio to the rate in TSS "
            f"windows, in which `dc featurize` counts. The goal is {GOAL_RATE} or more. The last column is the time "
            "to index the regions, once for all files of reads."
        ),
        "",
        f"| | {' | '.join(heads)} | index |",
        f"|---|{'---|' * len(heads)}---|",
    ]
    for name in (TSS_WINDOWS, *sets):
        title = _TITLES.get(name, name)
        cells = []
        for reads, n in kinds:
            taken = seconds[engine_row_name(name, reads, n)]
            ratio = seconds[engine_row_name(TSS_WINDOWS, reads, n)] / taken
            cells.append(f"{results.settings['reads'] / taken / 1e6:.1f} ({ratio:.2f})")
        index = f"{format_seconds(results.figures[index_figure(name)])} s" if name in sets else ""
        lines.append(f"| {title} | {' | '.join(cells)} | {index} |")
    return [*lines, ""]


def _ratio_notes(results: Results, name: str) -> list[str]:
    threads, notes = results.settings["threads"], []
    for reads in (BAM, TAGALIGN):
        fastest = fastest_exact(results.rows, results.parity, name, reads)
        own = results.row(name, process_row_name(reads, threads))
        if fastest and own:
            notes.append(
                bullet(
                    f"{_TITLES[name][0].upper()}{_TITLES[name][1:]}, {reads}: the fastest program with equal counts is "
                    f"{fastest.name.rpartition(', ')[0]}. It takes {format_ratio(fastest.seconds / own.seconds)} times "
                    f"as long as `dc count` (goal: {GOAL_RATIO})."
                )
            )
    return notes
