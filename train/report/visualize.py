"""From a run to its report: pattern maps, evidence, figures, report.html. What ``dc visualize`` calls."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from deepchrome.common.files import output_lock
from deepchrome.errors import UsageError
from deepchrome.train.fitting.config import Placement
from deepchrome.train.models import NETWORKS
from deepchrome.train.report.document import Evidence, choose_genes, gather_evidence, report_document
from deepchrome.train.report.figures import draw_figures, figures_possible
from deepchrome.train.report.page import write_report
from deepchrome.train.report.patterns import (
    CLASSES,
    STABLE,
    Patterns,
    Recipe,
    pattern_maps,
    torch_threads,
    write_patterns,
)
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run

Style = Literal["default", "published"]
Say = Callable[[str], None]
_TABLES: Final = ("report.html", "patterns.parquet", "figures")


@dataclass(frozen=True)
class VisualizeResult:
    """What was written.

    Attributes
    ----------
    report
        report.html
    report_bytes
        Its size.
    figures
        PNG and SVG files; none if matplotlib is not installed.
    patterns
        The maps; ``None`` for baselines, which have none.
    rows
        Per epigenome, class and mark: the mean of the map's row, its active bins, and its rank correlation
        with the observed mean (``None`` without data).
    notes
        What is missing, and why.
    """

    report: Path
    report_bytes: int
    figures: tuple[Path, ...]
    patterns: Patterns | None
    rows: tuple[tuple[str, str, str, float, int, float | None], ...]
    notes: tuple[str, ...]


def visualize(
    run_path: Path,
    out: Path,
    *,
    recipe: Recipe = STABLE,
    style: Style = "default",
    features: Path | None = None,
    expression: Path | None = None,
    maps_only: bool = False,
    genes: Sequence[str] = (),
    seed: int = 1,
    placement: Placement | None = None,
    force: bool = False,
    say: Say | None = None,
) -> VisualizeResult:
    """Make the pattern maps and the report of a run.

    Parameters
    ----------
    run_path
        What ``dc train`` wrote.
    out
        Directory for report.html, patterns.parquet and figures/.
    recipe, seed
        Of the maps.
    style
        ``published``: the four colour levels of the paper.
    features, expression
        The run's data, if they have moved.
    maps_only
        Do without the data: no evidence, no genes, and maps without a prior.
    genes
        Ids or symbols that the gene view must have.
    placement
        Where maps are computed.
    force
        Replace a report that is there.
    say
        Told what is being done, a line each.

    Raises
    ------
    MissingInputError, BadDataError
        No finished run, or its data are damaged or others than it was trained on.
    UsageError
        The directory holds a report and ``force`` was not given, or it is no directory; data have moved.
    StorageError
        Another process writes there, or a file cannot be written.
    """
    tell = say or (lambda _: None)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: not a directory")
    if not force and (there := [name for name in _TABLES if (out / name).exists()]):
        raise UsageError(f"{out}: {there[0]} is here; --force replaces it")
    if maps_only and genes:
        raise UsageError("--gene needs the run's data; leave out --maps-only")
    run = Run(run_path)
    if not run.epigenomes:
        raise UsageError(f"{run_path}: no epigenome has a model; {run_path}/summary.tsv says why")
    data = None if maps_only else RunData(run, features, expression)
    notes = []
    with output_lock(out):
        evidence: dict[str, Evidence] = {}
        chosen: list[int] = []
        if data is not None:
            chosen = choose_genes(run, data, genes)
            evidence = _evidence(run, data, chosen, placement or Placement(), tell)
            if loose := [name for name, own in evidence.items() if not own.complete]:
                notes.append(f"attributions of {', '.join(loose)} do not add up to the scores within 2 %")
        patterns = None
        if run.config.fit.model in NETWORKS:
            priors = {name: own.prior for name, own in evidence.items()} or None
            tell(f"optimizing {len(CLASSES) * recipe.starts * len(run.epigenomes)} inputs, {recipe.steps} steps")
            patterns = pattern_maps(run, recipe, priors, seed=seed, placement=placement)
        else:
            notes.append(f"no pattern maps: a {run.config.fit.model} model has no gradient to follow")
        document = report_document(run, patterns, evidence, data, chosen, style)
        write_patterns(out / "patterns.parquet", patterns)
        size = write_report(out / "report.html", document)
        figures: tuple[Path, ...] = ()
        if figures_possible():
            tell("drawing figures")
            figures = draw_figures(out / "figures", run, patterns, evidence, style)
        else:
            notes.append("no figures: they need matplotlib (pip install 'deepchrome[figures]')")
    rows = _rows(patterns, document["epigenomes"])
    return VisualizeResult(out / "report.html", size, figures, patterns, rows, tuple(notes))


def _evidence(run: Run, data: RunData, genes: Sequence[int], placement: Placement, tell: Say) -> dict[str, Evidence]:
    """Gather the evidence of all epigenomes, one on each core at a time: more threads on one are no faster."""
    found: dict[str, Evidence] = {}
    with torch_threads(1), ThreadPoolExecutor(placement.usable_threads()) as pool:
        gathered = pool.map(lambda name: gather_evidence(run, data.load(name), genes), run.epigenomes)
        for name, one in zip(run.epigenomes, gathered, strict=True):
            found[name] = one
            tell(f"{name}: reads and attributions ({len(found)} of {len(run.epigenomes)})")
    return found


def _rows(
    patterns: Patterns | None, epigenomes: Sequence[dict[str, object]]
) -> tuple[tuple[str, str, str, float, int, float | None], ...]:
    if patterns is None:
        return ()
    active, found = patterns.active(), []
    for i, epigenome in enumerate(patterns.epigenomes):
        correlation = epigenomes[i].get("correlation")
        for c, name in enumerate(CLASSES):
            for j, mark in enumerate(patterns.marks):
                rho = correlation[c][j] if isinstance(correlation, list) else None
                found.append(
                    (epigenome, name, mark, float(patterns.value[i, c, :, j].mean()), int(active[i, c, j]), rho)
                )
    return tuple(found)
