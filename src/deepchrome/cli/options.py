"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass


Device = Literal["auto", "cpu", "cuda"]


def check_output_free(path: Path | None, force: bool) -> None:
    """Refuse to replace a file unless ``--force`` is given."""
    if path is not None and path.exists() and not force:
        raise UsageError(f"{path} exists; --force replaces it")
