"""The origin of a file in a run directory: the settings and the data that it was made with.

Models, checkpoints and tables store their origin. A file whose origin differs from config.json belongs to another run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from deepchrome.errors import BadDataError
from deepchrome.train.datasets.inputs import modernize
from deepchrome.train.run.config import RunConfig

_SECTIONS: Final = ("fit", "inputs", "data")


def describe_origin(config: RunConfig, epigenomes: Iterable[str]) -> dict[str, Any]:
    """Return the origin of a file of a run as JSON values.

    Parameters
    ----------
    config
        The config of the run.
    epigenomes
        The epigenomes whose data the file depends on.
    """
    data = {config.seed_name(name): config.data[name]["sha256"] for name in epigenomes}
    return dict(zip(_SECTIONS, (asdict(config.fit), config.inputs.to_dict(), data), strict=True))


def has_origin(document: Mapping[str, Any]) -> bool:
    """Return whether the document of a file has an origin, valid or not. Files of earlier versions have none."""
    return not document.keys().isdisjoint(_SECTIONS)


def check_origin(
    file: Path, document: Mapping[str, Any], config: RunConfig, epigenomes: Iterable[str], advice: str
) -> None:
    """Check that a file belongs to a run.

    Parameters
    ----------
    file, document
        The file, and the document in it.
    config
        The config of the run. If it has format version 1, a file without an origin is accepted.
    epigenomes
        The epigenomes whose data the file depends on.
    advice
        The last sentence of the message: what to do with a file that does not belong to the run.

    Raises
    ------
    BadDataError
        The file has no valid origin, or another one. The message names every difference.
    """
    if not has_origin(document):
        if config.format_version > 1:  # guard: file-without-origin
            raise BadDataError(f"{file}: does not name its run (written by an earlier version?). {advice}")
        return
    wrong = [section for section in _SECTIONS if not isinstance(document.get(section), dict)]
    if wrong:  # guard: origin-shape
        raise BadDataError(f"{file}: no valid origin ({', '.join(wrong)} missing or not an object). {advice}")
    if differences := _find_differences(document, describe_origin(config, epigenomes)):
        raise BadDataError(f"{file}: belongs to a run with other settings or data ({differences}). {advice}")


def _find_differences(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Describe how the stored origin of a file differs from the expected one; empty if it does not.

    Only settings that the file has are compared. A later version may have more settings.
    """
    settings = {"fit": stored["fit"], "inputs": modernize(stored["inputs"])}
    differences = [
        f"{section}.{key} is {value}, not {expected[section].get(key)}"
        for section, values in settings.items()
        for key, value in sorted(values.items())
        if value != expected[section].get(key)
    ]
    data = stored["data"]
    if data.keys() != expected["data"].keys():
        differences.append(f"the epigenomes are {', '.join(data)}, not {', '.join(expected['data'])}")
    elif changed := [name for name in data if data[name] != expected["data"][name]]:
        differences.append(f"the data of {', '.join(changed)} are others (features, labels or split)")
    return "; ".join(differences)
