"""Samples from file names, directories and tables, and names that are not safe as file names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deepchrome.common.names import check_name
from deepchrome.engine.features.samples import Sample, find_samples, read_samples
from deepchrome.errors import BadDataError, MissingInputError, UsageError

HOSTILE = ("", ".", "..", "../x", "a/b", "/etc/passwd", "a b", "a\n", "a\0", "é", "<b>", "a" * 65, "a\\b", "$(x)")


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(BadDataError, match=r"^here: .* is not a valid name for a thing. Use 1 to 64 letters"):
        check_name(name, "a thing", "here")
    for given in (f"{name}-H3K4me3", f"E003-{name}"):
        with pytest.raises((BadDataError, UsageError), match=r"^name(: | must have the form)"):
            find_samples(["-"], given)


@pytest.mark.parametrize("name", ["E003", "a" * 64, "A.b_c+d-e", "...", "-", "H2A.Z"])
def test_safe_names_are_accepted(name: str) -> None:
    assert check_name(name, "a thing", "here") == name


@pytest.mark.parametrize(
    ("name", "epigenome", "mark"),
    [
        ("E003-H3K4me3.tagAlign.gz", "E003", "H3K4me3"),
        ("K562-H3K4me3.chr22.tagAlign.gz", "K562", "H3K4me3"),
        ("T-cell-CD4-H3K27ac.bam", "T-cell-CD4", "H3K27ac"),
        ("E003-H2A.Z.bed", "E003", "H2A.Z"),
        ("E003-H3.3.bed", "E003", "H3.3"),
        ("E003.v2-DNase.cram", "E003.v2", "DNase"),
        ("E003-input.anything", "E003", "input"),
    ],
)
def test_file_name_gives_epigenome_and_mark(name: str, epigenome: str, mark: str, touch: Callable[..., Path]) -> None:
    path = str(touch(name) / name)
    assert find_samples([path]) == [Sample(epigenome, mark, path)]


@pytest.mark.parametrize("name", ["reads.bed", "E003_H3K4me3.bed", "E003-H3K4me3", "-H3K4me3.bed", "E003-.bed"])
def test_other_file_names_are_refused_without_name(name: str, touch: Callable[..., Path]) -> None:
    path = touch(name) / name
    with pytest.raises(UsageError, match=f"^{path}: the file name does not give epigenome and mark. Rename") as caught:
        find_samples([str(path)])
    assert caught.value.remedy == "samples"
    assert find_samples([str(path)], "E1-A") == [Sample("E1", "A", str(path))]


def test_unsafe_epigenome_in_a_file_name_is_refused(touch: Callable[..., Path]) -> None:
    path = touch("E 3-H3K4me3.bed") / "E 3-H3K4me3.bed"
    with pytest.raises(BadDataError, match="'E 3' is not a valid name for an epigenome"):
        find_samples([str(path)])


def test_only_reads_of_a_directory_are_found(touch: Callable[..., Path]) -> None:
    """Indexes, checksums, tables, unfinished downloads and hidden files of macOS are not reads."""
    reads = ["E003-A.bam", "E003-B.TAGALIGN.gz", "E004-A.bed.bgz", "E004-B.chr1.cram"]
    others = ["E003-A.bam.bai", "E003-A.bam.csi", "E004-B.chr1.cram.crai", "E004-A.bed.bgz.tbi", "E004-A.bed.bgz.gzi"]
    others += ["E003-B.tagAlign.gz.md5", "E005-A.bed.gz.part", "._E003-A.bam", "E003-A.bam~", "genes.tsv", "E003-A.txt"]
    folder = touch(*reads, *others, "E009-A.bed/below")
    assert [Path(sample.path).name for sample in find_samples([str(folder)])] == reads
    empty = touch("empty/genes.tsv") / "empty"
    with pytest.raises(MissingInputError, match=f"^{empty}: no files of reads in this directory"):
        find_samples([str(empty)])


def test_invalid_choices_of_reads_are_refused(touch: Callable[..., Path]) -> None:
    folder = touch("E1-A.bed", "E1-A.bam", "E1-tss.bed")
    bed, bam, tss = (str(folder / name) for name in ("E1-A.bed", "E1-A.bam", "E1-tss.bed"))
    with pytest.raises(UsageError, match=rf"^{bam}: E1 A is given twice \(also by {bed}\)$"):
        find_samples([bed, bam])
    with pytest.raises(UsageError, match="given twice"):
        find_samples([bed, bed])
    with pytest.raises(UsageError, match=f"^{tss}: 'tss' is not a valid name for a mark"):
        find_samples([tss])
    with pytest.raises(UsageError, match=r"^-: standard input has no file name") as caught:
        find_samples([bed, "-"])
    assert caught.value.remedy == "name"
    with pytest.raises(UsageError, match=r"^name applies to a single file of reads, got 2 files$"):
        find_samples([bed, bam], "E1-A")
    with pytest.raises(MissingInputError, match=r"^absent-A\.bed: no such file or directory"):
        find_samples([bed, "absent-A.bed"])
    with pytest.raises(MissingInputError, match=r"^absent: no such file"):
        find_samples(["absent"], "E1-A")
    assert find_samples(["-"], "E1-A") == [Sample("E1", "A", "-")]


def test_table_of_samples_is_read(touch: Callable[..., Path]) -> None:
    """Columns in any order, other columns, comments, CRLF, a byte order mark, and paths relative to the table."""
    folder = touch("data/x.gz", "data/y.gz")
    table = folder / "data" / "samples.tsv"
    rows = ["mark\tnote\tpath\tepigenome", "A\t\tx.gz\tE2", "# out\tof\tuse\tE", "", "B\tb\t-\tE1", f"A\t\t{table}\tE1"]
    wanted = [Sample("E2", "A", str(folder / "data" / "x.gz")), Sample("E1", "B", "-"), Sample("E1", "A", str(table))]
    for end in ("\n", "\r\n"):
        for mark in ("", "\ufeff"):
            table.write_text(mark + end.join(rows), encoding="utf-8", newline="")
            assert read_samples(table) == wanted


HEADER = "epigenome\tmark\tpath\n"
BAD_TABLES = {
    "empty": ("", ":1: no column epigenome, mark, path (expected"),
    "no mark": ("epigenome\tpath\nE1\tx.gz\n", ":1: no column mark ("),
    "spaces": ("epigenome mark path\nE1 A x.gz\n", ":1: no column epigenome, mark, path"),
    "short row": (HEADER + "# c\nE1\tA\n", ":3: 2 columns where the header has 3"),
    "long row": (HEADER + "E1\tA\tx.gz\t\n", ":2: 4 columns where the header has 3"),
    "hostile epigenome": (HEADER + "\n../E1\tA\tx.gz\n", ":3: '../E1' is not a valid name for an epigenome"),
    "hostile mark": (HEADER + "E1\tA/B\tx.gz\n", ":2: 'A/B' is not a valid name for a mark"),
    "no row": (HEADER + "# E1\tA\tx.gz\n", ": no samples in this table"),
}


@pytest.mark.parametrize("how", BAD_TABLES)
def test_bad_table_of_samples_is_refused(how: str, touch: Callable[..., Path]) -> None:
    text, message = BAD_TABLES[how]
    table = touch("x.gz") / "samples.tsv"
    table.write_text(text)
    with pytest.raises(BadDataError) as caught:
        read_samples(table)
    assert str(caught.value).startswith(f"{table}{message}")


def test_missing_tables_and_files_are_refused(touch: Callable[..., Path]) -> None:
    folder = touch("x.gz")
    table = folder / "samples.tsv"
    table.write_text(HEADER + "E1\tA\tx.gz\nE1\tB\ty.gz\n")
    with pytest.raises(MissingInputError, match=f"^{table}:3: {folder / 'y.gz'}: no such file"):
        read_samples(table)
    for missing in (folder / "absent.tsv", folder):
        with pytest.raises(MissingInputError, match=f"^{missing}: (no such file|is a directory)"):
            read_samples(missing)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadDataError, match="not a table of samples"):
        read_samples(table)
    for again in ("E1\tA\tx.gz\nE1\tA\tx.gz\n", "E1\tA\t-\nE1\tB\t-\n"):
        table.write_text(HEADER + again)
        with pytest.raises(UsageError, match=r"given twice|more than one sample"):
            read_samples(table)
