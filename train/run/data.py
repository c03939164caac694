"""The data that a run was trained on, read again from where they were, and checked to be the same."""

from collections.abc import Mapping
from pathlib import Path

from deepchrome.engine.features.store import feature_files, read_features
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset, load_datasets
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.run.config import describe_datasets
from deepchrome.train.run.directory import Run


class RunData:
    """Data sets of a run, one epigenome at a time.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        Where its features and expression are now; by default where they were.

    Raises
    ------
    UsageError
        They are not there.

    Attributes
    ----------
    expression
        The expression table, ``None`` for a run on DeepChrome's text format.
    """

    def __init__(self, run: Run, features: Path | None = None, expression: Path | None = None) -> None:
        self.run = run
        origin = run.config.origin
        self._csv = Path(origin["csv"]) if "csv" in origin and features is None else None
        self.features = features or (Path(origin["features"]) if "features" in origin else None)
        self.expression = expression or (Path(origin["expression"]) if "expression" in origin else None)
        needed = [self._csv] if self._csv else [self.features, self.expression]
        if absent := [path for path in needed if path is None or not path.exists()]:
            raise UsageError(
                f"{run.path}: the data it was trained on are not where they were ({absent[0]}); "
                "give FEATURES and --expression"
            )

    def symbols(self) -> Mapping[str, str]:
        """Return the symbol of every gene id; empty for DeepChrome's text format."""
        if self._csv or self.features is None:
            return {}
        genes = read_features(feature_files(self.features)[0]).genes
        return dict(zip(genes.gene_id, genes.symbol, strict=True))

    def load(self, epigenome: str) -> Dataset:
        """Read the data of one epigenome.

        Raises
        ------
        BadDataError
            They are not those that the run was trained on.
        """
        data = self._read(epigenome)
        if describe_datasets([data])[data.epigenome]["sha256"] != self.run.config.data[epigenome]["sha256"]:
            raise BadDataError(
                f"{self._csv or self.features}: the data of {epigenome} are not those that {self.run.path} was "
                "trained on; train anew, or use --maps-only"
            )
        return data

    def _read(self, epigenome: str) -> Dataset:
        inputs, origin = self.run.config.inputs, self.run.config.origin
        if self._csv:
            return load_csv(self._csv, transform=inputs.transform)[0][0]
        assert self.features is not None
        assert self.expression is not None
        (data,), _ = load_datasets(
            self.features,
            self.expression,
            epigenomes=[epigenome],
            label_rule=origin.get("label_rule", "numeric"),
            split=origin.get("split", "published"),
            seed=origin.get("seed", 1),
            n_train=origin.get("n_train"),
            orient=inputs.orient,
            transform=inputs.transform,
            library_size=inputs.library_size,
            marks=inputs.marks,
        )
        return data
