"""The command line: one file per command, and the modules that commands share.

Importing the modules of this package must stay fast: commands import numba, torch, polars and pyarrow only when they
run.
"""


def main() -> None:
    """Run the command line in this process, with the arguments in ``sys.argv``. See :mod:`deepchrome.cli.app`.

    The program ``dc`` is :func:`deepchrome.cli.program.main`.
    """
    from deepchrome.cli.app import run

    run()
