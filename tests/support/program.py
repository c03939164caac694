"""The program ``dc`` in a process of its own: signals at any moment, closed streams, and readers that go away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120  # a program that hangs fails the test after this time

# Python itself takes time to start, in which a signal ends it as any Python program. Our first import comes right after
# our first statement, which hides tracebacks of interrupts: from then on the program must behave.
WATCHED = """
import os, sys
def watch(event, arguments):
    if event == "import" and arguments[0] == "deepchrome.cli":
        os.write(int(sys.argv[1]), b".")
sys.addaudithook(watch)
from deepchrome.__main__ import main
sys.argv[:2] = ["dc"]
main()
"""


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes
    ----------
    code
        Its exit code, negative for a signal.
    out, err
        What it printed.
    seconds
        The time from its first import, or from the signal, to its end.
    """

    code: int
    out: str
    err: str
    seconds: float


def run(*arguments: object, closed: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``dc``. ``closed`` has the redirections of a shell that close streams, such as ``>&- 2>&-``."""
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-m", "deepchrome", *map(str, arguments)]
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(command, timeout=SECONDS, check=False, encoding="utf-8", errors="surrogateescape", **given)


def run_until_signal(arguments: Sequence[object], folder: Path, number: int = 0, delay: float = 0.0) -> Ended:
    """Run ``dc`` in ``folder``, and send it a signal ``delay`` seconds after its first import; 0 sends none."""
    begun, marker = os.pipe()
    command = [sys.executable, "-c", WATCHED, str(marker), *map(str, arguments)]
    with (folder / "out.txt").open("w+") as out, (folder / "err.txt").open("w+") as err:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=[marker]
        )
        os.close(marker)
        assert os.read(begun, 1) == b"."
        os.close(begun)
        start = time.monotonic()
        if number:
            time.sleep(delay)
            start = time.monotonic()
            process.send_signal(number)
        code = process.wait(SECONDS)
        seconds = time.monotonic() - start
    return Ended(code, (folder / "out.txt").read_text(), (folder / "err.txt").read_text(), seconds)


def code_of(number: int) -> int:
    """Return the exit code of a program that a signal ends: 130 for Ctrl-C, else that of the system."""
    return 130 if number == signal.SIGINT else -number
