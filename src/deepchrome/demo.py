"""Run the whole analysis on simulated data with known truth. ``dc demo`` calls this."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deepchrome.common.files import atomic_write, special_kind
from deepchrome.common.progress import OnMessage
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.simulation.simulate import SimulatedEpigenome, simulate
from deepchrome.errors import UsageError
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import LabelAudit, audit_labels
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.report.visualize import VisualizeResult, visualize
from deepchrome.train.run.directory import load_run
from deepchrome.train.run.protocols import BEST, pool
from deepchrome.train.run.train import RunOptions, train_models
from deepchrome.train.scoring.evaluate import Evaluation, evaluate_run
from deepchrome.version import VERSION

EPIGENOMES: Final = 3
GENES: Final = 3000
READS: Final = 300_000  # per file, that is, per epigenome and mark
_FOLDERS: Final = ("data", "features", "run", "report", "pooled", "report-pooled")
_RECORD: Final = "demo.json"  # the hashes of all files of a finished demo


@dataclass(frozen=True)
class Demo:
    """Directories and results of a demo.

    Attributes
    ----------
    data, features, run, pooled
        The directories of the simulated data, the features, the models of one epigenome each, and the pooled model.
    simulated
        For each epigenome, how well its reads can predict expression.
    outcomes
        For each file of reads, a summary of the counting.
    audits
        For each epigenome, an audit of its labels.
    evaluations
        For each epigenome, the evaluation of its own model on test genes.
    pooled_evaluations
        For each epigenome, the evaluation of the pooled model on test genes. The last epigenome is held out: the model
        was trained on the others only.
    report, pooled_report
        The files of the reports on both runs, and summaries of their maps.
    """

    data: Path
    features: Path
    run: Path
    pooled: Path
    simulated: Sequence[SimulatedEpigenome]
    outcomes: Sequence[FileOutcome]
    audits: Sequence[LabelAudit]
    evaluations: Sequence[Evaluation]
    pooled_evaluations: Sequence[Evaluation]
    report: VisualizeResult
    pooled_report: VisualizeResult


def run_demo(out: Path, on_message: OnMessage, *, force: bool = False) -> Demo:
    """Simulate, featurize, label, train, evaluate and visualize.

    Parameters
    ----------
    out
        Directory for all output. Unchanged files of an earlier demo are replaced.
    on_message
        Called with a one-line message before each step starts.
    force
        Also replace other files of the names that a demo writes.

    Raises
    ------
    UsageError
        ``out`` has files that an earlier demo did not write, and ``force`` is False.
    StorageError
        A file cannot be written.
    """
    if not force:
        check_output(out)
    data, features, run, report, pooled, report_pooled = (out / name for name in _FOLDERS)
    on_message(f"simulating reads: {EPIGENOMES} epigenomes, 5 marks, {READS:,} reads each, {GENES:,} genes on hg19")
    simulated = simulate(data, epigenomes=EPIGENOMES, genes=GENES, reads=READS, force=True)
    on_message("counting reads in bins around every TSS")
    outcomes = featurize([data], genes=data / "genes.tsv", genome="hg19", out=features, force=True)
    expression = data / "expression.tsv"
    audits = audit_labels(read_expression(expression))
    source = FeatureSource(features, expression, split=BEST.split)
    options = RunOptions(force=True, checkpoint_seconds=60)
    on_message(f"training {EPIGENOMES} models, one per epigenome")
    train_models(source, run, config=BEST.fit, options=options)
    *trained, held_out = (epigenome.epigenome for epigenome in simulated)
    on_message(f"training one pooled model on {' and '.join(trained)}, to predict {held_out} without its expression")
    train_models(source, pooled, held_out=[held_out], config=replace(pool(BEST.fit), min_steps=1500), options=options)
    on_message("testing the models on unseen genes")
    evaluations, pooled_evaluations = (evaluate_run(load_run(path))[0] for path in (run, pooled))
    on_message("computing the patterns of marks that the models associate with on and off")
    reports = [visualize(*paths, force=True) for paths in ((run, report), (pooled, report_pooled))]
    record_files(out)
    return Demo(data, features, run, pooled, simulated, outcomes, audits, evaluations, pooled_evaluations, *reports)


def record_files(out: Path) -> None:
    """Record the hashes of all files of a finished demo, so that the next one may replace them.

    Raises
    ------
    StorageError
        The record cannot be written.
    """
    hashes = {path.relative_to(out).as_posix(): _sha256(path) for path in _written_files(out)}
    with atomic_write(out / _RECORD) as temporary:
        temporary.write_text(json.dumps({"deepchrome_version": VERSION, "sha256": hashes}, indent=1), encoding="utf-8")


def check_output(out: Path) -> None:
    """Check a directory for files that no earlier demo wrote, or that have been changed since.

    Raises
    ------
    UsageError
        There is such a file under a name that a demo writes.
    """
    recorded = _read_record(out / _RECORD)
    for path in _written_files(out):
        name = path.relative_to(out).as_posix()
        # With a record, files of other names are not in the way.
        if (name in recorded and recorded[name] != _sha256(path)) or not recorded:  # guard: foreign-demo
            raise UsageError(f"{path}: not written by an earlier demo, or changed since", remedy="out_or_force")


def _read_record(path: Path) -> dict[str, str]:
    """Return the hashes of the files of an earlier demo, by name; empty if there is none."""
    if not os.path.lexists(path):
        return {}
    try:
        if special_kind(path):
            raise ValueError
        return dict(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: not written by an earlier demo", remedy="out_or_force") from None


def _written_files(out: Path) -> Iterator[Path]:
    """Yield the files in the folders of a demo, except hidden ones."""
    for folder in _FOLDERS:
        for path in sorted((out / folder).rglob("*")):
            if not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(out).parts):
                yield path


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file; empty for anything else."""
    if special_kind(path):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
