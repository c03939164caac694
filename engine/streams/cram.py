"""Convert CRAM to a stream of uncompressed BAM, so that the rest of the engine needs no CRAM code."""

import os
import threading

from deepchrome.errors import BadDataError

# The fields to decode, as bits of htslib: flag, reference, position, mapping quality and CIGAR. Bases are left out,
# so no reference sequence is needed.
_REQUIRED_FIELDS = 0x2 | 0x4 | 0x8 | 0x10 | 0x20


class CramStream:
    """The alignments of a CRAM file as uncompressed BAM, decoded by pysam in a separate thread.

    Parameters
    ----------
    path
        The CRAM file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._failure: Exception | None = None
        read_end, write_end = os.pipe()
        self._pipe = open(read_end, "rb", buffering=0)  # noqa: SIM115 - closed in close()
        self._thread = threading.Thread(target=self._decode, args=(write_end,), daemon=True)
        self._thread.start()

    def _decode(self, write_end: int) -> None:
        import pysam  # here, because it is slow to import and few files are CRAM

        options = [f"required_fields={_REQUIRED_FIELDS}"]
        verbosity = pysam.set_verbosity(0)  # keep htslib from writing to standard error
        try:
            with (
                open(write_end, "wb") as pipe,
                pysam.AlignmentFile(self._path, "rc", check_sq=False, format_options=options) as cram,
                pysam.AlignmentFile(pipe, "wbu", template=cram) as bam,
            ):
                for read in cram:
                    bam.write(read)
        except Exception as error:
            self._failure = error
        finally:
            pysam.set_verbosity(verbosity)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read up to ``len(buffer)`` bytes of BAM; return their number, 0 at the end of the file.

        Raises
        ------
        BadDataError
            pysam could not decode the file.
        """
        n = self._pipe.readinto(buffer) or 0
        if n == 0:
            self._thread.join()
            if self._failure:
                raise BadDataError(f"not a readable CRAM file ({self._failure}). Get the file again.")
        return n

    def close(self) -> None:
        """Close the pipe, which stops the decoding, and wait for the thread."""
        self._pipe.close()
        self._thread.join()
