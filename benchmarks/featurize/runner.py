"""Run the steps of the compared programs on one file of reads, and read their counts."""

from pathlib import Path

import numpy as np
import polars as pl

from deepchrome.benchmarks.common.processes import Usage, run_shell
from deepchrome.benchmarks.featurize.inputs import BinFile, Bins, Counts, Inputs
from deepchrome.benchmarks.featurize.programs import STEPS, Program
from deepchrome.errors import BadDataError, StorageError


class ProgramRunner:
    """Runs programs step by step.

    Parameters
    ----------
    inputs, bins
        The reads, and the files of bins.
    peer_python
        The Python interpreter that has the Python packages to compare with.
    threads
        The number of threads for programs that can use several.
    full_reference
        Whether multicov gets all bins.
    """

    def __init__(self, inputs: Inputs, bins: Bins, peer_python: str, threads: int, full_reference: bool) -> None:
        self._bins = bins
        self._full_reference = full_reference
        self._work = inputs.folder / "work"
        self._work.mkdir(exist_ok=True)
        self._cells = inputs.cells
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
        """Run one step."""
        return self._run(step, self._bins_for(step).path, self._output_of(step))

    def run_step_for_one_gene(self, step: str) -> Usage:
        """Run one step on the bins of one gene. Its counts are not used."""
        return self._run(step, self._bins.one_gene.path, self._work / "one-gene.counts")

    def _run(self, step: str, bins: Path, output: Path) -> Usage:
        variables = {**self._variables, "SUBSET": str(bins), "OUT": str(output)}
        return run_shell(STEPS[step].script, variables, name=step)

    def scale_of(self, step: str) -> float:
        """Return the factor from the cost of the bins that a step gets to the cost of all bins.

        Costs are those beyond the cost for one gene. The factor is 1 if the step gets all bins.
        """
        given, everything = self._bins_for(step).n, self._bins.all.n
        if given == everything:
            return 1.0
        return (everything - self._bins.one_gene.n) / max(given - self._bins.one_gene.n, 1)

    def read_counts(self, program: Program) -> Counts:
        """Read the counts that a program wrote.

        Returns
        -------
        int64 (cells,)
            The counts; -1 in cells that the program was not given.

        Raises
        ------
        StorageError
            The output cannot be read.
        BadDataError
            The output does not have every given bin exactly once.
        """
        step = program.steps[-1]
        try:
            cell, count = program.parse(self._output_of(step), self._bins).cast(pl.Int64).to_numpy().T
        except (OSError, pl.exceptions.PolarsError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise StorageError(f"{program.name}: output cannot be read ({reason})") from error
        given = self._bins_for(step).n
        if len(cell) != given or len(np.unique(cell)) != given or cell.min() < 0 or cell.max() >= self._cells:
            raise BadDataError(f"{program.name}: {len(cell):,} rows of counts for {given:,} bins")
        counts = np.full(self._cells, -1, np.int64)
        counts[cell] = count
        return counts

    def _bins_for(self, step: str) -> BinFile:
        bins = STEPS[step].bins
        if bins == "multicov" and not self._full_reference:
            return self._bins.multicov
        return self._bins.deeptools if bins == "deeptools" else self._bins.all

    def _output_of(self, step: str) -> Path:
        return self._work / f"{list(STEPS).index(step)}.counts"
