"""Yardsticks, compared with scikit-learn, with loops over genes, and with figures on Roadmap's table."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support.places import SHARED

from deepchrome.errors import BadDataError, ParameterError
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.scoring.yardsticks import (
    Atlas,
    Fusion,
    RowScores,
    Yardsticks,
    compute_yardsticks,
    fit_fusion,
    gene_mean,
    nearest_epigenome,
    variable_genes,
)

GENES = 300


def random_expression(epigenomes: int = 7, seed: int = 0) -> Expression:
    """Return a table in which most genes have the same state everywhere, and E001 and E002 are alike."""
    rng = np.random.default_rng(seed)
    log2 = rng.normal(2, 2, (GENES, 1)) + rng.normal(0, 1, (GENES, epigenomes))
    if epigenomes > 1:
        log2[:, 1] = log2[:, 0] + rng.normal(0, 0.3, GENES)
    rpkm = np.maximum(2**log2 - 1, 0)
    names = tuple(f"E{i:03}" for i in range(1, epigenomes + 1))
    return Expression(tuple(f"ENSG{i:011}" for i in range(GENES)), names, rpkm)


def scores_of(atlas: Atlas, epigenome: str, rows: np.ndarray, seed: int = 5) -> RowScores:
    """Return the scores of a model that knows the state of each gene, with noise."""
    on = atlas.on[rows, atlas.epigenomes.index(epigenome)]
    return RowScores(rows, on, np.random.default_rng(seed).normal(0, 1.0, GENES)[rows] + 3.0 * on)


ATLAS = Atlas.from_table(random_expression())
TRAIN, VALID, TEST = np.arange(100), np.arange(100, 200), np.arange(200, 300)


def own_yardsticks(atlas: Atlas, epigenome: str = "E001") -> Yardsticks:
    return compute_yardsticks(
        atlas,
        epigenome,
        scores_of(atlas, epigenome, TEST),
        fusion=fit_fusion(atlas, {epigenome: scores_of(atlas, epigenome, VALID)}),
        nearest_rows=np.concatenate([TRAIN, VALID]),
    )


def fuse(log_odds_valid, prior_valid, on_valid, log_odds, prior) -> np.ndarray:
    """Return the decision values of scikit-learn's default solver on standardised values."""
    features, valid = np.column_stack([log_odds, prior]), np.column_stack([log_odds_valid, prior_valid])
    mean, sd = valid.mean(0), valid.std(0)
    regression = LogisticRegression(tol=1e-10).fit((valid - mean) / sd, on_valid)
    return regression.decision_function((features - mean) / sd)


def test_an_atlas_has_log2_rpkm_and_the_labels_of_every_epigenome() -> None:
    table = Expression(("A", "B", "C"), ("E1", "E2"), np.array([[0.0, 3.33], [1.0, 13.3], [3.0, 2.0]]))
    atlas = Atlas.from_table(table)
    assert atlas.log2_rpkm[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert atlas.on.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert Atlas.from_table(table, "published").on[:, 1].tolist() == [0, 0, 0]
    assert Atlas.from_table(table, thresholds={"E1": 0.5}).on.tolist() == [[0, 0], [1, 1], [1, 0]]
    with pytest.raises(ParameterError):
        Atlas.from_table(table, thresholds={"E1": np.nan})


def test_the_gene_mean_is_over_the_other_epigenomes() -> None:
    expected = [
        np.mean([np.log2(rpkm + 1) for i, rpkm in enumerate(row) if i != 2]) for row in random_expression().rpkm
    ]
    np.testing.assert_allclose(gene_mean(ATLAS, "E003"), expected, rtol=1e-12)


def test_variable_genes_are_on_in_20_to_80_percent_of_the_others() -> None:
    for others in (5, 10, 55):
        on = np.tril(np.ones((others + 1, others), np.uint8), -1)  # gene i is on in i of the other epigenomes
        on = np.insert(on, 3, np.arange(others + 1) % 2, axis=1)
        atlas = Atlas(tuple(f"E{i}" for i in range(others + 1)), on.astype(float), on)
        expected = [0.2 * others <= i <= 0.8 * others for i in range(others + 1)]
        assert variable_genes(atlas, "E3").tolist() == expected
        assert expected[others // 5]
        assert not expected[others // 5 - 1]


def test_the_nearest_epigenome_has_the_highest_correlation() -> None:
    rows = np.array([-1, 5, 9, 30, 31, 77, 250])
    for i, epigenome in enumerate(ATLAS.epigenomes):
        values = ATLAS.log2_rpkm[rows[1:]]
        correlations = [pearsonr(values[:, i], values[:, j]).statistic if j != i else -2 for j in range(7)]
        name, log2_rpkm = nearest_epigenome(ATLAS, epigenome, rows)
        assert name == ATLAS.epigenomes[int(np.argmax(correlations))]
        assert log2_rpkm.tolist() == ATLAS.log2_rpkm[:, ATLAS.epigenomes.index(name)].tolist()
    assert nearest_epigenome(ATLAS, "E001", TRAIN)[0] == "E002"


def test_an_epigenome_with_constant_expression_is_never_the_nearest() -> None:
    atlas = Atlas.from_table(replace(random_expression(3), rpkm=random_expression(3).rpkm * [1, 0, 1] + [0, 0.1, 0]))
    assert nearest_epigenome(atlas, "E001", TRAIN)[0] == "E003"
    assert nearest_epigenome(atlas, "E002", TRAIN) is None
    assert nearest_epigenome(atlas, "E001", TRAIN[:1]) is None
    assert nearest_epigenome(atlas, "E001", np.array([-1, -1])) is None


def test_fusion_equals_a_regression_on_standardised_values() -> None:
    rng = np.random.default_rng(2)
    on = rng.integers(0, 2, 200)
    log_odds, prior = rng.normal(10 * on, 20.0), rng.normal(on + 5.0, 0.5)
    expected = fuse(log_odds[:100], prior[:100], on[:100], log_odds[100:], prior[100:])
    fusion = Fusion.fit(log_odds[:100], prior[:100], on[:100])
    np.testing.assert_allclose(fusion.score(log_odds[100:], prior[100:]), expected, rtol=1e-4, atol=1e-4)
    assert Fusion.fit(log_odds, prior, np.ones(200)) is None


def test_yardsticks_of_an_epigenome_are_aurocs_of_its_test_genes() -> None:
    found = own_yardsticks(ATLAS)
    on, model = ATLAS.on[TEST, 0], scores_of(ATLAS, "E001", TEST).log_odds
    mean, variable = ATLAS.log2_rpkm[:, 1:].mean(1), variable_genes(ATLAS, "E001")[TEST]
    assert found.gene_mean_auroc == pytest.approx(roc_auc_score(on, mean[TEST]))
    assert found.nearest == "E002"
    assert found.nearest_auroc == pytest.approx(roc_auc_score(on, ATLAS.log2_rpkm[TEST, 1]))
    valid = scores_of(ATLAS, "E001", VALID)
    fused = fuse(valid.log_odds, mean[VALID], valid.on, model, mean[TEST])
    assert found.fused_auroc == pytest.approx(roc_auc_score(on, fused))
    assert found.fused_auroc > max(found.gene_mean_auroc, roc_auc_score(on, model))
    assert found.variable_genes == variable.sum() > 10
    assert found.variable_auroc == pytest.approx(roc_auc_score(on[variable], model[variable]))
    assert found.variable_gene_mean_auroc == pytest.approx(roc_auc_score(on[variable], mean[TEST][variable]))
    assert found.variable_nearest_auroc == pytest.approx(
        roc_auc_score(on[variable], ATLAS.log2_rpkm[TEST, 1][variable])
    )
    assert found.variable_gene_mean_auroc < found.gene_mean_auroc < found.nearest_auroc


def test_nearest_epigenome_does_not_depend_on_test_genes() -> None:
    """On its test genes, E001 is exactly like E007; test rows among the rows for the comparison change nothing."""
    log2_rpkm = ATLAS.log2_rpkm.copy()
    log2_rpkm[TEST, 0] = log2_rpkm[TEST, 6] = 30 * ATLAS.log2_rpkm[TEST, 6]
    atlas = replace(ATLAS, log2_rpkm=log2_rpkm)
    assert nearest_epigenome(atlas, "E001", np.arange(GENES))[0] == "E007"
    found = compute_yardsticks(
        atlas, "E001", scores_of(atlas, "E001", TEST), fusion=None, nearest_rows=np.arange(GENES)
    )
    assert found.nearest == "E002"


def test_own_expression_changes_no_prior_and_no_choice_of_variable_genes() -> None:
    log2_rpkm, on = ATLAS.log2_rpkm.copy(), ATLAS.on.copy()
    log2_rpkm[:, 0] = 40.0
    on[:, 0] ^= 1
    other = Atlas(ATLAS.epigenomes, log2_rpkm, on)
    assert gene_mean(other, "E001").tolist() == gene_mean(ATLAS, "E001").tolist()
    assert variable_genes(other, "E001").tolist() == variable_genes(ATLAS, "E001").tolist()


def test_a_held_out_epigenome_is_fused_with_weights_of_other_epigenomes() -> None:
    test = scores_of(ATLAS, "E001", TEST)
    valid = {name: scores_of(ATLAS, name, VALID, seed) for seed, name in enumerate(("E003", "E004"))}
    found = compute_yardsticks(ATLAS, "E001", test, fusion=fit_fusion(ATLAS, valid), nearest_rows=None)
    assert found.nearest is found.nearest_auroc is found.variable_nearest_auroc is None
    columns = {"E001": 0, "E003": 2, "E004": 3}
    priors = {name: np.delete(ATLAS.log2_rpkm, column, 1).mean(1) for name, column in columns.items()}
    fused = fuse(
        np.concatenate([valid["E003"].log_odds, valid["E004"].log_odds]),
        np.concatenate([priors["E003"][VALID], priors["E004"][VALID]]),
        np.concatenate([valid["E003"].on, valid["E004"].on]),
        test.log_odds,
        priors["E001"][TEST],
    )
    assert found.fused_auroc == pytest.approx(roc_auc_score(test.on, fused))
    assert found.gene_mean_auroc == own_yardsticks(ATLAS).gene_mean_auroc


def test_genes_that_are_not_in_the_table_are_left_out() -> None:
    def with_strangers(genes: RowScores) -> RowScores:
        rows, on, log_odds = np.insert(genes.rows, 3, -1), np.insert(genes.on, 3, 1), np.insert(genes.log_odds, 3, -900)
        return RowScores(rows, on, log_odds)

    found = compute_yardsticks(
        ATLAS,
        "E001",
        with_strangers(scores_of(ATLAS, "E001", TEST)),
        fusion=fit_fusion(ATLAS, {"E001": with_strangers(scores_of(ATLAS, "E001", VALID))}),
        nearest_rows=np.concatenate([[-1], TRAIN, VALID]),
    )
    assert found == own_yardsticks(ATLAS)


def test_yardsticks_need_other_epigenomes() -> None:
    assert own_yardsticks(Atlas.from_table(random_expression(1))) == Yardsticks()
    assert fit_fusion(ATLAS, {}) is None
    for epigenomes, has_variable in ((2, False), (5, False), (6, True)):
        found = own_yardsticks(Atlas.from_table(random_expression(epigenomes)))
        assert None not in (found.gene_mean_auroc, found.nearest_auroc, found.nearest, found.fused_auroc)
        variable = (found.variable_genes, found.variable_auroc, found.variable_gene_mean_auroc)
        variable += (found.variable_nearest_auroc,)
        assert [value is not None for value in variable] == [has_variable] * 4


def test_one_class_has_no_auroc() -> None:
    test, valid = scores_of(ATLAS, "E001", TEST), scores_of(ATLAS, "E001", VALID)
    one_class = replace(test, on=np.ones_like(test.on))
    fusion = fit_fusion(ATLAS, {"E001": valid})
    found = compute_yardsticks(ATLAS, "E001", one_class, fusion=fusion, nearest_rows=TRAIN)
    assert found == Yardsticks(nearest="E002", variable_genes=own_yardsticks(ATLAS).variable_genes)
    assert fit_fusion(ATLAS, {"E001": replace(valid, on=np.ones_like(valid.on))}) is None
    assert compute_yardsticks(ATLAS, "E001", test, fusion=None, nearest_rows=None).fused_auroc is None


def test_no_test_genes_have_no_auroc() -> None:
    none = RowScores(np.array([-1]), np.array([1]), np.array([0.5]))
    fusion = fit_fusion(ATLAS, {"E001": scores_of(ATLAS, "E001", VALID)})
    found = compute_yardsticks(ATLAS, "E001", none, fusion=fusion, nearest_rows=TRAIN)
    assert found == Yardsticks(nearest="E002", variable_genes=0)


def test_an_epigenome_that_is_not_in_the_table_is_refused() -> None:
    for function in (gene_mean, variable_genes):
        with pytest.raises(BadDataError, match="no epigenome E999"):
            function(ATLAS, "E999")
    with pytest.raises(BadDataError, match="no epigenome E999"):
        nearest_epigenome(ATLAS, "E999", TRAIN)


@pytest.fixture(scope="module")
def roadmap() -> Atlas:
    return Atlas.from_table(read_expression(SHARED / "roadmap" / "rpkm_56_epigenomes.tsv.gz"))


@pytest.mark.realdata
def test_the_gene_mean_and_the_nearest_epigenome_predict_roadmaps_labels(roadmap) -> None:
    means, nearest = {}, {}
    rows = np.arange(19_802)
    for column, name in enumerate(roadmap.epigenomes):
        means[name] = roc_auc_score(roadmap.on[:, column], gene_mean(roadmap, name))
        nearest[name] = roc_auc_score(roadmap.on[:, column], nearest_epigenome(roadmap, name, rows)[1])
    assert len(means) == 56
    assert np.mean(list(means.values())) == pytest.approx(0.945, abs=0.002)
    assert min(means.values()) == pytest.approx(0.899, abs=0.002)
    assert max(means.values()) == pytest.approx(0.971, abs=0.002)
    assert means["E012"] == pytest.approx(0.950, abs=0.002)
    assert means["E013"] == pytest.approx(0.965, abs=0.002)
    assert np.mean(list(nearest.values())) == pytest.approx(0.966, abs=0.002)


@pytest.mark.realdata
def test_the_gene_mean_says_little_about_the_variable_genes_of_e012(roadmap, shared_data) -> None:
    on, prior = roadmap.on[:, roadmap.epigenomes.index("E012")], gene_mean(roadmap, "E012")
    gene_id = read_expression(shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz", ["E012"]).gene_id
    row_of = {gene: row for row, gene in enumerate(gene_id)}
    with np.load(shared_data / "e012" / "E012.covered_bases.npz", allow_pickle=False) as arrays:
        rows = np.array([row_of[gene] for gene in arrays["gene"]])
    assert rows.size == 18_421
    assert roc_auc_score(on[rows], prior[rows]) == pytest.approx(0.946, abs=0.002)
    variable = rows[variable_genes(roadmap, "E012")[rows]]
    assert 5000 < variable.size < 5200
    assert 0.66 < roc_auc_score(on[variable], prior[variable]) < 0.69
