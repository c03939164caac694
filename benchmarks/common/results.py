"""What a benchmark found: one JSON document of one schema, read back with every value checked."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from deepchrome.benchmarks.common.machine import commit, describe_machine, package_versions, program_versions
from deepchrome.benchmarks.common.processes import Usage
from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, MissingInputError, StorageError
from deepchrome.version import VERSION

SCHEMA = 2
KINDS = ("featurize", "train", "many")


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Attributes
    ----------
    group
        What it is shown among, such as ``floor`` or ``peer``.
    name
        What ran.
    work
        Reads counted or genes trained on in a run; what rates are of.
    wall, cpu
        Seconds of each run.
    rss_mib
        Peak resident memory of each run in MiB; 0 where it was not measured.
    scale
        How many times the work that was run would have to be done for all of it: 1 unless the seconds are
        scaled so from a part.
    """

    group: str
    name: str
    work: int
    wall: list[float]
    cpu: list[float]
    rss_mib: list[float]
    scale: float = 1.0

    @classmethod
    def of(cls, group: str, name: str, work: int, usages: Sequence[Usage]) -> "Row":
        """Make a row of runs."""
        return cls(group, name, work, [u.wall for u in usages], [u.cpu for u in usages], [u.rss_mib for u in usages])

    @property
    def seconds(self) -> float:
        """The median of the wall-clock seconds."""
        return median(self.wall)

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same row in other results."""
        return self.group, self.name, self.work


@dataclass(frozen=True)
class Parity:
    """How the counts of one contestant compare with the engine's, cell by cell.

    ``work`` is the number of reads. ``reason`` says why a contestant counts otherwise; it is empty where
    the counts must be equal.
    """

    name: str
    cells: int
    different: int
    work: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Missing:
    """A contestant that is not installed, and how to get it."""

    name: str
    how: str


@dataclass(frozen=True)
class Results:
    """One run of ``dc bench featurize``, ``train`` or ``many``.

    Attributes
    ----------
    kind
        Which of them.
    command
        What repeats it.
    settings, figures
        What was asked for; what was found beside the rows. Values are text or numbers.
    when
        Date and time in UTC, ISO 8601.
    commit, changed
        Of the checkout, and whether its code differed from that commit.
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
    def here_and_now(cls, kind: str, command: str, versions: Mapping[str, str], **found: Any) -> "Results":
        """Make results of what was found, with the date, the machine and the versions of the software."""
        name, changed = commit()
        return cls(
            kind,
            command,
            **found,
            versions={**program_versions(), **package_versions(), **versions},
            machine=dict(describe_machine()),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=name,
            changed=changed,
        )

    def row(self, group: str, name: str, work: int | None = None) -> Row | None:
        """Return a row by name; the one with the most work if several."""
        rows = [r for r in self.rows if (r.group, r.name) == (group, name) and work in (None, r.work)]
        return max(rows, key=lambda r: r.work, default=None)

    def document(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, folder: Path) -> Path:
        """Write ``<kind>.json`` into ``folder/<date>-<commit>-<machine>`` and return that directory."""
        machine = re.sub(r"[^a-z0-9]+", "-", f"{self.machine['processor']} {self.machine['cores']} cores".lower())
        place = folder / f"{self.when[:10]}-{self.commit}-{machine.strip('-')}"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{place}: cannot be made ({error.strerror})") from error
        with atomic_write(place / f"{self.kind}.json") as temporary:
            temporary.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
        return place


def read_results(path: Path, kind: str | None = None) -> Results:
    """Read results from a JSON file, or from a directory that holds one (of this kind).

    Raises
    ------
    MissingInputError
        There is none.
    BadDataError
        It is not what :meth:`Results.save` writes.
    """
    if path.is_dir():
        held = [path / f"{name}.json" for name in ([kind] if kind else KINDS) if (path / f"{name}.json").is_file()]
        if len(held) != 1:
            names = ", ".join(file.name for file in held) or "none"
            raise MissingInputError(f"{path}: name one file of results in it; it holds {names}")
        path = held[0]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _checked(document)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadDataError(
            f"{path}: not results of dc bench in schema {SCHEMA} ({type(error).__name__}: {error}); measure anew"
        ) from error


def newest_results(folder: Path, kind: str) -> tuple[Path, Results] | None:
    """Return the latest results of one kind among the directories in ``folder``, and where they lie."""
    found = [(path.parent, read_results(path)) for path in sorted(folder.glob(f"*/{kind}.json"))]
    return max(found, key=lambda pair: pair[1].when, default=None)


def _checked(document: Any) -> Results:
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
            raise ValueError(f"the row {row.name!r}")
    words = [*(r.name for r in rows), *(r.group for r in rows), *(p.name for p in parity), *(m.how for m in missing)]
    if results.kind not in KINDS or not all(isinstance(word, str) for word in words):
        raise ValueError(f"kind {results.kind!r}")
    return results


@dataclass(frozen=True)
class Compared:
    """One row in two results: seconds per unit of work, medians, and their ratio (above 1: the second is slower)."""

    group: str
    name: str
    work: int
    first: float
    second: float
    ratio: float
    verdict: str


def compare(first: Results, second: Results) -> list[Compared]:
    """Compare the rows that two results share.

    A row is ``slower`` (or ``faster``) if each median lies outside the range of the other's runs.

    Raises
    ------
    BadDataError
        They share none.
    """
    theirs = {row.key: row for row in second.rows}
    compared = []
    for row in first.rows:
        if other := theirs.get(row.key):
            a, b = row.seconds, other.seconds
            verdict = ""
            if b > max(row.wall) and a < min(other.wall):
                verdict = "slower"
            elif b < min(row.wall) and a > max(other.wall):
                verdict = "faster"
            compared.append(Compared(*row.key, a, b, b / a if a else float("nan"), verdict))
    if not compared:
        raise BadDataError(f"nothing to compare: {first.command!r} and {second.command!r} measured different things")
    return compared


Say = Callable[[str], None]
"""Told, line by line, what a benchmark is doing."""
