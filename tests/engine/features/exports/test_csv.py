"""Export to DeepChrome's text format."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deepchrome.cli import main
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.exports.csv import PUBLISHED_MARK_ORDER, export_csv, read_labels, read_split_table
from deepchrome.engine.features.store import write_features
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.splits import split_genes

N, N_BINS = 9, 4
RNG = np.random.default_rng(7)
# Not sorted by id, and one gene twice, with two versions.
IDS = ("ENSG05.1", "ENSG01.2", "ENSG09", "ENSG02", "ENSG03", "ENSG01.1", "ENSG07.3", "ENSG08", "ENSG04")
GENES = Genes(IDS, ("",) * N, ("chr1",) * N, np.arange(1, N + 1, dtype=np.int64) * 10_000, ("+", "-", ".") * 3)
MARKS = ("H3K27ac", "H3K4me3", "H3K27me3", "H3K9me3", "H3K36me3", "H3K4me1")
COUNTS = {mark: RNG.integers(0, 2**32, (N, N_BINS), dtype=np.uint32) // 1000 for mark in MARKS}
METADATA = {"n_bins": N_BINS, "bin_size": 100, "flank": 200}
PUBLISHED = partial(split_genes, method="published")


@pytest.fixture
def features(tmp_path: Path) -> Path:
    directory = tmp_path / "features"
    directory.mkdir()
    write_features(directory / "E003.parquet", GENES, {mark: COUNTS[mark] for mark in MARKS[1:]}, METADATA)
    write_features(directory / "E004.parquet", GENES, COUNTS, METADATA)
    return directory


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.tsv"
    rows = [f"ENSG{i:02d}\t{i % 2}\t{int(i < 5)}\n" for i in (9, 8, 7, 6, 5, 4, 3, 2, 1)]
    path.write_text("gene_id\tE003\tE004\n" + "".join(rows))
    return path


def test_exact_text_of_the_files(tmp_path, labels):
    genes = Genes(("ENSG02", "ENSG01", "ENSG03"), ("",) * 3, ("chr1",) * 3, np.arange(3), ("-",) * 3)
    counts = {"H3K4me3": [[1, 2], [3, 4], [5, 6]], "H3K27me3": [[10, 20], [30, 40], [50, 2**32 - 1]]}
    write_features(
        tmp_path / "E003.parquet",
        genes,
        {mark: np.array(c, np.uint32) for mark, c in counts.items()},
        METADATA | {"n_bins": 2},
    )
    (exported,) = export_csv(tmp_path / "E003.parquet", tmp_path / "out", labels, PUBLISHED)
    assert (tmp_path / "out" / "train.csv").read_text() == "ENSG01,1,30,3,1\nENSG01,2,40,4,1\n"
    assert (tmp_path / "out" / "valid.csv").read_text() == "ENSG02,1,10,1,0\nENSG02,2,20,2,0\n"
    assert (tmp_path / "out" / "test.csv").read_text() == "ENSG03,1,50,5,1\nENSG03,2,4294967295,6,1\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.csv", "train.csv", "valid.csv"]
    assert exported.genes == (1, 1, 1)
    assert exported.marks == ("H3K27me3", "H3K4me3")


def test_one_epigenome_is_read_back_equal(features, labels, tmp_path):
    export_csv(features, tmp_path / "out", labels, PUBLISHED, epigenomes=["E003"])
    (data,), _ = load_csv(tmp_path / "out")
    assert data.marks == PUBLISHED_MARK_ORDER
    order = np.array([IDS.index(gene) for gene in data.gene_id])
    assert sorted(order) == list(range(N))
    assert (
        data.x == np.stack([COUNTS[mark][order] for mark in PUBLISHED_MARK_ORDER], axis=-1).astype(np.float32)
    ).all()
    split = split_genes(replace(GENES, gene_id=tuple(gene.split(".")[0] for gene in IDS)))
    assert (data.split == split[order]).all()
    assert data.y.tolist() == [int(gene[4:6]) % 2 for gene in data.gene_id]


def test_several_epigenomes_get_a_directory_each(features, labels, tmp_path):
    exported = export_csv(
        features, tmp_path / "out", labels, partial(split_genes, method="random", seed=2), header=True
    )
    assert [(done.epigenome, sum(done.genes)) for done in exported] == [("E003", N), ("E004", N)]
    (data,), _ = load_csv(tmp_path / "out" / "E004")
    assert data.marks == (*PUBLISHED_MARK_ORDER, "H3K27ac")
    assert data.y.tolist() == [int(int(gene[4:6]) < 5) for gene in data.gene_id]
    twice = [data.split[data.gene_id.index(gene)] for gene in ("ENSG01.1", "ENSG01.2")]
    assert twice[0] == twice[1]


def test_split_table_assigns_genes(features, labels, tmp_path):
    path = tmp_path / "split.tsv"
    parts = dict(zip(range(1, 10), ("test", "train", "valid") * 3, strict=True))
    path.write_text("split\tgene_id\n" + "".join(f"{part}\tENSG{i:02d}.9\n" for i, part in parts.items()))
    export_csv(features, tmp_path / "out", labels, read_split_table(path), epigenomes=["E003"])
    (data,), _ = load_csv(tmp_path / "out")
    names = ("train", "valid", "test")
    assert [names[part] for part in data.split] == [parts[int(gene[4:6])] for gene in data.gene_id]

    path.write_text("split\tgene_id\ntrain\tENSG01\n")
    with pytest.raises(BadDataError, match="no split for 7 genes: ENSG05, ENSG09, ENSG02"):
        export_csv(features, tmp_path / "other", labels, read_split_table(path), epigenomes=["E003"])
    path.write_text("split\tgene_id\ntrain\tENSG01\ntest\tENSG01.2\n")
    with pytest.raises(BadDataError, match=r"split\.tsv:3: ENSG01 is already in train"):
        read_split_table(path)
    path.write_text("split\tgene_id\nholdout\tENSG01\n")
    with pytest.raises(BadDataError, match=r"split\.tsv:2: unknown split 'holdout'"):
        read_split_table(path)
    path.write_text("part\tgene_id\ntrain\tENSG01\n")
    with pytest.raises(BadDataError, match="expected gene_id and split"):
        read_split_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id\tE003\nENSG01\t1\nENSG02\t2\n", r":3: '2' is not a label"),
        ("gene_id\tE003\nENSG01\t\n", r":2: 1 fields"),
        ("gene_id\tE003\nENSG01\t1\nENSG02\t0\nENSG01.3\t0\n", r":4: the labels of ENSG01 differ from those on line 2"),
        ("gene_id\nENSG01\n", "one column"),
    ],
)
def test_bad_label_table_is_refused(tmp_path, text, message):
    (tmp_path / "labels.tsv").write_text(text)
    with pytest.raises(BadDataError, match=message):
        read_labels(tmp_path / "labels.tsv")


def test_missing_labels_are_refused_before_writing(features, labels, tmp_path):
    out = tmp_path / "out"
    labels.write_text(labels.read_text().replace("ENSG05\t", "ENSG55\t").replace("ENSG09\t", "ENSG99\t"))
    with pytest.raises(BadDataError, match=r"no label for 2 of 9 genes of E003 \(ENSG05\.1, ENSG09\)$") as caught:
        export_csv(features, out, labels, PUBLISHED)
    assert caught.value.remedy == "drop_unlabelled"
    assert not out.exists()
    exported = export_csv(features, out, labels, PUBLISHED, drop_unlabelled=True)
    assert [(done.unlabelled, done.genes) for done in exported] == [(2, (3, 2, 2))] * 2
    (data,), _ = load_csv(out / "E003")
    assert {"ENSG05.1", "ENSG09"}.isdisjoint(data.gene_id)

    labels.write_text("gene_id\tE003\n" + "".join(f"{gene}\t1\n" for gene in IDS))
    with pytest.raises(BadDataError, match="no labels of E004; it has E003"):
        export_csv(features, tmp_path / "other", labels, PUBLISHED)
    assert not (tmp_path / "other").exists()


def test_existing_files_are_replaced_only_with_force(features, labels, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "valid.csv").write_text("mine")
    call = partial(export_csv, features, out, labels, PUBLISHED, epigenomes=["E003"])
    with pytest.raises(UsageError, match=r"valid\.csv: already exists$") as caught:
        call()
    assert caught.value.remedy == "force"
    assert [path.name for path in out.iterdir()] == ["valid.csv"]
    call(force=True)
    assert (out / "valid.csv").read_text() != "mine"


def test_bad_inputs_are_refused(features, labels, tmp_path):
    with pytest.raises(BadDataError, match="no epigenome E001; it has E003, E004"):
        export_csv(features, tmp_path / "out", labels, PUBLISHED, epigenomes=["E001"])
    with pytest.raises(MissingInputError):
        export_csv(features, tmp_path / "out", tmp_path / "nothing", PUBLISHED)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be created"):
        export_csv(features, tmp_path / "file" / "out", labels, PUBLISHED)
    write_features(features / "E003.parquet", replace(GENES, gene_id=("a,b", *IDS[1:])), COUNTS, METADATA)
    with pytest.raises(BadDataError, match="E003: gene id 'a,b' is empty or has a comma"):
        export_csv(features, tmp_path / "out", labels, PUBLISHED)


def test_export_command(features, labels, tmp_path, monkeypatch, capsys):
    def dc(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dc", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), *capsys.readouterr()

    out = tmp_path / "out"
    code, stdout, stderr = dc(features, "--format", "csv", "--out", out)
    assert (code, stdout) == (2, "")
    assert "dc labels --expression" in stderr
    code, stdout, stderr = dc(
        features, "--out", out, "--labels", labels, "--epigenomes", "E003", "--split", "chromosome"
    )
    assert (code, stdout) == (65, "")
    assert "leaves no gene for" in stderr
    code, stdout, stderr = dc(
        features, "--out", out, "--labels", labels, "--epigenomes", "E003,E004", "--split", "random"
    )
    assert (code, stdout) == (0, "")
    assert "E004: 3 train, 3 valid, 3 test genes" in stderr
    assert len((out / "E003" / "train.csv").read_text().splitlines()) == 3 * N_BINS
