"""Write the bins of a mark as a bigWig file."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.engine.counting.bigwig import BigWig
from deepchrome.engine.features.exports.tracks import Track, make_tracks
from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError, NotInstalledError, StorageError


def write_bigwig(features: Features, mark: str, path: Path) -> None:
    """Write the bins of a mark as bigWig, with zoom levels, for genome browsers.

    The values are float32, which holds counts up to 16,777,216 exactly. See
    :mod:`~deepchrome.engine.features.exports.tracks` for the value of a base.

    Raises
    ------
    NotInstalledError
        pybigtools is not installed.
    BadDataError
        The feature file does not record the lengths of the chromosomes, or no gene lies on the genome.
    StorageError
        The file cannot be written.
    """
    try:
        import pybigtools
    except ModuleNotFoundError:
        raise NotInstalledError(
            "writing bigWig files needs pybigtools. Install it with: pip install 'deepchrome[bigwig]'"
        ) from None
    tracks = [track for track in make_tracks(features) if len(track.start)]
    if not tracks:
        raise BadDataError(f"{features.epigenome}: no window lies on a chromosome of the genome")
    values = features.counts[:, :, features.marks.index(mark)].astype(np.float32, copy=False)
    lengths = {track.chrom: track.length for track in tracks}
    # pybigtools tells bigWig by the suffix, which the temporary file of an atomic write does not have.
    with atomic_write(path) as temporary, TemporaryDirectory(prefix=f".{path.name[:50]}.", dir=path.parent) as folder:
        written = Path(folder) / "track.bw"
        pybigtools.open(str(written), "w").write(lengths, _runs(tracks, values))
        _check(written, lengths, sum(int((track.end - track.start).sum()) for track in tracks), path)
        os.replace(written, temporary)


def _runs(tracks: list[Track], values: NDArray[np.float32]) -> Iterator[tuple[str, int, int, float]]:
    for track in tracks:
        columns = (track.start.tolist(), track.end.tolist(), values[track.gene, track.bin].tolist())
        for start, end, value in zip(*columns, strict=True):
            yield track.chrom, start, end, value


def _check(written: Path, lengths: dict[str, int], n_bases: int, path: Path) -> None:
    """Check that the file is complete: pybigtools only prints a message if it cannot write it."""
    try:
        with written.open("rb") as file:
            found = BigWig(file)
    except (OSError, BadDataError) as error:
        raise StorageError(f"{path}: cannot be written ({error}). An existing file is unchanged.") from None
    if found.chroms != lengths or found.least_bases != n_bases:  # guard: bigwig-complete
        raise StorageError(f"{path}: could not be written completely. An existing file is unchanged.")
