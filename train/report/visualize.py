"""Make the report of a run: pattern maps, evidence, figures, report.html."""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from deepchrome.common.locks import output_lock
from deepchrome.common.paths import check_distinct, data_files
from deepchrome.common.progress import OnMessage
from deepchrome.common.threads import map_in_threads
from deepchrome.errors import UsageError
from deepchrome.train.fitting.config import Placement
from deepchrome.train.fitting.threads import torch_threads
from deepchrome.train.models import is_network
from deepchrome.train.report.accuracy import measure_accuracy
from deepchrome.train.report.document import build_document
from deepchrome.train.report.drawing import matplotlib_is_installed
from deepchrome.train.report.evidence import Evidence, gather_evidence
from deepchrome.train.report.figures import draw_figures
from deepchrome.train.report.gene_view import choose_genes
from deepchrome.train.report.page import write_report
from deepchrome.train.report.patterns import CLASSES, STABLE, Patterns, Recipe, pattern_maps, write_patterns
from deepchrome.train.report.prior import Prior
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.run.layout import places

Style = Literal["default", "published"]
_OUTPUTS: Final = ("report.html", "patterns.parquet", "figures")


class MapRow(NamedTuple):
    """Summary of one mark in one map.

    Attributes
    ----------
    epigenome, class_name
        Epigenome, and class (``off`` or ``on``) of the map of its model.
    mark
        Mark of the row.
    mean
        Mean of the map's values over the bins of the mark.
    active_bins
        Number of bins above :data:`~deepchrome.train.report.patterns.ACTIVE`.
    correlation
        Spearman's rho between the map's values and the mean observed reads per bin; ``None`` if it is not defined
        or the data were not used.
    """

    epigenome: str
    class_name: str
    mark: str
    mean: float
    active_bins: int
    correlation: float | None


@dataclass(frozen=True)
class VisualizeResult:
    """The files of a report, and a summary of its maps.

    Attributes
    ----------
    report
        Path of report.html.
    report_bytes
        Size of report.html.
    figures
        Paths of the PNG and SVG files; empty if matplotlib is not installed.
    patterns
        The pattern maps; ``None`` for baselines.
    rows
        One row per epigenome, class and mark.
    notes
        Messages about missing or doubtful parts of the report, with the reason; one sentence each.
    """

    report: Path
    report_bytes: int
    figures: tuple[Path, ...]
    patterns: Patterns | None
    rows: tuple[MapRow, ...]
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
    on_message: OnMessage | None = None,
) -> VisualizeResult:
    """Make the pattern maps and the report of a run.

    Parameters
    ----------
    run_path
        Directory of a finished run.
    out
        Directory for report.html, patterns.parquet and figures/.
    recipe, seed
        Settings of the pattern maps, and the seed of their random starting points.
    style
        Colours of the maps; ``published`` means the four levels of the paper.
    features, expression
        New paths of the run's data, if the data have moved.
    maps_only
        Use the models but not the data. The maps then have no prior, and the report has no evidence and no gene view.
    genes
        Genes that the gene view must contain, by id or symbol.
    placement
        Hardware to compute on.
    force
        Replace an existing report.
    on_message
        Called with one line of progress at a time.

    Raises
    ------
    MissingInputError, BadDataError
        The run is unfinished or damaged, or its data are not those it was trained on.
    UsageError
        ``out`` is not a directory, or contains a report and ``force`` is not set; the data have moved; genes are
        requested together with ``maps_only``; no epigenome has a model; or the report would replace one of its inputs.
    StorageError
        Another process writes to ``out``, or a file cannot be written.
    """
    on_message = on_message or (lambda _: None)
    placement = placement or Placement()
    _check_output(out, force)
    if maps_only and genes:
        raise UsageError("the gene view needs the data of the run, but only maps are requested", remedy="genes_or_maps")
    run = Run(run_path)
    if not run.epigenomes:
        raise UsageError(f"{run_path}: no epigenome has a model. The reasons are in {run_path}/summary.tsv.")
    data = None if maps_only else RunData(run, features, expression)
    inputs = places(run_path) if data is None else [*places(run_path), *data_files(*data.source.paths())]
    check_distinct([out / name for name in _OUTPUTS], inputs)
    notes = []
    with output_lock(out):
        evidence: dict[str, Evidence] = {}
        chosen: list[int] = []
        if data is not None:
            chosen = choose_genes(run, data, genes)
            evidence = _gather_all(run, data, chosen, placement, on_message)
            if incomplete := [name for name, item in evidence.items() if not item.complete]:
                notes.append(f"attributions of {', '.join(incomplete)} do not add up to the scores within 2 %")
        patterns = None
        if is_network(run.config.fit.model):
            priors = _compute_priors(run, evidence) if evidence else None
            on_message(f"optimizing {len(CLASSES) * recipe.starts * len(run.models)} inputs, {recipe.steps} steps")
            patterns = pattern_maps(run, recipe, priors, seed=seed, placement=placement)
        else:
            notes.append(f"no pattern maps: they need a network, and this run has {run.config.fit.model} models")
        on_message("comparing the models with yardsticks")
        accuracy = measure_accuracy(run, evidence, None if data is None else data.expression)
        document = build_document(run, accuracy, patterns, evidence, data, chosen, style)
        write_patterns(out / "patterns.parquet", patterns)
        size = write_report(out / "report.html", document)
        figures: tuple[Path, ...] = ()
        if matplotlib_is_installed():
            on_message("drawing figures")
            figures = draw_figures(out / "figures", run, accuracy, patterns, evidence, style)
        else:
            notes.append("no figures: matplotlib is not installed. Run: pip install 'deepchrome[figures]'")
    rows = () if patterns is None else _summarize_maps(patterns, document["epigenomes"])
    return VisualizeResult(out / "report.html", size, figures, patterns, rows, tuple(notes))


def _check_output(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: not a directory")
    existing = [name for name in _OUTPUTS if os.path.lexists(out / name)]
    if existing and not force:
        raise UsageError(f"{out}: {existing[0]} already exists", remedy="force")


def _gather_all(
    run: Run, data: RunData, genes: Sequence[int], placement: Placement, on_message: OnMessage
) -> dict[str, Evidence]:
    """Gather the evidence of all epigenomes, one epigenome per core; more threads per epigenome are no faster."""
    n_done = itertools.count(1)
    models = {name: run.model(name) for name in run.models}

    def gather(name: str) -> Evidence:
        return gather_evidence(run, models, data.load(name), genes)

    def report(name: str, _: Evidence) -> None:
        on_message(f"{name}: reads and attributions ({next(n_done)} of {len(run.epigenomes)})")

    with torch_threads(1):
        evidence = map_in_threads(gather, run.epigenomes, placement.usable_threads(), on_value=report)
    return dict(zip(run.epigenomes, evidence, strict=True))


def _compute_priors(run: Run, evidence: Mapping[str, Evidence]) -> dict[str, Prior]:
    """Compute the prior of every model from the training genes of all epigenomes that it was trained on."""
    moments = {name: item.moments for name, item in evidence.items() if item.moments is not None}
    return {
        model: Prior.from_moments([moments[name] for name in run.config.trained_on(model) if name in moments])
        for model in run.models
    }


def _summarize_maps(patterns: Patterns, epigenomes: Sequence[dict[str, Any]]) -> tuple[MapRow, ...]:
    """Return one row per epigenome, class and mark. The correlations are those in the report document."""
    active, rows = patterns.active(), []
    for epigenome in epigenomes:
        i, correlation = epigenome["map"], epigenome.get("correlation")
        for c, class_name in enumerate(CLASSES):
            for j, mark in enumerate(patterns.marks):
                mean = float(patterns.value[i, c, :, j].mean())
                rho = correlation[c][j] if correlation else None
                rows.append(MapRow(epigenome["id"], class_name, mark, mean, int(active[i, c, j]), rho))
    return tuple(rows)
