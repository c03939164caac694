"""Comparisons of runs with their expression tables, recomputed with NumPy, SciPy and scikit-learn from the files."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, r2_score, roc_auc_score
from support.atlases import GENES, NAMES, Data, train_on, write_atlas

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.source import FeatureSource, TextSource
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import Evaluation, evaluate, evaluate_run
from deepchrome.train.scoring.reference import find_reference, read_reference
from deepchrome.train.scoring.scored import score_datasets, score_test_genes
from deepchrome.train.scoring.unseen import choose_source, load_unseen_genes

YARDSTICKS = (
    "gene_mean_auroc",
    "nearest",
    "nearest_auroc",
    "fused_auroc",
    "variable_genes",
    "variable_auroc",
    "variable_gene_mean_auroc",
    "variable_nearest_auroc",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return write_atlas(tmp_path_factory.mktemp("atlas"))


@pytest.fixture(scope="module")
def single(data) -> Run:
    return train_on(data, data.features.parent / "single", task="both")


@pytest.fixture(scope="module")
def pooled(data) -> Run:
    return train_on(data, data.features.parent / "pooled", held_out=("E003",), task="both", pooled=True)


def read_matrix(expression: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Return gene ids, epigenomes and RPKM of a table."""
    lines = [line.split("\t") for line in expression.read_text().splitlines()]
    return [line[0] for line in lines[1:]], lines[0][1:], np.array([line[1:] for line in lines[1:]], float)


def compute(
    predictions: pl.DataFrame, expression: Path, epigenome: str, fused_on: list[str], limits: np.ndarray | None = None
) -> dict:
    """Compute the measures of one epigenome, given the threshold of every epigenome (default: medians of the table)."""
    gene_id, names, rpkm = read_matrix(expression)
    on, log2 = rpkm > (np.median(rpkm, 0) if limits is None else limits), np.log2(rpkm + 1)
    row_of = {gene: i for i, gene in enumerate(gene_id)}

    def part(name: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        table = predictions.filter((pl.col("epigenome") == name) & (pl.col("split") == split))
        rows = np.array([row_of[gene] for gene in table["gene_id"]])
        score, column = table["score"].to_numpy(), names.index(name)
        unused = {column} if epigenome in fused_on else {column, names.index(epigenome)}
        mean = np.delete(log2, sorted(unused), 1)[rows].mean(1)
        return rows, on[rows, column], score, np.log(score / (1 - score)), mean

    column = names.index(epigenome)
    rows, labels, score, odds, mean = part(epigenome, "test")
    found = {
        "n_test": len(rows),
        "n_on": labels.sum(),
        "auroc": roc_auc_score(labels, score),
        "auprc": average_precision_score(labels, score),
        "brier": brier_score_loss(labels, score),
        "gene_mean_auroc": roc_auc_score(labels, mean),
    }
    bins = np.minimum((score * 10).astype(int), 9)
    found["ece"] = sum(abs((score - labels)[bins == i].sum()) for i in range(10)) / len(rows)

    valid = [part(name, "valid") for name in fused_on]
    features = np.concatenate([np.column_stack(genes[3:]) for genes in valid])
    scale = features.mean(0), features.std(0)
    weights = LogisticRegression(tol=1e-10).fit((features - scale[0]) / scale[1], np.concatenate([v[1] for v in valid]))
    fused = weights.decision_function((np.column_stack([odds, mean]) - scale[0]) / scale[1])
    found["fused_auroc"] = roc_auc_score(labels, fused)

    others = np.delete(on, column, 1)[rows].mean(1)
    variable = (others >= 0.2) & (others <= 0.8)
    found["variable_genes"] = variable.sum()
    found["variable_auroc"] = roc_auc_score(labels[variable], score[variable])
    found["variable_gene_mean_auroc"] = roc_auc_score(labels[variable], mean[variable])
    if epigenome in fused_on:
        seen = np.concatenate([part(epigenome, "train")[0], part(epigenome, "valid")[0]])
        correlation = [pearsonr(log2[seen, column], log2[seen, i])[0] if i != column else -1 for i in range(len(names))]
        best = int(np.argmax(correlation))
        found["nearest"], found["nearest_auroc"] = names[best], roc_auc_score(labels, log2[rows, best])
        found["variable_nearest_auroc"] = roc_auc_score(labels[variable], log2[rows, best][variable])
    else:
        found |= dict.fromkeys(("nearest", "nearest_auroc", "variable_nearest_auroc"))
    predicted = predictions.filter((pl.col("epigenome") == epigenome) & (pl.col("split") == "test"))["log2_rpkm"]
    if not predicted.has_nulls():
        observed = log2[rows, column]
        found["pearson"], found["spearman"] = pearsonr(predicted, observed)[0], spearmanr(predicted, observed)[0]
        found["r2"] = r2_score(observed, predicted)
    return found


def assert_equal(row: Evaluation, expected: dict) -> None:
    found = asdict(row)
    for name, value in expected.items():
        if value is None or isinstance(value, str):
            assert found[name] == value, name
        else:
            assert found[name] == pytest.approx(value, abs=1e-4), name


def test_rows_of_a_run_equal_an_independent_computation(data, single) -> None:
    rows, notes = evaluate_run(single, resamples=0)
    assert (notes, [row.epigenome for row in rows]) == ([], list(NAMES))
    for row in rows:
        assert_equal(row, compute(single.predictions(), data.expression, row.epigenome, [row.epigenome]))
        assert (row.model, row.held_out, row.auroc_low) == (row.epigenome, 0, None)
    assert [row.pearson for row in rows] == [summary.pearson for summary in single.summary()]


def test_a_held_out_epigenome_is_fused_with_weights_of_the_epigenomes_trained_on(data, pooled) -> None:
    rows, notes = evaluate_run(pooled, resamples=0)
    assert (notes, [row.held_out for row in rows]) == ([], [0, 0, 1])
    for row in rows:
        fused_on = ["E001", "E002"] if row.held_out else [row.epigenome]
        assert_equal(row, compute(pooled.predictions(), data.expression, row.epigenome, fused_on))
        assert (row.model, row.n_test) == ("pooled", GENES // 3)


def test_the_expression_of_a_held_out_epigenome_is_used_for_labels_only(data, pooled, tmp_path) -> None:
    """Its values are squared, which keeps its labels."""
    table, path = pl.read_csv(data.expression, separator="\t"), tmp_path / "table.tsv"
    table.with_columns(pl.col("E003") ** 2).write_csv(path, separator="\t")
    before, after = (evaluate_run(pooled, each, resamples=0)[0] for each in (None, path))
    assert before[2].r2 != after[2].r2
    assert replace(before[2], pearson=None, spearman=None, r2=None) == replace(
        after[2], pearson=None, spearman=None, r2=None
    )
    assert before[0].gene_mean_auroc != after[0].gene_mean_auroc


@pytest.mark.parametrize("labels", ["threshold", "features", "published"])
def test_other_epigenomes_are_labelled_like_those_of_the_run(labels, data, tmp_path) -> None:
    gene_id, names, rpkm = read_matrix(data.expression)
    options, limits = {
        "threshold": ({"label_threshold": 1.2}, np.full(len(names), 1.2)),
        "features": ({"label_genes": "features"}, np.median(rpkm[:GENES], 0)),
        "published": ({"label_rule": "published"}, None),
    }[labels]
    if labels == "published":  # Around a median of 10, text sorts unlike numbers.
        table = pl.DataFrame({"gene_id": gene_id, **dict(zip(names, (rpkm * 10).T.round(4), strict=True))})
        table.write_csv(tmp_path / "tens.tsv", separator="\t")
        data = Data(data.features, tmp_path / "tens.tsv")
    run = train_on(data, tmp_path / "run", labels=options, model="logistic", epochs=1)
    reference, _ = find_reference(run)
    row = evaluate_run(run, resamples=0)[0][0]
    if limits is not None:
        assert_equal(row, compute(run.predictions(), data.expression, "E001", ["E001"], limits))
        return
    values = read_matrix(data.expression)[2]
    medians = np.median(values, 0)
    by_text = [[str(value) > str(medians[i]) for i, value in enumerate(line)] for line in values.tolist()]
    np.testing.assert_array_equal(reference.atlas.on, by_text)
    assert (reference.atlas.on != (values > medians)).any()


def test_a_table_that_is_gone_leaves_the_areas_and_a_note(data, single, tmp_path) -> None:
    moved = Run(single.path)
    moved.config = replace(single.config, source=replace(single.config.source, expression=tmp_path / "gone.tsv"))
    rows, notes = evaluate_run(moved, resamples=20)
    assert notes == [f"no comparison with other epigenomes: the expression table {tmp_path}/gone.tsv is missing"]
    complete, _ = evaluate_run(single, resamples=20)
    for row, full in zip(rows, complete, strict=True):
        lost = dict.fromkeys((*YARDSTICKS, "pearson", "spearman", "r2"))
        assert asdict(row) == asdict(full) | lost
    assert evaluate_run(moved, data.expression, resamples=20)[0] == complete
    with pytest.raises(MissingInputError):
        evaluate_run(single, tmp_path / "gone.tsv")


def without_a_gene(table: pl.DataFrame, gene: str) -> pl.DataFrame:
    return table.filter(pl.col("gene_id") != gene)


def test_a_table_that_does_not_fit_any_more_is_refused_if_it_is_given_and_else_noted(data, single, tmp_path) -> None:
    table, path = pl.read_csv(data.expression, separator="\t"), tmp_path / "table.tsv"
    gene = single.predictions()["gene_id"][7]
    other = table.rename({name: f"X{name}" for name in table.columns[1:]})
    cases = {
        f"1 genes of the run are not in this table ({gene})": without_a_gene(table, gene),
        "no epigenome of the run (it has E001, E002, E003, the table XE001, XE002, XE003, ...)": other,
    }
    recorded = Run(single.path)
    recorded.config = replace(single.config, source=replace(single.config.source, expression=path))
    for message, changed in cases.items():
        changed.write_csv(path, separator="\t")
        reference, notes = find_reference(recorded)
        assert (reference, notes) == (None, [f"no comparison with other epigenomes: {path}: {message}"])
        with pytest.raises(BadDataError) as caught:
            find_reference(single, path)
        assert str(caught.value) == f"{path}: {message}"


def test_an_epigenome_without_a_column_has_no_yardsticks(data, single, tmp_path) -> None:
    path = tmp_path / "table.tsv"
    pl.read_csv(data.expression, separator="\t").drop("E002").write_csv(path, separator="\t")
    rows, notes = evaluate_run(single, path, resamples=0)
    assert notes == [f"no comparison with other epigenomes for E002: no column in {path}"]
    assert {name: getattr(rows[1], name) for name in YARDSTICKS} == dict.fromkeys(YARDSTICKS)
    assert rows[1].pearson is None
    assert_equal(rows[0], compute(single.predictions(), path, "E001", ["E001"]))


def test_a_table_with_other_labels_is_an_error(data, single, tmp_path) -> None:
    """One gene of E002 has another state, whether the table is given or recorded."""
    path, row = tmp_path / "table.tsv", 11
    table = pl.read_csv(data.expression, separator="\t")
    changed = table["E002"].to_list()
    changed[row] = 0.0 if changed[row] > 1 else 9.0
    table.with_columns(E002=pl.Series(changed)).write_csv(path, separator="\t")
    recorded = Run(single.path)
    recorded.config = replace(single.config, source=replace(single.config.source, expression=path))
    message = rf"table.tsv: not the expression table of the run .* of {3 * GENES} labels differ\)"
    for run, given in ((single, path), (recorded, None)):
        with pytest.raises(BadDataError, match=message):
            evaluate_run(run, given)


def test_the_label_rule_of_text_data_is_the_one_that_gives_the_labels(data, single) -> None:
    """DeepChrome's text format has bare numbers for gene ids, and does not tell the label rule."""
    text = Run(single.path)
    text.config = replace(single.config, source=TextSource(data.features))
    numbers = single.predictions().with_columns(pl.col("gene_id").str.slice(4).cast(pl.Int64).cast(pl.String))
    text.predictions = lambda: numbers
    assert find_reference(text) == (None, ["no comparison with other epigenomes: the run records no expression table"])
    assert evaluate_run(text, data.expression, resamples=0) == evaluate_run(single, resamples=0)


def test_new_epigenomes_are_compared_with_the_others_of_their_own_table(data, pooled, single, tmp_path) -> None:
    """A pooled run scores an epigenome under a new name, with labels of another threshold."""
    trained = train_on(data, tmp_path / "run", epigenomes=("E001", "E002"), task="both", pooled=True)
    options = {"label_threshold": 1.1}
    datasets, _ = load_unseen_genes(trained, data.features, data.expression, **options)
    source = choose_source(trained, data.features, data.expression, **options)
    assert source == FeatureSource(data.features, data.expression, label_threshold=1.1, split="published")
    scored = score_datasets(trained, datasets)
    rows = evaluate(scored, read_reference(trained, source)[0], resamples=0)
    assert [(row.epigenome, row.held_out) for row in rows] == [("E001", 0), ("E002", 0), ("E003", 1)]
    tested = pl.DataFrame(
        {"epigenome": "E003", "gene_id": scored[2].gene_id, "split": "test", "score": scored[2].scores}
        | {"log2_rpkm": scored[2].log2_rpkm}
    )
    predictions = pl.concat([trained.predictions().drop("label"), tested])
    for row, fused_on in zip(rows, (["E001"], ["E002"], ["E001", "E002"]), strict=True):
        assert_equal(row, compute(predictions, data.expression, row.epigenome, fused_on, np.full(9, 1.1)))


def test_the_model_of_another_epigenome_is_held_out(data, single) -> None:
    datasets, _ = load_unseen_genes(single, data.features, data.expression)
    source = choose_source(single, data.features, data.expression)
    scored = score_datasets(single, datasets, model_of="E001")
    rows = evaluate(scored, read_reference(single, source)[0], resamples=0)
    assert [row.held_out for row in rows] == [0, 1, 1]
    assert [row.nearest is None for row in rows] == [False, True, True]
    assert {row.model for row in rows} == {"E001"}
    assert None not in [row.fused_auroc for row in rows]


def test_medians_over_features_are_those_of_the_given_features(data, single) -> None:
    source = choose_source(single, data.features, data.expression, label_genes="features")
    rpkm = read_matrix(data.expression)[2]
    expected = rpkm > np.median(rpkm[:GENES], 0)
    np.testing.assert_array_equal(read_reference(single, source)[0].atlas.on, expected)
    assert (expected != (rpkm > np.median(rpkm, 0))).any()


def test_a_table_that_can_be_read_only_once_is_not_read_again(data, single, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("-")):
        reference, notes = read_reference(single, FeatureSource(data.features, path))
        assert reference is None
        assert notes == [f"no comparison with other epigenomes: {path} can be read only once. Give the path of a file"]


def test_runs_of_earlier_versions_have_areas_and_yardsticks(data, single) -> None:
    """Their predictions lack the column of the regression, and scores of a baseline may be no probabilities."""
    old = Run(single.path)
    margins = 50 * (pl.col("score").log() - (1 - pl.col("score")).log())
    old.predictions = lambda: single.predictions().drop("log2_rpkm").with_columns(score=margins)
    for row, new in zip(evaluate_run(old, resamples=0)[0], evaluate_run(single, resamples=0)[0], strict=True):
        assert (row.pearson, row.brier, row.ece) == (None, None, None)
        assert [getattr(row, name) for name in YARDSTICKS] == pytest.approx([getattr(new, name) for name in YARDSTICKS])


def test_observed_expression_comes_from_the_table(data, single) -> None:
    reference, _ = find_reference(single)
    gene_id, names, rpkm = read_matrix(data.expression)
    for genes in score_test_genes(single):
        expected = rpkm[[gene_id.index(gene) for gene in genes.gene_id], names.index(genes.epigenome)]
        np.testing.assert_array_equal(reference.observe(genes).rpkm, expected)
        known = replace(genes, rpkm=np.zeros(genes.on.size))
        assert reference.observe(known) is known
        unknown = replace(genes, gene_id=("X", *genes.gene_id[1:]))
        assert reference.observe(unknown).rpkm is None
