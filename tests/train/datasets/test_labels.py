import csv
import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepchrome.cli import main
from deepchrome.errors import BadDataError, NotInstalledError, ParameterError, UsageError
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.datasets.labels import (
    audit_labels,
    describe_thresholds,
    label_genes,
    published_aurocs,
    write_labels,
)
from deepchrome.train.report.label_figure import draw_audit

RPKM = st.one_of(
    st.integers(0, 200_000).map(lambda i: i / 1000),
    st.floats(0, 1e300),
    st.sampled_from([0.0, 1e-5, 1e16, 1e22, 13.316, 3.33]),
)


def test_numeric_labels_are_above_the_median_and_ties_are_off():
    assert label_genes(np.array([1.0, 2.0, 3.0, 2.0, 10.0])).tolist() == [0, 0, 1, 0, 1]
    assert label_genes(np.array([1.0, 2.0, 3.0, 10.0])).tolist() == [0, 0, 1, 1]
    assert label_genes(np.zeros(4)).tolist() == [0, 0, 0, 0]


def test_published_labels_compare_rpkm_as_text():
    rpkm = np.array([13.316, 3.33, 4.1, 0.2, 0.0])
    assert label_genes(rpkm).tolist() == [1, 0, 1, 0, 0]
    assert label_genes(rpkm, "published").tolist() == [0, 0, 1, 0, 0]


@given(st.lists(RPKM, min_size=1, max_size=30))
def test_published_labels_equal_a_comparison_of_python_strings(values):
    rpkm = np.array(values)
    median = str(float(np.median(rpkm)))
    assert label_genes(rpkm, "published").tolist() == [int(str(value) > median) for value in values]


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=50))
def test_a_median_below_two_flips_nothing(thousandths):
    # With a median below 2, comparing plain decimals as text gives the same result as comparing numbers.
    rpkm = np.array(thousandths) / 1000
    rpkm = np.concatenate([rpkm, np.full(rpkm.size + 1, 1.5)])
    assert label_genes(rpkm, "published").tolist() == label_genes(rpkm).tolist()


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize("bad", [[1.0, np.nan], [np.inf, 1.0], [-1.0], []])
def test_invalid_rpkm_is_not_labelled(bad):
    with pytest.raises(BadDataError, match="RPKM values that are finite"):
        label_genes(np.array(bad, float))


def test_audit_and_label_table(tmp_path):
    rpkm = np.array([[13.316, 1.0], [3.33, 1.5], [4.1, 20.0], [0.2, 0.1], [0.0, 1.9]])
    expression = Expression(("A", "B", "C", "D", "E"), ("E003", "mine"), rpkm)
    e003, mine = audit_labels(expression)
    assert (e003.epigenome, e003.genes, e003.median_rpkm, e003.positive_fraction) == ("E003", 5, 3.33, 0.4)
    assert e003.flipped_label_fraction == 0.2
    assert e003.published_auroc == 0.77
    assert mine.flipped_label_fraction == 0
    assert mine.published_auroc is None
    assert audit_labels(expression, "published")[0].positive_fraction == 0.2

    write_labels(tmp_path / "labels.tsv", expression, "published")
    assert (tmp_path / "labels.tsv").read_text() == "gene_id\tE003\tmine\nA\t0\t0\nB\t0\t0\nC\t1\t1\nD\t0\t0\nE\t0\t1\n"


def test_published_aurocs():
    aurocs = published_aurocs()
    assert len(aurocs) == 56
    assert "E000" not in aurocs
    # Singh et al. 2016: mean 0.80, from 0.69 to 0.92, as CellInfo.pdf rounds them.
    assert (min(aurocs.values()), max(aurocs.values())) == (0.69, 0.92)
    assert np.mean(list(aurocs.values())) == pytest.approx(0.801, abs=0.001)


def test_figure(tmp_path):
    rng = np.random.default_rng(1)
    expression = Expression(tuple("ABCDEFGH"), ("E003", "E004", "mine"), rng.gamma(0.5, 20, (8, 3)).round(3))
    audits = audit_labels(expression)
    draw_audit(audits, tmp_path / "one.svg")
    draw_audit(audits, tmp_path / "two.svg")
    svg = (tmp_path / "one.svg").read_text()
    assert "2 epigenomes" in svg
    assert svg == (tmp_path / "two.svg").read_text()
    draw_audit(audits, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        draw_audit(audits, tmp_path / "one.pdf")
    with pytest.raises(BadDataError, match="at least 2"):
        draw_audit(audits[1:], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_figure_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotInstalledError, match=r"pip install 'deepchrome\[figures\]'"):
        draw_audit([], tmp_path / "one.svg")


@pytest.fixture
def dc(monkeypatch, capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dc", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rpkm.tsv"
    path.write_text("gene_id\tE000\tE003\tmine\nA\t1\t13.316\t1\nB\t1\t3.33\t2\nC\t1\t0\t3\n")
    return path


def test_command_prints_tsv_json_and_writes_labels(dc, table, tmp_path):
    code, out, err = dc("labels", "--expression", table)
    assert code == 0
    header, e003, mine = csv.reader(out.splitlines(), delimiter="\t")
    keys = ["epigenome", "genes", "median_rpkm", "positive_fraction", "flipped_label_fraction", "published_auroc"]
    assert header == keys
    assert e003 == ["E003", "3", "3.3300", "0.3333", "0.3333", "0.7700"]
    assert mine[-1] == ""
    assert "E000" in err

    code, out, _ = dc("labels", "--expression", table, "--json", "--out", tmp_path / "l.tsv", "--rule", "published")
    assert code == 0
    audits = json.loads(out)
    assert [list(audit) for audit in audits] == [keys, keys]
    assert audits[0] == dict(zip(keys, ("E003", 3, 3.33, 0, 1 / 3, 0.77), strict=True))
    assert audits[1]["published_auroc"] is None
    assert (tmp_path / "l.tsv").read_text().splitlines()[1] == "A\t0\t0"


def test_command_reads_standard_input(dc, table, monkeypatch):
    _, expected, _ = dc("labels", "--expression", table)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(table.read_bytes()))))
    assert dc("labels", "--expression", "-")[:2] == (0, expected)


def test_command_does_not_replace_a_file_without_force(dc, table, tmp_path):
    (tmp_path / "l.tsv").write_text("mine")
    code, out, err = dc("labels", "--expression", table, "--out", tmp_path / "l.tsv")
    assert (code, out) == (2, "")
    assert "--force" in err
    assert (tmp_path / "l.tsv").read_text() == "mine"
    assert dc("labels", "--expression", table, "--out", tmp_path / "l.tsv", "--force")[0] == 0
    assert (tmp_path / "l.tsv").read_text().startswith("gene_id")


@pytest.mark.campaign("numbers", "messages")
def test_command_names_invalid_values_and_writes_nothing(dc, table, tmp_path):
    table.write_text(table.read_text().replace("3.33", "NaN"))
    code, out, err = dc("labels", "--expression", table, "--out", tmp_path / "l.tsv")
    assert (code, out) == (65, "")
    assert "1 NaN (first: line 3, B, E003" in err
    assert "Traceback" not in err
    assert not (tmp_path / "l.tsv").exists()
    assert dc("labels", "--expression", tmp_path / "nothing")[0] == 66
    assert dc("labels", "--expression", table, "--rule", "wishful")[0] == 2


@pytest.mark.realdata
def test_the_published_rule_on_the_real_table(shared_data):
    audits = {audit.epigenome: audit for audit in audit_labels(read_expression(_rpkm(shared_data)))}
    with (shared_data / "published" / "deepchrome_auc_56.tsv").open() as file:
        published = list(csv.DictReader(file, delimiter="\t"))
    assert len(published) == 56
    assert audits.keys() == {row["epigenome"] for row in published}
    for row in published:
        audit = audits[row["epigenome"]]
        assert round(audit.flipped_label_fraction, 4) == float(row["flipped_label_fraction"])
        assert audit.median_rpkm == pytest.approx(float(row["median_rpkm"]), abs=1e-3)
        assert audit.published_auroc == float(row["deepchrome_auc"])
    flipped = [audit.flipped_label_fraction for audit in audits.values()]
    aurocs = [audit.published_auroc for audit in audits.values()]
    assert np.corrcoef(flipped, aurocs)[0, 1] == pytest.approx(-0.957, abs=5e-4)
    assert sum(fraction == 0 for fraction in flipped) == 7


@pytest.mark.realdata
def test_toy_labels_follow_the_published_rule(shared_data):
    toy = {}
    for part in ("train", "valid", "test"):
        for line in (shared_data / "csv" / f"toy.{part}.csv").read_text().splitlines():
            fields = line.split(",")
            toy[f"ENSG00000{fields[0]}"] = int(fields[-1])
    expression = read_expression(_rpkm(shared_data), ["E003"])
    rows = [expression.gene_id.index(gene) for gene in toy]
    labels = {rule: label_genes(expression.column("E003"), rule)[rows] for rule in ("numeric", "published")}
    assert labels["published"].tolist() == list(toy.values())
    assert int(np.sum(labels["numeric"] != list(toy.values()))) == 6


def _rpkm(shared_data: Path) -> Path:
    return shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz"


@pytest.mark.campaign("numbers")
def test_a_threshold_takes_the_place_of_the_median() -> None:
    rpkm = np.array([0.0, 0, 0, 0, 3.33, 13.3, 2, 40])
    assert label_genes(rpkm).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert label_genes(rpkm, threshold=3.33).tolist() == [0, 0, 0, 0, 0, 1, 0, 1]
    assert label_genes(rpkm, "published", 3.33).tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert label_genes(rpkm, threshold=0).tolist() == label_genes(rpkm).tolist()
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="label_threshold must be a finite RPKM of at least 0"):
            label_genes(rpkm, threshold=wrong)
    (audit,) = audit_labels(Expression(tuple("abcdefgh"), ("E1",), rpkm[:, None]), "numeric", 3.33)
    assert (audit.median_rpkm, audit.positive_fraction, audit.flipped_label_fraction) == (1.0, 0.25, 0.125)


@pytest.mark.campaign("numbers")
def test_medians_that_do_not_separate_the_genes_are_described() -> None:
    assert describe_thresholds({"table": {"E1": 2.0}}) == []
    assert describe_thresholds({"table": {"E1": 2.0}, "features": {"E1": 2.9}}) == []
    (zero,) = describe_thresholds({"table": {"E1": 0.0, "E2": 1.0, "E3": 0.0}})
    assert zero.startswith("the median RPKM is 0 in E1, E3, so every gene with an RPKM above 0 is on. ")
    medians = {"table": {"E1": 0.0, "E2": 1.0}, "features": {"E1": 2.5, "E2": 1.2}}
    zero, apart = describe_thresholds(medians)
    assert zero.startswith("the median RPKM is 0 in E1,")
    assert apart == (
        "the labels use the median RPKM of the whole expression table, which is far from that of the genes with "
        "features (E1: 0, not 2.5)"
    )
    assert describe_thresholds(medians, "features") == []
