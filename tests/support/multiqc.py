"""Run MultiQC, which has an environment of its own: some of its dependencies conflict with ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def _find() -> str | None:
    """Return the program: on the PATH, or where ``make multiqc`` installs it."""
    return shutil.which("multiqc") or shutil.which("multiqc", path=str(Path(sys.prefix) / "multiqc" / "bin"))


MULTIQC = _find()
needs_multiqc = pytest.mark.skipif(MULTIQC is None, reason="needs multiqc; make multiqc installs it")


def multiqc(out: Path, *directories: Path, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Make a report on some directories, and return the content of its data file.

    Raises an AssertionError if MultiQC fails or warns.
    """
    assert MULTIQC
    done = subprocess.run(
        [
            MULTIQC,
            *map(str, directories),
            "--outdir",
            str(out),
            "--no-ansi",
            "--no-version-check",
            "--strict",
            *options,
        ],
        capture_output=True,
        text=True,
        cwd=out.parent,
        env={**os.environ, "HOME": str(out.parent), "MULTIQC_NO_VERSION_CHECK": "true"},
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "WARNING" not in text, text
    assert "ERROR" not in text, text
    report: dict[str, Any] = json.loads((out / "multiqc_data" / "multiqc_data.json").read_text())
    return report
