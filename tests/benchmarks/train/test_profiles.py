"""The measurement behind the limits of profiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepchrome.benchmarks.train.profiles import convert, measure, swap
from deepchrome.engine.features.store import read_features
from deepchrome.train.datasets.profile import profile_features


def test_matrices_become_features_with_numbers_of_reads(tmp_path: Path) -> None:
    x = np.zeros((2, 4, 2), np.uint16)
    x[0, 1, 0] = 72
    np.savez(tmp_path / "E9.x.npz", X=x, gene=["g2", "g1"], marks=["A", "B"], have=["A"])
    (tmp_path / "genes.tsv").write_text("gene_id\tchrom\ttss\ng1\tchr1\t9000\ng2\tchr2\t9000\n")
    (tmp_path / "reads.tsv").write_text("# note\nepigenome\tmark\treads\nE9\tA\t10\nE8\tA\t11\n")
    features = read_features(convert(tmp_path / "E9.x.npz", tmp_path / "genes.tsv", tmp_path / "reads.tsv", tmp_path))
    assert (features.epigenome, features.marks, features.genes.chrom) == ("E9", ("A",), ("chr2", "chr1"))
    assert features.counts[:, :, 0].tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]
    assert features.metadata["sources"]["A"]["reads"] == 10


@pytest.mark.realdata
def test_the_figures_of_the_documentation_are_those_of_the_real_epigenomes(shared_data: Path, tmp_path: Path) -> None:
    roadmap = shared_data / "roadmap"
    features = [
        read_features(convert(npz, roadmap / "genes.tsv", roadmap / "remc_reads_per_file.tsv", tmp_path))
        for npz in sorted(shared_data.glob("e0*/*.covered_bases.npz"))
    ]
    profile = profile_features(features[0])
    one, two = features[0].marks[:2]
    order = [1, 0, *range(2, len(features[0].marks))]
    swapped = profile_features(replace(features[0], counts=features[0].counts[:, :, order], metadata={}))
    assert swap(profile, one, two).correlations == swapped.correlations
    assert swap(profile, one, two).marks[one].shape == swapped.marks[one].shape
    found = measure(features)
    assert (found["comparisons"], found["refused"]) == (99, [])
    assert (found["swaps"], found["swaps not refused"]) == (70, [])
    assert len(found["warnings about whole epigenomes"]) == 4
    assert all(": H3K27me3: " in text for text in found["warnings about whole epigenomes"])
    assert max(found["largest distance of a shape"].values()) == pytest.approx(0.0107, abs=1e-4)
    assert max(found["largest factor between shares in windows"].values()) == pytest.approx(2.45, abs=0.01)
