"""Read and write RUN/models/ and RUN/checkpoints/: one safetensors file per epigenome in each."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FittedModel
from deepchrome.train.models import BASELINES, build_network
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.layout import CHECKPOINTS, SUMMARY, checkpoint_path, model_path
from deepchrome.train.run.origin import check_origin, describe_origin, has_origin
from deepchrome.train.run.tensors import read_tensors, write_tensors


def write_model(run: Path, config: RunConfig, fitted: FittedModel) -> None:
    """Write the model file of one epigenome.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    name = fitted.epigenome
    document = {"epigenome": config.seed_name(name), "model": config.fit.model, "best_epoch": fitted.best_epoch}
    write_tensors(model_path(run, name), fitted.weights, document | describe_origin(config, [name]))


def read_model(run: Path, config: RunConfig, epigenome: str) -> dict[str, Tensor]:
    """Read the weights of one epigenome's model, by name.

    Raises
    ------
    MissingInputError
        The run has no model of this epigenome.
    BadDataError
        The file is damaged or belongs to another run (see :func:`~deepchrome.train.run.origin.check_origin`), or its
        weights do not fit the model in ``config``.
    """
    if epigenome not in config.data:
        raise MissingInputError(f"{run}: no model of {epigenome} (found {', '.join(config.data)})")
    path = model_path(run, epigenome)
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file. See the notes in {run / SUMMARY}")
    tensors, document = read_tensors(path)
    seed_name = config.seed_name(epigenome)
    if document.get("model") != config.fit.model or document.get("epigenome") != seed_name:
        raise BadDataError(
            f"{path}: contains the model {document.get('model')!r} of {document.get('epigenome')!r}, "
            f"but config.json specifies {config.fit.model} of {seed_name}"
        )
    advice = "Restore the model of this run, or train again"
    check_origin(path, document, config, [epigenome], advice)  # guard: model-origin
    _check_weights(path, config, tensors)
    return tensors


def write_checkpoint(run: Path, config: RunConfig, epigenome: str, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of one epigenome.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    parts = {"weights": checkpoint.weights, "best": checkpoint.best, "optimizer": checkpoint.optimizer}
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    history = [asdict(record) for record in checkpoint.history]
    document = {"epigenome": config.seed_name(epigenome), "history": history, **describe_origin(config, [epigenome])}
    write_tensors(checkpoint_path(run, epigenome), tensors, document)


def read_checkpoints(run: Path, config: RunConfig) -> dict[str, Checkpoint]:
    """Read all checkpoints of an unfinished run, by epigenome.

    Raises
    ------
    BadDataError
        A checkpoint is damaged, belongs to another run or epigenome, or does not name its run (earlier versions).
    """
    checkpoints: dict[str, Checkpoint] = {}
    nameless: list[str] = []
    for epigenome in config.data:
        file = checkpoint_path(run, epigenome)
        if not file.is_file():
            continue
        advice = f"Remove it to train {epigenome} from the beginning"
        tensors, document = read_tensors(file)
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
        try:
            history = tuple(EpochRecord(**record) for record in document["history"])
            for name, tensor in tensors.items():
                part, _, name_in_part = name.partition("/")
                parts[part][name_in_part] = tensor
        except (KeyError, TypeError):
            raise BadDataError(f"{file}: not a checkpoint. {advice}") from None
        if not has_origin(document):  # guard: checkpoint-without-origin
            nameless.append(epigenome)
            continue
        check_origin(file, document, config, [epigenome], advice)  # guard: checkpoint-origin
        for part in ("weights", "best"):
            _check_weights(file, config, parts[part], must_be_finite=False)
        checkpoints[epigenome] = Checkpoint(history, **parts)
    if nameless:
        raise BadDataError(
            f"{run / CHECKPOINTS}: the checkpoints of {', '.join(nameless)} do not name their run (written by an "
            "earlier version?). Remove them to train these epigenomes from the beginning"
        )
    return checkpoints


def _check_weights(
    file: Path, config: RunConfig, tensors: Mapping[str, Tensor], *, must_be_finite: bool = True
) -> None:
    """Raise BadDataError if the tensors are not weights of the model in ``config``."""
    name, marks, bins = config.fit.model, len(config.inputs.marks), config.inputs.n_bins
    if name in BASELINES:
        from deepchrome.train.models.baselines import check_baseline

        problem = check_baseline(name, {key: value.numpy() for key, value in tensors.items()}, marks, bins)
    else:
        problem = None
        expected = build_network(name, 1, marks, bins).shapes()
        found = {key: tuple(value.shape) for key, value in tensors.items()}
        if found != expected:  # guard: weight-shapes
            wrong = min(key for key in expected.keys() | found if expected.get(key) != found.get(key))
            problem = f"shape of {wrong} is {found.get(wrong)}, expected {expected.get(wrong)}"
        elif any(value.dtype != torch.float32 for value in tensors.values()):
            problem = "weights are not float32"
        elif must_be_finite and not all(value.isfinite().all() for value in tensors.values()):
            problem = "weights are not finite"
    if problem:
        raise BadDataError(f"{file}: not the {name} model for {marks} marks and {bins} bins of config.json ({problem})")
