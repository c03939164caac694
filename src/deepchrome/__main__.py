"""The program ``dc``, also run by ``python -m deepchrome``."""

import os
import sys

TYPE_CHECKING = False  # not imported from typing, which takes time
if TYPE_CHECKING:
    from types import TracebackType


def _end_quietly(kind: type[BaseException], error: BaseException, traceback: "TracebackType | None") -> None:
    """Handle an uncaught exception: exit with 130, the code of an interrupt by the convention of shells."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(130)
    sys.__excepthook__(kind, error, traceback)


sys.excepthook = _end_quietly  # before the other imports, because they take time in which Ctrl-C may come

from deepchrome.cli.program import main  # noqa: E402

if __name__ == "__main__":
    main()
