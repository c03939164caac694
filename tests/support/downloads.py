"""A server with files to download, a manifest of them, and the directory for the downloads."""

import gzip
import random
from pathlib import Path
from typing import Any

from support.tiny import PACK, CommandResult, dc, reads_text
from support.web import Web

TEXT = reads_text(2000)
READS = PACK["gzip"](TEXT)
# The CRC-32 in the last gzip member is wrong.
CRC_WRONG = READS[:-8] + bytes([READS[-8] ^ 1]) + READS[-7:]
NOISE = gzip.compress(random.Random(2).randbytes(400_000))
_HEADER = "kind\tepigenome\tmark\turl\tbytes\tsha256\n"


def file_name(i: int) -> str:
    """Return the name of the reads of ``E00i-A``."""
    return f"E{i:03d}-A.tagAlign.gz"


class DownloadSetup:
    """A manifest of files on a test server, and the directory to download them to."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.web, self.out, self.manifest = web, folder / "out", folder / "list.tsv"
        self.rows: list[str] = []

    def add_reads(
        self, name: str, data: bytes = READS, size: Any = "", digest: str = "", query: str = "", **how: Any
    ) -> None:
        """Put reads named ``<epigenome>-<mark>`` on the server and into the manifest."""
        epigenome, mark = name.split("-")
        url = self.web.put(f"{name}.tagAlign.gz", data, **how)
        self.add_row(f"reads\t{epigenome}\t{mark}\t{url}{query}\t{size}\t{digest}")

    def add_row(self, row: str) -> None:
        """Add a row to the manifest."""
        self.rows.append(row)
        self.manifest.write_text(_HEADER + "\n".join(self.rows) + "\n")

    def dc(self, *more: object) -> CommandResult:
        """Run ``dc download``."""
        return dc("download", "--manifest", self.manifest, "--out", self.out, *more)

    def files(self) -> list[str]:
        """Return the names of the files in the directory, without the lock."""
        return sorted(path.name for path in self.out.iterdir() if path.name != ".lock")

    def statuses(self, ran: CommandResult) -> list[str]:
        """Return the status column of the table that the command printed."""
        rows = [line.split("\t") for line in ran.out.splitlines()]
        assert rows[0] == ["file", "bytes", "seconds", "status"]
        return [row[-1] for row in rows[1:]]

    def record(self) -> dict[str, list[str]]:
        """Return the rows of manifest.tsv in the directory, by the file name in the URL."""
        lines = (self.out / "manifest.tsv").read_text().splitlines()
        assert lines[0] + "\n" == _HEADER
        return {line.split("\t")[3].rpartition("/")[2]: line.split("\t") for line in lines[1:]}
