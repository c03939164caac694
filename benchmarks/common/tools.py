"""Find out which of the programs to compare with are installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deepchrome.benchmarks.common.results import Missing
from deepchrome.errors import MissingInputError


@dataclass(frozen=True)
class Tool:
    """A program to compare with.

    Attributes
    ----------
    name
        The name in tables.
    commands, packages
        The commands that it needs, on PATH or in the folder of the Python with the packages to compare with, and the
        packages that it needs in that Python.
    install
        The command that installs it.
    """

    name: str
    commands: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    install: str = ""


T = TypeVar("T", bound=Tool)


def find_tools(
    tools: Sequence[T], peer_python: str, without: tuple[str, ...]
) -> tuple[list[T], list[Missing], dict[str, str]]:
    """Find out which programs are installed.

    Parameters
    ----------
    tools
        The programs.
    peer_python
        The Python interpreter that has the Python packages to compare with.
    without
        Programs whose name contains one of these words are left out.

    Returns
    -------
    installed
        The installed programs. A program whose package is installed but cannot be imported is included, and fails
        when it runs.
    missing
        The other programs, and how to install them.
    versions
        The versions of ``peer_python`` and of the packages to compare with, by name.

    Raises
    ------
    MissingInputError
        ``peer_python`` is not a Python interpreter.
    """
    versions = _peer_versions(peer_python)
    path = f"{Path(peer_python).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    installed, missing = [], []
    for tool in tools:
        if any(word.lower() in tool.name.lower() for word in without):
            continue
        has_commands = all(shutil.which(command, path=path) for command in tool.commands)
        if has_commands and versions.keys() >= set(tool.packages):
            installed.append(tool)
        else:
            missing.append(Missing(tool.name, tool.install))
    return installed, missing, versions


def _peer_versions(python: str) -> dict[str, str]:
    script = """
import platform
from importlib import metadata
print("peers' Python", platform.python_version(), sep="\\t")
for name in ("deeptools", "polars-bio", "pyranges1"):
    try:
        print(name, metadata.version(name), sep="\\t")
    except metadata.PackageNotFoundError:
        pass
"""
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingInputError(f"{python}: does not run as a Python interpreter ({error})") from error
    return dict(line.split("\t") for line in done.stdout.splitlines())
