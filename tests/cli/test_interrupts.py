"""Ctrl-C at awkward moments: the exit code is 130, and the command does not go on."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.campaign("interrupt")

# Runs main() with a stand-in for the commands, which ends as typer does after an interrupt.
PROGRAM = """
import os, signal, sys, threading, time
from unittest.mock import patch

from deepchrome.cli import main
from deepchrome.common.threads import map_in_threads

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def on_interrupt():
    pass

def commands(arguments):
    try:
        command()
    except KeyboardInterrupt as error:
        on_interrupt()
        raise SystemExit(130) from error
    print("it went on", flush=True)

with patch("deepchrome.cli.app.app", commands):
    main()
"""

CARELESS_MODULE = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
except KeyboardInterrupt:
    pass
"""

COMMANDS = {
    "in an import that drops the exception": """
        import careless
        time.sleep(30)
    """,
    "in imports one after another": """
        import careless
        for name in ("careless1", "careless2", "careless3"):
            __import__(name)
        time.sleep(30)
    """,
    "in exec": 'exec("interrupt(); time.sleep(30)")',
    "in another thread": """
        def interrupt_later():
            time.sleep(0.3)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            time.sleep(30)
        map_in_threads(lambda work: work(), [interrupt_later], 1, cancel=lambda: os._exit(130))
    """,
    "while another thread waits for input that never comes": """
        threading.Thread(target=lambda: os.read(0, 1)).start()
        interrupt()
        time.sleep(30)
    """,
    "again while the first is handled": """
        global on_interrupt
        on_interrupt = interrupt
        interrupt()
        time.sleep(30)
    """,
}


def run(command: str, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program in ``folder`` with this body of its command. Its standard input stays open and empty."""
    for name in ("careless", "careless1", "careless2", "careless3"):
        (folder / f"{name}.py").write_text(CARELESS_MODULE)
    body = textwrap.indent(textwrap.dedent(command).strip(), "    ")
    (folder / "program.py").write_text(f"{before}\ndef command():\n{body}\n{PROGRAM}")
    process = subprocess.Popen(
        [sys.executable, "-m", "program"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process:
        code = process.wait(25)
        return subprocess.CompletedProcess(process.args, code, process.stdout.read(), process.stderr.read())


@pytest.mark.parametrize("moment", COMMANDS)
def test_an_interrupt_ends_the_program(moment: str, tmp_path: Path) -> None:
    ran = run(COMMANDS[moment], tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_an_ignored_interrupt_stays_ignored(tmp_path: Path) -> None:
    """Shells start jobs in the background this way."""
    ran = run("interrupt()", tmp_path, before="import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "it went on\n", "")


# A stand-in for the commands as above, run as the program.
AS_PROGRAM = """
import atexit, os, signal, sys, time
from unittest.mock import patch

class Careless:
    def __del__(self):
        interrupt()
        time.sleep(1)

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def interrupt_and_wait():
    interrupt()
    time.sleep(30)

def commands(arguments):
    MOMENT
    raise SystemExit(0)

from deepchrome.__main__ import main
with patch("deepchrome.cli.app.app", commands):
    main()
"""


@pytest.mark.parametrize(
    "moment", ["atexit.register(interrupt_and_wait)", "Careless(); time.sleep(30)", "interrupt_and_wait()"]
)
def test_an_interrupt_at_the_exit_or_in_a_destructor(moment: str, tmp_path: Path) -> None:
    """Python would print a traceback and go on."""
    program = AS_PROGRAM.replace("MOMENT", moment)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_an_interrupt_during_the_first_imports() -> None:
    program = """if True:
        import sys
        def watch(event, arguments):
            if event == "import" and arguments[0] == "deepchrome.cli.interrupts":
                raise KeyboardInterrupt
        sys.addaudithook(watch)
        from deepchrome.__main__ import main
        main()
    """
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")
