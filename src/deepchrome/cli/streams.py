"""The standard streams of the program: closed ones, full disks, and readers that go away."""

import io
import os
import sys
from typing import Final, TextIO

from deepchrome.errors import ReaderGoneError, StorageError

_STDIN, _STDOUT, _STDERR = range(3)
# A closed stream is replaced by the null device, because the next file that is opened would get its number, and what a
# library writes to standard error would end up in that file. Standard output is opened such that writing fails, because
# a result would be lost.
_NULL_MODES: Final = {_STDIN: os.O_RDONLY, _STDOUT: os.O_RDONLY, _STDERR: os.O_WRONLY}


def prepare_streams() -> None:
    """Open closed standard streams, and replace the objects for standard output and standard error.

    A closed standard input stays None in ``sys.stdin``.
    """
    for number, mode in _NULL_MODES.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number, which is this one # guard: closed-streams
    sys.stdout = _replace_stream(sys.stdout, _StandardOutput(_STDOUT, "w", closefd=False), "surrogateescape")
    sys.stderr = _replace_stream(sys.stderr, _StandardError(_STDERR, "w", closefd=False), "backslashreplace")


def drop_closed_output() -> None:
    """Drop what is printed if standard output is closed. Commands whose results are files call this."""
    if sys.__stdout__ is None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, _STDOUT)
        os.close(null)


def _replace_stream(stream: TextIO | None, raw: io.FileIO, errors: str) -> TextIO:
    """Return a text stream on ``raw`` with the encoding of ``stream``, which may be None.

    ``errors`` says what happens to bytes in file names that are not text in this encoding.
    """
    encoding = stream.encoding if stream else "utf-8"
    buffered = bool(stream) and not stream.line_buffering  # type: ignore[union-attr]
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=not buffered)


class _StandardOutput(io.FileIO):
    """Standard output. A failure is reported once; what is written after it is dropped."""

    _has_failed = False

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        """Write bytes, and return how many were written.

        Raises
        ------
        ReaderGoneError
            The reader of the pipe has ended.
        StorageError
            The bytes cannot be written.
        """
        if self._has_failed:
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:
            self._has_failed = True
            raise ReaderGoneError("standard output: the reader has ended") from None
        except OSError as error:
            self._has_failed = True
            raise StorageError(f"standard output: cannot be written ({error.strerror or error})") from None


class _StandardError(io.FileIO):
    """Standard error. Messages that cannot be written are dropped, because the work is more important."""

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        """Write bytes, and return how many were written or dropped."""
        try:
            return super().write(data)
        except OSError:
            return len(data)  # guard: messages-may-fail
