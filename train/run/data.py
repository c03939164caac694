"""Load the data that a run was trained on, and check that they have not changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.source import DataSource, FeatureSource, TextSource
from deepchrome.train.run.config import describe_datasets
from deepchrome.train.run.directory import Run


class RunData:
    """The data that a run was trained on, loaded one epigenome at a time.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        See :func:`find_source`, which also lists the errors.

    Attributes
    ----------
    source
        Paths of the data, and how labels and split are made.
    """

    def __init__(self, run: Run, features: Path | None = None, expression: Path | None = None) -> None:
        self._run = run
        self.source = find_source(run, features, expression)

    @property
    def expression(self) -> Path | None:
        """The expression table; ``None`` if the run was trained on DeepChrome's text format and no table was given."""
        return self.source.expression

    def symbols(self) -> Mapping[str, str]:
        """Return the symbol of every gene id; empty for DeepChrome's text format."""
        return self.source.symbols()

    def load(self, epigenome: str) -> Dataset:
        """Load the data of one epigenome.

        Raises
        ------
        BadDataError
            The data are damaged, or differ from those that the run was trained on.
        MissingInputError, StorageError
            A file does not exist or cannot be read.
        """
        (data,), _ = self.source.load(self._run.config.inputs.options(), [epigenome])
        check_unchanged(self._run, [data], remedy="maps_only")
        return data


def check_unchanged(run: Run, datasets: Sequence[Dataset], *, remedy: str = "") -> None:
    """Check that data sets are those that a run was trained on. Epigenomes that the run does not have are not checked.

    Raises
    ------
    BadDataError
        Features, labels or split differ.
    """
    with_expression = run.config.fit.task != "classify"
    for epigenome, described in describe_datasets(datasets, with_expression=with_expression).items():
        trained = run.config.data.get(epigenome)
        if trained and trained["sha256"] != described["sha256"]:  # guard: unchanged-data
            raise BadDataError(
                f"{run.path}: the data of {epigenome} have changed since training. Train again", remedy=remedy
            )


def find_source(run: Run, features: Path | None = None, expression: Path | None = None) -> DataSource:
    """Return the source of the data that a run was trained on.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        Current paths of the features and of the expression table. Default: the paths in config.json.

    Raises
    ------
    UsageError
        A path does not exist, or is neither given nor in config.json.
    """
    recorded = run.config.source
    if isinstance(recorded, FeatureSource):
        source: DataSource = replace(
            recorded, features=features or recorded.features, expression=expression or recorded.expression
        )
    elif isinstance(recorded, TextSource) and features is None:
        source = replace(recorded, expression=expression)
    elif features is not None and expression is not None:
        source = FeatureSource(features, expression)
    else:
        raise UsageError(
            f"{run.path}: config.json has no path to features or to an expression table", remedy="run_data"
        )
    split_file = source.split_file if isinstance(source, FeatureSource) else None
    if split_file is not None and not split_file.exists():
        raise UsageError(f"{run.path}: the split file of this run is missing ({split_file}). Restore it")
    if missing := source.missing_paths():
        raise UsageError(f"{run.path}: the data of this run are missing ({missing[0]})", remedy="run_data")
    return source
