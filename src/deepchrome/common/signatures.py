"""Bytes that identify file formats: the first bytes of gzip, BAM and CRAM, and the last bytes of bgzip."""

from typing import Final

GZIP_MAGIC: Final = b"\x1f\x8b"
BAM_MAGIC: Final = b"BAM\1"
CRAM_MAGIC: Final = b"CRAM"
# The empty block at the end of every complete bgzip file (SAM specification, section 4.1.2).
BGZIP_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
