"""Measure accuracy on whole real epigenomes: E012 and E013, and E028, which lacks H3K4me1.

``convert`` turns matrices of covered bases into feature files; ``run`` trains on them and tests:

    python -m deepchrome.benchmarks.train.real convert --genes TSV --expression TSV --out DIR NPZ...
    python -m deepchrome.benchmarks.train.real run --features DIR --expression TSV

Labels are numeric and the split is random, with 6,601 training genes. A seed sets the split and the training. All
figures are on test genes, which no model was trained or validated on.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from deepchrome.benchmarks.train.matrices import convert, thin_features
from deepchrome.common.names import TEST, VALID
from deepchrome.common.tables import stable_ids
from deepchrome.errors import BadDataError, DeepchromeError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import log2_rpkm, network_spec, plan_trainings
from deepchrome.train.models.metrics import auroc, brier_score, expected_calibration_error, pearson, spearman
from deepchrome.train.models.trained import GeneScores, TrainedModel
from deepchrome.train.run.protocols import BEST, pool
from deepchrome.train.run.verify import build_model
from deepchrome.train.scoring.yardsticks import Atlas, RowScores, compute_yardsticks, fit_fusion, gene_mean

SINGLE: Final = ("E012", "E013")
HELD_OUT: Final = "E028"
N_TRAIN: Final = 6601
RATES: Final = (0.3, 0.1)
# A gene has changed if its log2(RPKM + 1) differs by more than this: more than twofold.
_CHANGED: Final = 1.0
# The settings of 2016: labels compared as text, bins in genomic order, the split of the paper, no correction for depth.
_LABELS_2016: Final = "2016 labels"
_FIT_2016: Final = FitConfig(epochs=30)

# The lowest and highest value that a figure should have.
EXPECTED: Final[Mapping[str, tuple[float, float]]] = {
    "E012, AUROC": (0.9575, 1),
    "E012, Pearson": (0.865, 1),
    "E012, AUROC on variable genes": (0.885, 1),
    **{
        f"{model}, {quantity} at {rate}": (0, limit)
        for model in SINGLE
        for quantity, limits in {
            "loss of AUROC": (0.01, 0.02),
            "change of share called on": (0.02, 0.04),
            "calibration error": (0.04, 0.06),
        }.items()
        for rate, limit in zip(("30 %", "10 %"), limits, strict=True)
    },
    **{f"{model}, cost of independence of depth": (-1, 0.0015) for model in SINGLE},
    "E012 on E013, AUROC": (0.946, 1),
    "pooled on E012, AUROC": (0.953, 1),
    "pooled on E013, AUROC": (0.948, 1),
    "pooled on E028, AUROC": (0.92, 1),
    "pooled, E012 - E013, Pearson": (0.68, 1),
    "pooled, E012 - E013, direction": (0.90, 1),
    "gene mean of the table, mean of epigenomes, AUROC": (0.9445, 0.9455),
    "gene mean of the table, E012, AUROC": (0.9495, 0.9505),
    "gene mean of the table, E013, AUROC": (0.9645, 0.9655),
    # DeepChrome's published AUROC on E012 is 0.80.
    f"{_LABELS_2016}, AUROC": (0.79, 0.83),
}


@dataclass(frozen=True)
class Samples:
    """The data of one seed: data sets by epigenome, with all reads (rate 1) and with fewer reads."""

    by_rate: Mapping[float, Mapping[str, Dataset]]

    @property
    def whole(self) -> Mapping[str, Dataset]:
        """The data sets with all reads."""
        return self.by_rate[1.0]


def measure_seed(
    folders: Mapping[float, Path], expression: Path, seed: int, placement: Placement, epochs: int | None = None
) -> dict[str, float]:
    """Train and test the models of one seed.

    Parameters
    ----------
    folders
        Folders of feature files, by the share of the reads that they keep.
    expression
        The expression table.
    seed
        Sets the split and the random choices of training.
    placement
        The device and the number of threads.
    epochs
        Number of epochs of every model. Default: those of the best known settings.

    Returns
    -------
    dict
        Figures by name, and the seconds of the two trainings.
    """
    inputs = replace(BEST.inputs, missing_marks=True)
    load: dict[str, Any] = {"epigenomes": [*SINGLE, HELD_OUT], "split": "random", "seed": seed, "n_train": N_TRAIN}
    loaded = {rate: load_datasets(path, expression, inputs=inputs, **load)[0] for rate, path in folders.items()}
    samples = Samples({rate: {data.epigenome: data for data in datasets} for rate, datasets in loaded.items()})
    atlas = Atlas.from_table(table := read_expression(expression))
    row_of = {gene: row for row, gene in enumerate(table.gene_id)}
    gene_ids = stable_ids(pl.Series(samples.whole[SINGLE[0]].gene_id))
    rows = np.array([row_of[gene] for gene in gene_ids], np.int64)

    trained_on, config = [samples.whole[name] for name in SINGLE], replace(BEST.fit, seed=seed)
    pooled_config = pool(config)
    began = time.perf_counter()
    singles = _train(trained_on, _with_epochs(config, epochs), placement)
    figures = {"seconds, single models": time.perf_counter() - began}
    for name in SINGLE:
        figures |= _single_figures(name, singles[name], samples, atlas, rows)
    transferred = singles[SINGLE[0]].score(samples.whole[SINGLE[1]].x)
    figures["E012 on E013, AUROC"] = _area(samples.whole[SINGLE[1]], transferred)

    fragile = _without_depth(folders[1.0], expression, load, _with_epochs(config, epochs), placement)
    for name, area in fragile.items():
        figures[f"{name}, cost of independence of depth"] = area - figures[f"{name}, AUROC"]

    began = time.perf_counter()
    (pooled,) = _train(trained_on, _with_epochs(pooled_config, epochs), placement).values()
    figures["seconds, pooled model"] = time.perf_counter() - began
    for name in (*SINGLE, HELD_OUT):
        figures |= _depth_figures(f"pooled on {name}", pooled, [sets[name] for sets in samples.by_rate.values()])
    return figures | _contrast_figures(pooled, *trained_on)


def _without_depth(
    features: Path, expression: Path, load: Mapping[str, Any], config: FitConfig, placement: Placement
) -> dict[str, float]:
    """Return the test AUROCs of models whose scores depend on the depth of a sample."""
    inputs = replace(BEST.inputs, depth="raw")
    datasets, _ = load_datasets(features, expression, inputs=inputs, **{**load, "epigenomes": SINGLE})
    models = _train(datasets, replace(config, augment_depth=False), placement)
    return {data.epigenome: _area(data, models[data.epigenome].score(data.x)) for data in datasets}


def measure_2016(features: Path, expression: Path, seed: int, placement: Placement, epochs: int | None = None) -> float:
    """Return the test AUROC of E012 with the labels, the split and the inputs of 2016."""
    datasets, _ = load_datasets(
        features,
        expression,
        epigenomes=SINGLE[:1],
        label_rule="published",
        split="published",
        seed=seed,
        inputs=InputOptions("genomic", "log1p"),
    )
    config = _with_epochs(replace(_FIT_2016, seed=seed), epochs)
    (model,) = _train(datasets, config, placement).values()
    return _area(datasets[0], model.score(datasets[0].x))


def gene_mean_figures(expression: Path) -> dict[str, float]:
    """Return the AUROC of the gene mean over all genes of the expression table: for E012, E013, and all on average."""
    atlas = Atlas.from_table(read_expression(expression))
    areas = {
        name: auroc(atlas.on[:, i], mean)
        for i, name in enumerate(atlas.epigenomes)
        if (mean := gene_mean(atlas, name)) is not None
    }
    known = {name: area for name, area in areas.items() if area is not None}
    chosen = {name: known[name] for name in SINGLE} | {"mean of epigenomes": float(np.mean(list(known.values())))}
    return {f"gene mean of the table, {name}, AUROC": area for name, area in chosen.items()}


def _with_epochs(config: FitConfig, epochs: int | None) -> FitConfig:
    return config if epochs is None else replace(config, epochs=epochs, min_steps=0)


def _train(datasets: Sequence[Dataset], config: FitConfig, placement: Placement) -> dict[str, TrainedModel]:
    """Train the models of some data sets, and calibrate them."""
    trainings = plan_trainings(datasets, pooled=config.pooled)
    fitted = fit(trainings, config, placement)
    if diverged := [model.key for model in fitted if not model.weights]:
        raise BadDataError(f"{', '.join(diverged)}: the model diverged with seed {config.seed}")
    device = placement.resolve()
    return {
        training.model: build_model(config, network_spec(config, datasets[0]), training.datasets, [model], device)[0]
        for training, model in zip(trainings, fitted, strict=True)
    }


def _single_figures(
    name: str, model: TrainedModel, samples: Samples, atlas: Atlas, rows: NDArray[np.int64]
) -> dict[str, float]:
    """Return the figures of a model on the test genes of its own epigenome."""
    data = samples.whole[name]
    scores, test, valid = model.score(data.x), data.split == TEST, data.split == VALID
    assert scores.log2_rpkm is not None
    observed, predicted = log2_rpkm(data)[test], scores.log2_rpkm[test]
    yardsticks = compute_yardsticks(
        atlas,
        name,
        RowScores(rows[test], data.y[test], scores.log_odds[test]),
        fusion=fit_fusion(atlas, {name: RowScores(rows[valid], data.y[valid], scores.log_odds[valid])}),
        nearest_rows=rows[~test],
    )
    figures = {
        "Pearson": pearson(observed, predicted),
        "Spearman": spearman(observed, predicted),
        "AUROC on variable genes": yardsticks.variable_auroc,
        "AUROC of the gene mean": yardsticks.gene_mean_auroc,
        "AUROC of the gene mean on variable genes": yardsticks.variable_gene_mean_auroc,
        "AUROC of the nearest epigenome": yardsticks.nearest_auroc,
        "AUROC of model and gene mean": yardsticks.fused_auroc,
        "Brier score": brier_score(data.y[test], scores.score[test]),
        "share on": float(data.y[test].mean()),
    }
    depths = _depth_figures(name, model, [sets[name] for sets in samples.by_rate.values()])
    return depths | {f"{name}, {quantity}": _defined(value) for quantity, value in figures.items()}


def _depth_figures(name: str, model: TrainedModel, samples: Sequence[Dataset]) -> dict[str, float]:
    """Return AUROC, share called on and calibration error with all reads and with fewer, and their changes."""
    figures: dict[str, float] = {}
    for rate, data in zip((1.0, *RATES), samples, strict=True):
        scores, test, at = model.score(data.x), data.split == TEST, "" if rate == 1 else f" at {rate:.0%}"
        at = at.replace("%", " %")
        figures |= {
            f"{name}, AUROC{at}": _area(data, scores),
            f"{name}, share called on{at}": float(np.mean(scores.score[test] > 0.5)),
            f"{name}, calibration error{at}": _defined(expected_calibration_error(data.y[test], scores.score[test])),
        }
        if rate != 1:
            figures[f"{name}, loss of AUROC{at}"] = figures[f"{name}, AUROC"] - figures[f"{name}, AUROC{at}"]
            change = figures[f"{name}, share called on{at}"] - figures[f"{name}, share called on"]
            figures[f"{name}, change of share called on{at}"] = abs(change)
    return figures


def _contrast_figures(model: TrainedModel, one: Dataset, other: Dataset) -> dict[str, float]:
    """Return how well differences of predictions agree with differences of expression between two epigenomes."""
    test, predicted = one.split == TEST, [model.score(data.x).log2_rpkm for data in (one, other)]
    assert predicted[0] is not None
    assert predicted[1] is not None
    observed_change = (log2_rpkm(one) - log2_rpkm(other))[test]
    predicted_change = (predicted[0] - predicted[1])[test]
    changed = np.abs(observed_change) > _CHANGED
    same_sign = np.sign(predicted_change[changed]) == np.sign(observed_change[changed])
    return {
        "pooled, E012 - E013, Pearson": _defined(pearson(observed_change, predicted_change)),
        "pooled, E012 - E013, direction": float(same_sign.mean()),
    }


def _area(data: Dataset, scores: GeneScores) -> float:
    test = data.split == TEST
    return _defined(auroc(data.y[test], scores.log_odds[test]))


def _defined(value: float | None) -> float:
    if value is None:
        raise BadDataError("a measure is not defined: the test genes are of one class, or scores do not vary")
    return value


def is_met(name: str, mean: float) -> bool:
    """Return whether a figure has its expected value; True if none is expected."""
    low, high = EXPECTED.get(name, (-np.inf, np.inf))
    return bool(low <= mean <= high)


def table_rows(figures: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the lines of a table (TSV) with mean and range over seeds, the expected range, and whether it is met."""
    lines = ["figure\tmean\tlowest\thighest\texpected\tresult"]
    for name, values in figures.items():
        mean, expected, result = float(np.mean(values)), "", ""
        if name in EXPECTED:
            low, high = EXPECTED[name]
            expected = f"<= {high}" if low <= 0 else f">= {low}" if high == 1 else f"{low} to {high}"
            result = "met" if is_met(name, mean) else "missed"
        lines.append(f"{name}\t{mean:.4f}\t{min(values):.4f}\t{max(values):.4f}\t{expected}\t{result}")
    return lines


ExpressionOption = Annotated[
    Path, typer.Option(help="Expression table (TSV): gene_id, then RPKM in one column per epigenome.")
]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("convert")
def convert_command(
    npz: Annotated[list[Path], typer.Argument(metavar="NPZ", help="Matrices (NPZ): X, gene, marks.")],
    genes: Annotated[Path, typer.Option(help="Gene table with strands.")],
    expression: ExpressionOption,
    out: Annotated[Path, typer.Option(help="Directory for the feature files.")],
) -> None:
    """Turn matrices into feature files."""
    for path in npz:
        typer.echo(convert(path, genes, expression, out))


@app.command("run")
def run_command(
    features: Annotated[Path, typer.Option(help="Directory written by convert.")],
    expression: ExpressionOption,
    seeds: Annotated[int, typer.Option(min=1, help="Number of repeats, with seeds 1, 2, ...")] = 5,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs of every model, for a quick trial.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device to train on.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Train and test with every seed, and print the means. Exit with 1 if a mean is not as expected."""
    placement = Placement(device)
    figures: dict[str, list[float]] = {name: [value] for name, value in gene_mean_figures(expression).items()}
    with tempfile.TemporaryDirectory() as name:
        folders = {1.0: features} | {rate: Path(name) / str(rate) for rate in RATES}
        for rate in RATES:
            for epigenome in (*SINGLE, HELD_OUT):
                thin_features(features / f"{epigenome}.parquet", rate, folders[rate])
        for seed in range(1, seeds + 1):
            began = time.perf_counter()
            found = measure_seed(folders, expression, seed, placement, epochs)
            found[f"{_LABELS_2016}, AUROC"] = measure_2016(features, expression, seed, placement, epochs)
            for quantity, value in found.items():
                figures.setdefault(quantity, []).append(value)
            typer.echo(f"seed {seed}: {time.perf_counter() - began:.0f} s", err=True)
    missed = [name for name, values in figures.items() if not is_met(name, float(np.mean(values)))]
    if as_json:
        means = {name: float(np.mean(values)) for name, values in figures.items()}
        typer.echo(json.dumps({"figures": figures, "means": means, "expected": EXPECTED, "missed": missed}, indent=1))
    else:
        typer.echo("\n".join(table_rows(figures)))
    if missed:
        raise typer.Exit(1)


if __name__ == "__main__":
    try:
        app()
    except DeepchromeError as error:
        typer.echo(f"real: {error}", err=True)
        sys.exit(error.exit_code)
