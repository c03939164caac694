"""The command ``dc train``."""

import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import (
    DeviceOption,
    EpigenomesOption,
    ExpressionOption,
    JsonOption,
    LabelThresholdOption,
    MarksOption,
    ThreadsOption,
    parse_names,
    show_report,
)
from deepchrome.cli.progress import progress_bars
from deepchrome.cli.remedies import option_name
from deepchrome.cli.tables import print_json, print_rows
from deepchrome.errors import BadDataError, ParameterError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from deepchrome.train.datasets.dataset import Dataset
    from deepchrome.train.datasets.load import LoadReport
    from deepchrome.train.fitting.config import EpochRecord, FitConfig
    from deepchrome.train.run.summary import Summary

# Defaults that depend on --protocol, as the help shows them; a test compares them with the protocols.
DEFAULTS: Final = {
    "label_rule": "numeric; published with --protocol published",
    "split": "chromosome; published with --protocol published",
    "orient": "strand; genomic with --protocol published",
    "transform": "log1p; counts with --protocol published",
    "depth": "ranks; raw with --protocol published",
    "epochs": "8, 10 for attentivechrome, 3 with --pooled, more for few genes; 99 with --protocol published",
    "batch_size": "64; 1 with --protocol published",
    "optimizer": "sgd, adam for other networks",
    "lr": "0.05, 0.003 for attentivechrome; 0.001 with --protocol published",
    "momentum": "0.9; 0 with --protocol published",
    "schedule": "one-cycle; constant with --protocol published",
    "lr_decay": "0; 1e-07 with --protocol published",
    "task": "both; classify without expression and with --protocol published",
    "augment_depth": "on with --depth ranks",
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
        str,
        typer.Option(
            help="Model to train: deepchrome, attentivechrome, logistic, random-forest, svm, or your own network as "
            "module:Class."
        ),
    ] = "deepchrome",
    task: Annotated[
        Literal["classify", "regress", "both"] | None,
        typer.Option(
            help="Predict whether a gene is on (classify), its log2(RPKM + 1) (regress), or both.",
            show_default=DEFAULTS["task"],
        ),
    ] = None,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="Train one model for all epigenomes, which can score any other sample.")
    ] = False,
    hold_out: Annotated[
        str | None,
        typer.Option(help="Epigenomes to test the pooled model on without training on them.", show_default="none"),
    ] = None,
    mark_dropout: Annotated[
        float | None,
        typer.Option(
            help="Probability that training hides a mark of a gene, with --pooled.", show_default="0.1 with --pooled"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of networks to train for each model and to average.")] = 1,
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
    depth: Annotated[
        Literal["ranks", "library-size", "raw"] | None,
        typer.Option(
            help="How to correct for the depth of a sample. ranks: give counts the values of their ranks. "
            "library-size: scale to 30 million reads. raw: not at all.",
            show_default=DEFAULTS["depth"],
        ),
    ] = None,
    augment_depth: Annotated[
        bool | None,
        typer.Option(
            "--augment-depth/--no-augment-depth",
            help="Train with fewer reads in half of the genes, so that scores depend less on depth.",
            show_default=DEFAULTS["augment_depth"],
        ),
    ] = None,
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
    schedule: Annotated[
        Literal["one-cycle", "constant"] | None,
        typer.Option(
            help="Learning rate over time. one-cycle: up for a quarter of the steps, then down to 0.",
            show_default=DEFAULTS["schedule"],
        ),
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
        typer.Option(help="Precision of matrix products. auto: tf32 on a GPU; on a CPU, bf16 if it is fast."),
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
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/n: train only every n-th epigenome, from the i-th. n such runs share the work.", show_default="all"
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Write a JSON line to this file for every epoch of every model.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue or start the run in --out; add new epigenomes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model per epigenome, or one for all, and test it on unseen genes.

    Give FEATURES and --expression, or --csv. With --csv, --expression is optional. If it is given, dc train
    also reports which epigenome and label rule the labels come from.
    """
    if (csv is None) == (features is None):
        raise UsageError("give either FEATURES and --expression, or --csv")
    if features is not None and expression is None:
        raise UsageError("--expression is needed to label the genes of FEATURES")
    if csv is not None:
        not_for_csv: dict[str, object] = {"label_rule": label_rule, "split": split, "orient": orient}
        not_for_csv |= {"n_train": n_train, "marks": marks, "pooled": pooled or None, "shard": shard}
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
    from deepchrome.train.models import BASELINES, MODELS
    from deepchrome.train.run.protocols import PROTOCOLS, pool
    from deepchrome.train.run.train import RunOptions, train_models

    if model not in MODELS and ":" not in model:
        raise UsageError(f"no model is named {model!r}. Choose one of {', '.join(MODELS)}, or a class as module:Class")
    if not pooled and (hold_out is not None or mark_dropout is not None):
        raise UsageError("--hold-out and --mark-dropout need --pooled")
    defaults = PROTOCOLS[protocol]
    names = parse_names(epigenomes)
    held_out = [] if hold_out is None else hold_out.split(",")
    fit = defaults.fit_of(model)
    if pooled:
        fit = pool(fit)
    if epochs is not None:
        fit = replace(fit, min_steps=0)
    depth = depth or ("raw" if model in BASELINES and csv is None else defaults.inputs.depth)
    chosen: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": momentum,
    }
    chosen |= {"lr_decay": lr_decay, "schedule": schedule, "mark_dropout": mark_dropout, "augment_depth": augment_depth}
    chosen |= {"task": task or _default_task(fit, csv, features)}
    if augment_depth is None and depth == "raw":
        chosen["augment_depth"] = False
    config = replace(
        fit,
        members=seeds,
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
        precision=precision,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    inputs = InputOptions(
        orient or defaults.inputs.orient,
        transform or defaults.inputs.transform,
        depth,
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
        progress = _TrainProgress(bars, config)
        summary = train_models(
            source,
            out,
            epigenomes=names,
            held_out=held_out,
            shard=_parse_shard(shard),
            inputs=inputs,
            config=config,
            placement=Placement(device, threads, group_size),
            options=RunOptions(force, resume, checkpoint_seconds, log),
            on_loaded=progress.on_loaded,
            on_epoch=progress.on_epoch,
            on_model=progress.on_model,
        )
    if as_json:
        print_json([asdict(row) for row in summary])
    else:
        print_rows(summary, ("epigenome", "best_epoch", "test_auroc", "test_auprc", "pearson", "published_auroc"))
    for row in summary:
        if row.note:
            print_note(f"dc train: {row.epigenome}: {row.note}")
    aurocs = [row.test_auroc for row in summary if row.test_auroc is not None]
    if len(aurocs) > 1:
        print_note(f"dc train: mean test AUROC {sum(aurocs) / len(aurocs):.4f} over {len(aurocs)} epigenomes")
    if failed := [row.epigenome for row in summary if row.valid_auroc is None and not row.held_out]:
        raise BadDataError(
            f"{', '.join(failed)}: no model, because training diverged in the first epoch. See {out}/summary.tsv"
        )


_COLUMNS: Final = ("{task.fields[rate]}", "bar", "count", "time left", "{task.description}")


class _TrainProgress:
    """Show the training: a bar for the epochs of all networks on a terminal, else a line per finished model."""

    def __init__(self, bars: "Progress | None", config: "FitConfig") -> None:
        self._bars, self._config = bars, config
        self._task: TaskID | None = None
        self._models, self._finished = 0, 0
        self._lock = threading.Lock()

    def on_loaded(self, datasets: "Sequence[Dataset]", report: "LoadReport") -> None:
        show_report("train", report)
        from deepchrome.train.fitting.training import plan_trainings

        trainings = plan_trainings(datasets, pooled=self._config.pooled, members=self._config.members)
        self._models = len(trainings) // self._config.members
        if self._bars:
            epochs = sum(training.epochs(self._config) for training in trainings)
            self._task = self._bars.add_task("", total=epochs, rate="")

    def on_epoch(self, key: str, record: "EpochRecord") -> None:
        if self._bars is None or self._task is None:
            return
        speed = self._bars.tasks[0].speed
        self._bars.update(
            self._task,
            advance=1,
            rate=f"{speed:.1f} epochs/s" if speed else "",
            description=f"{key} epoch {record.epoch}: loss {record.train_loss:.3f}, "
            f"validation AUROC {record.valid_auroc:.4f}",
        )

    def on_model(self, rows: "Sequence[Summary]") -> None:
        with self._lock:
            self._finished += 1
            if self._bars is None:
                texts = [f"{row.epigenome} test AUROC {_show(row.test_auroc)}" for row in rows]
                print_note(f"dc train: model {self._finished} of {self._models}: {', '.join(texts)}")


def _show(auroc: float | None) -> str:
    return "none" if auroc is None else f"{auroc:.4f}"


def _parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return the numbers of ``i/n``."""
    if text is None:
        return None
    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal()):
        raise ParameterError("shard", f"must be i/n, such as 1/4, got {text!r}")
    return int(number), int(shards)


def _default_task(fit: "FitConfig", csv: Path | None, features: Path | None) -> str:
    """Return the task of a model if none is requested."""
    from deepchrome.engine.features.store import feature_files, read_header
    from deepchrome.train.models import BASELINES, is_custom
    from deepchrome.train.models.custom import task_of

    if fit.model in BASELINES or (csv is not None and not is_custom(fit.model)):
        return "classify"
    if is_custom(fit.model) and features is not None:
        header = read_header(feature_files(features)[0])
        return task_of(fit.model, (2 if fit.pooled else 1) * len(header.marks), header.metadata["n_bins"])
    return fit.task
