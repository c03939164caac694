"""Check the containers and blocks of a CRAM file: their sizes, their checksums, and the number of their records.

htslib does not check all of this: some blocks have a checksum that it never looks at, and a damaged container can look
like the end of the file. See the CRAM specification, sections 7 and 8.
"""

import hashlib
import zlib
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from deepchrome.common.signatures import CRAM_MAGIC
from deepchrome.errors import BadDataError

_FILE_ID_BYTES: Final = 20
_PIECE_BYTES: Final = 1 << 20
# The container at the end of every complete file (section 9): of version 2.1, and of 3.0 and later.
_END_2: Final = bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100")
_END_3: Final = bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b")
_POSITION_BYTE: Final = 8  # early programs wrote other high bits into this byte


@dataclass(frozen=True)
class CramSummary:
    """What the containers of a CRAM file say.

    Attributes
    ----------
    records
        Number of alignment records.
    bytes_read
        Size of the file in bytes.
    sha256
        SHA-256 of the file in hexadecimal, or None if it was not asked for.
    """

    records: int
    bytes_read: int
    sha256: str | None


def check_cram_end(file: BufferedReader) -> None:
    """Check that a CRAM file ends with its end-of-file container, by the rule of ``samtools quickcheck``.

    Parameters
    ----------
    file
        The CRAM file. Its position is 0 afterwards.

    Raises
    ------
    BadDataError
        The container is missing, or the version of the format does not have it.
    """
    version = _read_version(file)
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


def check_cram_blocks(file: BufferedReader, hashed: bool = False) -> CramSummary:
    """Read a CRAM file from its beginning to its end, and check every container and block.

    Only CRAM 3 has checksums.

    Parameters
    ----------
    file
        The CRAM file.
    hashed
        Whether to compute its SHA-256.

    Raises
    ------
    BadDataError
        A checksum or a size is wrong.
    EOFError
        The file ends within a container.
    """
    is_version_3 = _read_version(file)[0] >= 3
    reader = _Reader(file, hashed)
    reader.read(len(CRAM_MAGIC) + 2 + _FILE_ID_BYTES)
    records, is_header = 0, True
    while reader.has_more():
        records += _check_container(reader, is_version_3, is_header)
        is_header = False
    return CramSummary(records, reader.position, reader.digest.hexdigest() if reader.digest else None)


def _read_version(file: BufferedReader) -> tuple[int, int]:
    """Return the major and the minor version of the format; the position of the file is 0 afterwards."""
    file.seek(0)
    head = file.read(len(CRAM_MAGIC) + 2)
    file.seek(0)
    if len(head) < len(CRAM_MAGIC) + 2:
        raise EOFError
    return head[-2], head[-1]


def _check_container(reader: "_Reader", is_version_3: bool, is_header: bool) -> int:
    """Check one container, and return the number of its records."""
    reader.crc = 0
    size = int.from_bytes(reader.read(4), "little")
    for _ in range(3):  # reference, start, span
        reader.read_integer()
    records = reader.read_integer()
    if is_version_3:
        reader.skip_long()  # record counter
    else:
        reader.read_integer()
    reader.skip_long()  # number of bases
    n_blocks = reader.read_integer()
    for _ in range(reader.read_integer()):  # landmarks
        reader.read_integer()
    if is_version_3:
        reader.check_crc("container")
    begin = reader.position
    for _ in range(n_blocks):
        _check_block(reader, is_version_3)
    found = reader.position - begin
    # The header of version 2.1 may be two bytes longer than htslib states, and other programs add padding to it.
    if is_header and not is_version_3:
        reader.skip(max(0, size - found))
    elif found != size:
        raise BadDataError("a CRAM container does not have the size it states: the file is damaged. Get it again.")
    return records


def _check_block(reader: "_Reader", is_version_3: bool) -> None:
    reader.crc = 0
    reader.read(2)  # method and content type
    reader.read_integer()  # content id
    stored = reader.read_integer()
    reader.read_integer()  # size when unpacked
    reader.skip(stored)
    if is_version_3:
        reader.check_crc("block")


class _Reader:
    """Read the numbers of a CRAM file, and keep the checksum of what has been read.

    Attributes
    ----------
    position
        Number of bytes read so far.
    crc
        CRC-32 of the bytes read since it was set to 0.
    digest
        SHA-256 of all bytes, or None.
    """

    def __init__(self, file: BufferedReader, hashed: bool) -> None:
        self._file = file
        self.position = 0
        self.crc = 0
        self.digest = hashlib.sha256() if hashed else None

    def has_more(self) -> bool:
        """Return whether the file has more bytes."""
        return bool(self._file.peek(1))

    def read(self, n: int) -> bytes:
        """Return the next ``n`` bytes. Raise an EOFError if there are fewer."""
        data = self._file.read(n)
        if len(data) < n:
            raise EOFError
        self.position += n
        self.crc = zlib.crc32(data, self.crc)
        if self.digest:
            self.digest.update(data)
        return data

    def skip(self, n: int) -> None:
        """Read the next ``n`` bytes without keeping them in memory."""
        for done in range(0, n, _PIECE_BYTES):
            self.read(min(_PIECE_BYTES, n - done))

    def read_integer(self) -> int:
        """Read an integer of up to 32 bits (ITF-8, section 2.3). The leading ones of a byte count those that follow."""
        first = self.read(1)[0]
        n_more = min(_leading_ones(first), 4)
        value = first & (0x7F >> n_more)
        for byte in self.read(n_more):
            value = value << 8 | byte
        # With five bytes, only four bits of the last one count.
        return value if n_more < 4 else (first & 0x0F) << 28 | (value & 0xFFFFFFFF) >> 8 << 4 | (value & 0x0F)

    def skip_long(self) -> None:
        """Skip an integer of up to 64 bits (LTF-8, section 2.3)."""
        self.read(_leading_ones(self.read(1)[0]))

    def check_crc(self, what: str) -> None:
        """Read the checksum of a container header or a block, and compare it with that of the bytes before it."""
        expected = self.crc
        if int.from_bytes(self.read(4), "little") != expected:  # guard: cram-checksum
            raise BadDataError(f"the checksum of a CRAM {what} is wrong: the file is damaged. Get it again.")


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()
