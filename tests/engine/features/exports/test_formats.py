"""Export to NumPy, AnnData and Zarr, and what all formats have in common: names, existing files, the command line."""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import anndata
import h5py
import numpy as np
import pytest
import zarr
from support.exports import BIN, FLANK, make_genes, write_mixed
from support.tiny import dc

from deepchrome.engine.features.exports.annotated import to_anndata
from deepchrome.engine.features.exports.formats import PER_EPIGENOME, PER_MARK, export_features
from deepchrome.engine.features.exports.npz import write_npz
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import (
    BadDataError,
    MissingInputError,
    NotInstalledError,
    ParameterError,
    StorageError,
    UsageError,
)

FORMATS = (*PER_EPIGENOME, *PER_MARK)
BINS = 2 * FLANK // BIN
NAMES = {
    "npz": ["E1.npz", "E2.npz"],
    "h5ad": ["E1.h5ad", "E2.h5ad"],
    "zarr": ["E1.zarr", "E2.zarr"],
    "bigwig": [f"E{i}-{mark}.bw" for i in (1, 2) for mark in ("A.1", "B", "C")],
    "bedgraph": [f"E{i}-{mark}.bedGraph" for i in (1, 2) for mark in ("A.1", "B", "C")],
}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A directory with the epigenomes E1, with signal, and E2, without."""
    folder = tmp_path / "features"
    folder.mkdir()
    write_mixed(folder / "E1.parquet")
    write_mixed(folder / "E2.parquet", seed=2, signal=False)
    return folder


@pytest.mark.parametrize("name", ["E1", "E2"])
def test_npz(name: str, features: Path, tmp_path: Path) -> None:
    export_features(features, tmp_path / "out", "npz")
    stored = read_features(features / f"{name}.parquet")
    with np.load(tmp_path / "out" / f"{name}.npz", allow_pickle=False) as arrays:
        assert arrays["counts"].dtype == (np.float32 if name == "E1" else np.uint32)
        np.testing.assert_array_equal(arrays["counts"], stored.counts)
        assert arrays["marks"].tolist() == ["A.1", "B", "C"]
        assert arrays["signal"].tolist() == [False, name == "E1", False]
        for column in ("gene_id", "symbol", "chrom", "strand"):
            assert tuple(arrays[column].tolist()) == getattr(stored.genes, column)
        np.testing.assert_array_equal(arrays["tss"], stored.genes.tss)
        assert arrays["epigenome"].item() == name
        assert json.loads(arrays["metadata"].item()) == stored.metadata


def test_npz_does_not_fill_the_memory_with_one_long_text(features: Path, tmp_path: Path) -> None:
    stored = read_features(features / "E1.parquet")
    object.__setattr__(stored.genes, "symbol", ("x" * 20_000_000, *stored.genes.symbol[1:]))
    with pytest.raises(BadDataError, match="a text in column symbol has 20,000,000 characters"):
        write_npz(stored, tmp_path / "a.npz")


@pytest.mark.parametrize("file_format", ["h5ad", "zarr"])
@pytest.mark.parametrize("name", ["E1", "E2"])
def test_anndata(name: str, file_format: str, features: Path, tmp_path: Path) -> None:
    export_features(features, tmp_path / "out", file_format, epigenomes=[name])
    read = {"h5ad": anndata.read_h5ad, "zarr": anndata.read_zarr}[file_format]
    found, stored = read(tmp_path / "out" / f"{name}.{file_format}"), read_features(features / f"{name}.parquet")
    assert found.X.dtype == (np.float32 if name == "E1" else np.uint32)
    for i, mark in enumerate(("A.1", "B", "C")):
        columns = found[:, found.var["mark"] == mark]
        np.testing.assert_array_equal(columns.X, stored.counts[:, :, i])
        assert columns.var_names.tolist() == [f"{mark}:{b}" for b in range(1, BINS + 1)]
        assert columns.var["bin"].tolist() == [*range(1, BINS + 1)]
        assert columns.var["start"].tolist() == [*range(-FLANK, FLANK, BIN)]
        assert columns.var["end"].tolist() == [*range(-FLANK + BIN, FLANK + BIN, BIN)]
        assert columns.var["signal"].tolist() == [mark == "B" and name == "E1"] * BINS
    for column in ("gene_id", "symbol", "chrom", "strand", "tss"):
        assert tuple(found.obs[column]) == tuple(getattr(make_genes(1 if name == "E1" else 2), column))
    assert found.obs_names.is_unique
    assert found.obs_names[:-1].tolist() == list(stored.genes.gene_id[:-1])
    assert found.uns["epigenome"] == name
    assert found.uns["marks"].tolist() == ["A.1", "B", "C"]
    assert json.loads(found.uns["deepchrome"]) == stored.metadata


def test_other_programs_can_read_h5ad_and_zarr(features: Path, tmp_path: Path) -> None:
    for file_format in ("h5ad", "zarr"):
        export_features(features, tmp_path, file_format, epigenomes=["E1"])
    stored = read_features(features / "E1.parquet").counts
    with h5py.File(tmp_path / "E1.h5ad") as file:
        np.testing.assert_array_equal(file["X"][:, :BINS], stored[:, :, 0])
    group = zarr.open_group(tmp_path / "E1.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    np.testing.assert_array_equal(group["X"][:, BINS : 2 * BINS], stored[:, :, 1])


@pytest.mark.parametrize("file_format", FORMATS)
def test_names_of_the_files(file_format: str, features: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "new" / "out", []
    written = export_features(features, out, file_format, on_write=seen.append)
    assert [path.name for path in written] == NAMES[file_format]
    assert written == seen
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES[file_format])


@pytest.mark.parametrize("file_format", FORMATS)
def test_existing_files_are_replaced_only_with_force(file_format: str, features: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, last = (out / NAMES[file_format][i] for i in (0, -1))
    export_features(features, out, file_format)
    before = {path: path.stat().st_ino for path in (first, last)}
    first.rename(out / "moved")
    with pytest.raises(UsageError, match="already exists") as raised:
        export_features(features, out, file_format)
    assert raised.value.remedy == "force"
    assert not first.exists()  # nothing is written if the last file is in the way
    (out / "moved").rename(first)
    export_features(features, out, file_format, force=True)
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES[file_format])
    assert all(path.stat().st_ino != number for path, number in before.items())


def test_a_directory_that_is_not_zarr_is_never_replaced(features: Path, tmp_path: Path) -> None:
    (tmp_path / "E1.zarr").mkdir()
    (tmp_path / "E1.zarr" / "mine").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "zarr.json").write_text("{}")
    (tmp_path / "E2.zarr").symlink_to("elsewhere")
    for name in ("E1", "E2"):
        with pytest.raises(UsageError, match=rf"{name}\.zarr: not a Zarr directory"):
            export_features(features, tmp_path, "zarr", epigenomes=[name], force=True)
    assert (tmp_path / "E1.zarr" / "mine").read_text() == "mine"
    assert (tmp_path / "elsewhere" / "zarr.json").read_text() == "{}"


def test_a_failed_export_leaves_the_old_zarr_directory(features: Path, tmp_path: Path) -> None:
    (path,) = export_features(features, tmp_path, "zarr", epigenomes=["E1"])
    before = sorted(path.rglob("*"))
    with (
        patch("deepchrome.engine.features.exports.annotated._write_group", side_effect=OSError(28, "No space left")),
        pytest.raises(StorageError, match=r"E1\.zarr: cannot be written \(No space left\)"),
    ):
        export_features(features, tmp_path, "zarr", epigenomes=["E1"], force=True)
    assert sorted(path.rglob("*")) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["E1.zarr", "features"]


@pytest.mark.parametrize(
    ("file_format", "name"), [("npz", "a.npz"), ("h5ad", "a.h5ad"), ("zarr", "a.ZARR"), ("bigwig", "a.bigWig")]
)
def test_a_single_output_can_be_named(file_format: str, name: str, features: Path, tmp_path: Path) -> None:
    source = features / "E2.parquet"
    if file_format == "bigwig":
        stored = read_features(source, ["C"])
        source = tmp_path / "E2.parquet"
        metadata = {name: stored.metadata[name] for name in ("n_bins", "flank", "bin_size", "gene_chromosomes")}
        write_features(source, stored.genes, {"C": stored.counts[:, :, 0]}, metadata)
    assert export_features(source, tmp_path / "new" / name, file_format) == [tmp_path / "new" / name]
    assert (tmp_path / "new" / name).exists()
    with pytest.raises(UsageError, match=rf"{name}: \d files cannot be written to one path"):
        export_features(features, tmp_path / name, file_format)


def test_compressed_bedgraph(features: Path, tmp_path: Path) -> None:
    written = export_features(features, tmp_path / "out", "bedgraph", compress=True, epigenomes=["E1"])
    assert [path.name for path in written] == [f"E1-{mark}.bedGraph.gz" for mark in ("A.1", "B", "C")]
    with pytest.raises(ParameterError, match="compress applies to bedgraph only"):
        export_features(features, tmp_path / "out", "npz", compress=True)


def test_bad_requests(features: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="file_format must be one of h5ad, zarr, npz, bigwig, bedgraph"):
        export_features(features, tmp_path / "out", "csv")
    with pytest.raises(BadDataError, match="no epigenome E3; it has E1, E2"):
        export_features(features, tmp_path / "out", "npz", epigenomes=["E3"])
    with pytest.raises(MissingInputError):
        export_features(tmp_path / "absent", tmp_path / "out", "npz")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be created"):
        export_features(features, tmp_path / "file" / "out", "npz")
    assert not (tmp_path / "out").exists()


@pytest.mark.campaign("names")
@pytest.mark.parametrize("file_format", PER_MARK)
def test_the_name_of_a_mark_does_not_become_a_path(file_format: str, features: Path, tmp_path: Path) -> None:
    stored = read_features(features / "E2.parquet")
    metadata = {name: stored.metadata[name] for name in ("n_bins", "flank", "bin_size", "gene_chromosomes")}
    folder = tmp_path / "other"
    folder.mkdir()
    write_features(folder / "E3.parquet", stored.genes, {"../../B": stored.counts[:, :, 1]}, metadata)
    with pytest.raises(BadDataError, match=r"'\.\./\.\./B' is not a valid name for a mark"):
        export_features(folder, tmp_path / "a" / "out", file_format)
    (path,) = export_features(folder, tmp_path / "out", "h5ad")
    assert anndata.read_h5ad(path).var_names[0] == "../../B:1"


@pytest.mark.parametrize("module", ["anndata", "zarr"])
def test_anndata_is_needed(module: str, features: Path, tmp_path: Path) -> None:
    with (
        patch.dict(sys.modules, {module: None}),
        pytest.raises(NotInstalledError, match=rf"needs {module}\. Install it with: pip .*deepchrome\[anndata\]"),
    ):
        export_features(features, tmp_path / "out", "zarr")
    assert to_anndata(read_features(features / "E1.parquet")).n_obs == 22


def test_the_command_line(features: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dc("export", features, "--format", "npz", "--epigenomes", "E2", "--out", out)
    assert (done.code, done.out, done.err) == (0, "", f"{out / 'E2.npz'}\n")
    again = dc("export", features, "--format", "npz", "--out", out)
    assert (again.code, again.err) == (2, f"dc: {out / 'E2.npz'}: already exists. Use --force to replace it.\n")
    assert dc("export", features, "--format", "npz", "--out", out, "--force").code == 0
    assert sorted(path.name for path in out.iterdir()) == ["E1.npz", "E2.npz"]
    assert dc("export", features, "--format", "bedgraph", "--gzip", "--out", out).code == 0
    assert (out / "E1-A.1.bedGraph.gz").exists()


@pytest.mark.parametrize("file_format", FORMATS)
def test_options_of_the_text_format(file_format: str, features: Path, tmp_path: Path) -> None:
    given = ("export", features, "--format", file_format, "--out", tmp_path / "out")
    for option in (("--labels", "x"), ("--split", "published"), ("--split-file", "x"), ("--seed", 1), ("--header",)):
        done = dc(*given, *option)
        assert (done.code, done.err) == (2, f"dc: {option[0]}: only with --format csv\n")
    done = dc(*given, "--header", "--drop-unlabelled")
    assert done.err == "dc: --header, --drop-unlabelled: only with --format csv\n"
    assert not (tmp_path / "out").exists()
    done = dc("export", features, "--out", tmp_path / "out", "--gzip")
    assert (done.code, done.err) == (2, "dc: --gzip applies to bedgraph only\n")
