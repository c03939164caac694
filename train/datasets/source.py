"""Sources of training data: features with an expression table, or DeepChrome's text format.

A source describes where the data are and how labels and split are made. It reads no data before its methods are
called. Every run stores its source in config.json, under the key ``origin``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

from deepchrome.engine.features.store import feature_files, read_features
from deepchrome.errors import ParameterError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.labels import LabelGenes, LabelRule, check_threshold
from deepchrome.train.datasets.load import LoadReport, load_datasets
from deepchrome.train.datasets.splits import SplitMethod

_PATHS: Final = ("features", "expression", "split_file")  # the fields of a FeatureSource that are paths


@dataclass(frozen=True)
class FeatureSource:
    """Features with labels from an expression table.

    Attributes
    ----------
    features
        A directory written by :func:`~deepchrome.engine.features.featurize.featurize`, or one Parquet file from it.
    expression
        Expression table; see :func:`~deepchrome.train.datasets.expression.read_expression`.
    label_rule, label_threshold
        See :func:`~deepchrome.train.datasets.labels.label_genes`.
    label_genes
        Take the median RPKM over all rows of the expression ``table``, or over the genes with ``features``.
    split, seed, n_train
        See :func:`~deepchrome.train.datasets.splits.split_genes`.
    split_file
        Table that assigns genes to training, validation and test; see :func:`~deepchrome.common.splits.read_splits`.
        It takes the place of ``split``, and ``seed`` has no effect.

    Raises
    ------
    ParameterError
        ``label_rule``, ``label_genes``, ``label_threshold`` or ``split`` has an invalid value.
    UsageError
        ``label_threshold`` is given together with the median over ``features``, or ``n_train`` with ``split_file``.
    """

    features: Path
    expression: Path
    label_rule: LabelRule = "numeric"
    split: SplitMethod = "chromosome"
    seed: int = 1
    n_train: int | None = None
    label_threshold: float | None = None
    label_genes: LabelGenes = "table"
    split_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        for name, kind in (("label_rule", LabelRule), ("label_genes", LabelGenes), ("split", SplitMethod)):
            if (value := getattr(self, name)) not in (choices := get_args(kind)):
                raise ParameterError(name, f"must be one of {', '.join(choices)}, got {value!r}")
        check_threshold(self.label_threshold)
        if self.label_threshold is not None and self.label_genes != "table":
            raise UsageError(
                f"the labels have two thresholds: RPKM {self.label_threshold:g}, and the median of the genes with "
                "features",
                remedy="one_threshold",
            )
        if self.split_file is not None and self.n_train is not None:
            raise UsageError(f"{self.split_file} determines the training genes, so their number cannot be chosen")

    def load(
        self,
        inputs: InputOptions,
        epigenomes: Sequence[str] | None = None,
        shard: tuple[int, int] | None = None,
        known_genes: Collection[str] | None = None,
    ) -> tuple[list[Dataset], LoadReport]:
        """Load epigenomes, by default all that have both features and expression.

        See :func:`~deepchrome.train.datasets.load.load_datasets` for the result and the errors.
        """
        return load_datasets(
            self.features,
            self.expression,
            epigenomes=epigenomes,
            label_rule=self.label_rule,
            label_threshold=self.label_threshold,
            label_genes=self.label_genes,
            split=self.split,
            seed=self.seed,
            n_train=self.n_train,
            split_file=self.split_file,
            inputs=inputs,
            shard=shard,
            known_genes=known_genes,
        )

    def symbols(self) -> dict[str, str]:
        """Return the symbol of every gene id of the features."""
        genes = read_features(feature_files(self.features)[0]).genes
        return dict(zip(genes.gene_id, genes.symbol, strict=True))

    def paths(self) -> list[Path]:
        """Return the paths of the data."""
        return [path for path in (self.features, self.expression, self.split_file) if path is not None]

    def missing_paths(self) -> list[Path]:
        """Return the paths that do not exist."""
        return [path for path in self.paths() if not path.exists()]

    def to_dict(self) -> dict[str, Any]:
        """Return the source as a dictionary that can be stored as JSON, with absolute paths."""
        paths = {name: path and str(path.resolve()) for name, path in vars(self).items() if name in _PATHS}
        return {**vars(self), **paths}


@dataclass(frozen=True)
class TextSource:
    """One epigenome in DeepChrome's text format, which includes labels and split.

    Attributes
    ----------
    directory
        Directory of train.csv, valid.csv and test.csv; see :func:`~deepchrome.train.datasets.deepchrome_csv.load_csv`.
    expression
        Expression table used to find the epigenome and the label rule that the labels come from. It is not stored
        in a run.
    """

    directory: Path
    expression: Path | None = None

    def load(
        self,
        inputs: InputOptions,
        epigenomes: Sequence[str] | None = None,  # noqa: ARG002 - a directory holds one epigenome
        shard: tuple[int, int] | None = None,  # noqa: ARG002
        known_genes: Collection[str] | None = None,  # noqa: ARG002 - no other files are scored
    ) -> tuple[list[Dataset], LoadReport]:
        """Load the one epigenome of the directory.

        Only ``inputs.transform`` and ``inputs.depth`` are used: the files fix the marks and their orientation.

        See :func:`~deepchrome.train.datasets.deepchrome_csv.load_csv` for the result and the errors.
        """
        return load_csv(self.directory, inputs, expression=self.expression)

    def symbols(self) -> dict[str, str]:
        """Return an empty mapping: the format has no gene symbols."""
        return {}

    def paths(self) -> list[Path]:
        """Return the paths of the data."""
        return [self.directory] if self.expression is None else [self.directory, self.expression]

    def missing_paths(self) -> list[Path]:
        """Return the paths that do not exist."""
        return [path for path in self.paths() if not path.exists()]

    def to_dict(self) -> dict[str, Any]:
        """Return the source as a dictionary that can be stored as JSON, with an absolute path."""
        return {"csv": str(self.directory.resolve())}


DataSource: TypeAlias = FeatureSource | TextSource


def source_from_dict(document: Mapping[str, Any]) -> DataSource | None:
    """Restore a source from the result of its ``to_dict``; return ``None`` if the document is empty.

    Raises
    ------
    KeyError, TypeError
        The document has missing or unknown keys, or a value of the wrong type.
    UsageError
        A value is not valid; see :class:`FeatureSource`.
    """
    if not document:
        return None
    if "csv" in document:
        return TextSource(Path(document["csv"]))
    paths = {key: Path(document[key]) for key in ("features", "expression")}
    if document.get("split_file") is not None:  # absent from earlier runs
        paths["split_file"] = Path(document["split_file"])
    return FeatureSource(**{**document, **paths})
