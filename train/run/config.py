"""Read and write RUN/config.json: the settings, the data and the software of a run."""

import hashlib
import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.datasets.profile import Profile
from deepchrome.train.datasets.source import DataSource, source_from_dict
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.fitting.training import POOLED
from deepchrome.train.models import BASELINES, NetworkSpec, is_network
from deepchrome.train.run.layout import CONFIG

# In runs of version 1, files may lack an origin, and summary.tsv holds the results. In those of version 2, a model file
# holds the weights of one network, without the axis of members, and its scores are not calibrated.
FORMAT_VERSION: Final = 3
_READABLE_VERSIONS: Final = (1, 2, FORMAT_VERSION)


@dataclass(frozen=True)
class RunConfig:
    """Content of RUN/config.json: enough to repeat the run, and to prepare new features in the same way.

    Attributes
    ----------
    fit
        The model and its training.
    inputs
        How counts become model inputs.
    source
        Where the data came from, and how labels and split were made; ``None`` if unknown. Its key
        in the file is ``origin``.
    data
        For each epigenome: the ``sha256`` of its inputs, labels, split and, with regression, expression; and the
        number of genes in each part of the split (``train``, ``valid``, ``test``). ``held_out`` if it is only tested
        on. If known, also the ``profile`` of its features and how they were counted (``counting``). ``seed_name`` if it
        is not the epigenome; see :attr:`~deepchrome.train.datasets.dataset.Dataset.seed_name`.
    made_with
        Software versions, device and number of threads, for information only. Nothing depends on them.
    format_version
        Version of the formats of the run directory. It is lower in runs of earlier versions.
    """

    fit: FitConfig
    inputs: InputSpec
    source: DataSource | None
    data: Mapping[str, Mapping[str, Any]]
    made_with: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models: one per epigenome, or the pooled model."""
        return (POOLED,) if self.fit.pooled else tuple(self.data)

    @property
    def spec(self) -> NetworkSpec:
        """The shape of the models."""
        fit, inputs = self.fit, self.inputs
        return NetworkSpec(fit.model, len(inputs.marks), inputs.n_bins, fit.task, inputs.missing_marks)

    def held_out(self, epigenome: str) -> bool:
        """Return whether no model was trained on an epigenome."""
        return bool(self.data[epigenome].get("held_out", False))

    def model_of(self, epigenome: str) -> str:
        """Return the name of the model that scores an epigenome of the run."""
        return POOLED if self.fit.pooled else epigenome

    def trained_on(self, model: str) -> list[str]:
        """Return the epigenomes that a model was trained on."""
        return [name for name in self.data if not self.held_out(name)] if model == POOLED else [model]

    def seed_name(self, name: str) -> str:
        """Return the name that the random choices of a model depend on, given that of its epigenome."""
        return str(self.data.get(name, {}).get("seed_name", name))

    def profile(self, epigenome: str) -> Profile | None:
        """Return the profile of the features of an epigenome; ``None`` if the run does not record it."""
        document = self.data[epigenome].get("profile")
        return None if document is None else Profile.from_dict(document)

    def counting(self, epigenome: str) -> Mapping[str, Any]:
        """Return how the features of an epigenome were counted; empty if the run does not record it.

        See :func:`~deepchrome.engine.features.provenance.counting_record`.
        """
        counting: Mapping[str, Any] = self.data[epigenome].get("counting", {})
        return counting

    def to_dict(self) -> dict[str, Any]:
        """Return the config as JSON values."""
        return {
            "format_version": self.format_version,
            "fit": asdict(self.fit),
            "inputs": self.inputs.to_dict(),
            "origin": {} if self.source is None else self.source.to_dict(),
            "data": {name: dict(entry) for name, entry in self.data.items()},
            "made_with": dict(self.made_with),
        }

    @classmethod
    def from_dict(cls, document: Any, where: str) -> "RunConfig":
        """Restore a config from the result of :meth:`to_dict`.

        Parameters
        ----------
        document
            The JSON values.
        where
            Name of the file, for error messages.

        Raises
        ------
        BadDataError
            The document is not the config of a run, or has another format version.
        """
        try:
            found = document["format_version"]
            if found not in _READABLE_VERSIONS:
                known = ", ".join(map(str, _READABLE_VERSIONS))
                raise BadDataError(f"{where}: format version {found}, but this deepchrome reads versions {known}")
            fit = FitConfig(**document["fit"])
            inputs = InputSpec.from_dict(document["inputs"])
            source = source_from_dict(document["origin"])
            config = cls(fit, inputs, source, {**document["data"]}, {**document["made_with"]}, found)
            has_data = config.data and all(len(entry["sha256"]) == 64 for entry in config.data.values())
            has_data = has_data and all(isinstance(config.counting(name), dict) for name in config.data)
            for epigenome in config.data:
                config.profile(epigenome)
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise BadDataError(f"{where}: not the config of a run ({error!r})") from None
        if not (has_data and (is_network(fit.model) or fit.model in BASELINES)):
            raise BadDataError(f"{where}: not the config of a run (model {fit.model!r}, {len(config.data)} epigenomes)")
        check_names(list(config.data), "an epigenome", where)
        return config


def describe_datasets(
    datasets: Sequence[Dataset], held_out: Collection[str] = (), *, with_expression: bool = False
) -> dict[str, dict[str, Any]]:
    """Return, for each epigenome, the SHA-256 of its data, the sizes of the parts of the split, and its features.

    Parameters
    ----------
    datasets
        The data sets.
    held_out
        The epigenomes that are only tested on.
    with_expression
        Whether the models depend on the expression, and not only on labels.

    Returns
    -------
    dict
        See :attr:`RunConfig.data`.
    """
    described: dict[str, dict[str, Any]] = {}
    for data in datasets:
        digest = hashlib.sha256("\n".join((*data.marks, *data.gene_id)).encode())
        for array in (data.x, data.y, data.split):
            digest.update(str(array.shape).encode())
            digest.update(array.tobytes())
        if with_expression and data.rpkm is not None:
            digest.update(data.rpkm.tobytes())
        sizes = {name: int(np.sum(data.split == part)) for part, name in enumerate(SPLIT_NAMES)}
        described[data.epigenome] = {"sha256": digest.hexdigest(), **sizes}
        if data.epigenome in held_out:
            described[data.epigenome]["held_out"] = True
        if not data.has_name:
            described[data.epigenome]["seed_name"] = data.seed_name
        if data.profile is not None:
            described[data.epigenome]["profile"] = data.profile.to_dict()
        if data.counting:
            described[data.epigenome]["counting"] = dict(data.counting)
    return described


def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the results of a run."""
    names = ("deepchrome", "torch", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def write_config(path: Path, config: RunConfig) -> None:
    """Write config.json, with a checksum, into the run directory ``path``.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    document = config.to_dict()
    text = json.dumps({**document, "sha256": _digest(document)}, indent=1)
    with atomic_write(path / CONFIG) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_config(path: Path) -> RunConfig:
    """Read config.json of the run directory ``path``.

    Raises
    ------
    MissingInputError
        The directory has no config.json.
    BadDataError
        The config is damaged or was edited.
    StorageError
        The file cannot be read.
    """
    file = path / CONFIG
    check_regular_file(file)
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise MissingInputError(f"{path}: not a run directory ({CONFIG} is missing)") from None
    except OSError as error:
        raise StorageError(f"{file}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{file}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise BadDataError(f"{file}: not the config of a run")
    if document.pop("sha256", None) != _digest(document):  # guard: config-checksum
        raise BadDataError(f"{file}: damaged or edited (the content does not match its checksum)")
    return RunConfig.from_dict(document, str(file))


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
