"""Convert CRAM to a stream of BAM in another process, so that the rest of the engine needs no CRAM code."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from deepchrome.common.signatures import CRAM_MAGIC
from deepchrome.errors import BadDataError, StorageError

# The fields to decode, as bits of htslib: flag, reference, position, mapping quality and CIGAR. Bases are left out,
# so no reference sequence is needed.
REQUIRED_FIELDS = f"required_fields={0x2 | 0x4 | 0x8 | 0x10 | 0x20:#x}"
_SCRIPT = Path(__file__).with_name("decode_cram.py")
# The container at the end of every complete file (CRAM specification, section 9): of version 2.1, and of 3.0 and later.
_END_2 = bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100")
_END_3 = bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b")
_POSITION_BYTE = 8  # early programs wrote other high bits into this byte


class CramStream:
    """The alignments of a CRAM file as BAM, decoded by htslib in another process.

    The file is opened once: the decoder, the check of its end and the hash all see the same content, even if another
    file takes its name meanwhile.

    Parameters
    ----------
    path
        The CRAM file.
    threads
        Number of threads that decode.
    allow_no_eof
        Accept a file without the container that marks its end.

    Attributes
    ----------
    file
        The CRAM file itself, open for reading.

    Raises
    ------
    BadDataError
        The end of the file is missing.
    """

    def __init__(self, path: str, threads: int = 1, allow_no_eof: bool = False) -> None:
        self.file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed in close()
        try:
            if not allow_no_eof:
                check_cram_end(self.file)
            self._decoder = _start_decoder(self.file, threads)
        except BaseException:
            self.file.close()
            raise

    def readinto(self, buffer: memoryview, /) -> int:
        """Read up to ``len(buffer)`` bytes of BAM; return their number, 0 at the end of the file.

        Raises
        ------
        BadDataError
            htslib could not decode the file.
        StorageError
            The decoder was killed, or could not run.
        """
        assert self._decoder.stdout
        n: int = self._decoder.stdout.readinto(buffer)  # type: ignore[attr-defined]
        if n == 0:
            self._check_decoder()
        return n

    def close(self) -> None:
        """Stop the decoder, if it still runs, and close the file."""
        self._decoder.kill()
        with self._decoder:  # closes its pipes and waits for it
            self.file.close()

    def _check_decoder(self) -> None:
        """Raise an error if the decoder has not finished well."""
        assert self._decoder.stderr
        lines = self._decoder.stderr.read().decode("utf-8", "backslashreplace").split("\n")
        code = self._decoder.wait()
        reason = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
        reason = reason.replace(f' "/dev/fd/{self.file.fileno()}"', "")
        if code in (BadDataError.exit_code, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):  # guard: cram-decoder
            raise BadDataError(f"not a readable CRAM file ({reason}). Get the file again.")
        if code:
            raise StorageError(f"the process that decodes CRAM failed ({reason})")


def check_cram_end(file: BinaryIO) -> None:
    """Check that a CRAM file ends with its end-of-file container, by the rule of ``samtools quickcheck``.

    htslib reads a file that was cut between two containers without an error.

    Parameters
    ----------
    file
        The CRAM file. Its position is 0 afterwards.

    Raises
    ------
    BadDataError
        The container is missing, or the version of the format does not have it.
    """
    file.seek(0)
    head = file.read(len(CRAM_MAGIC) + 2)
    version = (*head[len(CRAM_MAGIC) :], 0, 0)[:2]
    if version < (2, 1):
        raise BadDataError(
            f"CRAM {version[0]}.{version[1]} does not mark the end of a file, so a truncated file looks complete. "
            "Convert it with samtools view -C",
            remedy="allow_no_eof",
        )
    expected = _END_2 if version[0] == 2 else _END_3
    file.seek(max(0, file.seek(0, 2) - len(expected)))
    end = bytearray(file.read())
    end[_POSITION_BYTE : _POSITION_BYTE + 1] = bytes(byte & 0x0F for byte in end[_POSITION_BYTE : _POSITION_BYTE + 1])
    file.seek(0)
    if end != expected:  # guard: cram-end
        raise BadDataError(
            "the CRAM end-of-file container is missing: the file is probably truncated. Get the file again.",
            remedy="allow_no_eof",
        )


def _start_decoder(file: BinaryIO, threads: int) -> "subprocess.Popen[bytes]":
    """Start the process that decodes. It is not in our process group, because Ctrl-C should stop it through us."""
    command = [sys.executable, "-P", str(_SCRIPT), f"/dev/fd/{file.fileno()}", str(threads - 1), REQUIRED_FIELDS]
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[file.fileno()],
        process_group=0,
    )
