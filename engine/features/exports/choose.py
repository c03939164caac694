"""Choose the epigenomes to export and the files to write."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepchrome.common.names import check_names
from deepchrome.engine.features.store import feature_files
from deepchrome.errors import BadDataError, StorageError, UsageError


def choose_epigenomes(features: Path, epigenomes: Sequence[str] | None) -> dict[str, Path]:
    """Return the feature file of each epigenome to export, by name.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file from it.
    epigenomes
        The epigenomes to export. By default all in ``features``.

    Raises
    ------
    MissingInputError
        ``features`` does not exist or has no feature file.
    BadDataError
        ``features`` lacks an epigenome, or the name of one is not safe as a file name.
    """
    paths = {path.stem: path for path in feature_files(features)}
    names = list(dict.fromkeys(epigenomes)) if epigenomes is not None else list(paths)
    if absent := [name for name in names if name not in paths]:
        raise BadDataError(f"{features}: no epigenome {', '.join(absent)}; it has {', '.join(paths)}")
    check_names(names, "an epigenome", str(features))
    return {name: paths[name] for name in names}


def check_free(paths: Iterable[Path], force: bool) -> None:
    """Raise a ``UsageError`` if an output exists and ``force`` is False."""
    if not force and (existing := [path for path in paths if os.path.lexists(path)]):
        raise UsageError(f"{existing[0]}: already exists", remedy="force")


def make_directory(directory: Path) -> None:
    """Create a directory with its parents, or raise a ``StorageError``."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{directory}: cannot be created ({error.strerror or error})") from None
