"""Measure how profiles of real epigenomes differ, to set the limits of ``deepchrome.train.datasets.profile``.

Every epigenome is a sample for a model of each other one and of its own: whole, with a part of its reads or genes, and
with two marks swapped. ``convert`` makes feature files of matrices of covered bases (see
:mod:`deepchrome.benchmarks.train.matrices`) with the numbers of reads of a table; the other call measures:

    python -m deepchrome.benchmarks.train.profiles --convert DIR --reads TSV --genes TSV NPZ...
    python -m deepchrome.benchmarks.train.profiles FEATURES...

With a run, the test genes of the epigenomes are scored with a part of their reads instead:

    python -m deepchrome.benchmarks.train.profiles --run RUN FEATURES...
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from deepchrome.benchmarks.train.matrices import BIN_BP, FLANK_BP, READ_BP
from deepchrome.engine.annotation.genes import drop_repeated_genes, read_genes
from deepchrome.engine.features.store import Features, feature_files, read_features, write_features
from deepchrome.errors import DeepchromeError
from deepchrome.train.datasets.profile import (
    Profile,
    compare_profiles,
    profile_counts,
    profile_features,
    shape_distance,
)
from deepchrome.train.models.metrics import auroc, expected_calibration_error
from deepchrome.train.run.directory import Run, load_run
from deepchrome.train.scoring.predict import THRESHOLD, prepare_inputs

# Parts of the reads, and numbers of random genes.
RATES: Final = (0.3, 0.1, 0.05)
GENES: Final = (10, 30, 100, 200, 500, 2000, 5000)
# Bins that a read of 36 bp overlaps: 1 + 35/100.
_BINS_PER_READ: Final = 1 + (READ_BP - 1) / BIN_BP


def convert(npz: Path, genes: Path, reads: Path, out: Path) -> Path:
    """Write the feature file ``EPIGENOME.parquet`` of the matrices ``EPIGENOME.*.npz``.

    Parameters
    ----------
    npz
        ``X`` uint16 (genes, bins, marks): covered bases in reads of 36 bp; ``gene`` and ``marks``. ``have``: the marks
        that were measured.
    genes
        The gene table. Bins stay in the order of the matrices: profiles do not depend on strands.
    reads
        A table with the columns epigenome, mark and reads.
    out
        The directory.
    """
    epigenome = npz.name.split(".")[0]
    table = pl.read_csv(reads, separator="\t", comment_prefix="#").filter(pl.col("epigenome") == epigenome)
    reads_of = dict(zip(table["mark"], table["reads"], strict=True))
    with np.load(npz, allow_pickle=False) as arrays:
        covered, gene_id, marks = (arrays[name] for name in ("X", "gene", "marks"))
        measured = arrays.get("have", marks)
    listed = drop_repeated_genes(read_genes(genes))
    row_of = {gene: row for row, gene in enumerate(listed.gene_id)}
    counts = {
        str(mark): np.round(covered[:, :, i] / READ_BP).astype(np.uint32)
        for i, mark in enumerate(marks)
        if mark in measured
    }
    metadata = {"genome": "hg19", "n_bins": covered.shape[1], "bin_size": BIN_BP, "flank": FLANK_BP}
    sources = {mark: _source(matrix, reads_of[mark]) for mark, matrix in counts.items()}
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{epigenome}.parquet"
    ours = listed.take(np.array([row_of[gene] for gene in gene_id], np.int64))
    write_features(path, ours, counts, {**metadata, "epigenome": epigenome, "sources": sources})
    return path


def _source(counts: NDArray[np.uint32], reads: int) -> dict[str, Any]:
    in_windows = round(float(counts.sum()) / _BINS_PER_READ)
    return {"reads": reads, "reads_in_windows": in_windows, "read_length_bp": {"mean": READ_BP}}


def vary(features: Features, rng: np.random.Generator) -> Iterator[tuple[str, Profile]]:
    """Return profiles of samples of the same kind: whole, with a part of the reads, and with some of the genes."""
    yield "whole", profile_features(features)
    for rate in RATES:
        yield (
            f"{rate:.0%} of the reads",
            _profile(features, rng.binomial(features.read_counts(), rate).astype(np.uint32), rate),
        )
    for n in (n for n in GENES if n < len(features.genes)):
        rows = np.sort(rng.permutation(len(features.genes))[:n])
        yield f"{n} genes", _profile(features, features.read_counts()[rows], rows=rows)


def _profile(
    features: Features, counts: NDArray[np.uint32], rate: float = 1.0, rows: NDArray[np.int64] | None = None
) -> Profile:
    """Profile changed counts. The reads in windows change like the sum of the counts."""
    chrom = np.array(features.genes.chrom)
    sources = {}
    for i, mark in enumerate(features.marks):
        source = dict(features.metadata.get("sources", {}).get(mark, {}))
        kept = float(counts[:, :, i].sum()) / max(float(features.counts[:, :, i].sum()), 1.0)
        if {"reads", "reads_in_windows"} <= source.keys():
            source |= {
                "reads": round(rate * source["reads"]),
                "reads_in_windows": round(kept * source["reads_in_windows"]),
            }
        sources[mark] = source
    return profile_counts(features.marks, counts, tuple(chrom if rows is None else chrom[rows]), sources)


def swap(profile: Profile, one: str, two: str) -> Profile:
    """Return the profile of the same features with two marks swapped."""
    other = {one: two, two: one}
    order = [other.get(mark, mark) for mark in profile.marks]
    matrix = profile.correlation_matrix(order)
    marks = {mark: profile.marks[name] for mark, name in zip(profile.marks, order, strict=True)}
    return replace(profile, marks=marks, correlations=tuple(matrix[np.triu_indices(len(order), 1)]))


def measure(epigenomes: Sequence[Features], seed: int = 1) -> dict[str, Any]:
    """Compare the epigenomes with each other, and return the figures of docs/training.md."""
    rng = np.random.default_rng(seed)
    known = {features.epigenome: profile_features(features) for features in epigenomes}
    comparisons, refused, warned, swaps, kept = 0, [], [], 0, []
    for features in epigenomes:
        for kind, profile in vary(features, rng):
            for model, trained in known.items():
                comparisons += 1
                for finding in compare_profiles(profile, [trained]):
                    text = f"{features.epigenome}, {kind}, model {model}: {finding.text}"
                    if finding.refuse:
                        refused.append(text)
                    elif kind == "whole":
                        warned.append(text)
        own = known[features.epigenome]
        for one, two in combinations(features.marks, 2):
            for model, trained in known.items():
                if {one, two} <= trained.marks.keys():
                    swaps += 1
                    if not any(finding.refuse for finding in compare_profiles(swap(own, one, two), [trained])):
                        kept.append(f"{features.epigenome}, model {model}: {one}, {two}")
    return {
        "comparisons": comparisons,
        "refused": refused,
        "warnings about whole epigenomes": warned,
        "swaps": swaps,
        "swaps not refused": kept,
        "largest distance of a shape": _largest(known, lambda mark, one, two: shape_distance(mark, one, [two])),
        "largest factor between shares in windows": _largest(known, _share_factor),
    }


def measure_depth(
    run: Run, epigenomes: Sequence[Features], rates: Sequence[float] = (1.0, *RATES[:2]), seed: int = 1
) -> list[dict[str, Any]]:
    """Score the test genes of epigenomes of a run with a part of their reads.

    Returns
    -------
    list of dict
        For each epigenome and part of the reads: ``epigenome``, ``rate``, ``genes``, the fraction called on
        (``called_on``), the expected calibration error (``ece``) and the ``auroc``.
    """
    rng, rows = np.random.default_rng(seed), []
    for features in epigenomes:
        stored = run.predictions().filter((pl.col("epigenome") == features.epigenome) & (pl.col("split") == "test"))
        label = dict(stored.select("gene_id", "label").iter_rows())
        test = np.array([gene in label for gene in features.genes.gene_id])
        on = np.array([label[gene] for gene in features.genes.gene_id if gene in label], np.uint8)
        model = run.model(run.config.model_of(features.epigenome))
        for rate in rates:
            counts = rng.binomial(features.read_counts(), rate).astype(np.uint32) if rate < 1 else features.counts
            score = model.score(prepare_inputs(run, replace(features, counts=counts))[test]).score
            figures = {"ece": expected_calibration_error(on, score), "auroc": auroc(on, score)}
            called_on = float(np.mean(score > THRESHOLD))
            where = {"epigenome": features.epigenome, "rate": rate, "genes": on.size}
            rows.append({**where, "called_on": called_on, **figures})
    return rows


def _largest(known: dict[str, Profile], measure: Callable[[str, Profile, Profile], float]) -> dict[str, float]:
    """Return the largest value over all pairs of epigenomes, for each mark."""
    largest: dict[str, float] = {}
    for one, two in combinations(known.values(), 2):
        for mark in one.marks.keys() & two.marks.keys():
            largest[mark] = max(largest.get(mark, 0.0), round(measure(mark, one, two), 4))
    return dict(sorted(largest.items()))


def _share_factor(mark: str, one: Profile, two: Profile) -> float:
    shares = [profile.marks[mark].share_in_windows for profile in (one, two)]
    known = [share / p.genes for share, p in zip(shares, (one, two), strict=True) if share]
    return max(known) / min(known) if len(known) == 2 else 1.0


def main(
    paths: Annotated[list[Path], typer.Argument(metavar="FEATURES", help="Feature files; NPZ files with --convert.")],
    convert_to: Annotated[Path | None, typer.Option("--convert", help="Write feature files to this directory.")] = None,
    reads: Annotated[Path | None, typer.Option(help="Numbers of reads (TSV): epigenome, mark, reads.")] = None,
    genes: Annotated[Path | None, typer.Option(help="Gene table.")] = None,
    run: Annotated[Path | None, typer.Option(help="Score the test genes of this run with a part of the reads.")] = None,
) -> None:
    """Compare the profiles of epigenomes, or make their feature files."""
    if convert_to is not None:
        if reads is None or genes is None:
            raise typer.BadParameter("--convert needs --reads and --genes")
        for path in paths:
            typer.echo(convert(path, genes, reads, convert_to))
        return
    found = [read_features(file) for path in paths for file in feature_files(path)]
    typer.echo(json.dumps(measure(found) if run is None else measure_depth(load_run(run), found), indent=1))


if __name__ == "__main__":
    try:
        typer.run(main)
    except DeepchromeError as error:
        typer.echo(f"profiles: {error}", err=True)
        sys.exit(error.exit_code)
