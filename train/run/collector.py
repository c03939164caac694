"""Put finished networks together to models, store and score them, and finish the run."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from deepchrome.common.names import SPLIT_NAMES, TEST
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FittedModel
from deepchrome.train.fitting.training import Training
from deepchrome.train.models import is_network
from deepchrome.train.models.trained import GeneScores
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.directory import finish_run
from deepchrome.train.run.layout import checkpoint_path
from deepchrome.train.run.summary import Summary, summarize_model
from deepchrome.train.run.verify import build_model, save_model, score_rounding
from deepchrome.train.run.weights import StoredModel

ModelCallback = Callable[[Sequence[Summary], bool], None]
"""Called with the rows of the summary that a finished model gives, and whether it was trained just now."""


class Collector:
    """The finished models of a run.

    Parameters
    ----------
    out, config
        The run directory and its config.
    datasets
        All data sets of the run.
    device
        Device to score on.
    on_model
        See :data:`ModelCallback`.

    """

    def __init__(
        self,
        out: Path,
        config: RunConfig,
        datasets: Sequence[Dataset],
        device: torch.device,
        on_model: ModelCallback | None,
    ) -> None:
        self._out, self._config, self._device, self._on_model = out, config, device, on_model
        self._datasets = {data.epigenome: data for data in datasets}
        self._members: dict[str, dict[int, FittedModel]] = {}
        self._networks: dict[str, Sequence[FittedModel]] = {}  # of the finished models, without their weights
        self._scores: dict[str, GeneScores | None] = {}
        self._rows: dict[str, Summary] = {}
        self._lock = threading.Lock()

    @property
    def models(self) -> frozenset[str]:
        """Names of the finished models."""
        return frozenset(self._networks)

    def reuse(self, models: Mapping[str, StoredModel]) -> None:
        """Score the models that a run already has."""
        for name, model in models.items():
            self._score(name, model.members, model, None)

    def add(self, training: Training, fitted: FittedModel) -> None:
        """Add one network. The last network of a model completes it.

        Raises
        ------
        BadDataError
            The stored model does not give the results of training.
        StorageError
            A file cannot be written.
        """
        name, config = training.model, self._config
        with self._lock:
            members = self._members.setdefault(name, {})
            members[training.member] = fitted
            if len(members) < config.fit.members:
                return
        ordered, model = [members.pop(number) for number in sorted(members)], None
        networks = tuple(replace(member, weights={}) for member in ordered)
        known: dict[str, GeneScores] = {}
        if all(member.weights for member in ordered):
            built, scored = build_model(config.fit, config.spec, training.datasets, ordered, self._device)
            model = StoredModel(name, built, networks)
            rounding = score_rounding(config.fit.resolve_precision(self._device))
            save_model(self._out, config, model, scored, self._device, rounding)
            known = {each.data.epigenome: built.score_outputs(each.outputs) for each in scored}
        self._score(name, networks, model, known)
        if is_network(config.spec.name):  # a baseline has no checkpoint, so a file in this place is not of this run
            for member in ordered:
                checkpoint_path(self._out, member.key).unlink(missing_ok=True)

    def finish(self) -> list[Summary]:
        """Write the tables of the run, and return the results of every epigenome."""
        summary = [self._rows[name] for name in self._datasets]
        networks = {name: self._networks[name] for name in self._config.models}
        finish_run(self._out, self._config, self._predictions(), networks, summary)
        return summary

    def _score(
        self,
        name: str,
        members: Sequence[FittedModel],
        model: StoredModel | None,
        known: Mapping[str, GeneScores] | None,
    ) -> None:
        """Score the genes of the epigenomes of a model, and summarize the results.

        ``known`` has scores of a model that was trained just now. It is ``None`` for a model that was trained before.
        """
        rows = []
        for epigenome, data in self._datasets.items():
            if self._config.model_of(epigenome) == name:
                scores = known.get(epigenome) if known is not None else None
                if scores is None and model is not None:
                    scores = model.trained.score(data.x, self._device)
                held_out = self._config.held_out(epigenome)
                rows.append(summarize_model(data, members, scores, self._config.fit, held_out=held_out))
                self._scores[epigenome] = scores
        with self._lock:
            self._networks[name] = members
            self._rows |= {row.epigenome: row for row in rows}
        if self._on_model is not None:
            self._on_model(rows, known is not None)

    def _predictions(self) -> pl.DataFrame:
        """Return the table for predictions.parquet. Of an epigenome that is held out, it has only test genes."""
        types = {"epigenome": pl.String, "gene_id": pl.String, "split": pl.String, "label": pl.UInt8}
        types |= dict.fromkeys(("score", "log2_rpkm"), pl.Float64)
        tables = [pl.DataFrame(schema=types)]
        for name, data in self._datasets.items():
            if (scores := self._scores[name]) is None:
                continue
            split = np.array(SPLIT_NAMES)[data.split]
            columns = ([name] * len(split), data.gene_id, split, data.y, scores.score, scores.log2_rpkm)
            table = pl.DataFrame(dict(zip(types, columns, strict=True)), schema=types)
            is_tested = data.split == TEST if self._config.held_out(name) else np.ones(len(split), bool)
            tables.append(table.filter(is_tested))
        return pl.concat(tables)
