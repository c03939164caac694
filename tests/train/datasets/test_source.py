"""Sources of training data: loading, and the JSON that config.json stores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.epigenomes import write_random_features

from deepchrome.errors import ParameterError, UsageError
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.datasets.source import FeatureSource, TextSource, source_from_dict

STRAND = InputOptions("strand", "log1p", marks=("H3K9me3", "H3K4me3"))


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return write_random_features(tmp_path / "features")


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "liver"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        rows = [f"{part}{gene},{i},{i},{gene},{gene % 2}" for gene in range(4) for i in range(1, 4)]
        (folder / f"{part}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_features_are_loaded_with_all_choices(paths) -> None:
    source = FeatureSource(*paths, label_rule="published", split="random", seed=4, n_train=20)
    datasets, report = source.load(STRAND, ["E002"])
    expected, _ = load_datasets(
        *paths,
        epigenomes=["E002"],
        label_rule="published",
        split="random",
        seed=4,
        n_train=20,
        inputs=STRAND,
    )
    assert [data.epigenome for data in datasets] == ["E002"]
    for name in ("x", "y", "split"):
        np.testing.assert_array_equal(getattr(datasets[0], name), getattr(expected[0], name))
    assert report.inputs.options() == STRAND
    assert [data.epigenome for data in source.load(InputOptions())[0]] == ["E001", "E002"]


def test_text_is_loaded_with_its_own_split_labels_and_marks(text_folder) -> None:
    datasets, report = TextSource(text_folder).load(STRAND, ["E002"])
    expected, _ = load_csv(text_folder, InputOptions(transform="log1p"))
    np.testing.assert_array_equal(datasets[0].x, expected[0].x)
    assert (report.inputs.orient, report.inputs.transform) == ("genomic", "log1p")
    assert report.inputs.marks == ("mark1", "mark2")


def test_symbols_come_from_the_features(paths, text_folder) -> None:
    symbols = FeatureSource(*paths).symbols()
    assert len(symbols) == 90
    assert symbols["ENSG00000000007"] == "ENSG00000000007"
    assert TextSource(text_folder).symbols() == {}


def test_missing_paths_are_found(paths, text_folder, tmp_path) -> None:
    nowhere = tmp_path / "nowhere"
    assert FeatureSource(*paths).missing_paths() == []
    assert FeatureSource(nowhere, paths[1]).missing_paths() == [nowhere]
    assert TextSource(text_folder).missing_paths() == []
    assert TextSource(text_folder, nowhere).missing_paths() == [nowhere]


def test_json_has_the_keys_of_config_json_and_absolute_paths(paths, text_folder, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    source = FeatureSource(Path("features"), Path("expression.tsv"), split="chromosome", seed=7)
    document = json.loads(json.dumps(source.to_dict()))
    assert list(document.items()) == [
        ("features", str(paths[0].resolve())),
        ("expression", str(paths[1].resolve())),
        ("label_rule", "numeric"),
        ("split", "chromosome"),
        ("seed", 7),
        ("n_train", None),
        ("label_threshold", None),
        ("label_genes", "table"),
        ("split_file", None),
    ]
    assert source_from_dict(document) == FeatureSource(
        paths[0].resolve(), paths[1].resolve(), split="chromosome", seed=7
    )
    assert TextSource(text_folder, paths[1]).to_dict() == {"csv": str(text_folder.resolve())}
    assert source_from_dict({"csv": "/data/liver"}) == TextSource(Path("/data/liver"))
    assert source_from_dict({}) is None


def test_how_labels_are_made_is_stored(paths) -> None:
    for changed in ({"label_threshold": 1.5}, {"label_genes": "features"}):
        source = FeatureSource(*paths, **changed)
        document = json.loads(json.dumps(source.to_dict()))
        assert document == {**FeatureSource(*paths).to_dict(), **changed}
        assert source_from_dict(document) == source
    with pytest.raises(ParameterError, match="label_threshold must be a finite RPKM"):
        FeatureSource(*paths, label_threshold=-1)
    with pytest.raises(ParameterError, match="label_genes must be one of table, features, got 'all'"):
        FeatureSource(*paths, label_genes="all")
    with pytest.raises(
        UsageError, match=r"two thresholds: RPKM 1, and the median of the genes with features"
    ) as caught:
        FeatureSource(*paths, label_threshold=1, label_genes="features")
    assert caught.value.remedy == "one_threshold"


def test_a_split_file_is_stored_with_its_absolute_path(paths, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    source, file = FeatureSource(*paths, split_file=Path("split.tsv")), tmp_path / "split.tsv"
    document = json.loads(json.dumps(source.to_dict()))
    assert document["split_file"] == str(file.resolve())
    assert source_from_dict(document) == replace(source, split_file=file.resolve())
    assert source.paths() == [*paths, Path("split.tsv")]
    assert source.missing_paths() == [Path("split.tsv")]
    genes = [f"ENSG{i:011d}" for i in range(90)]
    file.write_text(
        "gene_id\tsplit\n" + "".join(f"{gene}\t{['valid', 'test', 'train'][i % 3]}\n" for i, gene in enumerate(genes))
    )
    assert source.missing_paths() == []
    assert source.load(InputOptions(), ["E001"])[0][0].split.tolist() == [1, 2, 0] * 30
    with pytest.raises(UsageError, match=r"split.tsv determines the training genes, so their number cannot be chosen"):
        FeatureSource(*paths, split_file=file, n_train=10)


def test_keys_with_a_default_may_be_absent_from_the_json() -> None:
    document = {"features": "/f", "expression": "/e", "split": "random"}
    assert source_from_dict(document) == FeatureSource(Path("/f"), Path("/e"), split="random")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"features": "/f"}, KeyError),
        ({"features": 1, "expression": "/e"}, TypeError),
        ({"features": "/f", "expression": "/e", "colour": "blue"}, TypeError),
        ({"features": "/f", "expression": "/e", "label_rule": "wishful"}, ParameterError),
    ],
)
def test_an_invalid_document_is_an_error(document, error) -> None:
    with pytest.raises(error):
        source_from_dict(document)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: FeatureSource(Path("f"), Path("e"), split="fair"), "split must be one of published, random"),
        (lambda: FeatureSource(Path("f"), Path("e"), label_rule="x"), "label_rule must be one of numeric"),
        (lambda: InputOptions(orient="sideways"), "orient must be genomic or strand, got 'sideways'"),
        (lambda: InputOptions(transform="sqrt"), "transform must be counts or log1p, got 'sqrt'"),
        (lambda: InputOptions(depth="deep"), "depth must be ranks, library-size or raw, got 'deep'"),
    ],
)
def test_unknown_choices_are_refused(create, message) -> None:
    with pytest.raises(ParameterError, match=message):
        create()
