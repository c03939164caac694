"""Record every epoch of a run: checkpoints, the log file, and the caller's callback."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, TextIO

from deepchrome.errors import StorageError, UsageError
from deepchrome.train.fitting.config import Checkpoint, EpochRecord
from deepchrome.train.fitting.training import Training
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.weights import write_checkpoint

# Called after every epoch of every network with the key of its training (its epigenome, unless several networks are
# trained for one) and its metrics, from the thread that trains it.
EpochCallback = Callable[[str, EpochRecord], None]

_LONGEST_LINE: Final = 65536  # bytes


class EpochRecorder:
    """Record every epoch: write a checkpoint if one is due, append to the log, and call the callback.

    Parameters
    ----------
    run, config
        The run directory and its config.
    checkpoint_seconds
        Minimum time in seconds between two checkpoints of one model.
    log
        A text file open for writing, or ``None``. It gets one line with a JSON object per epoch of every model.
    on_epoch
        See :data:`EpochCallback`. ``None`` for no callback.
    trainings
        The networks that are trained.
    """

    def __init__(
        self,
        run: Path,
        config: RunConfig,
        checkpoint_seconds: float,
        log: TextIO | None,
        on_epoch: EpochCallback | None,
        trainings: Sequence[Training],
    ) -> None:
        self._trainings = {training.key: training for training in trainings}
        self._run, self._config = run, config
        self._checkpoint_seconds, self._log, self._on_epoch = checkpoint_seconds, log, on_epoch
        self._log_lock = threading.Lock()
        self._last_checkpoint: dict[str, float] = {}

    def __call__(self, key: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        """Record an epoch that was trained in this process.

        Raises
        ------
        StorageError
            The checkpoint or the log cannot be written.
        """
        now = time.monotonic()
        if now - self._last_checkpoint.setdefault(key, now) >= self._checkpoint_seconds:
            write_checkpoint(self._run, self._config, self._trainings[key], checkpoint())
            self._last_checkpoint[key] = now
        self._report(key, record)

    def _report(self, key: str, record: EpochRecord) -> None:
        if self._log is not None:
            # JSON has no NaN.
            values = {key: value if math.isfinite(value) else None for key, value in asdict(record).items()}
            try:
                with self._log_lock:
                    self._log.write(json.dumps({"epigenome": key, **values}) + "\n")
                    self._log.flush()
            except OSError as error:
                raise _unwritable_log(self._log.name, error) from None
        if self._on_epoch is not None:
            self._on_epoch(key, record)


def check_log(path: Path | None, *, force: bool, resume: bool) -> None:
    """Check that a log file may be written: a new file, or with ``resume`` the log of an earlier run.

    Raises
    ------
    UsageError
        The file exists and neither ``force`` nor ``resume`` is set, or it is not a log and ``force`` is not set.
    StorageError
        The file cannot be read.
    """
    if path is None or force or not (path.is_symlink() or path.exists()):
        return
    if not resume:
        raise UsageError(f"{path}: file exists", remedy="append_or_force")
    if not path.is_file():
        return  # a pipe or a device: nothing in it can be lost
    try:
        with path.open("rb") as log:
            line = log.readline(_LONGEST_LINE)
        is_log = not line or {"epigenome", "epoch"} <= json.loads(line).keys()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, AttributeError):
        is_log = False
    if not is_log:  # guard: log-of-others
        raise UsageError(f"{path}: not the log of a run. Write the log to another file")


@contextmanager
def open_log(path: Path | None, *, append: bool) -> Iterator[TextIO | None]:
    """Open a log file, either to append to it or to overwrite it; yield ``None`` if there is no path.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        log = path.open("a" if append else "w", encoding="utf-8")
    except OSError as error:
        raise _unwritable_log(str(path), error) from None
    with log:
        yield log


def _unwritable_log(name: str, error: OSError) -> StorageError:
    return StorageError(f"{name}: cannot be written ({error.strerror or error})")
