"""Simulate reads, genes and expression, and write them together with the truth. See docs/simulation.md."""

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
from deepchrome.errors import ParameterError, StorageError, UsageError
from deepchrome.version import VERSION

MANIFEST = "truth/simulation.json"
# Names of the files that a simulation writes. No other file is removed, whatever an earlier manifest lists.
_SIMULATED_FILE = re.compile(r"(truth/)?[A-Za-z0-9]+(-[A-Za-z0-9]+)?(\.[A-Za-z]+){1,2}")

# Roadmap's epigenomes are E001 to E129. Results are published for many of them, but not for E001 and E002. Simulated
# epigenomes are named E001, E002, E130, E131, ..., so that they are never compared with published results.
_LAST_UNPUBLISHED, _LAST_ROADMAP = 2, 129
_MAX_EPIGENOMES = 999 - _LAST_ROADMAP + _LAST_UNPUBLISHED


@dataclass(frozen=True)
class SimulatedEpigenome:
    """How well the reads of one simulated epigenome can predict expression.

    The label of a gene is whether its RPKM is above the median. An AUROC is None if all genes have the same label.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    genes, isolated_genes
        Number of genes, and number of genes whose window overlaps no window of another gene.
    reads
        Number of reads in each of its files.
    latent_auroc
        AUROC of the score computed from the true state of every mark: the upper limit for any number of reads.
    bayes_auroc
        AUROC of the likelihood-ratio score, computed from the reads and the expected reads of neighbouring genes.
        No classifier of the reads does better, except by chance.
    mark_auroc
        AUROC of the same score computed from the reads of one mark alone, by mark.
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
    """Write tagAlign files, genes and expression on hg19, and the truth about them.

    Parameters
    ----------
    out
        The directory to write; it is created if necessary. When all files are complete, it gets
        ``<epigenome>-<mark>.tagAlign.gz``, ``genes.tsv``, ``expression.tsv`` and ``truth/``.
    epigenomes
        Number of epigenomes, named E001, E002, E130, E131, and so on. The data of an epigenome do not
        depend on how many there are.
    genes
        Number of genes.
    reads
        Exact number of reads in each file.
    seed
        The same seed and version give the same bytes.
    marks
        Some of H3K27me3, H3K36me3, H3K4me1, H3K4me3 and H3K9me3. A file does not depend on the other marks.
    shuffle
        Write the same reads in random order instead of genomic order.
    container
        ``gzip``, ``bgzip``, or ``plain`` for uncompressed text.
    force
        Write into a directory that is not empty. An earlier simulation in it is replaced; other files stay.
    on_file
        Called with the name of each file of reads when it is written.

    Returns
    -------
    list of SimulatedEpigenome
        One per epigenome.

    Raises
    ------
    UsageError
        A parameter is out of range, or ``out`` is not empty and ``force`` is False.
    StorageError
        A file cannot be written.
    """
    out = Path(out)
    _check_parameters({"epigenomes": epigenomes, "genes": genes, "reads": reads}, seed, marks, container)
    _check_directory(out, force)
    genome = read_genome("hg19")
    chromosomes = Chromosomes.from_genome(genome)
    table = model.draw_genes(_random_stream(seed, "genes"), genome, genes)
    isolated = model.find_isolated(table)
    shared = _random_stream(seed, "shared activity").standard_normal(genes)
    suffix = ".tagAlign" if container == "plain" else ".tagAlign.gz"
    simulated: list[SimulatedEpigenome] = []
    with _staging_directory(out) as directory:
        truth = directory / "truth"
        truth.mkdir()
        write_genes(directory / "genes.tsv", table)
        expression = {"gene_id": pl.Series(table.gene_id)}
        for number in range(1, epigenomes + 1):
            epigenome = _epigenome_name(number)
            own = _random_stream(seed, epigenome, "activity").standard_normal(genes)
            activity = np.sqrt(model.SHARED_ACTIVITY) * shared + np.sqrt(1 - model.SHARED_ACTIVITY) * own
            rpkm = model.expression(activity)
            truth_of: dict[str, MarkTruth] = {}
            for mark in marks:
                rng = _random_stream(seed, epigenome, mark)
                keys, truth_of[mark] = draw_reads(rng, table, activity, model.MARKS[mark], reads, chromosomes)
                if shuffle:
                    rng.shuffle(keys)
                name = f"{epigenome}-{mark}{suffix}"
                write_reads(directory / name, keys, chromosomes, container)
                if on_file:
                    on_file(name)
            expression[epigenome] = pl.Series(rpkm)
            scores = _score_genes(truth_of)
            with (truth / f"{epigenome}.parquet").open("wb") as file:
                _truth_table(table.gene_id, activity, rpkm, isolated, scores["bayes"], truth_of).write_parquet(file)
            simulated.append(_summarize(epigenome, reads, rpkm > np.median(rpkm), isolated, scores))
        with (directory / "expression.tsv").open("wb") as file:
            pl.DataFrame(expression).write_csv(file, separator="\t", float_precision=3)
        _write_summary(truth / "summary.tsv", simulated)
        _write_profiles(truth / "profiles.tsv", marks)
        _write_manifest(
            directory, {"seed": seed, "genes": genes, "reads": reads, "marks": [*marks], "shuffle": shuffle}
        )
    return simulated


def _check_parameters(counts: Mapping[str, int], seed: int, marks: Sequence[str], container: str) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ParameterError(name, f"must be at least 1, got {value}")
    if counts["epigenomes"] > _MAX_EPIGENOMES:
        raise ParameterError("epigenomes", f"must be at most {_MAX_EPIGENOMES}, got {counts['epigenomes']}")
    if seed < 0:
        raise ParameterError("seed", f"must be at least 0, got {seed}")
    known = ", ".join(model.MARKS)
    if unknown := [mark for mark in marks if mark not in model.MARKS]:
        raise ParameterError("marks", f"must be among {known}, got {', '.join(map(repr, unknown))}")
    if not marks or len(set(marks)) < len(marks):
        raise ParameterError("marks", f"must name one or more of {known}, each once, got {','.join(marks)!r}")
    if container not in get_args(Container):
        raise ParameterError("container", f"must be one of {', '.join(get_args(Container))}, got {container!r}")


def _check_directory(out: Path, force: bool) -> None:
    if out.is_dir():
        if not force and any(out.iterdir()):
            raise UsageError(f"{out}: the directory is not empty", remedy="out_or_force")
    elif out.exists() or out.is_symlink():
        raise UsageError(f"{out}: not a directory", remedy="out")


def _epigenome_name(number: int) -> str:
    return f"E{number if number <= _LAST_UNPUBLISHED else _LAST_ROADMAP + number - _LAST_UNPUBLISHED:03d}"


def _random_stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return the random generator for one purpose. Draws for other purposes do not affect it."""
    key = [zlib.crc32(word.encode()) for word in purpose]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _score_genes(truth_of: Mapping[str, MarkTruth]) -> dict[str, model.Floats]:
    """Return each gene's log odds of high activity, given the reads of one mark, all reads, or all states.

    Returns
    -------
    dict of str to float64 (genes,)
        Under the name of each mark, under ``bayes`` for all reads, and under ``latent`` for all states.
    """
    on = {mark: truth.log_on for mark, truth in truth_of.items()}
    off = {mark: truth.log_off for mark, truth in truth_of.items()}
    return {
        **{mark: model.log_odds({mark: on[mark]}, {mark: off[mark]}) for mark in truth_of},
        "bayes": model.log_odds(on, off),
        "latent": model.log_odds(
            {mark: np.where(truth.state, 0.0, -np.inf) for mark, truth in truth_of.items()},
            {mark: np.where(truth.state, -np.inf, 0.0) for mark, truth in truth_of.items()},
        ),
    }


def _summarize(
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
    truth_of: Mapping[str, MarkTruth],
) -> pl.DataFrame:
    columns = {
        "gene_id": pl.Series(gene_id),
        "activity": pl.Series(activity),
        "rpkm": pl.Series(rpkm),
        "isolated": pl.Series(isolated),
        "log_odds": pl.Series(log_odds),
    }
    for mark, truth in truth_of.items():
        columns[f"{mark}_on"] = pl.Series(truth.state)
        columns[f"{mark}_expected_reads"] = pl.Series(truth.expected)
    return pl.DataFrame(columns)


def _write_summary(path: Path, simulated: Sequence[SimulatedEpigenome]) -> None:
    rows = [asdict(epigenome) for epigenome in simulated]
    for row in rows:
        row |= {f"{mark}_auroc": value for mark, value in row.pop("mark_auroc").items()}
    with path.open("wb") as file:
        pl.DataFrame(rows, infer_schema_length=None).write_csv(file, separator="\t", float_precision=4)


def _write_profiles(path: Path, marks: Sequence[str]) -> None:
    frames = [
        pl.DataFrame({"bin": np.arange(1, model.N_BINS + 1), "log_enrichment": profile}).select(
            pl.lit(mark).alias("mark"), pl.lit(label).alias("class"), "bin", "log_enrichment"
        )
        for mark in marks
        for label, profile in (("on", model.MARKS[mark].on), ("off", model.MARKS[mark].off))
    ]
    with path.open("wb") as file:
        pl.concat(frames).write_csv(file, separator="\t", float_precision=6)


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
def _staging_directory(out: Path) -> Iterator[Path]:
    """Yield an empty directory. On success, move its files to ``out``; on an error, remove it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Inside `out` if it exists: it may be a mount point, and files can be renamed only within a file system.
        parent = out if out.is_dir() else out.parent
        with tempfile.TemporaryDirectory(prefix=f".{out.name[:100]}.", suffix=".part", dir=parent) as temporary:
            directory = Path(temporary) / "simulation"
            directory.mkdir()
            yield directory
            if parent == out:
                _replace_simulation(out, directory)
            else:
                directory.rename(out)
    except OSError as error:
        raise StorageError(f"{out}: cannot be written ({error.strerror or error})") from error


def _replace_simulation(out: Path, directory: Path) -> None:
    """Replace the simulation in ``out`` with the one in ``directory``.

    The old manifest is removed first and the new one is moved last, so that a manifest never lists missing files.
    """
    files = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
    stale = set(_listed_files(out / MANIFEST)) - set(files)
    (out / MANIFEST).unlink(missing_ok=True)
    (out / "truth").mkdir(exist_ok=True)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    for name in [*files, MANIFEST]:
        (directory / name).replace(out / name)


def _listed_files(manifest: Path) -> list[str]:
    """Return the files of an earlier simulation, or an empty list if there is no readable manifest."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return [name for name in files if _SIMULATED_FILE.fullmatch(name)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
