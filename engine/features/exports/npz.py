"""Write features as NumPy archives, which ``numpy.load`` reads without pickle."""

import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError

# NumPy gives every text of an array the space of the longest: a few long texts could fill the memory.
_MAX_TEXT_BYTES: Final = 1 << 30


def write_npz(features: Features, path: Path) -> None:
    """Write the features of one epigenome into a compressed NumPy archive.

    The arrays are ``counts`` (uint32, or float32 if a mark is signal; genes, bins, marks), ``marks`` (text),
    ``signal`` (bool per mark), ``gene_id``, ``symbol``, ``chrom``, ``strand`` (text per gene), ``tss`` (int64 per gene,
    1-based), ``epigenome``, and ``metadata`` (JSON, as in the feature file).

    Raises
    ------
    BadDataError
        The texts of a column would need more than 1 GiB.
    StorageError
        The file cannot be written.
    """
    genes = features.genes
    texts = {"gene_id": genes.gene_id, "symbol": genes.symbol, "chrom": genes.chrom, "strand": genes.strand}
    arrays: dict[str, NDArray[np.generic]] = {
        "counts": np.ascontiguousarray(features.counts),
        "marks": np.array(features.marks, np.str_),
        "signal": np.array([mark in features.signal for mark in features.marks], np.bool_),
        **{name: _text_array(name, values) for name, values in texts.items()},
        "tss": genes.tss,
        "epigenome": np.array(features.epigenome),
        "metadata": np.array(json.dumps(features.metadata, sort_keys=True)),
    }
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _text_array(name: str, values: tuple[str, ...]) -> NDArray[np.str_]:
    longest = max(map(len, values), default=0)
    if 4 * longest * len(values) > _MAX_TEXT_BYTES:
        raise BadDataError(f"a text in column {name} has {longest:,} characters, too many for a NumPy array")
    return np.array(values, np.str_)
