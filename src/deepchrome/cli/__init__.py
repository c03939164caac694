"""The command line: one file per command, and what commands share.

Importing this package must stay cheap: numba, torch, polars and pyarrow are imported inside commands.
"""

from deepchrome.cli.app import app, main

__all__ = ["app", "main"]
