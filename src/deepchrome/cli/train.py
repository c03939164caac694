"""The command ``dc train``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepchrome.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from deepchrome.train.fitting.config import EpochRecord
    from deepchrome.train.run.trainer import EpochCallback
from deepchrome.cli.options import Device
from deepchrome.cli.tables import print_rows


def train(
    out: Annotated[Path, typer.Option(help="RUN directory: models, predictions, metrics, summary.")],
    features: Annotated[
        Path | None, typer.Argument(help="What dc featurize wrote: a directory, or one file of it.")
    ] = None,
    expression: Annotated[Path | None, typer.Option(help="RPKM per gene and epigenome (TSV).")] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Instead: a directory with train.csv, valid.csv, test.csv in DeepChrome's format."),
    ] = None,
    model: Annotated[
        Literal["deepchrome", "attentivechrome", "logistic", "random-forest", "svm"],
        typer.Option(help="Two networks, three baselines."),
    ] = "deepchrome",
    protocol: Annotated[
        Literal["best", "published"],
        typer.Option(help="Defaults of the options marked *: what scores best, or what was done in 2016."),
    ] = "best",
    epigenomes: Annotated[str, typer.Option(help="Names, separated by commas, or all.")] = "all",
    marks: Annotated[str | None, typer.Option(help="Some of the features' marks, separated by commas.")] = None,
    label_rule: Annotated[
        Literal["numeric", "published"] | None,
        typer.Option(
            help="* RPKM above the median (numeric), or the string comparison of 2016.", show_default="numeric"
        ),
    ] = None,
    split: Annotated[
        Literal["published", "random", "chromosome"] | None,
        typer.Option(help="* Thirds in the order of gene ids; or by --seed.", show_default="published"),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option(help="Training genes; half of the rest validates. Default: a third.")
    ] = None,
    orient: Annotated[
        Literal["genomic", "strand"] | None,
        typer.Option(help="* Bins as stored, or 5'→3' along the gene.", show_default="strand"),
    ] = None,
    transform: Annotated[
        Literal["counts", "log1p"] | None, typer.Option(help="* Of the counts.", show_default="log1p")
    ] = None,
    library_size: Annotated[
        bool, typer.Option("--library-size", help="Scale every mark to 30 million reads first.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="* The best by validation AUROC is kept.", show_default="100")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="* Genes per step.", show_default="64")] = None,
    optimizer: Annotated[Literal["sgd", "adam", "adamw"] | None, typer.Option(help="*", show_default="sgd")] = None,
    lr: Annotated[float | None, typer.Option(help="* Learning rate.", show_default="0.01")] = None,
    momentum: Annotated[float | None, typer.Option(help="* Of sgd.", show_default="0.9")] = None,
    lr_decay: Annotated[
        float | None, typer.Option(help="* Step t uses lr / (1 + t * decay).", show_default="0")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="L2, or decoupled with adamw.")] = 0.0,
    patience: Annotated[int, typer.Option(help="Stop after so many epochs without a better one; 0: never.")] = 0,
    seed: Annotated[int, typer.Option(help="Of split, initial weights, order of genes and dropout.")] = 1,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"], typer.Option(help="auto: tf32 on a GPU, else fp32.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="CPU cores.", show_default="all usable")
    ] = None,
    group_size: Annotated[
        int | None, typer.Option(help="Models trained together.", show_default="1 on a CPU, what fits on a GPU")
    ] = None,
    checkpoint_seconds: Annotated[
        float | None,
        typer.Option(help="Least time between checkpoints of a model.", show_default="0 on a CPU, 60 on a GPU"),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Train on a running Dask cluster: tcp://host:port, or a scheduler file.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="A JSON line for every epoch of every model.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if one is there.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train a model per epigenome, all at once, and say how well they do on genes they have not seen."""
    if (csv is None) == (features is None):
        raise UsageError("give FEATURES and --expression, or --csv DIR")
    if features is not None and expression is None:
        raise UsageError("--expression FILE is needed: labels are made from it")
    of_data = {"label_rule": label_rule, "split": split, "orient": orient}
    if csv is not None:
        not_with_csv = {**of_data, "n_train": n_train, "marks": marks, "library_size": library_size or None}
        if strange := [name for name, value in not_with_csv.items() if value is not None]:
            raise UsageError(
                f"--{strange[0].replace('_', '-')} does not go with --csv: those files are split and labelled"
            )
    for name, count in (("--threads", threads), ("--group-size", group_size)):
        if count is not None and count < 1:
            raise UsageError(f"{name} {count} makes no sense")
    from deepchrome.train.datasets.dataset import load_datasets
    from deepchrome.train.datasets.deepchrome_csv import load_csv
    from deepchrome.train.fitting.config import FitConfig, Placement
    from deepchrome.train.run.directory import check_run_directory
    from deepchrome.train.run.protocols import PROTOCOLS
    from deepchrome.train.run.trainer import train_run

    of_fit = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr}
    of_fit |= {"momentum": momentum, "lr_decay": lr_decay}
    given = {name: value for name, value in {**of_data, "transform": transform, **of_fit}.items() if value is not None}
    choice = {**PROTOCOLS[protocol], **given}
    config = FitConfig(
        model=model,
        **{name: choice[name] for name in of_fit},
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
        precision=precision,
    )
    check_run_directory(out, force=force, resume=resume)
    if csv is not None:
        datasets, report = load_csv(csv, transform=choice["transform"], expression=expression)
        origin: dict[str, Any] = {"csv": str(csv.resolve())}
    elif features is not None and expression is not None:
        made = {"label_rule": choice["label_rule"], "split": choice["split"], "seed": seed, "n_train": n_train}
        datasets, report = load_datasets(
            features,
            expression,
            epigenomes=None if epigenomes == "all" else epigenomes.split(","),
            orient=choice["orient"],
            transform=choice["transform"],
            library_size=library_size,
            marks=None if marks is None else marks.split(","),
            **made,
        )
        origin = {"features": str(features.resolve()), "expression": str(expression.resolve()), **made}
    for note in report.notes:
        typer.echo(f"dc train: {note}", err=True)
    with _progress(len(datasets) * config.epochs) as on_epoch:
        summary = train_run(
            out,
            datasets,
            report.inputs,
            config,
            Placement(device, threads, group_size),
            origin=origin,
            force=force,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            log=log,
            on_epoch=on_epoch,
            scheduler=scheduler,
        )
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in summary], indent=1))
    else:
        print_rows(summary, ("epigenome", "best_epoch", "test_auroc", "test_auprc", "published_auroc"))
    for row in summary:
        if row.note:
            typer.echo(f"dc train: {row.epigenome}: {row.note}", err=True)
    areas = [row.test_auroc for row in summary if row.test_auroc is not None]
    if len(areas) > 1:
        typer.echo(f"dc train: mean test AUROC {sum(areas) / len(areas):.4f} over {len(areas)} epigenomes", err=True)
    if failed := [row.epigenome for row in summary if row.valid_auroc is None]:
        raise BadDataError(f"{', '.join(failed)}: training diverged at once, no model; {out}/summary.tsv says more")


@contextmanager
def _progress(epochs: int) -> "Iterator[EpochCallback]":
    """Show epochs of all models on a terminal: done, per second, and the latest loss and AUROC."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[rate]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=epochs, rate="")

        def on_epoch(epigenome: str, record: "EpochRecord") -> None:
            rate = bar.tasks[0].speed
            bar.update(
                task,
                advance=1,
                rate=f"{rate:.1f} epochs/s" if rate else "",
                description=f"{epigenome} epoch {record.epoch}: loss {record.train_loss:.3f}, "
                f"validation AUROC {record.valid_auroc:.4f}",
            )

        yield on_epoch
