"""Contents of the report, refused calls, and names from the data that contain markup."""

import base64
import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.epigenomes import BINS, MARKS
from support.places import CHECKOUT
from support.reports import ENDING, HOSTILE, Page, hostile_run, page_data, unpack
from support.tiny import dc

from deepchrome.common.locks import output_lock
from deepchrome.train.report.packing import ArrayPack
from deepchrome.train.report.page import SCRIPTS, render_report, serve_report


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    ran = dc("visualize", run, "--out", run.parent / "report", "--steps", 20, "-t", 2, "--gene", "gene85")
    assert ran.code == 0, ran.err
    return run.parent / "report"


@pytest.fixture(scope="module")
def document(report: Path) -> dict:
    return page_data(report / "report.html")


def test_files_of_a_report(report: Path) -> None:
    table = pl.read_parquet(report / "patterns.parquet")
    assert table.columns == ["epigenome", "class", "mark", "bin", "value"]
    assert table.height == 2 * 2 * len(MARKS) * BINS
    assert table["value"].is_between(0, 1).all()
    assert sorted(table["bin"].unique()) == list(range(1, BINS + 1))
    drawn = {path.name for path in (report / "figures").iterdir()}
    stems = ("patterns_E001", "patterns_E002", "observed_E001", "observed_E002", "auroc", "roc", "training")
    stems += ("yardsticks", "calibration", "transfer")
    assert drawn == {f"{stem}.{form}" for stem in stems for form in ("png", "svg")}
    assert (report / "figures" / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert not list(report.rglob("*.part"))


@pytest.mark.campaign("names")
def test_page_makes_no_request_and_allows_only_its_own_script(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    linked = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "srcset", "data", "action")]
    assert all(value is not None and value.startswith(("#", "data:")) for value in linked)
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag, kind in (("style", "style"), ("script", "script")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_script_never_parses_text_as_markup() -> None:
    assets = CHECKOUT / "train" / "report" / "assets"
    assert sorted(SCRIPTS) == sorted(path.name for path in assets.glob("*.js"))
    script = "".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS)
    for function in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("):
        assert function not in script


@pytest.mark.campaign("names")
def test_hostile_names_stay_inside_the_data_element(report: Path, document: dict) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    plain = render_report({"nothing": 1})
    assert [tag for tag, _ in Page(text).tags] == [tag for tag, _ in Page(plain).tags]
    assert {HOSTILE, ENDING} <= set(document["genes"]["symbol"])
    for name in ("<!--<script>", "</SCRIPT >", "\u2028", "{style}{script}{data}", "\\u003c/script>", "&lt;"):
        (body,) = Page(render_report({"name": name})).data_texts
        assert json.loads(body) == {"name": name}
        assert "<" not in body


def test_document_equals_the_run(run: Path, report: Path, document: dict) -> None:
    assert [row["id"] for row in document["epigenomes"]] == ["E001", "E002"]
    summary = pl.read_csv(run / "summary.tsv", separator="\t")
    for row, (area, best) in zip(
        document["epigenomes"], summary.select("test_auroc", "best_epoch").iter_rows(), strict=True
    ):
        assert row["auroc"] == pytest.approx(area, abs=1e-4)
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
        assert row["best_epoch"] == best
    assert document["genes"]["symbol"][0] == "GENE85"
    scores = pl.read_parquet(run / "predictions.parquet").filter(pl.col("epigenome") == "E002")
    by_id = dict(scores.select("gene_id", "score").iter_rows())
    assert document["genes"]["score"][1] == pytest.approx([by_id[g] for g in document["genes"]["id"]], rel=1e-3)
    assert [part[-1] for part in document["roc"].values()] == [1, 1]


def test_packed_arrays_equal_their_source(run: Path, report: Path, document: dict) -> None:
    arrays = unpack(document)
    table = pl.read_parquet(report / "patterns.parquet")["value"].to_numpy().reshape(2, 2, len(MARKS), BINS)
    np.testing.assert_allclose(arrays["pattern"] / 65535, table, atol=1e-5)
    features = pl.read_parquet(run.parent / "features" / "E002.parquet")
    # Gene 85 is on the minus strand, so 5'→3' is the reverse of the stored order.
    stored = features.row(85, named=True)
    assert stored["strand"] == "-"
    np.testing.assert_array_equal(arrays["tracks"][1, 0], [stored[mark][::-1] for mark in MARKS])
    assert arrays["observed"].shape == (2, 2, 3, len(MARKS), BINS)


def test_pack_keeps_values_and_zeros() -> None:
    pack = ArrayPack()
    values = np.array([[[0.0, -2.0], [1.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)
    pack.add("odd", np.array([1, 2, 3], np.int8))
    pack.add_scaled("values", values, np.int16)
    found = unpack({"arrays": pack.index, "blob": pack.to_base64()})
    scale = np.array(pack.index["values"]["scale"])[:, None, None]
    np.testing.assert_allclose(found["values"] * scale, values, atol=1e-4)
    assert found["odd"].tolist() == [1, 2, 3]


def test_existing_report_is_not_replaced_without_force(run: Path, report: Path) -> None:
    before = (report / "report.html").read_bytes()
    ran = dc("visualize", run, "--out", report)
    assert (ran.code, ran.out) == (2, "")
    assert "report.html already exists. Use --force to replace it." in ran.err
    assert (report / "report.html").read_bytes() == before


def test_two_writers_at_once_are_refused(run: Path, tmp_path: Path) -> None:
    with output_lock(tmp_path):
        ran = dc("visualize", run, "--out", tmp_path)
    assert ran.code == 74
    assert "is writing there" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--gene", "NOSUCH"], 65, "no gene NOSUCH"),
        (["--gene", "GENE3", "--maps-only"], 2, "the gene view needs the data of the run"),
        (["--steps", "0"], 2, "--steps must be at least 1, got 0"),
        (["--threads", "0"], 2, "--threads"),
        (["--expression", "x.tsv"], 2, "must be given together"),
    ],
)
def test_wrong_calls_are_refused(run: Path, tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    ran = dc("visualize", run, "--out", tmp_path / "out", *arguments)
    assert ran.code == code
    assert message in ran.err
    assert not (tmp_path / "out" / "report.html").exists()


def test_changed_or_missing_data_are_refused(tmp_path: Path) -> None:
    run = hostile_run(tmp_path, epochs=1)
    expression = tmp_path / "expression.tsv"
    rows = expression.read_text().splitlines()
    cells = rows[5].split("\t")
    expression.write_text("\n".join([*rows[:5], "\t".join([cells[0], *["999"] * 2]), *rows[6:]]) + "\n")
    ran = dc("visualize", run, "--out", tmp_path / "out")
    assert ran.code == 65
    assert "have changed since training" in ran.err
    expression.unlink()
    ran = dc("visualize", run, "--out", tmp_path / "out")
    assert ran.code == 2
    assert "the data of this run are missing" in ran.err
    ran = dc("visualize", run, "--out", tmp_path / "out", "--maps-only", "--steps", 5)
    assert ran.code == 0, ran.err
    assert pl.read_parquet(tmp_path / "out" / "patterns.parquet").height == 2 * 2 * len(MARKS) * BINS


def test_report_of_baselines_has_no_maps(tmp_path: Path) -> None:
    run = hostile_run(tmp_path, model="logistic")
    ran = dc("visualize", run, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "no pattern maps" in ran.err
    assert pl.read_parquet(tmp_path / "out" / "patterns.parquet").height == 0
    assert "observed" in page_data(tmp_path / "out" / "report.html")["arrays"]


def test_report_of_attentivechrome_has_attention(tmp_path: Path) -> None:
    run = hostile_run(tmp_path, model="attentivechrome", epochs=1)
    ran = dc("visualize", run, "--out", tmp_path / "out", "--steps", 3, "--starts", 1)
    assert ran.code == 0, ran.err
    document = page_data(tmp_path / "out" / "report.html")
    assert document["arrays"]["attention"]["shape"] == [2, 2, len(MARKS), BINS]
    for weights in document["epigenomes"][0]["mark_attention"]:
        assert sum(weights) == pytest.approx(1, abs=1e-3)


def test_report_without_matplotlib_has_no_figures(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepchrome.train.report.visualize.matplotlib_is_installed", lambda: False)
    ran = dc("visualize", run, "--out", tmp_path, "--steps", 3, "--starts", 1, "--maps-only")
    assert ran.code == 0, ran.err
    assert "pip install 'deepchrome[figures]'" in ran.err
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "patterns.parquet").is_file()
    assert not (tmp_path / "figures").exists()


def test_server_serves_only_the_report_and_only_to_this_machine(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("the page")
    with serve_report(page) as (address, wait):
        threading.Thread(target=wait, daemon=True).start()
        assert address.startswith("http://127.0.0.1:")
        for path in ("", "../../etc/passwd"):
            with urllib.request.urlopen(address + path, timeout=10) as answer:
                assert answer.read() == b"the page"
        request = urllib.request.Request(address, headers={"Host": "elsewhere.example:80"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 403
        refused.value.close()
