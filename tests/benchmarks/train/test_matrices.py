"""Matrices of covered bases become feature files, and reads of feature files are thinned."""

from pathlib import Path

import numpy as np
import pytest

from deepchrome.benchmarks.train.matrices import convert, genomic_counts, thin_features
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.load import load_datasets


def test_covered_bases_become_the_smallest_number_of_reads_in_genomic_order() -> None:
    covered = np.array([0, 1, 36, 37, 72, 3600], np.uint16).reshape(1, 6, 1).repeat(2, axis=0)
    counts = genomic_counts(covered, np.array(["+", "-"]))
    assert counts.dtype == np.uint32
    assert counts[:, :, 0].tolist() == [[0, 1, 1, 2, 2, 100], [100, 2, 2, 1, 1, 0]]
    with pytest.raises(BadDataError, match="1 genes have no known strand"):
        genomic_counts(covered, np.array(["+", "."]))


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    arrays = {
        "X": np.arange(2 * 4 * 2, dtype=np.uint16).reshape(2, 4, 2) * 36,
        "gene": np.array(["ENSG03", "ENSG01"]),
        "marks": np.array(["H3K4me3", "H3K27me3"]),
    }
    np.savez(tmp_path / "E012.x.npz", **arrays, rpkm=np.array([3.5, 1.0]))
    np.savez(tmp_path / "E028.x.npz", **arrays, have=np.array(["H3K27me3"]))
    (tmp_path / "rpkm.tsv").write_text("gene_id\tE012\nENSG01\t1\nENSG02\t7\nENSG03\t3.5\n")
    rows = "ENSG01 chr1 9000 -|ENSG01 chr1 9000 -|ENSG02 chr1 50000 +|ENSG03 chr2 9000 +".replace(" ", "\t")
    (tmp_path / "genes.tsv").write_text("gene_id\tchrom\ttss\tstrand\n" + rows.replace("|", "\n") + "\n")
    return {"npz": tmp_path / "E012.x.npz", "genes": tmp_path / "genes.tsv", "expression": tmp_path / "rpkm.tsv"}


def test_convert_writes_features_in_the_order_of_the_gene_table(inputs, tmp_path) -> None:
    features = read_features(convert(**inputs, out=tmp_path / "features"))
    assert features.epigenome == "E012"
    assert features.genes.gene_id == ("ENSG01", "ENSG03")
    assert features.marks == ("H3K4me3", "H3K27me3")
    assert features.counts[1].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert features.counts[0].tolist() == [[14, 15], [12, 13], [10, 11], [8, 9]]
    assert (features.metadata["bin_size"], features.metadata["flank"]) == (100, 5000)


def test_marks_that_were_not_measured_are_left_out(inputs, tmp_path) -> None:
    features = read_features(convert(**inputs | {"npz": tmp_path / "E028.x.npz"}, out=tmp_path / "features"))
    assert (features.epigenome, features.marks) == ("E028", ("H3K27me3",))
    assert features.counts[1].tolist() == [[1], [3], [5], [7]]


def test_convert_refuses_other_expression_and_unknown_genes(inputs, tmp_path) -> None:
    inputs["expression"].write_text("gene_id\tE012\nENSG01\t1\nENSG03\t3.6\n")
    with pytest.raises(BadDataError, match=r"expression of 1 genes differs from .* \(first: ENSG03\)"):
        convert(**inputs, out=tmp_path / "features")
    inputs["expression"].write_text("gene_id\tE012\nENSG01\t1\nENSG03\t3.5\n")
    inputs["genes"].write_text("gene_id\tchrom\ttss\tstrand\nENSG01\tchr1\t9000\t-\n")
    with pytest.raises(BadDataError, match=r"1 genes of .* are missing \(first: ENSG03\)"):
        convert(**inputs, out=tmp_path / "features")
    with pytest.raises(MissingInputError):
        convert(**{**inputs, "npz": tmp_path / "nothing.npz"}, out=tmp_path / "features")
    assert not (tmp_path / "features").exists()


def test_thinning_keeps_each_read_with_the_probability(inputs, tmp_path) -> None:
    with np.load(inputs["npz"]) as arrays:
        arrays = dict(arrays)
    np.savez(inputs["npz"], **arrays | {"X": np.full((2, 4, 2), 36 * 1500, np.uint16)})
    whole = convert(**inputs, out=tmp_path / "features")
    path = thin_features(whole, 0.3, tmp_path / "thinned")
    thinned = read_features(path)
    assert (thinned.genes.gene_id, thinned.marks) == (("ENSG01", "ENSG03"), ("H3K4me3", "H3K27me3"))
    # 16 counts of 1,500 reads: 24,000 reads; five standard deviations of a binomial distribution.
    assert abs(int(thinned.counts.sum()) - 7200) < 5 * np.sqrt(24_000 * 0.3 * 0.7)
    assert np.ptp(thinned.counts) > 0
    again = read_features(thin_features(whole, 0.3, tmp_path / "again"))
    assert (again.counts == thinned.counts).all()


@pytest.mark.realdata
def test_the_real_epigenome_is_restored_in_strand_order(shared_data, tmp_path) -> None:
    npz, expression = (
        shared_data / "e012" / "E012.covered_bases.npz",
        shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz",
    )
    convert(npz, shared_data / "roadmap" / "genes.tsv", expression, tmp_path)
    inputs = InputOptions("strand")
    (data,), report = load_datasets(tmp_path, expression, inputs=inputs, split="random", n_train=6601)
    with np.load(npz) as arrays:
        row_of = {gene: row for row, gene in enumerate(arrays["gene"])}
        covered = arrays["X"][[row_of[gene] for gene in data.gene_id]]
    assert (data.x == np.ceil(covered / 36)).all()
    assert tuple(np.bincount(data.split)) == (6601, 5910, 5910)
    assert (report.not_in_features, report.duplicate_ids, report.unknown_strand) == (1374, 0, 0)
