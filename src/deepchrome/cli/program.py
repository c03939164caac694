"""The process of the program ``dc``: its interrupts and its standard streams, from the first moment to the last."""

import atexit
import os
import sys
from typing import NoReturn

from deepchrome.cli.interrupts import end_on_interrupt
from deepchrome.cli.streams import prepare_streams
from deepchrome.errors import DeepchromeError


def main() -> NoReturn:
    """Run the command line, and end the process."""
    end_on_interrupt()
    ending = _Ending()
    atexit.register(ending.end)  # the first to be registered is the last to be called
    prepare_streams()
    from deepchrome.cli import main as run

    try:
        run()
    except SystemExit as end:
        ending.code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.exit(ending.code)


class _Ending:
    """The end of the process.

    Python takes a while to take apart its modules at the end. A signal that comes then would be lost or shown as a
    traceback. So the process ends before that, when the work of the other exit functions is done.
    """

    def __init__(self) -> None:
        self.code = 70  # until the command has ended

    def end(self) -> None:
        """End the process with the exit code of the command."""
        try:
            sys.stdout.flush()
        except DeepchromeError as error:
            self.code = error.exit_code
        sys.stderr.flush()
        os._exit(self.code)
