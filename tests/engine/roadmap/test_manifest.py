"""Manifests: the bundled one, bad rows, and the selection of files."""

import hashlib
from pathlib import Path

import pytest
from support.downloads import CRC_WRONG, NOISE, READS, DownloadSetup, file_name
from support.tiny import dc
from support.web import Fault

from deepchrome.engine.roadmap.manifest import read_manifest, select_entries
from deepchrome.errors import BadDataError, MissingInputError, UsageError

pytestmark = pytest.mark.campaign("network")


def test_bundled_manifest() -> None:
    """It lists 635 files of reads and three tables, without sizes and hashes: Roadmap publishes none."""
    entries = read_manifest()
    reads = [entry for entry in entries if entry.kind == "reads"]
    wanted = {f"E{i:03d}" for i in range(1, 130)} - {"E060", "E064"}
    marks = {"H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"}
    assert {(entry.epigenome, entry.mark) for entry in reads} == {(e, m) for e in wanted for m in marks}
    assert len(reads) == 635
    root = "https://egg2.wustl.edu/roadmap/data/"
    for entry in reads:
        assert entry.file == f"{entry.epigenome}-{entry.mark}.tagAlign.gz"
        assert entry.url == f"{root}byFileType/alignments/consolidated/{entry.file}"
    tables = {entry.file: entry for entry in entries if entry.kind != "reads"}
    assert set(tables) == {"57epigenomes.RPKM.pc.gz", "Ensembl_v65.Gencode_v10.ENSG.gene_info", "EG.name.txt"}
    assert all(entry.url == f"{root}byDataType/rna/expression/{file}" for file, entry in tables.items())


BAD_ROWS = {
    "kind": ("tracks\tE1\tA\thttp://h/E1-A.bed.gz\t\t", "unknown kind 'tracks' (expected reads, "),
    "epigenome": ("reads\t../E1\tA\thttp://h/E1-A.bed.gz\t\t", "'../E1' is not a valid name for an epigenome"),
    "mark": ("reads\tE1\t/A\thttp://h/E1-A.bed.gz\t\t", "'/A' is not a valid name for a mark"),
    "no mark": ("reads\tE1\t\thttp://h/E1-A.bed.gz\t\t", "'' is not a valid name for a mark"),
    "url": ("reads\tE1\tA\t/etc/passwd\t\t", "'/etc/passwd' is not a URL"),
    "scheme": ("reads\tE1\tA\tfile:///E1-A.bed.gz\t\t", "is not a URL. Use http://, https:// or s3://"),
    "secret": ("genes\t\t\tftp://me:pw@h/genes.tsv\t\t", "'ftp://h/genes.tsv' is not a URL"),
    "suffix": (
        "reads\tE1\tA\thttp://h/page.html?x=.bed\t\t",
        "must end in .tagAlign, .bed, .bam or .cram, optionally followed by .gz or .bgz",
    ),
    "bytes": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t-1\t", "'-1' is not a number of bytes"),
    "digits": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t٣\t", "is not a number of bytes"),
    "hash": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t\tabc", "'abc' is not a SHA-256"),
    "table of an epigenome": ("genes\tE1\t\thttp://h/genes.tsv\t\t", "only reads have an epigenome and a mark"),
    "path": ("genes\t\t\thttp://h/..%2F..%2Fgenes.tsv\t\t", "is not a valid name for a file"),
    "dots": ("genes\t\t\thttp://h/..\t\t", "is not a valid name for a file"),
    "hidden": ("genes\t\t\thttp://h/.lock\t\t", "the URL ends in '.lock', a name reserved for files of the download"),
    "record": (
        "genes\t\t\thttp://h/manifest.tsv\t\t",
        "the URL ends in 'manifest.tsv', a name reserved for files of the download",
    ),
    "part": (
        "genes\t\t\thttp://h/E1-A.bed.part\t\t",
        "the URL ends in 'E1-A.bed.part', a name reserved for files of the download",
    ),
    "columns": ("reads\tE1\tA", "3 columns where the header has 6"),
    "twice": (
        "genes\t\t\thttp://h/a/X\t\t\nepigenomes\t\t\thttp://h/b/x\t\t",
        ":3: the file name x is already used by ",
    ),
}


@pytest.mark.parametrize("how", BAD_ROWS)
def test_bad_row_is_refused(how: str, setup: DownloadSetup) -> None:
    row, message = BAD_ROWS[how]
    setup.add_row(row)
    with pytest.raises(BadDataError) as caught:
        read_manifest(setup.manifest)
    assert str(caught.value).startswith(f"{setup.manifest}:")
    assert message in str(caught.value)
    assert setup.dc().code == 65
    assert not setup.out.exists()


def test_file_name_comes_from_epigenome_and_mark(setup: DownloadSetup) -> None:
    """Only the suffix comes from the URL."""
    setup.add_row(f"reads\tE1\tA\t{setup.web.put('a/b/whatever%2F..%2Fx.BED.gz', READS)}\t\t")
    assert setup.dc().code == 0
    assert setup.files() == ["E1-A.BED.gz", "manifest.tsv"]


def test_selection_of_epigenomes_marks_and_tables(setup: DownloadSetup, tmp_path: Path) -> None:
    for i in (1, 2):
        for mark in ("A", "B"):
            setup.add_reads(f"E00{i}-{mark}")
    setup.add_row(f"genes\t\t\t{setup.web.put('genes.txt', b'x')}\t\t")

    def selected(*options: str) -> list[str]:
        return [row["file"].split(".")[0] for row in setup.dc("--dry-run", "--json", *options).json()]

    assert selected() == ["E001-A", "E001-B", "E002-A", "E002-B", "genes"]
    assert selected("--marks", "all", "--no-tables") == ["E001-A", "E001-B", "E002-A", "E002-B"]
    assert selected("--epigenomes", "E002", "--marks", "B") == ["E002-B", "genes"]
    for options, message in (
        (("--epigenomes", "E003"), "E003: not in the manifest; it has E001, E002"),
        (("--marks", "A,C"), "C: not in the manifest; it has A, B"),
        (("--marks", "core"), "not in the manifest; it has A, B"),
        (("--jobs", "17"), "less than or equal to 16"),
    ):
        ran = setup.dc(*options)
        assert ran.code == 2
        assert message in ran.err
    entries = read_manifest()
    assert len(select_entries(entries, ["E003"], ["H3K27ac", "H3K4me3"], tables=False, by_rule=True)) == 2
    with pytest.raises(UsageError, match=r"^E060: not in the manifest; it has E001, E002, E003, E004, \.\.\., E129$"):
        select_entries(entries, ["E060"], None, tables=True, by_rule=True)
    with pytest.raises(BadDataError, match="is not a valid name for a mark"):
        select_entries(entries, ["E003"], ["../x"], tables=True, by_rule=True)
    only_tables = [entry for entry in entries if entry.kind != "reads"]
    with pytest.raises(UsageError, match="no file in the manifest matches"):
        select_entries(only_tables, None, None, tables=False, by_rule=False)
    with pytest.raises(MissingInputError, match="no such file"):
        read_manifest(tmp_path / "absent")


def test_manifest_can_be_its_own_record(setup: DownloadSetup) -> None:
    """Rows of files that were not downloaded stay."""
    setup.out.mkdir()
    setup.manifest = setup.out / "manifest.tsv"
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", NOISE, always=Fault(cut_after=5))
    assert setup.dc().code == 74
    assert setup.record()[file_name(1)][4:] == [str(len(READS)), hashlib.sha256(READS).hexdigest()]
    assert setup.record()[file_name(2)][4:] == ["", ""]


SECRET = "X-Amz-Signature=5ec7e7"


def test_secrets_in_urls_are_never_shown_or_written(setup: DownloadSetup) -> None:
    """A signed URL is used, but neither printed nor written to a file."""
    setup.add_reads("E001-A", query=f"?{SECRET}")
    setup.add_reads("E002-A", CRC_WRONG, query=f"?{SECRET}")
    setup.add_reads("E003-A", NOISE, query=f"?{SECRET}", always=Fault(cut_after=70_000))
    setup.manifest.write_text(setup.manifest.read_text().replace("//", "//me:pw@"))
    ran = setup.dc()
    assert ran.code == 65
    assert any(SECRET in asked.path for asked in setup.web.log)
    assert any("Authorization" in asked.headers for asked in setup.web.log)
    texts = [ran.out, ran.err, setup.dc("--dry-run").out, *(path.read_text("latin-1") for path in setup.out.iterdir())]
    for text in texts:
        assert "5ec7e7" not in text
        assert "pw@" not in text
    pinned = setup.out / "manifest.tsv"
    pinned.write_text(setup.manifest.read_text())
    ran = dc("download", "--manifest", pinned, "--out", setup.out)
    assert ran.code == 2
    assert "would overwrite this manifest and remove the passwords and queries" in ran.err
