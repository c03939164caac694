"""Generated sections of documents follow the newest saved results."""

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from support.places import CHECKOUT

from deepchrome.benchmarks.maintain.figures import DOCUMENTS, RESULTS, main, update
from deepchrome.errors import BadDataError, MissingInputError


@pytest.mark.bedtools
def test_sections_show_the_newest_results(quick_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = quick_run.results
    folder, document = tmp_path / "results", tmp_path / "benchmarks.md"
    replace(results, when="2020-01-01T00:00:00+00:00", command="dc bench featurize --older").save(folder)
    results.save(folder)
    before, after = "# A title\n\n<!-- bench:featurize -->\n", "<!-- /bench:featurize -->\n\nmore\n"
    document.write_text(f"{before}1.0 s, typed by hand\n{after}", encoding="utf-8")
    with pytest.raises(typer.Exit) as exited:
        main(check=True, results=folder, documents=[document])
    assert exited.value.exit_code == 65
    assert f"{document}: out of date (featurize)" in capsys.readouterr().err
    assert "typed by hand" in document.read_text(encoding="utf-8")
    main(results=folder, documents=[document])
    text = document.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert text.endswith(after)
    assert "dc bench featurize --quick" in text
    assert "bedtools intersect -c -sorted" in text
    main(check=True, results=folder, documents=[document])
    document.write_text(text.replace(" s |", "1 s |", 1), encoding="utf-8")
    assert update(document, folder, write=False) == ["featurize"]


def test_documents_that_cannot_be_updated_are_refused(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    with pytest.raises(MissingInputError, match="no such file"):
        update(document, tmp_path, write=True)
    document.write_text("no markers")
    with pytest.raises(BadDataError, match="no generated section"):
        update(document, tmp_path, write=True)
    document.write_text("<!-- bench:many -->\n")
    with pytest.raises(BadDataError, match="section many has no end"):
        update(document, tmp_path, write=True)
    document.write_text("<!-- bench:many -->\nold figures\n<!-- /bench:many -->\n")
    with pytest.raises(MissingInputError, match="no results of dc bench many"):
        update(document, tmp_path / "none", write=True)


def test_empty_section_waits_for_its_first_results(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- bench:many -->\n<!-- /bench:many -->\n")
    assert update(document, tmp_path / "none", write=True) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_documents_are_up_to_date(document: Path) -> None:
    assert update(CHECKOUT / document, CHECKOUT / RESULTS, write=False) == []
