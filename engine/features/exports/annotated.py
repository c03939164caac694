"""Write features as AnnData files, for scanpy and other programs of the scverse: HDF5 (h5ad) and Zarr."""

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from deepchrome.common.files import NAME_LENGTH, atomic_write
from deepchrome.engine.features.store import Features
from deepchrome.errors import NotInstalledError, StorageError, UsageError

if TYPE_CHECKING:
    import anndata

_GROUP_FILES: Final = ("zarr.json", ".zgroup")  # of Zarr formats 3 and 2


def to_anndata(features: Features) -> "anndata.AnnData":
    """Return the features of one epigenome as an AnnData object.

    ``X`` is (genes, marks x bins), uint32 or float32 as ``features.counts``, with all bins of the first mark first. A
    row of ``obs`` is a gene, named by its id; a repeated id gets a number, and the column ``gene_id`` has it unchanged.
    A row of ``var`` is a bin of a mark, named ``<mark>:<bin>`` with bins numbered from 1 in genomic order; ``start``
    and ``end`` are relative to the TSS (bp, 0-based half-open), and ``signal`` tells signal from counts. ``uns`` has
    ``epigenome``, ``marks``, and ``deepchrome``, the metadata of the feature file as JSON.

    Raises
    ------
    NotInstalledError
        anndata is not installed.
    """
    try:
        import anndata
        import pandas as pd
    except ModuleNotFoundError as missing:
        raise NotInstalledError(
            f"writing AnnData needs {missing.name}. Install it with: pip install 'deepchrome[anndata]'"
        ) from None
    genes, metadata = features.genes, features.metadata
    n_genes, n_bins, n_marks = features.counts.shape
    obs = pd.DataFrame(
        {
            "gene_id": list(genes.gene_id),
            "symbol": list(genes.symbol),
            "chrom": pd.Categorical(genes.chrom),
            "tss": genes.tss,
            "strand": pd.Categorical(genes.strand),
        },
        index=anndata.utils.make_index_unique(pd.Index(genes.gene_id, dtype=object)),
    )
    start = np.arange(n_bins) * metadata["bin_size"] - metadata["flank"]
    var = pd.DataFrame(
        {
            "mark": pd.Categorical(np.repeat(features.marks, n_bins), categories=list(features.marks)),
            "bin": np.tile(np.arange(1, n_bins + 1), n_marks),
            "start": np.tile(start, n_marks),
            "end": np.tile(start + metadata["bin_size"], n_marks),
            "signal": np.repeat([mark in features.signal for mark in features.marks], n_bins),
        },
        index=[f"{mark}:{i}" for mark in features.marks for i in range(1, n_bins + 1)],
    )
    by_mark = np.moveaxis(features.counts, 2, 1).reshape(n_genes, n_marks * n_bins)
    uns = {
        "epigenome": features.epigenome,
        "marks": np.array(features.marks, object),
        "deepchrome": json.dumps(metadata, sort_keys=True),
    }
    return anndata.AnnData(np.ascontiguousarray(by_mark), obs, var, uns)


def write_h5ad(features: Features, path: Path) -> None:
    """Write the features of one epigenome as an AnnData file, ``.h5ad``; see :func:`to_anndata`.

    Raises
    ------
    NotInstalledError
        anndata is not installed.
    StorageError
        The file cannot be written.
    """
    annotated = to_anndata(features)
    with atomic_write(path) as temporary:
        annotated.write_h5ad(temporary, compression="gzip")


def write_zarr(features: Features, path: Path) -> None:
    """Write the features of one epigenome as a directory in AnnData's Zarr format; see :func:`to_anndata`.

    Zarr is of format 3. The directory appears only when it is complete. An existing one is replaced only if it is a
    Zarr group.

    Raises
    ------
    NotInstalledError
        anndata or zarr is not installed.
    UsageError
        There is something else than a Zarr group at ``path``.
    StorageError
        The directory cannot be written.
    """
    annotated = to_anndata(features)
    if os.path.lexists(path) and (path.is_symlink() or not any((path / name).is_file() for name in _GROUP_FILES)):
        raise UsageError(f"{path}: not a Zarr directory. Choose another name, or remove it")
    temporary, old = (
        path.with_name(f".{path.name[:NAME_LENGTH]}.{secrets.token_hex(4)}.{what}") for what in ("part", "old")
    )
    try:
        _write_group(annotated, temporary)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_group(annotated: "anndata.AnnData", path: Path) -> None:
    try:
        import zarr
    except ModuleNotFoundError:
        raise NotInstalledError("writing Zarr needs zarr. Install it with: pip install 'deepchrome[anndata]'") from None
    import anndata

    # AnnData.write_zarr would add consolidated metadata, which are no part of Zarr 3.
    with anndata.settings.override(auto_shard_zarr_v3=False):
        anndata.io.write_elem(zarr.open_group(path, mode="w", zarr_format=3), "/", annotated)
