"""Every file that is neither reads nor signal is refused by name, with the way out, and nothing is written for it."""

from pathlib import Path

import pytest
from support.tiny import dc, featurize, reads_text, write_genes_and_sizes
from support.wrong_files import WRONG_FILES, WrongFile

from deepchrome.cli.remedies import REMEDIES
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.regions import genome_bins
from deepchrome.engine.features.summary import SUMMARY_COLUMNS
from deepchrome.engine.regioncounts.count import count_files
from deepchrome.errors import BadDataError

pytestmark = pytest.mark.bedtools
GENOME = Genome("test", {"chr1": 10_000})
NEITHER_READS_NOR_SIGNAL = [wrong for wrong in WRONG_FILES if wrong.kind != "bigwig"]


@pytest.mark.parametrize("wrong", NEITHER_READS_NOR_SIGNAL, ids=str)
def test_featurize_refuses_a_wrong_file(wrong: WrongFile, tmp_path: Path) -> None:
    """Epigenomes with right files are counted as if the wrong one were not there."""
    if wrong.package:
        pytest.importorskip(wrong.package)
    write_genes_and_sizes(tmp_path)
    path, right = tmp_path / "E1-A.bed", tmp_path / "E2-A.bed"
    wrong.write(path)
    right.write_bytes(reads_text(100))
    ran = featurize(tmp_path, path, right)
    assert ran.code == 65
    (line,) = [line for line in ran.err.splitlines() if line.startswith("dc: ")]
    assert line.startswith(f"dc: {path}: this is a")
    for part in (*wrong.says, REMEDIES.get(wrong.remedy, "")):
        assert part in line
    assert sorted(file.name for file in (tmp_path / "out").glob("*.parquet")) == ["E2.parquet"]
    header, *rows = [row.split("\t") for row in (tmp_path / "out" / "summary.tsv").read_text().splitlines()]
    assert tuple(header) == SUMMARY_COLUMNS
    assert rows[0][:2] == ["E1", "A"]
    assert rows[0][-1].startswith(f"failed: {path}: this is a")
    assert set(rows[0][2:-1]) == {""}
    assert rows[1][-1] == "done"


@pytest.mark.parametrize("wrong", NEITHER_READS_NOR_SIGNAL, ids=str)
def test_count_refuses_a_wrong_file(wrong: WrongFile, tmp_path: Path) -> None:
    if wrong.package:
        pytest.importorskip(wrong.package)
    path = tmp_path / "reads.bed"
    wrong.write(path)
    with pytest.raises(BadDataError) as caught:
        count_files([path], genome_bins(GENOME, 500), GENOME)
    assert str(caught.value).startswith(f"{path}: this is a")
    assert all(part in str(caught.value) for part in wrong.says)
    assert caught.value.remedy == wrong.remedy


def test_count_writes_nothing_for_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "signal.bed").write_text("chr1\t0\t100\t0.5\nchr1\t100\t200\t4\n")
    (tmp_path / "peaks.bed").write_text("chr1\t0\t100\n")
    signal, peaks, out = (tmp_path / name for name in ("signal.bed", "peaks.bed", "counts.tsv"))
    ran = dc("count", signal, "--regions", peaks, "--genome", "hg19", "--out", out)
    assert ran.code == 65
    assert "signal.bed: this is a bedGraph file" in ran.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["peaks.bed", "signal.bed"]
