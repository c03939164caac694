"""Run the compared programs step by step on one file of reads, and read the counts that they write."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from deepchrome.benchmarks.common.processes import Usage, run_shell
from deepchrome.benchmarks.featurize.inputs import BinFile, Bins, Counts, Inputs
from deepchrome.benchmarks.featurize.programs import STEPS, Program
from deepchrome.errors import BadDataError, StorageError


class ProgramRunner:
    """Run the steps of programs, and read the counts that the programs write.

    Parameters
    ----------
    inputs, bins
        The reads, and the bins to count in.
    peer_python
        The Python interpreter that has the Python packages to compare with.
    threads
        The number of threads for programs that can use several.
    full_reference
        Whether multicov gets all bins instead of the bins of some genes.
    """

    def __init__(self, inputs: Inputs, bins: Bins, peer_python: str, threads: int, full_reference: bool) -> None:
        self._bins = bins
        self._full_reference = full_reference
        self._work = inputs.folder / "work"
        self._work.mkdir(exist_ok=True)
        self._total_bins = inputs.total_bins
        self._variables = {
            "READS": str(inputs.reads_file),
            "BINS": str(bins.all.path),
            "SORTED_BINS": str(bins.sorted),
            "SAF": str(bins.saf),
            "SIZES": str(bins.chrom_sizes),
            "WORK": str(self._work),
            "THREADS": str(threads),
            "PEER_PYTHON": peer_python,
        }

    @property
    def sorted_bam(self) -> Path:
        """The BAM file that the reference path writes."""
        return self._work / "sorted.bam"

    def run_step(self, step: str) -> Usage:
        """Run one step on the bins chosen for it: all, or those of some genes.

        Raises
        ------
        MissingInputError, StorageError
            As in :func:`deepchrome.benchmarks.common.processes.run`.
        """
        return self._run(step, self._bins_for(step).path, self._output_of(step))

    def run_step_for_one_gene(self, step: str) -> Usage:
        """Run one step on the bins of one gene. Its counts are not used."""
        return self._run(step, self._bins.one_gene.path, self._work / "one-gene.counts")

    def _run(self, step: str, bins: Path, output: Path) -> Usage:
        variables = {**self._variables, "SUBSET": str(bins), "OUT": str(output)}
        return run_shell(STEPS[step].script, variables, name=step)

    def scale_of(self, step: str) -> float:
        """Return the factor that extrapolates the time of a step from its bins to all bins.

        Multiply only the time beyond that for one gene. The factor is 1 if the step gets all bins.
        """
        n_given, n_all, n_one_gene = self._bins_for(step).n, self._bins.all.n, self._bins.one_gene.n
        if n_given == n_all:
            return 1.0
        return (n_all - n_one_gene) / max(n_given - n_one_gene, 1)

    def read_counts(self, program: Program) -> Counts:
        """Read the counts that a program wrote.

        Returns
        -------
        int64 (total bins,)
            The counts; -1 for bins that the program was not given.

        Raises
        ------
        StorageError
            The output cannot be read.
        BadDataError
            The output does not contain every given bin exactly once.
        """
        step = program.steps[-1]
        parse = partial(program.parse, self._output_of(step), self._bins)
        return read_counts(program.name, parse, self._bins_for(step).n, self._total_bins)

    def _bins_for(self, step: str) -> BinFile:
        bins = STEPS[step].bins
        if bins == "multicov" and not self._full_reference:
            return self._bins.multicov
        return self._bins.deeptools if bins == "deeptools" else self._bins.all

    def _output_of(self, step: str) -> Path:
        return self._work / f"{list(STEPS).index(step)}.counts"


def read_counts(name: str, parse: Callable[[], pl.DataFrame], n_given: int, total: int) -> Counts:
    """Read the counts that a program wrote.

    Parameters
    ----------
    name
        The name of the program.
    parse
        Reads the output into two columns: the index of a bin or region, and its count.
    n_given
        The number of bins that the program was given.
    total
        The number of indices: one more than the largest index of a bin.

    Returns
    -------
    int64 (total,)
        The counts; -1 for bins that the program was not given.

    Raises
    ------
    StorageError
        The output cannot be read.
    BadDataError
        The output does not contain every given bin exactly once.
    """
    try:
        index, count = parse().cast(pl.Int64).to_numpy().T
    except (OSError, pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(f"{name}: output cannot be read ({reason})") from error
    n_found = len(np.unique(index[(index >= 0) & (index < total)]))
    if len(index) != n_given or n_found != n_given:
        raise BadDataError(
            f"{name}: the output must have one row for each of {n_given:,} bins "
            f"({len(index):,} rows for {n_found:,} bins found)"
        )
    counts = np.full(total, -1, np.int64)
    counts[index] = count
    return counts
