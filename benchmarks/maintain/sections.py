"""Format results as sections of a Markdown document.

The arguments of every public function are the results and the path of their directory relative to the document.
"""

from statistics import median

from deepchrome.benchmarks.common.results import Results, Row
from deepchrome.benchmarks.common.tables import FLOOR, format_ratio, format_seconds
from deepchrome.benchmarks.featurize.measure import COMPILING, KERNELS, LOADING
from deepchrome.benchmarks.featurize.programs import PEERS, REFERENCE
from deepchrome.benchmarks.maintain.prose import bullet, describe_measurement, describe_repetition, format_range, wrap
from deepchrome.benchmarks.many.measure import (
    GOAL_MINUTES,
    GOAL_SPEEDUP,
    PROJECTED_CORES,
    REMC_BYTES,
    REMC_FILES,
    REMC_READS,
)
from deepchrome.benchmarks.train.measure import SCHEDULE

_SHOWN_FLOORS = (FLOOR, "gzip -dc")


def featurize_section(results: Results, directory: str) -> str:
    """Return a section with the times of all programs, at the largest number of reads that other programs ran on."""
    peer_reads = [row.work for row in results.rows if row.group in ("reference", "peer")]
    work = max(peer_reads, default=max(row.work for row in results.rows))
    rows = [row for row in results.rows if row.work == work]
    floor = next((row for row in rows if row.name == FLOOR), None)
    gzip_mb = results.figures[f"bytes, {work} reads"] / 1e6
    data = (
        f"{work:,} reads as gzip ({gzip_mb:.3g} MB), {results.settings['genes']:,} genes, "
        f"{results.settings['bins']:,} bins"
    )
    note = f"The last column compares with `{FLOOR}`, the fastest program that only decompresses the file."
    lines = [
        describe_measurement(results, data, note),
        "",
        f"| | wall-clock time | range | CPU time | peak memory | ÷ {FLOOR.split()[0]} |",
        "|---|---|---|---|---|---|",
    ]
    for group in ("floor", "engine", "process", "peer", "reference"):
        members = [row for row in rows if row.group == group and (group != "floor" or row.name in _SHOWN_FLOORS)]
        lines += [_program_line(row, floor, results) for row in sorted(members, key=lambda row: row.seconds)]
    lines += ["", *(bullet(note) for note in _featurize_notes(results, rows))]
    lines += ["", f"![Wall-clock time of each program]({directory}/featurize.svg)"]
    return "\n".join([*lines, "", describe_repetition(results, directory)])


def _program_line(row: Row, floor: Row | None, results: Results) -> str:
    name = f"`{row.name}`" if row.group == "floor" else row.name
    name = f"**{name}**" if row is floor or row.group == "reference" else name
    name += " \\*" if row.scale != 1 else ""
    name += " (other counts)" if any(parity.name == row.name and parity.reason for parity in results.parity) else ""
    cells = [
        name,
        f"{format_seconds(row.seconds)} s",
        format_range(row),
        f"{format_seconds(median(row.cpu))} s",
        f"{median(row.rss_mib):,.0f} MiB" if any(row.rss_mib) else "",
        format_ratio(row.seconds / floor.seconds) if floor else "",
    ]
    return f"| {' | '.join(cells)} |"


def _featurize_notes(results: Results, rows: list[Row]) -> list[str]:
    equal = [parity for parity in results.parity if not parity.reason]
    notes = [
        f"Before any time was taken, the counts of {len(equal)} runs were compared with the engine's, bin by bin: "
        f"{sum(parity.cells for parity in equal):,} comparisons, "
        f"{sum(parity.different for parity in equal):,} differences."
    ]
    notes += [f"{parity.name}: {parity.reason}." for parity in results.parity if parity.reason]
    if scaled := [row for row in rows if row.scale != 1 and row.group in ("reference", "peer")]:
        last_steps = {program.name: program.steps[-1] for program in (REFERENCE, *PEERS)}
        factors = "; ".join(f"{last_steps[row.name]}: x {row.scale:.1f}" for row in scaled)
        notes.append(f"\\*: The last step ran on a part of the bins; its time is extrapolated to all ({factors}).")
    if reference := next((row for row in rows if row.group == "reference"), None):
        fastest = min((row for row in rows if row.group == "process"), key=lambda row: row.seconds)
        ratio = reference.seconds / fastest.seconds
        notes.append(f"The reference path takes {ratio:,.0f} times as long as the whole process of `dc featurize`.")
    notes.append(f"The kernels parse and count a read in {results.figures[KERNELS]:.1f} ns on one core.")
    loading, compiling = (results.row("start-up", name) for name in (LOADING, COMPILING))
    if loading and compiling:
        notes.append(
            f"Loading Python and the compiled kernels takes {format_seconds(loading.seconds)} s. Compiling the "
            f"kernels, which only the first run does, takes {format_seconds(compiling.seconds)} s."
        )
    peaks = {row.work: max(row.rss_mib) for row in results.rows if row.group == "process"}
    if len(peaks) > 1:
        texts = [f"{peaks[n]:.0f} MiB with {n:,} reads" for n in (max(peaks), min(peaks))]
        notes.append(f"The peak memory of `dc featurize` is {' and '.join(texts)}.")
    return notes


def train_section(results: Results, directory: str) -> str:
    """Return a section with the training speed of lockstep and of the plain loop."""
    settings = results.settings
    lines = [
        describe_measurement(
            results, f"{settings['genes']:,} training genes per model, batch size {settings['batch']}"
        ),
        "",
        "| | genes per second | range | seconds per 100 epochs |",
        "|---|---|---|---|",
    ]
    for row in results.rows:
        rates = sorted(row.work / wall for wall in row.wall)
        epochs = settings["gpu_epochs"] if row.name.startswith("GPU") else settings["epochs"]
        if row.group == SCHEDULE:
            epochs = settings["schedule_epochs"]
        name = row.name + (" \\*" if row.scale != 1 else "")
        span = f"{rates[0]:,.0f} - {rates[-1]:,.0f}" if len(rates) > 1 else ""
        seconds = format_seconds(100 * row.seconds / epochs)
        lines.append(f"| {name} | {row.work / row.seconds:,.0f} | {span} | {seconds} |")
    if any(row.scale != 1 for row in results.rows):
        n = settings["plain_models"]
        lines += ["", f"\\* Measured with {n} models, one after another, and scaled to all models."]
    if notes := _train_notes(results):
        lines += ["", *(bullet(note) for note in notes)]
    return "\n".join([*lines, "", describe_repetition(results, directory)])


def _train_notes(results: Results) -> list[str]:
    """Describe the default schedule and the time to accuracy; results of earlier versions have neither."""
    figures, settings, notes = results.figures, results.settings, []
    for row in results.rows:
        if row.group == SCHEDULE:
            share = figures[f"share_of_matmul, {row.name}"]
            notes.append(
                f"The default schedule ({settings['schedule_epochs']} epochs) takes {format_seconds(row.seconds)} s "
                f"for {max(settings['models'])} models. Its useful arithmetic is {share:.0%} of what the CPU does in a "
                f"large matrix product in {figures['cpu_precision']}."
            )
    if "attainable_auroc" in figures and "test_auroc, long training" in figures:
        seconds = {side: figures[f"seconds_to_accuracy, {side}"] for side in ("lockstep", "plain")}
        texts = {
            side: value if isinstance(value, str) else f"{format_seconds(value)} s" for side, value in seconds.items()
        }
        notes.append(
            f"Time until {settings['accurate_models']} models have the validation AUROC of "
            f"{settings['long_epochs']} epochs at a constant rate, less {settings['tolerance']}, on simulated reads: "
            f"lockstep {texts['lockstep']}, plain loop {texts['plain']}. Test AUROC: "
            f"{figures['test_auroc, long training']:.4f} after the long training, "
            f"{figures['test_auroc, lockstep']:.4f} lockstep, {figures['test_auroc, plain loop']:.4f} plain loop."
        )
    return notes


def many_section(results: Results, directory: str) -> str:
    """Return a section with the times for many files."""
    projection = "[Scale](scale.md) has the projection to all of Roadmap."
    lines = [*_many_table(results), "", wrap(f"{_describe_efficiency(results)} {projection}")]
    return "\n".join([*lines, "", describe_repetition(results, directory)])


def scale_section(results: Results, directory: str) -> str:
    """Return a section with the times for many files, and the projection to all of Roadmap."""
    figures = results.figures
    lines = [*_many_table(results), "", wrap(_describe_efficiency(results))]
    if not _has_small_files(results):
        size = f"{REMC_FILES} files, {REMC_READS / 1e9:.2f} billion reads, {REMC_BYTES / 1e9:.0f} GB"
        lines += [
            "",
            f"| all of Roadmap: {size} | minutes | read rate in MB/s | share of 10 Gbit/s |",
            "|---|---|---|---|",
        ]
        for cores in PROJECTED_CORES:
            minutes, rate = figures[f"remc_minutes_{cores}_cores"], figures[f"remc_mb_per_second_{cores}_cores"]
            lines.append(f"| {cores} cores | {minutes:.1f} | {rate:,.0f} | {rate / 1250:.0%} |")
        lines += ["", f"The goal is {GOAL_MINUTES:.0f} minutes on 2 cores."]
    return "\n".join([*lines, "", describe_repetition(results, directory)])


def _has_small_files(results: Results) -> bool:
    """Return whether the files are smaller than Roadmap's, so that they say nothing about the time for Roadmap."""
    return bool(results.settings["reads"] < REMC_READS / REMC_FILES)


def _many_table(results: Results) -> list[str]:
    settings = results.settings
    data = f"{settings['files']:,} files of {settings['reads']:,} reads, {settings['bins']:,} bins"
    lines = [
        describe_measurement(results, data),
        "",
        "| | wall-clock time | range | reads per second | peak memory |",
        "|---|---|---|---|---|",
    ]
    for row in results.rows:
        rate = f"{row.work / row.seconds:,.0f}" if row.work else ""
        cells = [row.name, f"{format_seconds(row.seconds)} s", format_range(row), rate, f"{max(row.rss_mib):,.0f} MiB"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _describe_efficiency(results: Results) -> str:
    figures, cores = results.figures, results.settings["cores"]
    text = f"On {cores} cores the rate is {figures['efficiency'] * cores:.2f} times that on one core"
    if cores == 2:
        text += f" (goal: {GOAL_SPEEDUP})"
    if "efficiency_without_start" in figures:
        text += f", and {figures['efficiency_without_start'] * cores:.2f} times without start-up"
    if _has_small_files(results):
        text += (
            f". This is an earlier measurement, of files with {results.settings['reads'] / 1e6:.3g} million reads. "
            f"Roadmap's have {REMC_READS / REMC_FILES / 1e6:.1f} million on average"
        )
    return f"{text}."
