"""Rules for the source text: short files, messages without options, complete help texts."""

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.places import CHECKOUT
from typer.main import get_command

from deepchrome.cli.app import app
from deepchrome.cli.remedies import OPTIONS, REMEDIES, option_name

MAX_LINES = 500
SAMTOOLS_OPTIONS = ("--no-PG", "--input-fmt-option")
LIBRARY = ("engine", "train", "src/deepchrome/common", "src/deepchrome/demo.py")
LIBRARY_AND_CLI = (*LIBRARY, "src/deepchrome/cli")


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def python_files(places: tuple[str, ...]) -> Iterator[Path]:
    """Yield the Python files at and below these places of the checkout."""
    for place in (CHECKOUT / name for name in places):
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def string_literals(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string literals below a node, but no docstrings."""
    statements = (child for child in ast.walk(node) if isinstance(child, ast.Expr))
    docstrings = {id(statement.value) for statement in statements}
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and id(child) not in docstrings:
            yield child


def calls_and_place(places: tuple[str, ...]) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in the code, with its file and line."""
    for path in python_files(places):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(CHECKOUT)}:{node.lineno}", node


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command, with its words: ``dc bench train``."""
    group = get_command(app)
    waiting = [("dc", group)]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        waiting += [(f"{words} {name}", child) for name, child in getattr(command, "commands", {}).items()]


def test_no_file_is_longer_than_500_lines() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    lengths = {name: len((CHECKOUT / name).read_text(encoding="utf-8").splitlines()) for name in listed.stdout.split()}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_library_messages_name_no_options() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{literal.lineno}: {literal.value!r}"
        for path in python_files(LIBRARY)
        for literal in string_literals(parse(path))
        if re.search(r"--[A-Za-z]", literal.value) and literal.value not in SAMTOOLS_OPTIONS
    ]
    assert not found, "\n".join(found)


def test_every_remedy_has_a_sentence_and_every_sentence_is_used() -> None:
    used = {
        literal.value: place
        for place, call in calls_and_place(LIBRARY_AND_CLI)
        for keyword in call.keywords
        if keyword.arg == "remedy"
        for literal in string_literals(keyword.value)
        if literal.value
    }
    assert {key: place for key, place in used.items() if key not in REMEDIES} == {}, "no sentence in cli/remedies.py"
    assert set(REMEDIES) - set(used) == set(), "no error has this remedy"


def test_every_parameter_of_an_error_is_an_option_of_a_command() -> None:
    known = {name for _, command in commands() for parameter in command.params for name in parameter.opts}
    known |= {"READS", "FEATURES", "RUN"}
    named = {
        call.args[0].value: place
        for place, call in calls_and_place(LIBRARY_AND_CLI)
        if isinstance(call.func, ast.Name) and call.func.id == "ParameterError"
        if isinstance(call.args[0], ast.Constant)
    }
    assert {name: place for name, place in named.items() if option_name(str(name)) not in known} == {}
    assert set(OPTIONS.values()) <= known


@pytest.mark.parametrize("words", ["-h", "bench -h"])
def test_no_help_summary_is_cut_at_80_columns(words: str) -> None:
    environment = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-m", "deepchrome", *words.split()]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    summaries = shown.split("Commands:\n")[1].splitlines()
    assert len(summaries) >= 4
    assert [
        line for line in summaries if "..." in line or len(line) > 80 or not re.match(r"  [a-z]+ +[A-Z]", line)
    ] == []


def test_every_command_and_option_is_explained_in_a_sentence() -> None:
    texts = {words: command.help for words, command in commands()}
    for words, command in commands():
        texts |= {f"{words} {parameter.name}": getattr(parameter, "help", None) for parameter in command.params}
    not_ours = {"dc install_completion", "dc show_completion"}
    wrong = {
        place: text
        for place, text in texts.items()
        if place not in not_ours and not re.fullmatch(r"[A-Za-z][^\n]{8,}.*[.)]", text or "", re.DOTALL)
    }
    assert wrong == {}
