"""The documents are correct: their commands run, their options exist, and their links lead somewhere.

The ``sh`` and ``python`` blocks of a page run in order, in a directory of their own. ``SMALLER`` makes their data and
models smaller; only the tutorial simulates and trains as written. A comment before a block changes this:

- ``<!-- not run: reason -->``: the block is not run, but its ``dc`` commands must parse;
- ``<!-- needs: name, name -->``: the block runs only where these programs and modules are installed.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.places import CHECKOUT
from typer.main import get_command

from deepchrome.cli import main
from deepchrome.cli.app import app

# These pages begin in an empty directory. All others begin with the files of the tutorial.
STARTING_PAGES = ("README.md", "docs/getting-started.md", "docs/tutorial.md")
SMALLER = {
    "simulate": ["--genes", "150", "--reads", "5000"],
    "train": ["--epochs", "2"],
    "visualize": ["--steps", "10", "--starts", "1"],
}
PAGES = [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "README.md", *CHECKOUT.glob("docs/**/*.md"))]
_BLOCK = re.compile(r"(?:<!-- (not run|needs): ([^\n]*?) -->\n)?```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_GENERATED = re.compile(r"<!-- (bench:\w+) -->.*?<!-- /\1 -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, its language, and whether it can run here."""

    language: str
    text: str
    line: int
    runs: bool


def blocks_of(page: str) -> Iterator[Block]:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    generated = [match.span() for match in _GENERATED.finditer(text)]
    for match in _BLOCK.finditer(text):
        marker, words, language, body = match.groups()
        runs = marker != "not run" and not any(start < match.start() < end for start, end in generated)
        if marker == "needs":
            runs = all(shutil.which(word) or importlib.util.find_spec(word) for word in words.split(", "))
        yield Block(language, body, text.count("\n", 0, match.start(3)) + 1, runs)


def dc_commands(script: str) -> list[list[str]]:
    """Return the arguments of every ``dc`` command of a shell script."""
    lines = script.replace("\\\n", " ").replace("|\n", "| ").splitlines()
    parts = [part.strip() for line in lines for part in re.split(r" \| | && |; ", line)]
    return [shlex.split(part.rstrip("&"), comments=True)[1:] for part in parts if part.startswith("dc ")]


def run_shell(script: str, smaller: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script. Commands of deepchrome run in this process, because starting Python and torch takes seconds."""
    lines = [line for line in script.replace("\\\n", " ").splitlines() if line.strip()]
    if all(line.startswith("dc ") and " | " not in line for line in lines):
        for arguments in dc_commands(script):
            monkeypatch.setattr(sys, "argv", ["dc", *arguments, *smaller.get(arguments[0], [])])
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, f"dc {shlex.join(arguments)}: exit code {ended.value.code}"
        return
    ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{script}\n{ended.stderr}"


def run_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {}
    smaller = {"visualize": SMALLER["visualize"]} if page == "docs/tutorial.md" else SMALLER
    for block in blocks_of(page):
        if block.runs and block.language == "sh":
            run_shell(block.text, smaller, monkeypatch)
        elif block.runs and block.language == "python":
            exec(compile("\n" * block.line + block.text, page, "exec"), names)


@pytest.fixture(scope="module", autouse=True)
def commands_on_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put ``dc`` and ``python3`` of this environment first on the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for name, words in (("dc", '-m deepchrome "$@"'), ("python3", '"$@"')):
        (folder / name).write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}\n")
        (folder / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which every command of the tutorial has run."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_page("docs/tutorial.md", patch)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/tutorial.md"])
def test_blocks_run(page: str, tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(block.runs and block.language in ("sh", "python") for block in blocks_of(page)):
        return
    if page not in STARTING_PAGES:
        shutil.copytree(tutorial, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    run_page(page, monkeypatch)


def test_tutorial_shows_the_model_quality_it_promises(tutorial: Path) -> None:
    rows = [line.split("\t") for line in (tutorial / "run" / "summary.tsv").read_text().splitlines()]
    column = rows[0].index("test_auroc")
    assert [row[0] for row in rows[1:]] == ["E001", "E002"]
    assert all(0.9 < float(row[column]) < 0.97 for row in rows[1:])


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_parse(page: str) -> None:
    for block in blocks_of(page):
        if block.language == "sh":
            for arguments in dc_commands(block.text):
                parse_command(arguments)


def parse_command(arguments: list[str]) -> None:
    """Parse a command line without running it; fail if a command, option or choice does not exist."""
    command, words, name = get_command(app), list(arguments), "dc"
    while hasattr(command, "commands"):
        name, command = f"{name} {words[0]}", command.commands[words.pop(0)]
    command.make_context(name, words)


def test_readme_lists_every_command() -> None:
    named = set(re.findall(r"^\| `dc ([a-z]+)`", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(get_command(app).commands)


def test_readme_fits_on_two_screens() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    path = CHECKOUT / page
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert not missing


def test_architecture_figure_shows_todays_imports() -> None:
    path = CHECKOUT / "docs" / "draw_architecture.py"
    spec = importlib.util.spec_from_file_location("draw_architecture", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FIGURE.read_text(encoding="utf-8") == module.draw(), f"run python {path.relative_to(CHECKOUT)}"
