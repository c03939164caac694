"""Read and write RUN/models/ and RUN/checkpoints/: one safetensors file per model, and one per network in training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FittedModel
from deepchrome.train.fitting.training import Training
from deepchrome.train.models import BASELINES, build_network, is_network
from deepchrome.train.models.calibration import Calibration
from deepchrome.train.models.trained import TrainedModel
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.layout import CHECKPOINTS, SUMMARY, checkpoint_path, model_path
from deepchrome.train.run.origin import check_origin, describe_origin, has_origin
from deepchrome.train.run.tensors import read_tensors, write_tensors

MEMBERS_VERSION: Final = 3
"""From this format version on, model files have an axis of members and a calibration."""


@dataclass(frozen=True)
class StoredModel:
    """A model file of a run.

    Attributes
    ----------
    name
        Name of the model.
    trained
        The model.
    members
        Its networks with their histories. In what was read from a file, the times of the epochs are NaN, and a file of
        an earlier version has no history.
    """

    name: str
    trained: TrainedModel
    members: tuple[FittedModel, ...] = field(repr=False)


def write_model(run: Path, config: RunConfig, model: StoredModel) -> None:
    """Write a model file.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    document = {
        "epigenome": config.seed_name(model.name),
        "model": config.fit.model,
        "best_epoch": [member.best_epoch for member in model.members],
        # Without the time that it took, so that the same training gives the same file.
        "history": [[_without_time(record) for record in member.history] for member in model.members],
        "calibration": model.trained.calibration.to_dict(),
        "target": [model.trained.target_mean, model.trained.target_sd],
    }
    origin = describe_origin(config, config.trained_on(model.name))
    write_tensors(model_path(run, model.name), model.trained.weights, document | origin)


def read_model(run: Path, config: RunConfig, name: str) -> StoredModel:
    """Read a model file.

    Raises
    ------
    MissingInputError
        The run has no such model.
    BadDataError
        The file is damaged or belongs to another run (see :func:`~deepchrome.train.run.origin.check_origin`), or its
        weights do not fit the model in ``config``.
    """
    if name not in config.models:
        raise MissingInputError(f"{run}: no model of {name} (found {', '.join(config.models)})")
    path = model_path(run, name)
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file. See the notes in {run / SUMMARY}")
    tensors, document = read_tensors(path)
    seed_name = config.seed_name(name)
    if document.get("model") != config.fit.model or document.get("epigenome") != seed_name:
        raise BadDataError(
            f"{path}: contains the model {document.get('model')!r} of {document.get('epigenome')!r}, "
            f"but config.json specifies {config.fit.model} of {seed_name}"
        )
    advice = "Restore the model of this run, or train again"
    check_origin(path, document, config, config.trained_on(name), advice)  # guard: model-origin
    if config.format_version < MEMBERS_VERSION and is_network(config.fit.model):
        tensors = {key: value.unsqueeze(0) for key, value in tensors.items()}
    _check_weights(path, config, tensors, config.fit.members)
    return _restore_model(path, config, name, tensors, document)


def _restore_model(
    path: Path, config: RunConfig, name: str, tensors: dict[str, Tensor], document: Mapping[str, Any]
) -> StoredModel:
    """Restore a model from its file. In files of earlier versions, only the weights and one best epoch are known."""
    if config.format_version < MEMBERS_VERSION:
        member = FittedModel(name, (), document.get("best_epoch"), tensors)
        return StoredModel(name, TrainedModel(config.spec, tensors), (member,))
    try:
        histories = [
            tuple(EpochRecord(**record, seconds=math.nan) for record in history) for history in document["history"]
        ]
        mean, spread = (float(value) for value in document["target"])
        trained = TrainedModel(config.spec, tensors, Calibration.from_dict(document["calibration"]), mean, spread)
        best = [None if epoch is None else int(epoch) for epoch in document["best_epoch"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDataError(f"{path}: not a model of a run ({error!r})") from None
    if len(histories) != config.fit.members or len(best) != config.fit.members or not spread > 0:
        raise BadDataError(f"{path}: not a model of {config.fit.members} networks")
    # The weights of the members stay in the stack.
    members = (FittedModel(name, history, epoch, {}) for history, epoch in zip(histories, best, strict=True))
    return StoredModel(name, trained, tuple(members))


def _without_time(record: EpochRecord) -> dict[str, Any]:
    values = asdict(record)
    del values["seconds"]
    return values


def write_checkpoint(run: Path, config: RunConfig, training: Training, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of one network.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    parts = {"weights": checkpoint.weights, "best": checkpoint.best, "optimizer": checkpoint.optimizer}
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    history = [asdict(record) for record in checkpoint.history]
    origin = describe_origin(config, config.trained_on(training.model))
    document = {"epigenome": training.seed_name, "history": history, **origin}
    write_tensors(checkpoint_path(run, training.key), tensors, document)


def read_checkpoints(run: Path, config: RunConfig, trainings: Sequence[Training]) -> dict[str, Checkpoint]:
    """Read all checkpoints of an unfinished run, by key of the training.

    Raises
    ------
    BadDataError
        A checkpoint is damaged, belongs to another run or training, or does not name its run (earlier versions).
    """
    checkpoints: dict[str, Checkpoint] = {}
    nameless: list[str] = []
    for training in trainings:
        file = checkpoint_path(run, training.key)
        if not file.is_file():
            continue
        advice = f"Remove it to train {training.key} from the beginning"
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
            nameless.append(training.key)
            continue
        check_origin(file, document, config, config.trained_on(training.model), advice)  # guard: checkpoint-origin
        if document.get("epigenome") != training.seed_name:
            raise BadDataError(
                f"{file}: the checkpoint of {document.get('epigenome')}, not of {training.key}. {advice}"
            )
        for part in ("weights", "best"):
            _check_weights(file, config, parts[part], must_be_finite=False)
        checkpoints[training.key] = Checkpoint(history, **parts)
    if nameless:
        raise BadDataError(
            f"{run / CHECKPOINTS}: the checkpoints of {', '.join(nameless)} do not name their run (written by an "
            "earlier version?). Remove them to train these models from the beginning"
        )
    return checkpoints


def _check_weights(
    file: Path,
    config: RunConfig,
    tensors: Mapping[str, Tensor],
    members: int | None = None,
    *,
    must_be_finite: bool = True,
) -> None:
    """Raise BadDataError if the tensors are not weights of the model in ``config``.

    ``members`` is the length of their first axis; ``None`` if they have no such axis.
    """
    spec = config.spec
    if spec.name in BASELINES:
        from deepchrome.train.models.baselines import check_baseline

        problem = check_baseline(
            spec.name, {key: value.numpy() for key, value in tensors.items()}, spec.marks, spec.bins
        )
    else:
        problem = None
        stack = () if members is None else (members,)
        expected = {key: (*stack, *shape) for key, shape in build_network(spec, 1).shapes().items()}
        found = {key: tuple(value.shape) for key, value in tensors.items()}
        if found != expected:  # guard: weight-shapes
            wrong = min(key for key in expected.keys() | found if expected.get(key) != found.get(key))
            problem = f"shape of {wrong} is {found.get(wrong)}, expected {expected.get(wrong)}"
        elif any(value.dtype != torch.float32 for value in tensors.values()):
            problem = "weights are not float32"
        elif must_be_finite and not all(value.isfinite().all() for value in tensors.values()):
            problem = "weights are not finite"
    if problem:
        raise BadDataError(
            f"{file}: not the {spec.name} model for {spec.marks} marks and {spec.bins} bins of config.json ({problem})"
        )
