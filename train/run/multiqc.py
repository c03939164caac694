"""Sections on a training run for reports of MultiQC."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deepchrome.common.multiqc import Section, plain_text, section_is_foreign, without_none, write_sections
from deepchrome.errors import UsageError
from deepchrome.train.fitting.config import FittedModel
from deepchrome.train.run.layout import EPOCHS_REPORT, SCORES_REPORT
from deepchrome.train.run.summary import Summary

_PARENT: Final = (
    "deepchrome_models",
    "deepchrome: models",
    "Models that predict from histone marks whether a gene is on, and their scores on test genes, which training "
    "did not use.",
)
_AREA: Final[Mapping[str, Any]] = {"format": "{:.4f}", "min": 0.5, "max": 1, "scale": "Greens"}
_CORRELATION: Final[Mapping[str, Any]] = {"format": "{:.4f}", "min": 0, "max": 1, "scale": "Blues"}
_COUNT: Final[Mapping[str, Any]] = {"format": "{:,d}", "min": 0, "scale": False}
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "test_auroc": {
        **_AREA,
        "title": "AUROC",
        "description": "Area under the ROC curve for genes that are on or off, over the test genes.",
    },
    "test_auprc": {
        **_AREA,
        "title": "AUPRC",
        "description": "Average precision for genes that are on, over the test genes.",
        "min": 0,
    },
    "pearson": {
        **_CORRELATION,
        "title": "Pearson",
        "description": "Pearson correlation of predicted and observed log2(RPKM + 1), over the test genes. Only with "
        "regression.",
    },
    "spearman": {
        **_CORRELATION,
        "title": "Spearman",
        "description": "Spearman correlation of predicted and observed expression, over the test genes. Only with "
        "regression.",
    },
    "valid_auroc": {
        **_AREA,
        "title": "Valid. AUROC",
        "description": "AUROC over the validation genes, which chose the epoch whose weights were kept.",
    },
    "published_auroc": {
        **_AREA,
        "title": "2016 AUROC",
        "description": "Test AUROC of DeepChrome in the paper of 2016, on other labels and another split.",
        "hidden": True,
    },
    "best_epoch": {**_COUNT, "title": "Epoch", "description": "Epoch whose weights were kept."},
    "n_train": {**_COUNT, "title": "Train", "description": "Number of training genes.", "hidden": True},
    "n_valid": {**_COUNT, "title": "Valid.", "description": "Number of validation genes.", "hidden": True},
    "n_test": {**_COUNT, "title": "Test", "description": "Number of test genes."},
    "held_out": {
        **_COUNT,
        "title": "Held out",
        "description": "1 if no model was trained on the epigenome.",
        "hidden": True,
    },
    "note": {"title": "Note", "description": "What to know about the model.", "scale": False},
}


def run_sections(summary: Sequence[Summary], networks: Mapping[str, Sequence[FittedModel]]) -> list[Section]:
    """Return the sections of a report on a run.

    Parameters
    ----------
    summary
        The results of every epigenome.
    networks
        The networks of every model, by its name.
    """
    lines = {}
    for model, members in networks.items():
        for number, member in enumerate(members, 1):
            sample = f"{model}~{number}" if len(members) > 1 else model
            if line := {str(record.epoch): round(record.valid_auroc, 6) for record in member.history}:
                lines[sample] = line
    return [
        Section(
            SCORES_REPORT,
            "deepchrome_models_scores",
            "Scores of the models",
            "One row per epigenome. A score that cannot be computed is empty.",
            "table",
            {row.epigenome: _cells(row) for row in summary},
            headers=_HEADERS,
            options={"namespace": "deepchrome", "no_violin": True},
            parent=_PARENT,
        ),
        Section(
            EPOCHS_REPORT,
            "deepchrome_models_epochs",
            "Validation AUROC by epoch",
            "One line per network. The weights of its best epoch are kept.",
            "linegraph",
            lines,
            options={"xlab": "Epoch", "ylab": "AUROC of the validation genes", "x_decimals": False},
            parent=_PARENT,
        ),
    ]


def write_report(run: Path, summary: Sequence[Summary], networks: Mapping[str, Sequence[FittedModel]]) -> None:
    """Write the report of a run into its directory.

    Parameters
    ----------
    run
        The run directory.
    summary
        The results of every epigenome.
    networks
        The networks of every model, by its name.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    write_sections(run, run_sections(summary, networks))


def check_report(run: Path) -> None:
    """Check that the files of the report in a run directory are absent or were written by deepchrome.

    Raises
    ------
    UsageError
        Another program wrote one of them.
    """
    for name in (SCORES_REPORT, EPOCHS_REPORT):
        if section_is_foreign(run / name):  # guard: foreign-run-report
            raise UsageError(f"{run / name}: not written by deepchrome", remedy="start_again")


def _cells(row: Summary) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(row, name) for name in _HEADERS}
    return without_none({**values, "note": plain_text(row.note)})
