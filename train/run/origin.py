"""The origin of a file in a run directory: the settings and the data that it was made with.

Models, checkpoints and tables store their origin. A file whose origin differs from config.json belongs to another run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from deepchrome.train.run.config import RunConfig

OF_ANOTHER_RUN: Final = "belongs to a run with other settings or data"


def describe_origin(config: RunConfig, epigenomes: Iterable[str]) -> dict[str, Any]:
    """Return the origin of a file of a run as JSON values.

    Parameters
    ----------
    config
        The config of the run.
    epigenomes
        The epigenomes whose data the file depends on.
    """
    return {
        "fit": asdict(config.fit),
        "inputs": config.inputs.to_dict(),
        "data": {config.seed_name(name): config.data[name]["sha256"] for name in epigenomes},
    }


def find_differences(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Describe how the stored origin of a file differs from the expected one.

    Only settings that the file has are compared. A later version may have more settings, and files of earlier
    versions lack them.

    Parameters
    ----------
    stored
        The document in a file, with or without an origin.
    expected
        Result of :func:`describe_origin` for the config of the run.

    Returns
    -------
    str
        The differences; empty if there are none, or if the file has no origin.
    """
    differences = [
        f"{section}.{key} is {value}, not {expected[section].get(key)}"
        for section in ("fit", "inputs")
        for key, value in sorted(stored.get(section, {}).items())
        if value != expected[section].get(key)
    ]
    data = stored.get("data", expected["data"])
    if data.keys() != expected["data"].keys():
        differences.append(f"the epigenomes are {', '.join(data)}, not {', '.join(expected['data'])}")
    elif changed := [name for name in data if data[name] != expected["data"][name]]:
        differences.append(f"the data of {', '.join(changed)} are others (features, labels or split)")
    return "; ".join(differences)
