"""Errors of the library are shown with the options of the command line."""

from pathlib import Path

import pytest

from deepchrome.cli.options import check_output_free, parse_names
from deepchrome.cli.remedies import explain
from deepchrome.cli.show_featurize import FeaturizeProgress
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.errors import BadDataError, ParameterError, UsageError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BadDataError("a.bed: contains no reads", remedy="allow_empty"), "Use --allow-empty to accept this."),
        (BadDataError("a.bed: contains no reads.", remedy="allow_empty"), "Use --allow-empty to accept this."),
        (BadDataError("a.bed: contains no reads"), ""),
    ],
)
def test_remedy_becomes_advice(error: BadDataError, message: str) -> None:
    assert explain(error) == f"a.bed: contains no reads{f'. {message}' if message else ''}"


@pytest.mark.parametrize(
    ("parameter", "option"), [("bin_size", "--bin-size"), ("n_genes", "--genes"), ("container", "--format")]
)
def test_parameter_becomes_an_option(parameter: str, option: str) -> None:
    assert explain(ParameterError(parameter, "must be at least 1, got 0")) == f"{option} must be at least 1, got 0"


def test_error_of_a_single_file_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """The line on standard error names the option; the table, which other programs read, does not."""
    error = BadDataError("a.bed: contains no reads", remedy="allow_empty")
    outcome = FileOutcome(Sample("E1", "A", "a.bed"), None, error)
    FeaturizeProgress(None).on_finish(outcome)
    assert capsys.readouterr().err == "dc: a.bed: contains no reads. Use --allow-empty to accept this.\n"
    assert outcome.row()["status"] == "failed: a.bed: contains no reads"


def test_existing_output_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    check_output_free(path, force=False)
    check_output_free(None, force=False)
    path.touch()
    check_output_free(path, force=True)
    with pytest.raises(UsageError, match=r"out\.tsv: file exists") as raised:
        check_output_free(path, force=False)
    assert explain(raised.value) == f"{path}: file exists. Use --force to replace it."


def test_names_are_parsed() -> None:
    assert parse_names("all") is None
    assert parse_names("E003,E004") == ["E003", "E004"]
