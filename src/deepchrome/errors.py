"""Errors for the user: a one-line message and an exit code.

The exit code is 2 for wrong usage. Others come from ``sysexits.h``: 65 for bad data, 66 for missing input, 69 for
missing software, 74 for failed reading or writing. 141 is the code that shells give to a process which SIGPIPE has
ended.
"""


class DeepchromeError(Exception):
    """Base class of all errors whose message is written for the user.

    A message has the form ``PATH[:LINE]: problem (value found). Fix.``

    Parameters
    ----------
    message
        What is wrong, where, and how to fix it. Messages of the library never name a command-line option.
    remedy
        A key for advice on what to do, in most cases a parameter such as ``force`` or ``allow_empty``. Empty if
        there is no advice. The command line turns the key into a sentence that names the option.
    """

    exit_code = 65

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message as one line, with control characters escaped.

        Messages quote names from data files, and a terminal would execute control characters in them.
        """
        characters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())
        return "".join(characters)  # guard: printable-messages


class UsageError(DeepchromeError):
    """A parameter, or a combination of parameters, is not valid."""

    exit_code = 2


class ParameterError(UsageError):
    """The value of one parameter is not valid.

    Parameters
    ----------
    parameter
        The name of the parameter in the library call, such as ``bin_size``.
    problem
        The rest of the sentence that starts with the name, such as ``must be at least 1, got 0``.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter} {problem}")
        self.parameter, self.problem = parameter, problem

    def __reduce__(self) -> tuple[type["ParameterError"], tuple[str, str]]:
        """Pickle both arguments, because errors are sent between the processes of a cluster."""
        return type(self), (self.parameter, self.problem)


class BadDataError(DeepchromeError):
    """The content of an input file is not valid."""

    exit_code = 65


class MissingInputError(DeepchromeError):
    """An input does not exist or cannot be opened."""

    exit_code = 66


class NotInstalledError(DeepchromeError):
    """A part of the software is not installed. The message gives the command that installs it."""

    exit_code = 69


class StorageError(DeepchromeError):
    """Reading or writing failed: the disk is full, permission is denied, a connection dropped, a lock is held."""

    exit_code = 74


class ReaderGoneError(DeepchromeError):
    """The program that read standard output has ended, as ``head`` does when it has enough lines."""

    exit_code = 141
