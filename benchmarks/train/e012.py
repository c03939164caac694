"""Measure the test AUROC on a whole real epigenome, E012 (hESC-derived CD56+ ectoderm).

The input matrices contain covered bases per gene, bin and mark: the number of bases of the bin that a read covers,
summed over all reads, which are 36 bp long. ``convert`` turns the matrices into a feature file, and ``run`` trains on
it:

    python -m deepchrome.benchmarks.train.e012 convert --npz NPZ --genes TSV --expression TSV --out DIR
    python -m deepchrome.benchmarks.train.e012 run --features DIR --expression TSV
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from deepchrome.benchmarks.train.data import score_network
from deepchrome.common.names import TEST
from deepchrome.engine.annotation.genes import drop_repeated_genes, read_genes
from deepchrome.engine.features.store import write_features
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.inputs import InputOptions, Orient
from deepchrome.train.datasets.labels import LabelRule
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.datasets.splits import SplitMethod
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.models.metrics import auroc

EPIGENOME: Final = "E012"
READ_BP: Final = 36
BIN_BP: Final = 100
FLANK_BP: Final = 5000


@dataclass(frozen=True)
class Setting:
    """The settings of one measurement, and the expected range of its mean test AUROC.

    Attributes
    ----------
    name
        The name in the output.
    label_rule, orient, split, n_train
        Arguments of :func:`deepchrome.train.datasets.load.load_datasets`.
    lowest, highest
        The expected range.
    """

    name: str
    label_rule: LabelRule
    orient: Orient
    split: SplitMethod
    n_train: int | None
    lowest: float
    highest: float


SETTINGS: Final = (
    Setting("numeric labels, 5'→3', random split", "numeric", "strand", "random", 6601, 0.955, 1.0),
    # DeepChrome's published AUROC on E012 is 0.80.
    Setting("string labels, genomic order, published split", "published", "genomic", "published", None, 0.79, 0.83),
)


@dataclass(frozen=True)
class Score:
    """The scores of one trained model: its best epoch by validation AUROC, and its two AUROCs in that epoch."""

    setting: str
    seed: int
    best_epoch: int
    valid_auroc: float
    test_auroc: float


def genomic_counts(covered: NDArray[np.uint16], strand: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Estimate reads per bin, in genomic order, from covered bases in 5'→3' order.

    A read of 36 bp covers at most 36 bases of a bin. The estimate is the smallest number of reads that can cover
    the given number of bases: the bases divided by 36, rounded up.

    Parameters
    ----------
    covered
        uint16 (genes, bins, marks), bins in 5'→3' order.
    strand
        (genes,): ``+`` or ``-``.

    Returns
    -------
    uint32 (genes, bins, marks)
        Bins in genomic order.

    Raises
    ------
    BadDataError
        The strand of a gene is unknown, so its bins cannot be put in genomic order.
    """
    if unknown := int(np.sum((strand != "+") & (strand != "-"))):
        raise BadDataError(f"{unknown} genes have no known strand, so their bins cannot be put in genomic order")
    counts = (covered.astype(np.uint32) + READ_BP - 1) // READ_BP
    minus = strand == "-"
    counts[minus] = counts[minus, ::-1]
    return counts


def convert(npz: Path, genes: Path, expression: Path, out: Path) -> Path:
    """Write a feature file from the matrices, with genes in the order of the gene table.

    Parameters
    ----------
    npz
        The matrices: ``X`` uint16 (genes, bins, marks), with bins in 5'→3' order, ``gene`` (ids) and ``rpkm`` of the
        genes, and the names of the ``marks``.
    genes, expression
        The gene table and the expression table.
    out
        The directory for ``E012.parquet``.

    Returns
    -------
    Path
        The feature file.

    Raises
    ------
    MissingInputError
        A file does not exist.
    BadDataError
        A gene is not in the gene table or has no known strand, or its expression differs from the expression table.
    """
    try:
        with np.load(npz, allow_pickle=False) as arrays:
            covered, gene_id, rpkm, marks = (arrays[name] for name in ("X", "gene", "rpkm", "marks"))
    except FileNotFoundError:
        raise MissingInputError(f"{npz}: no such file") from None
    table = read_expression(expression, [EPIGENOME])
    expressed = dict(zip(table.gene_id, table.column(EPIGENOME), strict=True))
    if differing := [gene for gene, value in zip(gene_id, rpkm, strict=True) if expressed.get(gene) != value]:
        raise BadDataError(
            f"{npz}: expression of {len(differing)} genes differs from {expression} (first: {differing[0]})"
        )
    listed = drop_repeated_genes(read_genes(genes))
    row_of = {str(gene): row for row, gene in enumerate(gene_id)}
    ours = listed.take(np.array([row for row, gene in enumerate(listed.gene_id) if gene in row_of], np.int64))
    if absent := set(row_of).difference(ours.gene_id):
        raise BadDataError(f"{genes}: {len(absent)} genes of {npz} are missing (first: {min(absent)})")
    counts = genomic_counts(covered[[row_of[gene] for gene in ours.gene_id]], np.array(ours.strand))
    path = out / f"{EPIGENOME}.parquet"
    out.mkdir(parents=True, exist_ok=True)
    write_features(
        path,
        ours,
        {str(mark): counts[:, :, column] for column, mark in enumerate(marks)},
        {
            "genome": "hg19",
            "n_bins": counts.shape[1],
            "bin_size": BIN_BP,
            "flank": FLANK_BP,
            "made_from": f"{npz.name}: covered bases / {READ_BP}, rounded up",
        },
    )
    return path


def train_models(
    features: Path, expression: Path, seeds: Sequence[int], epochs: int, placement: Placement
) -> Iterator[Score]:
    """Train the deepchrome model on E012 with every setting and seed, and yield the scores.

    A seed sets both the split and the random choices of training.

    Raises
    ------
    DeepchromeError
        See :func:`deepchrome.train.datasets.load.load_datasets` and :func:`deepchrome.train.fitting.fit.fit`. Also
        raised if a model has no AUROC.
    """
    for setting in SETTINGS:
        for seed in seeds:
            (data,), _ = load_datasets(
                features,
                expression,
                epigenomes=[EPIGENOME],
                label_rule=setting.label_rule,
                split=setting.split,
                seed=seed,
                n_train=setting.n_train,
                inputs=InputOptions(setting.orient, "log1p"),
            )
            config = FitConfig(epochs=epochs, seed=seed)
            (fitted,) = fit(plan_trainings([data]), config, placement)
            test = data.split == TEST
            area = auroc(data.y[test], score_network(config, fitted, data)[test])
            if fitted.best_epoch is None or area is None:
                raise BadDataError(
                    f"{setting.name}, seed {seed}: no AUROC (the model diverged, or the labels have one class)"
                )
            best = fitted.history[fitted.best_epoch - 1]
            yield Score(setting.name, seed, best.epoch, best.valid_auroc, area)


ExpressionOption = Annotated[
    Path, typer.Option(help="Expression table (TSV): gene_id, then RPKM in one column per epigenome.")
]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("convert")
def convert_command(
    npz: Annotated[Path, typer.Option(help="Matrices (NPZ): X, gene, rpkm, marks.")],
    genes: Annotated[Path, typer.Option(help="Gene table with strands.")],
    expression: ExpressionOption,
    out: Annotated[Path, typer.Option(help="Directory for E012.parquet.")],
) -> None:
    """Turn the matrices into a feature file."""
    typer.echo(convert(npz, genes, expression, out))


@app.command("run")
def run_command(
    features: Annotated[Path, typer.Option(help="Directory written by convert.")],
    expression: ExpressionOption,
    seeds: Annotated[int, typer.Option(help="Number of models per setting, with seeds 1, 2, ...")] = 5,
    epochs: Annotated[int, typer.Option(help="Number of epochs. The best one is used.")] = 30,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device to train on.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Train with both settings and print all AUROCs and their means. Exit with 1 if a mean is out of its range."""
    found = []
    for score in train_models(features, expression, range(1, seeds + 1), epochs, Placement(device)):
        typer.echo(f"{score.setting}, seed {score.seed}: {score.test_auroc:.4f}", err=True)
        found.append(score)
    means = {
        setting.name: float(np.mean([score.test_auroc for score in found if score.setting == setting.name]))
        for setting in SETTINGS
    }
    met = {setting.name: setting.lowest <= means[setting.name] <= setting.highest for setting in SETTINGS}
    if as_json:
        typer.echo(json.dumps({"scores": [asdict(score) for score in found], "means": means, "met": met}, indent=1))
    else:
        typer.echo("setting\tseed\tbest_epoch\tvalid_auroc\ttest_auroc")
        for s in found:
            typer.echo(f"{s.setting}\t{s.seed}\t{s.best_epoch}\t{s.valid_auroc:.4f}\t{s.test_auroc:.4f}")
        typer.echo("setting\tmean_test_auroc\texpected\tresult")
        for setting in SETTINGS:
            result = "met" if met[setting.name] else "missed"
            typer.echo(f"{setting.name}\t{means[setting.name]:.4f}\t{setting.lowest} to {setting.highest}\t{result}")
    if not all(met.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    try:
        app()
    except DeepchromeError as error:
        typer.echo(f"e012: {error}", err=True)
        sys.exit(error.exit_code)
