import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepchrome.common.names import TEST, TRAIN, VALID
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import BadDataError, MissingInputError, ParameterError, UsageError
from deepchrome.train.datasets.depth import LIBRARY_READS
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.datasets.splits import WindowOverlaps, split_genes

N_BINS = 4
IDS = ("ENSG01.3", "ENSG02.1", "ENSG03", "ENSG04.7", "ENSG05.1", "ENSG06.1", "ENSG07.1")
GENES = Genes(
    IDS,
    ("",) * 7,
    ("chr1", "chr1", "chr2", "chr3", "chr3", "chr4", "chr5"),
    np.array([1000, 1500, 700, 900, 90_000, 4, 4], np.int64),
    ("+", "-", ".", "-", "+", "+", "-"),
)
METADATA = {
    "n_bins": N_BINS,
    "bin_size": 100,
    "flank": 200,
    "sources": {"H3K4me3": {"reads": 10_000_000}, "H3K27me3": {"reads": 60_000_000}},
}


def counts_of(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {mark: rng.poisson(9, (7, N_BINS)).astype(np.uint32) for mark in ("H3K4me3", "H3K27me3")}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    directory = tmp_path / "features"
    directory.mkdir()
    for seed, epigenome in enumerate(("E003", "E004", "E129")):
        write_features(directory / f"{epigenome}.parquet", GENES, counts_of(seed), METADATA)
    return directory


@pytest.fixture
def expression(tmp_path: Path) -> Path:
    # In another order than the features, without gene 03, with genes 98 and 99. The median is over all 8 rows.
    path = tmp_path / "rpkm.tsv"
    rows = ("07 9 0", "01 1 9", "02.9 20 9", "04 30 0", "05 0 0", "06 9 9", "98 100 100", "99 0 9")
    path.write_text("gene_id\tE003\tE004\n" + "".join(f"ENSG{row}\n".replace(" ", "\t") for row in rows))
    return path


def test_counts_and_labels_are_joined_by_gene(features, expression):
    (e003, e004), report = load_datasets(features, expression, split="published")
    kept = [0, 1, 3, 4, 5, 6]
    assert (e003.epigenome, e004.epigenome) == ("E003", "E004")
    assert e003.marks == ("H3K4me3", "H3K27me3")
    assert e003.gene_id == tuple(IDS[i] for i in kept)
    # The median of E003 is 9. The two genes at the median are off.
    assert e003.y.tolist() == [0, 1, 1, 0, 0, 0]
    assert e003.y.dtype == np.uint8
    assert e004.y.tolist() == [0] * 6
    for seed, data in enumerate((e003, e004)):
        assert data.x.dtype == np.float32
        assert data.x.shape == (6, N_BINS, 2)
        for column, reads in enumerate(counts_of(seed).values()):
            assert (data.x[:, :, column] == reads[kept]).all()
    assert e003.split.tolist() == [TRAIN, TRAIN, VALID, VALID, TEST, TEST]

    assert (report.genes, report.not_in_expression, report.not_in_features) == (6, 1, 2)
    assert (report.duplicate_ids, report.unknown_strand) == (0, 0)
    notes = "\n".join(report.notes)
    assert "E129 left out" in notes
    assert "1 genes left out because they have no expression (ENSG03)" in notes
    assert "2 genes of the expression table have no features" in notes
    assert "E004: only one class of labels in train (2 genes), valid (2 genes), test (2 genes)" in notes


def test_strand_order_reverses_minus_genes_only(features, expression):
    (genomic,), _ = load_datasets(features, expression, epigenomes=["E003"])
    (strand,), report = load_datasets(features, expression, epigenomes=["E003"], inputs=InputOptions("strand"))
    minus = np.array([False, True, True, False, False, True])
    assert (strand.x[minus] == genomic.x[minus, ::-1]).all()
    assert (strand.x[~minus] == genomic.x[~minus]).all()
    assert report.inputs.orient == "strand"


def test_transform_and_library_size(features, expression):
    (counts,), _ = load_datasets(features, expression, epigenomes=["E003"])
    options = InputOptions(transform="log1p", depth="library-size")
    (logged,), report = load_datasets(features, expression, epigenomes=["E003"], inputs=options)
    factor = np.array([LIBRARY_READS / 10_000_000, LIBRARY_READS / 60_000_000])
    np.testing.assert_allclose(logged.x, np.log(1 + counts.x * factor), rtol=1e-6)
    assert (report.inputs.transform, report.inputs.depth) == ("log1p", "library-size")
    np.testing.assert_allclose(logged.reads(), counts.x, atol=1e-3)


def test_marks_can_be_chosen_and_ordered(features, expression):
    (both,), _ = load_datasets(features, expression, epigenomes=["E004"])
    (one,), report = load_datasets(features, expression, epigenomes=["E004"], inputs=InputOptions(marks=("H3K27me3",)))
    assert one.marks == report.inputs.marks == ("H3K27me3",)
    assert (one.x[:, :, 0] == both.x[:, :, 1]).all()


@pytest.mark.parametrize("method", ["random", "chromosome"])
def test_only_genes_with_expression_are_split(features, expression, method):
    (e003, e004), report = load_datasets(features, expression, split=method, seed=3)
    kept = GENES.take(np.array([0, 1, 3, 4, 5, 6]))
    assert (e003.split == split_genes(kept, method, seed=3, flank=200)).all()
    assert (e003.split == e004.split).all()
    assert report.window_overlaps == WindowOverlaps(0, 0)


def test_versions_of_one_gene_id_are_one_gene(tmp_path, expression):
    tss = np.array([1000, 9000, 18_000, 27_000, 90_000, 120_000, 150_000], np.int64)
    genes = replace(GENES, gene_id=("ENSG01.1", *IDS[1:6], "ENSG01.2"), chrom=("chr1",) * 7, tss=tss)
    write_features(tmp_path / "E003.parquet", genes, counts_of(0), METADATA)
    for seed in range(5):
        (data,), report = load_datasets(tmp_path / "E003.parquet", expression, split="random", seed=seed)
        one, two = (data.gene_id.index(gene) for gene in ("ENSG01.1", "ENSG01.2"))
        assert data.split[one] == data.split[two]
        assert data.y[one] == data.y[two] == 0
        assert report.duplicate_ids == 1


def test_overlaps_of_the_published_split_are_reported(tmp_path, expression):
    genes = replace(GENES, chrom=("chr1",) * 7, tss=np.array([1000, 9000, 18_000, 27_000, 90_000, 120_000, 1399]))
    write_features(tmp_path / "E003.parquet", genes, counts_of(0), METADATA)
    _, report = load_datasets(tmp_path, expression, split="published")
    assert report.window_overlaps == WindowOverlaps(0, 1)
    assert report.split_warnings == (
        "the published split flatters test scores: the windows of 1 of 2 test genes overlap the window of a training "
        "gene (607 of 6,600 in the list of 2016), and the order of gene ids is not random. "
        "The random and chromosome splits avoid this",
    )
    assert load_datasets(tmp_path, expression, split="random")[1].split_warnings == ()


def split_file_of(path, parts):
    """Write a split file of rows (id, part)."""
    path.write_text("gene_id\tsplit\n" + "".join(f"{gene}\t{part}\n" for gene, part in parts))
    return path


# Other versions than in the features, a gene without expression (03), and one without features (50); 05 is not listed.
PARTS = [("ENSG04", "train"), ("ENSG01.9", "train"), ("ENSG02", "valid"), ("ENSG07", "test"), ("ENSG06.1", "test")]
PARTS += [("ENSG03", "train"), ("ENSG50", "test")]


def test_a_file_can_assign_the_genes(features, expression, tmp_path):
    path = split_file_of(tmp_path / "split.tsv", PARTS)
    (data,), report = load_datasets(features, expression, epigenomes=["E003"], split_file=path)
    parts = dict(zip(data.gene_id, data.split, strict=True))
    assert parts == {"ENSG01.3": TRAIN, "ENSG02.1": VALID, "ENSG04.7": TRAIN, "ENSG06.1": TEST, "ENSG07.1": TEST}
    (whole,), _ = load_datasets(features, expression, epigenomes=["E003"])
    kept = np.isin(whole.gene_id, data.gene_id)
    np.testing.assert_array_equal(data.x, whole.x[kept])
    np.testing.assert_array_equal(data.y, whole.y[kept])
    assert f"1 genes left out because {path} lacks them (ENSG05.1)" in report.notes
    assert "1 genes left out because they have no expression (ENSG03)" in report.notes
    assert (report.genes, report.window_overlaps, report.split_warnings) == (5, WindowOverlaps(0, 0), ())


def test_ranks_are_those_of_the_genes_in_the_split_file(features, expression, tmp_path):
    """New data are corrected with the genes that the model knows, so training must use no others."""
    path, ranks = split_file_of(tmp_path / "split.tsv", PARTS), InputOptions(depth="ranks")
    (data,), report = load_datasets(features, expression, epigenomes=["E003"], split_file=path, inputs=ranks)
    read = read_features(features / "E003.parquet")
    known = np.isin(read.genes.gene_id, data.gene_id)
    spec = report.inputs
    np.testing.assert_array_equal(spec.apply(read, spec.scales(read, known))[known], data.x)


def test_windows_that_a_split_file_divides_are_reported(features, expression, tmp_path):
    parts = [(f"ENSG{i:02d}", part) for i, part in ((1, "train"), (2, "test"), (4, "valid"), (5, "test"), (6, "valid"))]
    path = split_file_of(tmp_path / "split.tsv", parts)
    wide = {**METADATA, "flank": 1000, "bin_size": 500}
    write_features(tmp_path / "E003.parquet", GENES, counts_of(0), wide)
    _, report = load_datasets(tmp_path / "E003.parquet", expression, split_file=path)
    assert report.window_overlaps == WindowOverlaps(0, 1)
    assert (
        f"split of {path}: the windows of 1 test genes overlap the window of a training gene (0 share its id), which "
        "inflates test scores. The random and chromosome splits avoid this"
    ) in report.notes


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("gene_id\tsplit\nENSG01\ttrain\nENSG02\tholdout\n", r":3: unknown split 'holdout' \(expected train, valid or"),
        ("gene_id\tsplit\nENSG01\tTrain\n", r":2: unknown split 'Train'"),
        (
            "gene_id\tsplit\nENSG01.1\ttrain\nENSG02\ttest\nENSG01.2\ttest\n",
            r":4: ENSG01 is already in train on line 2",
        ),
        (
            "gene_id\tsplit\nENSG01\ttrain\nENSG01\ttrain\n",
            r":3: ENSG01 is already in train on line 2. Keep one row per",
        ),
        ("gene_id\tsplit\n\ttrain\n", r":2: row without a gene id"),
        ("gene_id,split\nENSG01,train\n", r":1: columns gene_id,split \(expected gene_id and split, separated by tabs"),
        ("gene\tsplit\nENSG01\ttrain\n", r":1: columns gene, split \(expected"),
        ("gene_id\tsplit\n", r": a header and no rows"),
        ("gene_id\tsplit\nENSG01\ttrain\nENSG02\ttest\n", r": no gene for valid among the 6 genes with features"),
        # Gene 03 has no expression, so that the part has none after all.
        ("gene_id\tsplit\nENSG01\ttrain\nENSG02\ttest\nENSG03\tvalid\n", r": no gene for valid among the 6 genes"),
        (
            "gene_id\tsplit\nTP53\ttrain\nMYC\ttest\n",
            r": no gene for train, valid, test .*ids like TP53, MYC and ENSG01",
        ),
    ],
)
def test_a_damaged_split_file_is_refused(rows, message, features, expression, tmp_path):
    path = tmp_path / "split.tsv"
    path.write_text(rows)
    with pytest.raises(BadDataError, match=r"split\.tsv" + message):
        load_datasets(features, expression, split_file=path)
    with pytest.raises(MissingInputError):
        load_datasets(features, expression, split_file=tmp_path / "nowhere.tsv")


def test_shards_cover_all_epigenomes_once(features, expression):
    for shards in (1, 2):
        names = [
            data.epigenome
            for number in range(1, shards + 1)
            for data in load_datasets(features, expression, shard=(number, shards))[0]
        ]
        assert sorted(names) == ["E003", "E004"]
    for shard in ((0, 2), (3, 2), (1, 0), (-1, 2)):
        with pytest.raises(ParameterError, match="shard must be between 1 and"):
            load_datasets(features, expression, shard=shard)
    with pytest.raises(ParameterError, match="shard 3 of 3 has no epigenome: there are 2"):
        load_datasets(features, expression, shard=(3, 3))


@pytest.mark.campaign("numbers")
def test_features_and_expression_that_do_not_match_are_refused(features, expression, tmp_path):
    with pytest.raises(BadDataError, match=r"rpkm\.tsv: no epigenome E129 \(it has E003, E004\)"):
        load_datasets(features, expression, epigenomes=["E003", "E129"])
    with pytest.raises(BadDataError, match="no epigenome E001"):
        load_datasets(features, expression, epigenomes=["E001"])
    with pytest.raises(UsageError, match="no epigenome"):
        load_datasets(features, expression, epigenomes=[])
    with pytest.raises(MissingInputError):
        load_datasets(tmp_path / "nothing", expression)
    with pytest.raises(MissingInputError):
        load_datasets(features, tmp_path / "nothing")
    expression.write_text("gene_id\tE003\nTP53\t1\n")
    with pytest.raises(BadDataError, match=r"no gene in common \(ids like ENSG01, ENSG02, ENSG03, ... and TP53\)"):
        load_datasets(features, expression)
    expression.write_text("gene_id\tliver\nENSG01\t1\n")
    with pytest.raises(BadDataError, match="no epigenome in common"):
        load_datasets(features, expression)


def test_epigenomes_must_have_the_same_genes_marks_and_bins(features, expression):
    other = replace(GENES, tss=GENES.tss + 1)
    write_features(features / "E004.parquet", other, counts_of(1), METADATA)
    with pytest.raises(BadDataError, match="genes differ from those of E003"):
        load_datasets(features, expression)
    write_features(features / "E004.parquet", GENES, {"H3K4me3": counts_of(1)["H3K4me3"]}, METADATA)
    with pytest.raises(BadDataError, match="marks H3K4me3 differ from H3K4me3, H3K27me3 in E003"):
        load_datasets(features, expression)
    assert len(load_datasets(features, expression, inputs=InputOptions(marks=("H3K4me3",)))[0]) == 2
    write_features(features / "E004.parquet", GENES, counts_of(1), {**METADATA, "bin_size": 50})
    with pytest.raises(BadDataError, match="E004 do not fit the model: 50 bp per bin, expected 100"):
        load_datasets(features, expression)


def test_input_spec_from_json_prepares_new_features_in_the_same_way(features, expression):
    options = InputOptions("strand", "log1p", marks=("H3K27me3", "H3K4me3"))
    (data,), report = load_datasets(features, expression, epigenomes=["E004"], inputs=options)
    spec = InputSpec.from_dict(json.loads(json.dumps(report.inputs.to_dict())))
    assert spec == report.inputs
    # The features have all marks in file order. The spec selects and orders them.
    x = spec.apply(read_features(features / "E004.parquet"))
    assert x.flags.c_contiguous
    assert (x[[0, 1, 3, 4, 5, 6]] == data.x).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"marks": ("H3K4me3", "H3K9me3")}, r"no mark H3K9me3 \(found H3K4me3, H3K27me3\)"),
        ({"n_bins": 100}, "4 bins per gene, expected 100"),
        ({"bin_size": 25}, "100 bp per bin, expected 25"),
        ({"flank": 5000}, "200 bp of flank, expected 5000"),
    ],
)
def test_features_that_differ_from_the_input_spec_are_refused(features, change, message):
    read = read_features(features / "E003.parquet")
    spec = replace(InputSpec.from_features(read), **change)
    with pytest.raises(BadDataError, match=f"features of E003 do not fit the model: {message}"):
        spec.apply(read)


def test_input_spec_without_bin_size_accepts_any_bin_size(features):
    read = read_features(features / "E003.parquet")
    spec = InputSpec(read.marks, N_BINS, None, None)
    assert (spec.apply(read) == read.counts).all()


def test_library_size_needs_the_number_of_reads(tmp_path):
    write_features(tmp_path / "E003.parquet", GENES, counts_of(0), {**METADATA, "sources": {}})
    read = read_features(tmp_path / "E003.parquet")
    with pytest.raises(
        BadDataError, match="number of reads of H3K4me3 is missing; number of reads of H3K27me3 is missing"
    ):
        InputSpec.from_features(read, InputOptions(depth="library-size")).apply(read)
    write_features(tmp_path / "E003.parquet", GENES, counts_of(0), {"n_bins": N_BINS})
    with pytest.raises(BadDataError, match="bin_size or flank is missing"):
        InputSpec.from_features(read_features(tmp_path / "E003.parquet"))


@pytest.mark.parametrize(("scaled", "depth"), [(True, "library-size"), (False, "raw")])
def test_input_specs_of_earlier_versions_can_be_read(scaled, depth):
    document = InputSpec(("H3K4me3",), 100, 100, 5000).to_dict()
    del document["depth"], document["missing_marks"]
    spec = InputSpec.from_dict({**document, "library_size": scaled})
    assert (spec.depth, spec.missing_marks) == (depth, False)
    with pytest.raises(BadDataError, match="library_size"):
        InputSpec.from_dict({**document, "library_size": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("marks", "H3K4me3"),
        ("marks", [1]),
        ("n_bins", 0),
        ("n_bins", True),
        ("n_bins", 1.5),
        ("bin_size", -1),
        ("flank", "5000"),
        ("orient", "sideways"),
        ("transform", "sqrt"),
        ("library_size", 1),
        ("depth", "deep"),
        ("missing_marks", 1),
        ("surprise", 1),
    ],
)
def test_invalid_input_specs_are_refused(key, value):
    document = InputSpec(("H3K4me3",), 100, 100, 5000).to_dict()
    with pytest.raises(BadDataError, match=key):
        InputSpec.from_dict({**document, key: value})
