"""Recognize files of other programs under the names that ``featurize`` writes. Only ``force`` replaces them."""

from pathlib import Path
from typing import Final

from deepchrome.common.locks import state_directory
from deepchrome.engine.features.multiqc import check_report
from deepchrome.engine.features.summary import summary_is_foreign, summary_path
from deepchrome.errors import UsageError

# Every Parquet file begins and ends with this.
_PARQUET_MAGIC: Final = b"PAR1"
# The metadata of every feature file, in its last bytes, has keys that contain this word.
_METADATA_KEY: Final = b"deepchrome"


def check_tables(out: Path) -> None:
    """Check that summary.tsv, qc.tsv and the report in a directory of feature files are absent or of ``featurize``.

    Raises
    ------
    UsageError
        Another program wrote one of them.
    """
    if summary_is_foreign(out):  # guard: foreign-summary
        raise UsageError(f"{summary_path(out)}: not a summary of dc featurize", remedy="force")
    check_report(out)


def is_own_damaged_file(path: Path) -> bool:
    """Return whether a damaged file, which cannot be read as a feature file, was written by ``featurize``.

    A feature file ends with metadata that name deepchrome. If it lost its end, it still begins like Parquet, and the
    state of the directory shows that an earlier run wrote a file of this name.
    """
    data = path.read_bytes()
    if not data or _METADATA_KEY in data:  # an empty file has nothing to lose
        return True
    was_written = (state_directory(path.parent) / f"{path.stem}.inputs.json").is_file()
    return was_written and data.startswith(_PARQUET_MAGIC)
