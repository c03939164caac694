"""Generate the reference pages: every command of the command line, and every public name of the library."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from typer.main import get_command

import deepchrome
from deepchrome.cli.app import app


def command_reference() -> str:
    """Return one section per command, with the text that its -h shows."""
    return "\n\n".join(_section(name, command) for name, command in walk_commands())


def walk_commands() -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every command: ``dc train``, ``dc bench train`` and so on."""
    yield from _walk("dc", get_command(app))


def _walk(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(f"{name} {word}", command)
        else:
            yield f"{name} {word}", command


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [(parameter, parameter.get_help_record(context)) for parameter in command.params]
    shown = [(parameter.param_type_name, *record) for parameter, record in records if record]
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```"]
    for kind, title in (("argument", "Arguments"), ("option", "Options")):
        entries = [f"`{spelling}`\n: {_escape(text)}" for found, spelling, text in shown if found == kind]
        if entries:
            parts += [f"**{title}**", *entries]
    return "\n\n".join(parts)


def _escape(text: str) -> str:
    """Escape characters that Markdown would interpret, such as those in <epigenome>-<mark>.*."""
    for character in "\\<>*_[]":
        text = text.replace(character, f"\\{character}")
    return text


def api_reference() -> str:
    """Return the functions, then the classes of deepchrome.__all__, as autodoc directives."""
    names = sorted(deepchrome.__all__, key=str.lower)
    classes = [name for name in names if inspect.isclass(getattr(deepchrome, name))]
    functions = [name for name in names if name not in classes]
    parts = ["## Functions", *(f".. autofunction:: deepchrome.{name}" for name in functions)]
    parts += ["## Classes", *(f".. autoclass:: deepchrome.{name}\n   :members:" for name in classes)]
    return "\n\n".join(f"```{{eval-rst}}\n{part}\n```" if part.startswith("..") else part for part in parts)


GENERATORS: dict[str, Callable[[], str]] = {
    "<!-- generated: commands -->": command_reference,
    "<!-- generated: api -->": api_reference,
}
