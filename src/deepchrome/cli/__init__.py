"""The command line: one file per command, and the modules that commands share.

Importing this package must stay fast: commands import numba, torch, polars and pyarrow only when they run.
"""

from deepchrome.cli.app import app, main

__all__ = ["app", "main"]
