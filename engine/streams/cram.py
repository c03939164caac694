"""Convert CRAM to a stream of BAM in another process, so that the rest of the engine needs no CRAM code."""

import errno
import os
import signal
import subprocess
import sys
from io import BufferedReader
from pathlib import Path

from deepchrome.engine.streams.cram_blocks import CramSummary, check_cram_blocks, check_cram_end
from deepchrome.errors import BadDataError, StorageError

# The fields to decode, as bits of htslib. Bases are left out, so no reference sequence is needed.
_ALIGNMENT_FIELDS = 0x2 | 0x4 | 0x8 | 0x10 | 0x20  # flag, reference, position, mapping quality, CIGAR
_MATE_FIELDS = 0x40 | 0x80 | 0x100  # reference and position of the mate, template length
_SCRIPT = Path(__file__).with_name("decode_cram.py")
_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE)


def required_fields(with_mates: bool) -> str:
    """Return the option of htslib that names the fields to decode, with those about mates if they are needed."""
    fields = _ALIGNMENT_FIELDS | (_MATE_FIELDS if with_mates else 0)  # guard: cram-mates
    return f"required_fields={fields:#x}"


class CramStream:
    """The alignments of a CRAM file as BAM, decoded by htslib in another process.

    The file is opened once: the decoder, the checks and the hash all see the same content, even if another file takes
    its name meanwhile.

    Parameters
    ----------
    path
        The CRAM file.
    allow_no_eof
        Accept a file without the container that marks its end.
    with_mates
        Whether to decode what the records say about their mates, too: fragments are made from it.

    Raises
    ------
    BadDataError
        The end of the file is missing.
    """

    def __init__(self, path: str, allow_no_eof: bool = False, with_mates: bool = False) -> None:
        self._file: BufferedReader = open(path, "rb")  # noqa: SIM115 - closed in close()
        try:
            if not allow_no_eof:
                check_cram_end(self._file)
            self._decoder = _start_decoder(self._file.fileno(), with_mates)
        except BaseException:
            self._file.close()
            raise

    def readinto(self, buffer: memoryview, /) -> int:
        """Read up to ``len(buffer)`` bytes of BAM; return their number, 0 at the end of the file.

        Raises
        ------
        BadDataError
            htslib could not decode the file.
        StorageError
            The file could not be read, or the decoder was killed or could not run.
        """
        assert self._decoder.stdout
        n: int = self._decoder.stdout.readinto(buffer)  # type: ignore[attr-defined]
        if n == 0:
            self._check_decoder()
        return n

    def check(self, records: int, hashed: bool) -> CramSummary:
        """Check the whole file, and that the decoder gave all of its records. Call this after the last read.

        Parameters
        ----------
        records
            Number of records that were decoded.
        hashed
            Whether to compute the SHA-256 of the file.

        Raises
        ------
        BadDataError, EOFError
            See :func:`~deepchrome.engine.streams.cram_blocks.check_cram_blocks`. A BadDataError is also raised if
            records are missing.
        """
        summary = check_cram_blocks(self._file, hashed)
        if records != summary.records:  # guard: cram-records
            raise BadDataError(
                f"{records:,} records could be decoded of {summary.records:,}: the file is damaged. Get it again."
            )
        return summary

    def close(self) -> None:
        """Stop the decoder, if it still runs, and close the file."""
        self._decoder.kill()
        with self._decoder:  # closes its pipes and waits for it
            self._file.close()

    def _check_decoder(self) -> None:
        """Raise an error if the decoder has not finished well."""
        assert self._decoder.stderr
        lines = self._decoder.stderr.read().decode("utf-8", "backslashreplace").split("\n")
        code = self._decoder.wait()
        reason = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
        reason = reason.replace(f' "/dev/fd/{self._file.fileno()}"', "")
        is_bad = code == BadDataError.exit_code and not any(os.strerror(e) in reason for e in (errno.EIO, errno.ENOMEM))
        if is_bad or code in _CRASHES:  # guard: cram-decoder
            raise BadDataError(f"not a readable CRAM file ({reason}). Get the file again.")
        if code:
            raise StorageError(f"the process that decodes CRAM failed ({reason})")


def _start_decoder(file: int, with_mates: bool) -> "subprocess.Popen[bytes]":
    """Start the process that decodes. It is not in our process group, because Ctrl-C should stop it through us."""
    return subprocess.Popen(
        [sys.executable, "-P", str(_SCRIPT), f"/dev/fd/{file}", required_fields(with_mates)],
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[file],
        process_group=0,
    )
