"""Write the bins of a mark as a bedGraph file."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl

from deepchrome.common.files import atomic_write
from deepchrome.engine.features.exports.tracks import make_tracks
from deepchrome.engine.features.store import Features


def write_bedgraph(features: Features, mark: str, path: Path) -> None:
    """Write the bins of a mark as bedGraph: chromosome, start, end and value, tab-separated, sorted, without a header.

    Counts are written as whole numbers, and signal with the digits that give the same float32 again. A path that ends
    with ``.gz`` is compressed. See :mod:`~deepchrome.engine.features.exports.tracks` for the value of a base.

    Raises
    ------
    BadDataError
        The feature file does not record the lengths of the chromosomes.
    StorageError
        The file cannot be written.
    """
    values = features.counts[:, :, features.marks.index(mark)]
    if mark not in features.signal:  # whole numbers, also beside signal
        values = values.astype(np.uint32, copy=False)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        # Without a time or a name, so that equal tracks give equal files.
        target = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.suffix == ".gz" else file
        for track in make_tracks(features):
            columns = {
                "chrom": pl.repeat(track.chrom, len(track.start), dtype=pl.String, eager=True),
                "start": track.start,
                "end": track.end,
                "value": values[track.gene, track.bin],
            }
            text = pl.DataFrame(columns).write_csv(include_header=False, separator="\t", quote_style="never")
            target.write(text.encode())
        if target is not file:
            target.close()
