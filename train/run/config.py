"""RUN/config.json: what a run was asked to do, on which data, and with which software."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepchrome.common.files import atomic_write
from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.models import MODELS

FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class RunConfig:
    """What RUN/config.json holds: enough to repeat the run, and to treat new features alike.

    Attributes
    ----------
    fit
        The model and how it is trained.
    inputs
        How counts become its input.
    origin
        Where the data came from and how labels and split were made; JSON values.
    data
        Per epigenome, in order: ``sha256`` of inputs, labels and split, and how many genes are in each part.
    made_with
        Versions of the software, and the machine's part in it; for the record only.
    """

    fit: FitConfig
    inputs: InputSpec
    origin: Mapping[str, Any]
    data: Mapping[str, Mapping[str, Any]]
    made_with: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that config.json holds."""
        return {
            "format_version": FORMAT_VERSION,
            "fit": asdict(self.fit),
            "inputs": self.inputs.to_dict(),
            "origin": dict(self.origin),
            "data": {name: dict(entry) for name, entry in self.data.items()},
            "made_with": dict(self.made_with),
        }

    @classmethod
    def from_dict(cls, document: Any, where: str) -> "RunConfig":
        """Check and take a document that config.json held; ``where`` names the file in errors.

        Raises
        ------
        BadDataError
            It is not what :meth:`to_dict` makes.
        """
        try:
            if document["format_version"] != FORMAT_VERSION:
                raise BadDataError(
                    f"{where}: format version {document['format_version']}; this deepchrome reads {FORMAT_VERSION}"
                )
            fit = FitConfig(**document["fit"])
            config = cls(
                fit,
                InputSpec.from_dict(document["inputs"]),
                *({**document[key]} for key in ("origin", "data", "made_with")),
            )
            sound = (
                fit.model in MODELS and config.data and all(len(data["sha256"]) == 64 for data in config.data.values())
            )
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise BadDataError(f"{where}: not the config of a run ({error!r})") from None
        if not sound:
            raise BadDataError(f"{where}: not the config of a run (model {fit.model!r}, {len(config.data)} epigenomes)")
        check_names(list(config.data), "an epigenome", where)
        return config


def describe_datasets(datasets: Sequence[Dataset]) -> dict[str, dict[str, Any]]:
    """Fingerprint data sets, such that a run is resumed only on the data it began with."""
    described = {}
    for data in datasets:
        digest = hashlib.sha256("\n".join((*data.marks, *data.gene_id)).encode())
        for array in (data.x, data.y, data.split):
            digest.update(str(array.shape).encode())
            digest.update(array.tobytes())
        sizes = {name: int(np.sum(data.split == part)) for part, name in enumerate(SPLIT_NAMES)}
        described[data.epigenome] = {"sha256": digest.hexdigest(), **sizes}
    return described


def software() -> dict[str, str]:
    """Return the versions of what a run's numbers depend on."""
    names = ("deepchrome", "torch", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def write_config(path: Path, config: RunConfig) -> None:
    """Write RUN/config.json, with a checksum, whole or not at all.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    document = config.to_dict()
    text = json.dumps({**document, "sha256": _digest(document)}, indent=1)
    with atomic_write(path / "config.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_config(path: Path) -> RunConfig:
    """Read RUN/config.json.

    Raises
    ------
    MissingInputError, BadDataError
        No run is there, or its config is damaged or was edited.
    """
    file = path / "config.json"
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no run here (no config.json); make one with dc train") from None
    except OSError as error:
        raise StorageError(f"{file}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{file}: not JSON ({error})") from None
    config = RunConfig.from_dict(document, str(file))
    if document.pop("sha256", None) != _digest(document):
        raise BadDataError(f"{file}: not as dc train wrote it: damaged or edited (it does not fit its checksum)")
    return config


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
