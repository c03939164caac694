"""Interfaces for progress reports: an observer, or a function that receives lines of text."""

from collections.abc import Callable
from typing import TypeAlias

OnMessage: TypeAlias = Callable[[str], None]
"""A function that receives a line of text for the user."""


class Observer:
    """Receiver of the progress reports of one long-running function.

    Each such function has its own subclass, with more methods such as ``on_plan`` or ``on_progress``. By default all
    methods do nothing; override those you need. Calls may come from any thread.
    """

    def on_message(self, line: str) -> None:
        """Receive a line of text for the user."""
