import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepchrome.engine.features.exports.csv import PUBLISHED_MARK_ORDER
from deepchrome.errors import BadDataError, MissingInputError, UsageError
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.inputs import InputOptions

PARTS = ("train", "valid", "test")


def text_of(genes, n_bins=3, n_marks=5, header=None, seed=0):
    """Return the text of genes (id, label), and their counts."""
    counts = np.random.default_rng(seed).integers(0, 50, (len(genes), n_bins, n_marks))
    lines = [header] if header else []
    for (gene, label), bins in zip(genes, counts, strict=True):
        lines += [f"{gene},{i},{','.join(map(str, reads))},{label}" for i, reads in enumerate(bins, 1)]
    return "\n".join(lines) + "\n", counts


@pytest.fixture
def data_set(tmp_path: Path):
    def write(**texts: str) -> Path:
        directory = tmp_path / "liver"
        directory.mkdir(exist_ok=True)
        default = text_of([("000003", 1), ("000005", 0)])[0]
        for part in PARTS:
            (directory / f"{part}.csv").write_text(texts.get(part, default))
        return directory

    return write


@pytest.mark.parametrize("header", [None, "GeneID,BinID,A,B,C,D,E,label"])
def test_three_files_make_one_data_set(tmp_path, header):
    directory = tmp_path / "my liver"
    directory.mkdir()
    contents = {"train": [("A", 1), ("B", 0), ("C", 1)], "valid": [("D", 0), ("E", 1)], "test": [("F", 0)]}
    everything = []
    for seed, (part, genes) in enumerate(contents.items()):
        text, counts = text_of(genes, header=header, seed=seed)
        everything.append(counts)
        data = text.encode()
        # One plain file, one gzip file with .gz in its name, one gzip file without.
        name = f"{part}.csv.gz" if part == "valid" else f"{part}.csv"
        (directory / name).write_bytes(data if part == "train" else gzip.compress(data))
    (data,), report = load_csv(directory)
    assert data.epigenome == "my_liver"
    assert data.marks == (tuple("ABCDE") if header else PUBLISHED_MARK_ORDER)
    assert data.gene_id == tuple("ABCDEF")
    assert data.x.dtype == np.float32
    assert (data.x == np.concatenate(everything)).all()
    assert data.y.tolist() == [1, 0, 1, 0, 1, 0]
    assert data.split.tolist() == [0, 0, 0, 1, 1, 2]
    assert report.inputs.marks == data.marks
    assert (report.inputs.n_bins, report.inputs.bin_size, report.inputs.transform) == (3, None, "counts")
    assert report.genes == 6
    assert report.notes == ("only one class of labels in test (1 genes)",)

    (logged,), report = load_csv(directory, InputOptions(transform="log1p"))
    np.testing.assert_allclose(logged.x, np.log1p(data.x), rtol=1e-6)
    assert report.inputs.transform == "log1p"


@given(st.integers(1, 7), st.integers(1, 6), st.lists(st.sampled_from([0, 1]), min_size=1, max_size=5))
def test_any_number_of_bins_marks_and_genes(tmp_path_factory, n_bins, n_marks, labels):
    directory = tmp_path_factory.mktemp("csv")
    text, counts = text_of([(f"G{i}", label) for i, label in enumerate(labels)], n_bins, n_marks)
    for part in PARTS:
        (directory / f"{part}.csv").write_text(text.replace("\n", "\r\n"))
    (data,), _ = load_csv(directory)
    assert (data.x == np.concatenate([counts] * 3)).all()
    assert data.y.tolist() == labels * 3
    assert len(data.marks) == n_marks


def test_counts_are_corrected_for_depth_by_ranks(data_set):
    """Doubled counts have the same ranks."""
    text, counts = text_of([("000003", 1), ("000005", 0)])
    rows = [line.split(",") for line in text.splitlines()]
    doubled = "\n".join(",".join((*row[:2], *(str(2 * int(n)) for n in row[2:-1]), row[-1])) for row in rows)
    ranks = InputOptions(transform="log1p", depth="ranks")
    (one,), report = load_csv(data_set(), ranks)
    (two,), _ = load_csv(data_set(train=doubled, valid=doubled, test=doubled), ranks)
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(one.reads(), np.concatenate([counts] * 3))
    assert report.inputs.depth == "ranks"


def test_values_that_are_no_counts_need_raw_depth(data_set):
    text = text_of([("000003", 1), ("000005", 0)])[0]
    rows = [line.split(",") for line in text.splitlines()]
    halves = "\n".join(",".join((*row[:2], *(str(int(n) / 2) for n in row[2:-1]), row[-1])) for row in rows)
    folder = data_set(train=halves)
    with pytest.raises(BadDataError, match="values that are no whole numbers cannot be corrected") as caught:
        load_csv(folder, InputOptions(depth="ranks"))
    assert caught.value.remedy == "raw_depth"
    (data,), _ = load_csv(folder)
    assert data.scales is None
    with pytest.raises(UsageError, match="has no numbers of reads to scale by"):
        load_csv(folder, InputOptions(depth="library-size"))


def test_one_gene_may_occur_twice_in_a_row(data_set):
    text, counts = text_of([("A", 1), ("A", 1), ("B", 0)])
    (data,), report = load_csv(data_set(train=text, valid=text.replace("A", "C"), test=text.replace("A", "D")))
    assert data.gene_id[:3] == ("A", "A", "B")
    assert (data.x[:3] == counts).all()
    assert report.duplicate_ids == 9 - 4
    assert any("1 test genes are training genes too, which inflates" in note for note in report.notes)


def test_marks_whose_counts_are_all_even_are_named(data_set):
    lines = [f"{gene},{i},{i},2,0,{2 * i},3,{label}" for gene, label in (("A", 0), ("B", 1)) for i in range(1, 4)]
    text = "\n".join(lines)
    _, report = load_csv(data_set(train=text, valid=text, test=text))
    notes = [note for note in report.notes if "even" in note]
    assert [note.split(":")[0] for note in notes] == [
        "every count of H3K36me3 is even",
        "every count of H3K4me3 is even",
    ]
    # One odd count in one of the three files is enough.
    _, report = load_csv(data_set(train=text, valid=text, test=text.replace("2,0,2,", "3,0,3,", 1)))
    assert not [note for note in report.notes if "even" in note]


def test_label_rule_is_recognized(data_set, tmp_path):
    # The median is 3. As texts, 13 and 25 are below it.
    rpkm = {"000001": 13, "000002": 25, "000003": 3, "000004": 2, "000005": 1, "000006": 4, "000007": 0.5}
    table = tmp_path / "rpkm.tsv"
    rows = [f"ENSG00000{gene}.1\t{5 * value % 7}\t{value}\n" for gene, value in rpkm.items()]
    table.write_text("gene_id\tE003\tE004\n" + "".join(rows))

    def note_of(labels):
        text = text_of([*zip(rpkm, labels, strict=True)])[0]
        return load_csv(data_set(train=text, valid=text, test=text), expression=table)[1].notes[-1]

    assert note_of([1, 1, 0, 0, 0, 1, 0]) == (
        "labels are numeric: 21 of 21 genes fit the rule on E004, 15 fit the published string comparison"
    )
    assert note_of([0, 0, 0, 0, 0, 1, 0]).startswith(
        "labels come from the published string comparison: 21 of 21 genes fit it on E004, 15 fit the numeric rule"
    )
    assert note_of([0, 1, 0, 1, 0, 1, 1]).startswith("labels fit no epigenome of")
    text = text_of([("OTHER", 0), ("TP53", 1)])[0]
    _, report = load_csv(data_set(train=text, valid=text, test=text), expression=table)
    assert "cannot be checked" in report.notes[-1]


GOOD = "A,1,1,1,1,1,1,1\nA,2,1,1,1,1,1,1\nB,1,1,1,1,1,1,0\nB,2,1,1,1,1,1,0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"valid\.csv: empty"),
        ("GeneID,BinID,M,label\n", "a header and no rows"),
        ("A,1,1\n", ":1: 3 columns, expected GeneID, BinID"),
        (GOOD.replace("A,2,1", "A,2"), ":2: 7 fields where line 1 has 8"),
        (GOOD.replace("A,2", "A,3"), ":2: BinID 3, expected 2"),
        (GOOD.replace("B,2", "B,3"), ":4: BinID 3, expected 2. Every gene needs the same 2 rows"),
        (GOOD + "C,1,1,1,1,1,1,0\n", r"ends within a gene \(1 of the 2 rows of C\)"),
        (GOOD.replace("A,2", "C,2"), ":2: gene C inside the rows of gene A"),
        (GOOD.replace("B,1,1", "B,1,x"), ":3: 'x' is not a count"),
        (GOOD.replace("B,1,1", "B,1,-1"), ":3: '-1' is not a count"),
        (GOOD.replace("B,1,1", "B,1,nan"), ":3: 'nan' is not a count"),
        (GOOD.replace("B,1,1", "B,1,"), ":3: '' is not a count"),
        (GOOD.replace("A,1,1", "A,one,1"), ":1: 'one' is not BinID"),
        ("id,bin,a,b,c,d,e,label\n" + GOOD.replace("B,1,1", "B,1,x"), ":4: 'x' is not a count"),
        (GOOD.replace(",0\n", ",2\n"), ":3: label 2, expected 0 or 1"),
        (GOOD.replace("1,0\n", "1,1\n", 1), ":4: label differs from that of the gene's first row"),
        ("id,bin,a,b,c,d,../e,label\n" + GOOD, ":1: '../e' is not a valid name for a mark"),
        ("id,bin,a,b,c,d,e,label\n" + GOOD, None),
        (GOOD, None),
    ],
)
def test_invalid_files_are_refused_with_file_and_line(data_set, text, message):
    directory = data_set(train=GOOD, valid=text, test=GOOD)
    if message is None:
        assert load_csv(directory)[1].genes == 6
        return
    with pytest.raises(BadDataError, match=message) as caught:
        load_csv(directory)
    assert "valid.csv" in str(caught.value)


def test_files_that_disagree_are_refused(data_set):
    other_bins, other_marks = text_of([("A", 1)], n_bins=4)[0], text_of([("A", 1)], n_marks=4)[0]
    with pytest.raises(BadDataError, match=r"test\.csv: 4 bins x 5 marks, but .*train\.csv has 3 bins x 5 marks"):
        load_csv(data_set(test=other_bins))
    with pytest.raises(BadDataError, match=r"test\.csv: 3 bins x 4 marks"):
        load_csv(data_set(test=other_marks))
    a, b = (text_of([("A", 1)], header=f"GeneID,BinID,{marks},label")[0] for marks in ("1a,b,c,d,e", "b,1a,c,d,e"))
    with pytest.raises(BadDataError, match=r"test\.csv:1: marks differ from those in .*train\.csv"):
        load_csv(data_set(train=a, test=b))


def test_missing_duplicate_and_cut_files_are_refused(data_set):
    directory = data_set()
    (directory / "valid.csv").rename(directory / "validation.csv")
    with pytest.raises(MissingInputError, match=r"no valid\.csv or valid\.csv\.gz"):
        load_csv(directory)
    directory = data_set()
    (directory / "test.csv.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(BadDataError, match=r"both test\.csv and test\.csv\.gz exist"):
        load_csv(directory)
    (directory / "test.csv").unlink()
    (directory / "test.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-5])
    with pytest.raises(BadDataError, match="truncated gzip"):
        load_csv(directory)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "suffix", "genes", "even", "fit"),
    [
        ("toy", ".csv", (10, 10, 9), ["H3K4me3"], "labels come from the published string comparison: 29 of 29 genes"),
        ("E003", ".csv.gz", (200, 200, 200), [], "labels are numeric: 600 of 600 genes fit the rule on E003"),
    ],
)
def test_published_data_sets(shared_data, tmp_path, name, suffix, genes, even, fit):
    for part in PARTS:
        (tmp_path / f"{part}.csv{'.gz' if name == 'E003' else ''}").symlink_to(
            shared_data / "csv" / f"{name}.{part}{suffix}"
        )
    (data,), report = load_csv(tmp_path, expression=shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz")
    assert data.marks == PUBLISHED_MARK_ORDER
    assert data.x.shape == (sum(genes), 100, 5)
    assert tuple(np.bincount(data.split)) == genes
    assert [note.split()[3] for note in report.notes if note.startswith("every count")] == even
    assert any(note.startswith(fit) for note in report.notes)
