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
    make_importable,
    parse_names,
    parse_shard,
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
    from deepchrome.train.fitting.config import EpochRecord, FitConfig
    from deepchrome.train.run.summary import Summary

# Defaults that depend on --protocol or on the model, as the help shows them; a test compares them with the protocols.
DEFAULTS: Final = {
    "label_rule": "numeric; published with --protocol published",
    "split": "chromosome; published with --protocol published",
    "orient": "strand; genomic with --protocol published",
    "transform": "log1p; counts with --protocol published",
    "depth": "ranks; raw with --protocol published",
    "epochs": "8, 10 for attentivechrome, 15 for module:Class, 3 with --pooled, more for few genes; "
    "99 with --protocol published",
    "batch_size": "64; 1 with --protocol published",
    "optimizer": "sgd, adam for attentivechrome and module:Class; sgd with --protocol published",
    "lr": "0.05, 0.003 for attentivechrome, 0.001 for module:Class; 0.001 with --protocol published",
    "momentum": "0.9; 0 with --protocol published",
    "schedule": "one-cycle; constant with --protocol published",
    "lr_decay": "0; 1e-07 with --protocol published",
    "mark_dropout": "0.1",
    "task": "both; classify for baselines, with --csv and with --protocol published; as the outputs of module:Class",
    "augment_depth": "on, unless --depth is raw",
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
            help="With --pooled: probability that training hides a mark of a gene.",
            show_default=DEFAULTS["mark_dropout"],
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
            help="chromosome: whole chromosomes. random: at random, but overlapping genes stay together. "
            "published: thirds in the order of gene IDs, which flatters the scores.",
            show_default=DEFAULTS["split"],
        ),
    ] = None,
    split_file: Annotated[
        Path | None,
        typer.Option(help="Table (TSV) with columns gene_id and split (train, valid or test). Replaces --split."),
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
            help="For job arrays: train only one of n parts of the epigenomes, given as i/n.", show_default="all"
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
    """Train models, and test them on genes that they have not seen.

    There is one model per epigenome, or one for all with --pooled.
    Give FEATURES and --expression, or --csv. With --csv, --expression is optional. If it is given, dc train
    also reports which epigenome and label rule the labels come from.
    """
    if (csv is None) == (features is None):
        raise UsageError("give either FEATURES and --expression, or --csv")
    if features is not None and expression is None:
        raise UsageError("--expression is needed to label the genes of FEATURES")
    _refuse_together(
        "--csv" if csv is not None else None,
        "the files determine labels, split and inputs, and have one epigenome without its expression",
        label_rule=label_rule,
        label_threshold=label_threshold,
        label_genes=None if label_genes == "table" else label_genes,
        split=split,
        split_file=split_file,
        n_train=n_train,
        orient=orient,
        marks=marks,
        epigenomes=None if epigenomes == "all" else epigenomes,
        pooled=pooled or None,
        shard=shard,
        task=None if task == "classify" else task,
    )
    _refuse_together("--split-file" if split_file else None, "the file is the split", split=split, n_train=n_train)
    _refuse_together(
        None if pooled else "a model per epigenome",
        "only --pooled has them",
        hold_out=hold_out,
        mark_dropout=mark_dropout,
    )
    _refuse_together(
        "--pooled" if pooled else None,
        "it is one model, and the paper of 2016 had none",
        shard=shard,
        protocol=None if protocol == "best" else protocol,
    )
    from deepchrome.train.datasets.inputs import InputOptions
    from deepchrome.train.datasets.source import DataSource, FeatureSource, TextSource
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.models import BASELINES, MODELS
    from deepchrome.train.run.protocols import LEARNING_RATES, PROTOCOLS, pool
    from deepchrome.train.run.train import RunOptions, train_models

    if model not in MODELS and ":" not in model:
        raise UsageError(f"no model is named {model!r}. Choose one of {', '.join(MODELS)}, or a class as module:Class")
    _refuse_together(
        f"--model {model}" if model in BASELINES else None,
        "it is one classifier per epigenome",
        pooled=pooled or None,
        seeds=None if seeds == 1 else seeds,
        task=None if task == "classify" else task,
        augment_depth=augment_depth or None,
    )
    make_importable(model)
    defaults = PROTOCOLS[protocol]
    inputs = InputOptions(
        orient or defaults.inputs.orient,
        transform or defaults.inputs.transform,
        depth or defaults.inputs.depth,
        None if marks is None else tuple(marks.split(",")),
    )
    _refuse_together(
        "--depth raw" if inputs.depth == "raw" else None,
        "without a correction, scores depend on depth",
        augment_depth=augment_depth or None,
    )
    names = parse_names(epigenomes)
    held_out = [] if hold_out is None else hold_out.split(",")
    fit = defaults.fit_of(model)
    if pooled:
        fit = pool(fit)
    if epochs is not None:
        fit = replace(fit, min_steps=0)
    if lr is None and optimizer not in (None, fit.optimizer):
        lr = LEARNING_RATES[optimizer]
    chosen: dict[str, Any] = {
        "task": task or _default_task(fit, features, inputs.marks),
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": momentum,
        "schedule": schedule,
        "lr_decay": lr_decay,
        "mark_dropout": mark_dropout,
        "augment_depth": fit.augment_depth and inputs.depth != "raw" if augment_depth is None else augment_depth,
    }
    config = replace(
        fit,
        members=seeds,
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
        precision=precision,
        **{name: value for name, value in chosen.items() if value is not None},
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
            split_file,
        )
    with progress_bars(*_COLUMNS) as bars:
        progress = _TrainProgress(bars, config)
        summary = train_models(
            source,
            out,
            epigenomes=names,
            held_out=held_out,
            shard=None if shard is None else parse_shard(shard),
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
    notes: dict[str, list[str]] = {}
    for row in summary:
        if row.note:
            notes.setdefault(row.note, []).append(row.epigenome)
    for text, with_note in notes.items():
        print_note(f"dc train: {', '.join(with_note)}: {text}")
    for is_held_out, kind in ((0, ""), (1, "held-out ")):
        aurocs = [row.test_auroc for row in summary if row.test_auroc is not None and row.held_out == is_held_out]
        if len(aurocs) > 1:
            print_note(f"dc train: mean test AUROC {sum(aurocs) / len(aurocs):.4f} over {len(aurocs)} {kind}epigenomes")
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
        self._epochs: dict[str, int] = {}
        self._lock = threading.Lock()

    def on_loaded(self, datasets: "Sequence[Dataset]", report: "LoadReport") -> None:
        show_report("train", report)
        from deepchrome.train.fitting.training import plan_trainings

        trainings = plan_trainings(datasets, pooled=self._config.pooled, members=self._config.members)
        self._models = len(trainings) // self._config.members
        if self._bars:
            for training in trainings:
                self._epochs[training.model] = self._config.members * training.epochs(self._config)
            self._task = self._bars.add_task("", total=sum(self._epochs.values()), rate="")

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

    def on_model(self, rows: "Sequence[Summary]", is_new: bool) -> None:
        with self._lock:
            self._finished += 1
            if self._bars is None:
                texts = [f"{row.epigenome} test AUROC {_show(row.test_auroc)}" for row in rows]
                kept = "" if is_new else " (trained before)"
                print_note(f"dc train: model {self._finished} of {self._models}: {', '.join(texts)}{kept}")
            elif self._task is not None and not is_new:
                self._bars.update(self._task, advance=self._epochs.get(rows[0].epigenome, 0))


def _show(auroc: float | None) -> str:
    return "none" if auroc is None else f"{auroc:.4f}"


def _refuse_together(choice: str | None, reason: str, **options: object) -> None:
    """Raise a UsageError that names the first option with a value, if a choice is made that excludes these options."""
    given = [option_name(name) for name, value in options.items() if value is not None]
    if choice is not None and given:
        raise UsageError(f"{given[0]} cannot be combined with {choice}: {reason}")


def _default_task(fit: "FitConfig", features: Path | None, marks: Sequence[str] | None) -> str:
    """Return the task of a model if none is requested."""
    from deepchrome.engine.features.store import feature_files, read_header
    from deepchrome.train.models import BASELINES, is_custom
    from deepchrome.train.models.custom import task_of

    if fit.model in BASELINES or features is None:
        return "classify"
    if not is_custom(fit.model):
        return fit.task
    header = read_header(feature_files(features)[0])
    channels = len(marks or header.marks) * (2 if fit.pooled else 1)
    return task_of(fit.model, channels, header.metadata["n_bins"])
