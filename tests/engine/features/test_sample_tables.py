"""Tables of samples as other programs write them: CSV, sample sheets of nf-core, and ENCODE's metadata.tsv."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny import counts_of, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.engine.features.samples import Sample, read_samples
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError, MissingInputError, UsageError

ENCODE_COLUMNS = [
    "File accession",
    "File format",
    "File type",
    "File format type",
    "Output type",
    "File assembly",
    "Experiment accession",
    "Assay",
    "Donor(s)",
    "Biosample term id",
    "Biosample term name",
    "Biosample type",
    "Biosample organism",
    "Biosample treatments",
    "Biosample treatments amount",
    "Biosample treatments duration",
    "Biosample genetic modifications methods",
    "Biosample genetic modifications categories",
    "Biosample genetic modifications targets",
    "Experiment target",
    "Project",
    "Biological replicate(s)",
    "Technical replicate(s)",
    "Size",
    "Lab",
    "md5sum",
    "File download URL",
    "Controlled by",
    "File Status",
]
URL = "https://www.encodeproject.org/files/{0}/@@download/{0}.bam"
Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Return a function that writes a table and empty files beside it."""

    def write(text: str, *files: str, name: str = "samples.csv") -> Path:
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        return tmp_path / name

    return write


def read(path: Path, pool: bool = False) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return epigenome, mark and path of the samples, relative to the table, and the notes without its name."""
    notes: list[str] = []
    samples = read_samples(path, pool=pool, notes=notes)
    folder = f"{path.parent}/"
    rows = [(sample.epigenome, sample.mark, sample.path.removeprefix(folder)) for sample in samples]
    assert all(note.startswith(f"{path}: ") for note in notes)
    return rows, [note.removeprefix(f"{path}: ") for note in notes]


def encode(*rows: dict[str, str], columns: list[str] = ENCODE_COLUMNS) -> str:
    """Return a table of ENCODE with these rows; what they do not have is as in a row of alignments."""
    lines = ["\t".join(columns)]
    for i, row in enumerate(rows):
        accession = f"ENCFF{i:03}AAA"
        fields = {
            "File accession": accession,
            "File format": "bam",
            "Output type": "alignments",
            "File assembly": "GRCh38",
            "Experiment accession": "ENCSR000AAA",
            "Assay": "Histone ChIP-seq",
            "Biosample term name": "K562",
            "Biosample organism": "Homo sapiens",
            "Experiment target": "H3K4me3-human",
            "Biological replicate(s)": "1",
            "File download URL": URL.format(row.get("File accession", accession)),
            "File Status": "released",
        } | row
        lines.append("\t".join(fields.get(column, "") for column in columns))
    return "\n".join(lines) + "\n"


# --- CSV ---


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_csv_is_read(delimiter: str, end: str, table: Table) -> None:
    """Quotes protect delimiters, quotes and line breaks. Comments and empty lines are skipped."""
    rows = [
        "\ufeffnote,mark,path,epigenome",
        '"a, b; ""c""",H3K4me3,"x, 1.bam",E1',
        "",
        "# a,comment",
        ",,,",
        '"two\nlines",DNase,y.bam,"E2"',
    ]
    text = end.join(rows) + end
    if delimiter == ";":
        text = text.replace("note,mark,path,epigenome", "note;mark;path;epigenome")
        text = text.replace('",H3K4me3,"x, 1.bam",E1', '";H3K4me3;"x, 1.bam";E1').replace(",,,", ";;;")
        text = text.replace('lines",DNase,y.bam,"E2"', 'lines";DNase;y.bam;"E2"')
    path = table(text, "x, 1.bam", "y.bam")
    assert read(path) == ([("E1", "H3K4me3", "x, 1.bam"), ("E2", "DNase", "y.bam")], [])


def test_a_tab_in_the_header_makes_it_tsv(table: Table) -> None:
    """Quotes and commas are then part of the fields."""
    path = table('epigenome\tmark\tpath\tnote, "x"\nE1\tA\ta,b".bam\t"\n', 'a,b".bam')
    assert read(path) == ([("E1", "A", 'a,b".bam')], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epigenome,mark,path\nE1,A\n", ":2: 2 columns where the header has 3"),
        ('epigenome,mark,path\n"E1\n\n",A,x.bam,\n', ":4: 4 columns where the header has 3"),
        ('epigenome,mark,path\nE1,A,"x.bam\n', ":2: not a valid CSV table (unexpected end of data)"),
        ('epigenome,mark,path\nE1,A,"x"y\n', ":2: not a valid CSV table ("),
        ("epigenome,mark,path,mark\nE1,A,x.bam,B\n", ":1: two columns have the name mark"),
        ("epigenome,mark\nE1,A\n", ":1: no column path (expected epigenome, mark, path, separated by tabs or commas"),
        ("epigenome,mark,path\n", ": no samples in this table"),
        ("epigenome,mark,path\nE 1,A,x.bam\n", ":2: 'E 1' is not a valid name for an epigenome"),
    ],
)
def test_bad_csv_is_refused(text: str, message: str, table: Table) -> None:
    path = table(text, "x.bam")
    with pytest.raises(BadDataError) as caught:
        read_samples(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_several_files_of_a_sample_need_pool(table: Table) -> None:
    path = table("epigenome,mark,path\nE1,A,x.bam\nE1,A,y.bam\n", "x.bam", "y.bam")
    with pytest.raises(UsageError, match=r"y\.bam: E1 A is given twice") as caught:
        read_samples(path)
    assert caught.value.remedy == "pool"
    folder = path.parent
    assert read_samples(path, pool=True) == [Sample("E1", "A", str(folder / name)) for name in ("x.bam", "y.bam")]
    path = table("epigenome,mark,path\nE1,A,x.bam\nE1,A,./x.bam\n")
    with pytest.raises(UsageError, match="this file is given twice for E1 A"):
        read_samples(path, pool=True)


# --- nf-core ---

CHIPSEQ = "sample,fastq_1,fastq_2,replicate,antibody,control,control_replicate"
SHEET = f"""{CHIPSEQ},bam
WT_K4,a_L1.fastq.gz,,1,H3K4me3,WT_INPUT,1,bam/WT_K4_REP1.bam
WT_K4,a_L2.fastq.gz,,1,H3K4me3,WT_INPUT,1,bam/WT_K4_REP1.bam
WT_K4,b.fastq.gz,,2,H3K4me3,WT_INPUT,1,bam/WT_K4_REP2.bam
WT_CTCF,c.fastq.gz,,1,CTCF,WT_IGG,1,bam/WT_CTCF_REP1.bam
WT_INPUT,i.fastq.gz,,1,,,,bam/WT_INPUT_REP1.bam
WT_IGG,g.fastq.gz,,1,IgG,,,
"""
SHEET_FILES = ("bam/WT_K4_REP1.bam", "bam/WT_K4_REP2.bam", "bam/WT_CTCF_REP1.bam")


def test_sample_sheet_with_bam_files(table: Table) -> None:
    """Lanes of one library are one file. Controls are left out: rows without an antibody, and named controls."""
    rows, notes = read(table(SHEET, *SHEET_FILES), pool=True)
    assert rows == [("WT_K4", "H3K4me3", f) for f in SHEET_FILES[:2]] + [("WT_CTCF", "CTCF", SHEET_FILES[2])]
    assert notes == [
        "a sample sheet of nf-core; epigenomes are from sample, marks from antibody, files from bam",
        "2 rows of controls or without an antibody left out",
        "1 row with the same sample and file as an earlier one left out",
    ]
    with pytest.raises(UsageError, match="is given twice"):
        read_samples(table(SHEET))


def test_older_sample_sheet_names_groups(table: Table) -> None:
    text = "group,replicate,fastq_1,fastq_2,antibody,control,bam_file\nWT,1,a.fastq.gz,,K4,IN,x.bam\nIN,1,i.fq.gz,,,,\n"
    rows, notes = read(table(text, "x.bam"))
    assert rows == [("WT", "K4", "x.bam")]
    assert notes[0].endswith("epigenomes are from group, marks from antibody, files from bam_file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{CHIPSEQ}\nWT,a.fastq.gz,,1,K4,IN,1\n", ":1: a sample sheet of nf-core with FASTQ files"),
        ("group,replicate,fastq_1,fastq_2,control\nk4,1,a.fq.gz,b.fq.gz,igg\n", ":1: a sample sheet of nf-core with"),
        (
            "group,replicate,fastq_1,bam\nk4,1,a.fq.gz,x.bam\n",
            ":1: a sample sheet of nf-core without a column antibody",
        ),
        (f"{CHIPSEQ},bam\nWT,a.fastq.gz,,1,K4,IN,1,\n", ":2: WT has no bam. Give the BAM file of every sample"),
        (f"{CHIPSEQ},bam\nIN,a.fastq.gz,,1,,,,x.bam\n", ": no samples in this table"),
    ],
)
def test_sample_sheet_without_files_or_marks_is_refused(text: str, message: str, table: Table) -> None:
    path = table(text, "x.bam")
    with pytest.raises(BadDataError) as caught:
        read_samples(path)
    assert str(caught.value).startswith(f"{path}{message}")
    if "FASTQ" in message:
        for name in ("_REP<replicate>.mLb.clN.sorted.bam", "_R<replicate>.target.markdup.sorted.bam", "column bam"):
            assert name in str(caught.value)


def test_bam_file_of_a_sample_sheet_must_exist(table: Table) -> None:
    with pytest.raises(MissingInputError, match=r"samples.csv:4: .*WT_K4_REP2.bam: no such file"):
        read_samples(table(SHEET, SHEET_FILES[0], SHEET_FILES[2]), pool=True)


def test_what_is_left_out_is_printed(table: Table) -> None:
    """By ``dc featurize``, which counts the files, and by ``dc verify``, which finds them in the same table."""
    text = f"{CHIPSEQ},bam\nWT,a.fq.gz,,1,K4,IN,1,a.bed\nWT,b.fq.gz,,2,K4,IN,1,b.bed\nIN,i.fq.gz,,1,,,,\n"
    path = table(text)
    write_genes_and_sizes(path.parent)
    for i, name in enumerate(("a.bed", "b.bed")):
        (path.parent / name).write_bytes(reads_text(300, i))
    ran = featurize(path.parent, "--samples", path, "--pool")
    assert ran.code == 0, ran.err
    counts = read_features(path.parent / "out" / "WT.parquet").counts
    assert (counts[:, :, 0] == counts_of(reads_text(300, 0) + reads_text(300, 1))).all()
    left_out = f"{path}: 1 row of controls or without an antibody left out\n"
    assert left_out in ran.err
    ran = dc("verify", path.parent / "out", "--samples", path, "--genome", path.parent / "small.sizes")
    assert ran.code == 0, ran.err
    assert left_out in ran.err
    assert "600 reads (600 stored)\tequal" in ran.out


# --- ENCODE ---


def test_metadata_of_encode(table: Table) -> None:
    """Files beside the table are used; names are made safe; other formats and controls are left out."""
    text = encode(
        {},
        {"Experiment target": "H3K27ac-human"},
        {"Biosample term name": "CD14-positive monocyte", "Experiment target": "H3K4me3-mouse"},
        {"Assay": "DNase-seq", "Experiment target": "", "Biosample term name": "K562"},
        {"Assay": "Control ChIP-seq", "Experiment target": ""},
        {"File format": "fastq", "Output type": "reads", "File assembly": ""},
        {"File format": "bigWig", "Output type": "signal p-value"},
        {"Experiment target": "Control-human"},
    )
    rows, notes = read(table(text, "ENCFF000AAA.bam", "ENCFF001AAA.tagAlign.gz", "ENCFF001AAA.bam.bai"))
    assert rows == [
        ("K562", "H3K4me3", "ENCFF000AAA.bam"),
        ("K562", "H3K27ac", "ENCFF001AAA.tagAlign.gz"),
        ("CD14-positive_monocyte", "H3K4me3", URL.format("ENCFF002AAA")),
        ("K562", "DNase", URL.format("ENCFF003AAA")),
    ]
    assert notes == [
        "the metadata table of ENCODE; reads: alignments (GRCh38)",
        "2 rows of controls left out",
        "2 rows of other formats left out (bigWig 1, fastq 1)",
        "2 files not beside the table, read from the web",
    ]


def test_signal_is_used_where_there_are_no_reads(table: Table) -> None:
    rows, notes = read(table(encode({"File format": "bigWig", "Output type": "signal p-value"}), "ENCFF000AAA.bigWig"))
    assert rows == [("K562", "H3K4me3", "ENCFF000AAA.bigWig")]
    assert notes == ["the metadata table of ENCODE; signal: signal p-value (GRCh38)"]


def test_older_metadata_of_encode(table: Table) -> None:
    columns = [{"File assembly": "Assembly"}.get(name, name) for name in ENCODE_COLUMNS]
    rows, notes = read(table(encode({"Assembly": "hg19"}, columns=columns), "ENCFF000AAA.bam"))
    assert rows == [("K562", "H3K4me3", "ENCFF000AAA.bam")]
    assert notes == ["the metadata table of ENCODE; reads: alignments (hg19)"]
    both = encode({"Assembly": "hg19"}, {"Assembly": "GRCh38"}, columns=columns)
    with pytest.raises(BadDataError, match=r"files with 2 values of 'Assembly' \(hg19 1, GRCh38 1\)"):
        read_samples(table(both))


def test_treated_samples_are_not_those_without_treatment(table: Table) -> None:
    treated = {
        "Biosample treatments": "dexamethasone",
        "Biosample treatments amount": "100 nM",
        "Biosample treatments duration": "1 hour",
    }
    rows, _ = read(table(encode({"Biosample term name": "A549"}, {"Biosample term name": "A549"} | treated)))
    assert [row[0] for row in rows] == ["A549", "A549_dexamethasone_100_nM_1_hour"]


def test_replicates_of_encode_are_pooled(table: Table) -> None:
    rows = [{}, {"Biological replicate(s)": "2"}, {"Experiment accession": "ENCSR000BBB"}]
    path = table(encode(*rows))
    found, notes = read(path, pool=True)
    assert [row[:2] for row in found] == [("K562", "H3K4me3")] * 3
    assert (
        "K562 H3K4me3 has files of 2 experiments (ENCSR000AAA, ENCSR000BBB): donors or treatments may differ" in notes
    )
    with pytest.raises(UsageError, match="K562 H3K4me3 is given twice"):
        read_samples(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{}, {}, {"Output type": "unfiltered alignments"}],
            "files with 2 values of 'Output type' (alignments 2, unfiltered alignments 1), which must not be mixed. "
            "Keep one of them, for example with awk -F'\\t' 'NR == 1 || $5 == \"alignments\"'",
        ),
        ([{"File assembly": "hg19"}, {}], "files with 2 values of 'File assembly' (hg19 1, GRCh38 1)"),
        (
            [{"Biosample term name": "T cell"}, {"Biosample term name": "T-cell"}, {"Biosample term name": "T/cell"}],
            "'T cell' and 'T/cell' would both be named T_cell",
        ),
        (
            [{"File format": "fastq"}, {"File format": "bed narrowPeak", "Output type": "peaks"}],
            "(formats: bed narrowPeak, fastq)",
        ),
        ([{"Experiment target": ""}], "without files of aligned reads or signal (formats: none)"),
        ([{"File download URL": ""}], "no file of ENCFF000AAA beside the table, and no File download URL"),
        ([{"Biosample term name": "x" * 70}], "is not a valid name for an epigenome"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused(rows: list[dict[str, str]], message: str, table: Table) -> None:
    path = table(encode(*rows), name="metadata.tsv")
    with pytest.raises(BadDataError) as caught:
        read_samples(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_two_files_of_one_accession_are_refused(table: Table) -> None:
    row = {"File download URL": ""}
    with pytest.raises(
        BadDataError, match=r"several files of ENCFF000AAA beside the table \(ENCFF000AAA.bam, ENCFF000"
    ):
        read_samples(table(encode(row), "ENCFF000AAA.bam", "ENCFF000AAA.bed.gz"))


@pytest.mark.parametrize("accession", ["../secret", "*", "a/b", ".", "[!x]"])
def test_accession_is_not_a_path(accession: str, table: Table) -> None:
    """A pattern or a path in the table finds no file."""
    path = table(encode({"File accession": accession, "File download URL": ""}), "sub/x.bam", name="sub/m.tsv")
    table("", "secret.bam", name="other")
    with pytest.raises(BadDataError, match="no file of"):
        read_samples(path)
