"""The command ``dc train``."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import (
    DeviceOption,
    EpigenomesOption,
    ExpressionOption,
    JsonOption,
    LabelThresholdOption,
    MarksOption,
    SchedulerOption,
    ThreadsOption,
    parse_names,
    show_report,
)
from deepchrome.cli.progress import progress_bars
from deepchrome.cli.remedies import option_name
from deepchrome.cli.tables import print_json, print_rows
from deepchrome.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from deepchrome.train.datasets.dataset import Dataset
    from deepchrome.train.datasets.load import LoadReport
    from deepchrome.train.fitting.config import EpochRecord

# Defaults that depend on --protocol, as the help shows them; a test compares them with the protocols.
DEFAULTS: Final = {
    "label_rule": "numeric; published with --protocol published",
    "split": "published",
    "orient": "strand; genomic with --protocol published",
    "transform": "log1p; counts with --protocol published",
    "epochs": "100; 99 with --protocol published",
    "batch_size": "64; 1 with --protocol published",
    "optimizer": "sgd",
    "lr": "0.01; 0.001 with --protocol published",
    "momentum": "0.9; 0 with --protocol published",
    "lr_decay": "0; 1e-07 with --protocol published",
}


def train(
    out: Annotated[Path, typer.Option(help="Run directory for models, predictions, metrics and summary.")],
    features: Annotated[
        Path | None,
        typer.Argument(metavar="FEATURES", help="Directory written by dc featurize, or one Parquet file from it."),
    ] = None,
    expression: ExpressionOption = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Train on DeepChrome's text format: a directory with train.csv, valid.csv and test.csv."),
    ] = None,
    model: Annotated[
        Literal["deepchrome", "attentivechrome", "logistic", "random-forest", "svm"],
        typer.Option(help="Model to train: one of two networks or three baselines."),
    ] = "deepchrome",
    protocol: Annotated[
        Literal["best", "published"],
        typer.Option(help="Set of defaults. best: the highest known scores. published: as in the 2016 paper."),
    ] = "best",
    epigenomes: EpigenomesOption = "all",
    marks: MarksOption = None,
    label_rule: Annotated[
        Literal["numeric", "published"] | None,
        typer.Option(
            help="numeric: on if RPKM is above the median. "
            "published: RPKM compared as text, like the labels of the 2016 paper.",
            show_default=DEFAULTS["label_rule"],
        ),
    ] = None,
    label_threshold: LabelThresholdOption = None,
    label_genes: Annotated[
        Literal["table", "features"],
        typer.Option(help="Take the median RPKM over the whole expression table or over the genes of FEATURES."),
    ] = "table",
    split: Annotated[
        Literal["published", "random", "chromosome"] | None,
        typer.Option(
            help="published: thirds in the order of gene IDs. random: at random, but overlapping genes stay together. "
            "chromosome: whole chromosomes.",
            show_default=DEFAULTS["split"],
        ),
    ] = None,
    n_train: Annotated[
        int | None,
        typer.Option(
            help="Number of training genes. Half of the other genes are for validation.", show_default="a third"
        ),
    ] = None,
    orient: Annotated[
        Literal["genomic", "strand"] | None,
        typer.Option(
            help="Order of the bins. genomic: along the chromosome. strand: 5'→3' along the gene.",
            show_default=DEFAULTS["orient"],
        ),
    ] = None,
    transform: Annotated[
        Literal["counts", "log1p"] | None,
        typer.Option(help="Use counts, or ln(1 + count).", show_default=DEFAULTS["transform"]),
    ] = None,
    library_size: Annotated[
        bool, typer.Option("--library-size", help="Scale the counts of every mark to 30 million reads.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the training genes. The epoch with the best validation AUROC is kept.",
            show_default=DEFAULTS["epochs"],
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Genes per step.", show_default=DEFAULTS["batch_size"])
    ] = None,
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw"] | None,
        typer.Option(help="PyTorch optimizer.", show_default=DEFAULTS["optimizer"]),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default=DEFAULTS["lr"])] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Momentum of the sgd optimizer.", show_default=DEFAULTS["momentum"])
    ] = None,
    lr_decay: Annotated[
        float | None,
        typer.Option(help="Learning rate decay: step t uses lr / (1 + t * decay).", show_default=DEFAULTS["lr_decay"]),
    ] = None,
    weight_decay: Annotated[
        float, typer.Option(min=0, help="Weight decay: an L2 penalty, or decoupled with adamw.")
    ] = 0.0,
    patience: Annotated[
        int,
        typer.Option(min=0, help="Stop after this many epochs without a better validation AUROC; 0 for no limit."),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split, initial weights, order of genes and dropout.")] = 1,
    device: DeviceOption = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"],
        typer.Option(help="Precision of matrix products. auto: tf32 on a GPU, fp32 on a CPU."),
    ] = "auto",
    threads: ThreadsOption = None,
    group_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of models trained together.",
            show_default="1 on a CPU; as many as fit in memory on a GPU",
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float | None,
        typer.Option(
            min=0, help="Minimum time between checkpoints of a model (s).", show_default="0 on a CPU; 60 on a GPU"
        ),
    ] = None,
    scheduler: SchedulerOption = None,
    log: Annotated[
        Path | None, typer.Option(help="Write a JSON line to this file for every epoch of every model.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, or start a new one.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train one model per epigenome and test it on unseen genes.

    Give FEATURES and --expression, or --csv. With --csv, --expression is optional. If it is given, dc train
    also reports which epigenome and label rule the labels come from.
    """
    if (csv is None) == (features is None):
        raise UsageError("give either FEATURES and --expression, or --csv")
    if features is not None and expression is None:
        raise UsageError("--expression is needed to label the genes of FEATURES")
    if csv is not None:
        not_for_csv: dict[str, object] = {"label_rule": label_rule, "split": split, "orient": orient}
        not_for_csv |= {"n_train": n_train, "marks": marks, "library_size": library_size or None}
        not_for_csv |= {
            "label_threshold": label_threshold,
            "label_genes": label_genes if label_genes != "table" else None,
        }
        not_for_csv["epigenomes"] = None if epigenomes == "all" else epigenomes
        if given := [name for name, value in not_for_csv.items() if value is not None]:
            raise UsageError(
                f"{option_name(given[0])} cannot be combined with --csv: the files determine labels, split and inputs"
            )
    from deepchrome.train.datasets.inputs import InputOptions
    from deepchrome.train.datasets.source import DataSource, FeatureSource, TextSource
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.protocols import PROTOCOLS
    from deepchrome.train.run.train import RunOptions, train_models

    defaults = PROTOCOLS[protocol]
    fit_options = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr}
    fit_options |= {"momentum": momentum, "lr_decay": lr_decay}
    config = replace(
        defaults.fit,
        model=model,
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
        precision=precision,
        **{name: value for name, value in fit_options.items() if value is not None},  # type: ignore[arg-type]
    )
    inputs = InputOptions(
        orient or defaults.inputs.orient,
        transform or defaults.inputs.transform,
        library_size,
        None if marks is None else tuple(marks.split(",")),
    )
    if csv is not None:
        source: DataSource = TextSource(csv, expression)
    else:
        assert features is not None
        assert expression is not None
        source = FeatureSource(
            features,
            expression,
            label_rule or defaults.label_rule,
            split or defaults.split,
            seed,
            n_train,
            label_threshold,
            label_genes,
        )
    with progress_bars(*_COLUMNS) as bars:
        progress = _TrainProgress(bars, config.epochs)
        summary = train_models(
            source,
            out,
            epigenomes=parse_names(epigenomes),
            inputs=inputs,
            config=config,
            placement=Placement(device, threads, group_size),
            options=RunOptions(force, resume, checkpoint_seconds, log, scheduler),
            on_loaded=progress.on_loaded,
            on_epoch=progress.on_epoch,
        )
    if as_json:
        print_json([asdict(row) for row in summary])
    else:
        print_rows(summary, ("epigenome", "best_epoch", "test_auroc", "test_auprc", "published_auroc"))
    for row in summary:
        if row.note:
            print_note(f"dc train: {row.epigenome}: {row.note}")
    aurocs = [row.test_auroc for row in summary if row.test_auroc is not None]
    if len(aurocs) > 1:
        print_note(f"dc train: mean test AUROC {sum(aurocs) / len(aurocs):.4f} over {len(aurocs)} epigenomes")
    if failed := [row.epigenome for row in summary if row.valid_auroc is None]:
        raise BadDataError(
            f"{', '.join(failed)}: no model, because training diverged in the first epoch. See {out}/summary.tsv"
        )


_COLUMNS: Final = ("{task.fields[rate]}", "bar", "count", "time left", "{task.description}")


class _TrainProgress:
    """Print notes about the data, and show one progress bar for the epochs of all models."""

    def __init__(self, bars: "Progress | None", epochs: int) -> None:
        self._bars, self._epochs = bars, epochs
        self._task: TaskID | None = None

    def on_loaded(self, datasets: "Sequence[Dataset]", report: "LoadReport") -> None:
        show_report("train", report)
        if self._bars:
            self._task = self._bars.add_task("", total=len(datasets) * self._epochs, rate="")

    def on_epoch(self, epigenome: str, record: "EpochRecord") -> None:
        if self._bars is None or self._task is None:
            return
        speed = self._bars.tasks[0].speed
        self._bars.update(
            self._task,
            advance=1,
            rate=f"{speed:.1f} epochs/s" if speed else "",
            description=f"{epigenome} epoch {record.epoch}: loss {record.train_loss:.3f}, "
            f"validation AUROC {record.valid_auroc:.4f}",
        )
