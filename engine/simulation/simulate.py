"""Simulated reads, genes and expression, with the truth beside them. See docs/simulation.md."""

import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from deepchrome.engine.annotation.genes import write_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.simulation import model
from deepchrome.engine.simulation.reads import (
    CHRM_FRACTION,
    NEAR_TSS_FRACTION,
    Chromosomes,
    Container,
    MarkTruth,
    draw_reads,
    write_reads,
)
from deepchrome.errors import StorageError, UsageError
from deepchrome.version import VERSION

MANIFEST = "truth/simulation.json"
_OWN_FILE = re.compile(r"(truth/)?[A-Za-z0-9]+(-[A-Za-z0-9]+)?(\.[A-Za-z]+){1,2}")

# Of Roadmap's epigenomes, E001 to E129, the first two have no expression; from E003 on many have, and published
# results with it, which must not turn up beside simulated ones of the same name.
_UNPUBLISHED, _ROADMAP_LAST = 2, 129
_MOST_EPIGENOMES = 999 - _ROADMAP_LAST + _UNPUBLISHED


@dataclass(frozen=True)
class SimulatedEpigenome:
    """What can be known of expression from the reads of one simulated epigenome.

    The label of a gene is whether its RPKM is above the median. An AUROC is None where all genes
    have one label.

    Attributes
    ----------
    epigenome
        Its name.
    genes, isolated_genes
        Number of genes, and of those whose window overlaps no other gene's.
    reads
        Number of reads in each of its files.
    latent_auroc
        AUROC of a score that knows the true state of every mark: what no number of reads exceeds.
    bayes_auroc
        AUROC of the likelihood-ratio score of the reads, which knows what to expect from neighbours
        that reach into a gene's window: no classifier of the reads does better, but for chance.
    mark_auroc
        By mark, the AUROC of the same score from the reads of that mark alone.
    """

    epigenome: str
    genes: int
    isolated_genes: int
    reads: int
    latent_auroc: float | None
    bayes_auroc: float | None
    mark_auroc: dict[str, float | None]


def simulate(
    out: str | Path,
    *,
    epigenomes: int = 2,
    genes: int = 600,
    reads: int = 200_000,
    seed: int = 1,
    marks: Sequence[str] = tuple(model.MARKS),
    shuffle: bool = False,
    container: Container = "gzip",
    force: bool = False,
    on_file: Callable[[str], None] | None = None,
) -> list[SimulatedEpigenome]:
    """Write tagAlign files, genes and expression on hg19 whose truth is known.

    Parameters
    ----------
    out
        Directory, made if absent. It receives ``<epigenome>-<mark>.tagAlign.gz``, ``genes.tsv``,
        ``expression.tsv`` and ``truth/``, when all of them are complete.
    epigenomes
        How many, named E001, E002, E130, E131, …; one does not depend on how many there are.
    genes
        Number of genes.
    reads
        Number of reads in each file, exactly.
    seed
        Same seed, same version: same bytes.
    marks
        Some of H3K27me3, H3K36me3, H3K4me1, H3K4me3, H3K9me3. A file does not depend on which
        other marks are written.
    shuffle
        Write the same reads in random order instead of genome order.
    container
        ``gzip``, ``bgzip``, or ``plain`` for text.
    force
        Write into a directory that is not empty: an earlier simulation there is replaced, other
        files stay.
    on_file
        Called with the name of each reads file once it is written.

    Returns
    -------
    list of Simulated
        One for each epigenome.

    Raises
    ------
    UsageError
        A number out of range, an unknown mark or container, or a directory that is not empty
        without ``force``.
    StorageError
        Something cannot be written.
    """
    out = Path(out)
    _check({"epigenomes": epigenomes, "genes": genes, "reads": reads}, seed, marks, container)
    _check_directory(out, force)
    genome = read_genome("hg19")
    chromosomes = Chromosomes.of(genome)
    table = model.draw_genes(_rng(seed, "genes"), genome, genes)
    isolated = model.isolated(table)
    shared = _rng(seed, "shared activity").standard_normal(genes)
    suffix = ".tagAlign" if container == "plain" else ".tagAlign.gz"
    simulated: list[SimulatedEpigenome] = []
    with _filling(out) as directory:
        truth = directory / "truth"
        truth.mkdir()
        write_genes(directory / "genes.tsv", table)
        expression = {"gene_id": pl.Series(table.gene_id)}
        for number in range(1, epigenomes + 1):
            epigenome = _epigenome(number)
            own = _rng(seed, epigenome, "activity").standard_normal(genes)
            activity = np.sqrt(model.SHARED_ACTIVITY) * shared + np.sqrt(1 - model.SHARED_ACTIVITY) * own
            rpkm = model.expression(activity)
            known: dict[str, MarkTruth] = {}
            for mark in marks:
                rng = _rng(seed, epigenome, mark)
                keys, known[mark] = draw_reads(rng, table, activity, model.MARKS[mark], reads, chromosomes)
                if shuffle:
                    rng.shuffle(keys)
                name = f"{epigenome}-{mark}{suffix}"
                write_reads(directory / name, keys, chromosomes, container)
                if on_file:
                    on_file(name)
            expression[epigenome] = pl.Series(rpkm)
            scores = _scores(known)
            _truth_table(table.gene_id, activity, rpkm, isolated, scores["bayes"], known).write_parquet(
                truth / f"{epigenome}.parquet"
            )
            simulated.append(_summary(epigenome, reads, rpkm > np.median(rpkm), isolated, scores))
        pl.DataFrame(expression).write_csv(directory / "expression.tsv", separator="\t", float_precision=3)
        _write_summary(truth / "summary.tsv", simulated)
        _write_profiles(truth / "profiles.tsv", marks)
        _write_manifest(
            directory, {"seed": seed, "genes": genes, "reads": reads, "marks": [*marks], "shuffle": shuffle}
        )
    return simulated


def _check(counts: Mapping[str, int], seed: int, marks: Sequence[str], container: str) -> None:
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"--{name} {value}: at least 1")
    if counts["epigenomes"] > _MOST_EPIGENOMES:
        raise UsageError(f"--epigenomes {counts['epigenomes']}: at most {_MOST_EPIGENOMES}")
    if seed < 0:
        raise UsageError(f"--seed {seed}: not a whole number from 0 on")
    known = ", ".join(model.MARKS)
    if unknown := [mark for mark in marks if mark not in model.MARKS]:
        raise UsageError(f"--marks: {', '.join(map(repr, unknown))} cannot be simulated; choose from {known}")
    if not marks or len(set(marks)) < len(marks):
        raise UsageError(f"--marks {','.join(marks)}: name one or more, each once, from {known}")
    if container not in get_args(Container):
        raise UsageError(f"--format {container}: choose from {', '.join(get_args(Container))}")


def _epigenome(number: int) -> str:
    return f"E{number if number <= _UNPUBLISHED else _ROADMAP_LAST + number - _UNPUBLISHED:03d}"


def _check_directory(out: Path, force: bool) -> None:
    if out.is_dir():
        if not force and any(out.iterdir()):
            raise UsageError(
                f"{out}: not empty; name another directory with --out, or replace what is in it by --force"
            )
    elif out.exists() or out.is_symlink():
        raise UsageError(f"{out}: not a directory; name another with --out")


def _rng(seed: int, *purpose: str) -> np.random.Generator:
    """Give each purpose a stream of its own, so that none depends on what else is drawn."""
    key = [zlib.crc32(word.encode()) for word in purpose]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _scores(known: Mapping[str, MarkTruth]) -> dict[str, model.Floats]:
    """Log odds of activity by mark, from all reads (``bayes``), and from the states (``latent``)."""
    on = {mark: truth.log_on for mark, truth in known.items()}
    off = {mark: truth.log_off for mark, truth in known.items()}
    return {
        **{mark: model.log_odds({mark: on[mark]}, {mark: off[mark]}) for mark in known},
        "bayes": model.log_odds(on, off),
        "latent": model.log_odds(
            {mark: np.where(truth.state, 0.0, -np.inf) for mark, truth in known.items()},
            {mark: np.where(truth.state, -np.inf, 0.0) for mark, truth in known.items()},
        ),
    }


def _summary(
    epigenome: str,
    reads: int,
    positive: npt.NDArray[np.bool_],
    isolated: npt.NDArray[np.bool_],
    scores: Mapping[str, model.Floats],
) -> SimulatedEpigenome:
    return SimulatedEpigenome(
        epigenome,
        genes=len(positive),
        isolated_genes=int(isolated.sum()),
        reads=reads,
        latent_auroc=model.auroc(scores["latent"], positive),
        bayes_auroc=model.auroc(scores["bayes"], positive),
        mark_auroc={name: model.auroc(score, positive) for name, score in scores.items() if name in model.MARKS},
    )


def _truth_table(
    gene_id: Sequence[str],
    activity: model.Floats,
    rpkm: model.Floats,
    isolated: npt.NDArray[np.bool_],
    log_odds: model.Floats,
    known: Mapping[str, MarkTruth],
) -> pl.DataFrame:
    columns = {
        "gene_id": pl.Series(gene_id),
        "activity": pl.Series(activity),
        "rpkm": pl.Series(rpkm),
        "isolated": pl.Series(isolated),
        "log_odds": pl.Series(log_odds),
    }
    for mark, truth in known.items():
        columns[f"{mark}_on"] = pl.Series(truth.state)
        columns[f"{mark}_expected_reads"] = pl.Series(truth.expected)
    return pl.DataFrame(columns)


def _write_summary(path: Path, simulated: Sequence[SimulatedEpigenome]) -> None:
    rows = [asdict(one) for one in simulated]
    for row in rows:
        row |= {f"{mark}_auroc": value for mark, value in row.pop("mark_auroc").items()}
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path, separator="\t", float_precision=4)


def _write_profiles(path: Path, marks: Sequence[str]) -> None:
    frames = [
        pl.DataFrame({"bin": np.arange(1, model.N_BINS + 1), "log_enrichment": profile}).select(
            pl.lit(mark).alias("mark"), pl.lit(label).alias("class"), "bin", "log_enrichment"
        )
        for mark in marks
        for label, profile in (("on", model.MARKS[mark].on), ("off", model.MARKS[mark].off))
    ]
    pl.concat(frames).write_csv(path, separator="\t", float_precision=6)


def _write_manifest(directory: Path, run: Mapping[str, object]) -> None:
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    document = {
        "deepchrome_version": VERSION,
        **run,
        "near_tss_fraction": NEAR_TSS_FRACTION,
        "chrm_fraction": CHRM_FRACTION,
        "shared_activity": model.SHARED_ACTIVITY,
        "amplitude_sd": model.AMPLITUDE_SD,
        "noise": {name: mark.noise for name, mark in model.MARKS.items()},
        "files": files,
    }
    (directory / MANIFEST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _filling(out: Path) -> Iterator[Path]:
    """Give a directory to fill; on success what is in it takes its place in ``out``, else it is removed."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Inside `out` if that exists: it may be the root of another file system.
        place = out if out.is_dir() else out.parent
        with tempfile.TemporaryDirectory(prefix=f".{out.name[:100]}.", suffix=".part", dir=place) as temporary:
            directory = Path(temporary) / "simulation"
            directory.mkdir()
            yield directory
            if place == out:
                _move_into(out, directory)
            else:
                directory.rename(out)
    except OSError as error:
        raise StorageError(f"{out}: cannot be written ({error.strerror or error})") from error


def _move_into(out: Path, directory: Path) -> None:
    """Replace an earlier simulation; its manifest goes first and the new one comes last."""
    files = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
    stale = set(_earlier_files(out / MANIFEST)) - set(files)
    (out / MANIFEST).unlink(missing_ok=True)
    (out / "truth").mkdir(exist_ok=True)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    for name in [*files, MANIFEST]:
        (directory / name).replace(out / name)


def _earlier_files(manifest: Path) -> list[str]:
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return [name for name in files if _OWN_FILE.fullmatch(name)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
