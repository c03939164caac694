"""The results of a benchmark: one JSON document with a fixed schema, checked when it is read."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from deepchrome.benchmarks.common.machine import current_commit, describe_machine, package_versions, program_versions
from deepchrome.benchmarks.common.processes import Usage
from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, MissingInputError, StorageError
from deepchrome.version import VERSION

SCHEMA = 2
KINDS = ("featurize", "count", "train", "many")


@dataclass(frozen=True)
class Row:
    """The runs of one task.

    Attributes
    ----------
    group
        The group of tasks that the row is shown with, such as ``floor`` or ``peer``.
    name
        The task.
    work
        Number of reads counted or genes trained on in one run, for computing rates; 0 if a rate has no meaning.
    wall, cpu
        Seconds of each run.
    rss_mib
        Peak resident memory of each run in MiB; 0 if it was not measured.
    scale
        1 if the task did all of the work. Otherwise it did a part, and the seconds were multiplied by this factor.
    """

    group: str
    name: str
    work: int
    wall: list[float]
    cpu: list[float]
    rss_mib: list[float]
    scale: float = 1.0

    @classmethod
    def from_usages(cls, group: str, name: str, work: int, usages: Sequence[Usage], scale: float = 1.0) -> "Row":
        """Make a row from measured runs."""
        wall, cpu, rss_mib = ([getattr(usage, key) for usage in usages] for key in ("wall", "cpu", "rss_mib"))
        return cls(group, name, work, wall, cpu, rss_mib, scale)

    @property
    def seconds(self) -> float:
        """The median of the wall-clock seconds."""
        return median(self.wall)

    @property
    def key(self) -> tuple[str, str, int]:
        """Group, name and work, which identify the same row in other results."""
        return self.group, self.name, self.work


@dataclass(frozen=True)
class Parity:
    """The comparison of one program's counts with the engine's, bin by bin or region by region.

    Attributes
    ----------
    name
        The program.
    cells, different
        The number of bins or regions compared, and how many of them differ.
    work
        The number of reads.
    reason
        Why the program counts differently; empty if its counts must be equal.
    """

    name: str
    cells: int
    different: int
    work: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Missing:
    """A program that is not installed, and the command that installs it."""

    name: str
    how: str


@dataclass(frozen=True)
class Results:
    """The results of one run of ``dc bench featurize``, ``count``, ``train`` or ``many``.

    Attributes
    ----------
    kind
        ``featurize``, ``count``, ``train`` or ``many``.
    command
        The command line that repeats the run.
    settings
        The settings of the run. Values are text or numbers.
    rows, parity, missing
        The measured tasks, the comparisons of counts, and the programs that are not installed.
    figures
        Other measured or derived values. Values are text or numbers.
    versions
        Versions of programs and Python packages.
    machine
        See :func:`deepchrome.benchmarks.common.machine.describe_machine`.
    version
        The version of deepchrome.
    when
        Date and time in UTC, ISO 8601.
    commit, changed
        The commit of the checkout, and whether its code had uncommitted changes.
    """

    kind: str
    command: str
    settings: dict[str, Any]
    rows: list[Row]
    parity: list[Parity] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    version: str = VERSION
    when: str = ""
    commit: str = ""
    changed: bool = False

    @classmethod
    def create(cls, kind: str, command: str, versions: Mapping[str, str], **measured: Any) -> "Results":
        """Create results from measurements; add the date, the commit, the machine and the software versions."""
        commit, changed = current_commit()
        return cls(
            kind,
            command,
            **measured,
            versions={**program_versions(), **package_versions(), **versions},
            machine=dict(describe_machine()),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit,
            changed=changed,
        )

    def row(self, group: str, name: str) -> Row | None:
        """Return the row with this group and name and the most work, or None."""
        rows = [row for row in self.rows if (row.group, row.name) == (group, name)]
        return max(rows, key=lambda row: row.work, default=None)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, folder: Path) -> Path:
        """Write ``<date>-<commit>-<machine>/<kind>.json`` in ``folder``, and return the directory of the file.

        Raises
        ------
        StorageError
            The directory or the file cannot be written.
        """
        machine = re.sub(r"[^a-z0-9]+", "-", f"{self.machine['processor']} {self.machine['cores']} cores".lower())
        directory = folder / f"{self.when[:10]}-{self.commit}-{machine.strip('-')}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{directory}: cannot create this directory ({error.strerror})") from error
        self._check_own(directory)
        with atomic_write(directory / f"{self.kind}.json") as temporary:
            temporary.write_text(json.dumps(self.to_document(), indent=1) + "\n", encoding="utf-8")
        return directory

    def _check_own(self, directory: Path) -> None:
        """Check that the directory has no results, log or plot of this kind, or those of an earlier benchmark."""
        there = sorted(directory.glob(f"{self.kind}.*"))
        try:
            if there:
                read_results(directory, self.kind)
        except (BadDataError, MissingInputError):
            raise StorageError(f"{there[0]}: not saved by a benchmark. Move it to another place.") from None


def read_results(path: Path, kind: str | None = None) -> Results:
    """Read results from a JSON file, or from a directory that holds one.

    Parameters
    ----------
    path
        The file or directory.
    kind
        The kind of results to read from a directory. By default any kind, if there is only one.

    Raises
    ------
    MissingInputError
        The file does not exist, or the directory does not hold exactly one.
    BadDataError
        The file was not written by :meth:`Results.save`.
    """
    if path.is_dir():
        files = [path / f"{name}.json" for name in ([kind] if kind else KINDS) if (path / f"{name}.json").is_file()]
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise MissingInputError(f"{path}: expected one file of results (found {names}). Give the path of one file.")
        path = files[0]
    try:
        return _parse_results(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadDataError(
            f"{path}: not benchmark results in schema {SCHEMA} ({type(error).__name__}: {error}). "
            "Run the benchmark again."
        ) from error


def _parse_results(document: Any) -> Results:
    fields = dict(document)
    if fields.pop("schema") != SCHEMA:
        raise ValueError(f"schema {document['schema']}")
    rows = [Row(**row) for row in fields.pop("rows")]
    parity = [Parity(**one) for one in fields.pop("parity")]
    missing = [Missing(**one) for one in fields.pop("missing")]
    results = Results(**fields, rows=rows, parity=parity, missing=missing)
    datetime.fromisoformat(results.when)
    for row in rows:
        runs = {len(row.wall), len(row.cpu), len(row.rss_mib)}
        numbers = [*row.wall, *row.cpu, *row.rss_mib, row.scale, row.work]
        if len(runs) != 1 or not row.wall or not all(isinstance(n, int | float) and n >= 0 for n in numbers):
            raise ValueError(f"row {row.name!r}")
    texts = [*(r.name for r in rows), *(r.group for r in rows), *(p.name for p in parity), *(m.how for m in missing)]
    if results.kind not in KINDS or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"kind {results.kind!r}")
    return results


def newest_results(folder: Path, kind: str) -> tuple[Path, Results] | None:
    """Return the newest results of one kind in a folder of saved results, with their directory, or None."""
    found = [(path.parent, read_results(path)) for path in sorted(folder.glob(f"*/{kind}.json"))]
    return max(found, key=lambda pair: pair[1].when, default=None)


@dataclass(frozen=True)
class RowComparison:
    """The times of the same task in two results.

    Attributes
    ----------
    group, name, work
        See :class:`Row`.
    first, second
        Median wall-clock seconds in the first and the second results.
    ratio
        ``second / first``: above 1 if the second is slower.
    verdict
        ``slower``, ``faster``, or empty.
    """

    group: str
    name: str
    work: int
    first: float
    second: float
    ratio: float
    verdict: str


def compare(first: Results, second: Results) -> list[RowComparison]:
    """Compare the rows that two results have in common.

    A row is ``slower`` or ``faster`` if each median lies outside the range of the other's runs.

    Raises
    ------
    BadDataError
        The results have no row in common.
    """
    rows_of_second = {row.key: row for row in second.rows}
    compared = []
    for row in first.rows:
        if other := rows_of_second.get(row.key):
            a, b = row.seconds, other.seconds
            verdict = ""
            if b > max(row.wall) and a < min(other.wall):
                verdict = "slower"
            elif b < min(row.wall) and a > max(other.wall):
                verdict = "faster"
            compared.append(RowComparison(*row.key, a, b, b / a if a else float("nan"), verdict))
    if not compared:
        raise BadDataError(f"nothing to compare: {first.command!r} and {second.command!r} have no row in common")
    return compared
