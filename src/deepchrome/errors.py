"""Errors for the user: one clear line and an exit code.

The exit codes follow ``sysexits.h``: 2 usage, 65 bad data, 66 missing input, 74 input or output failed.
"""


class DeepchromeError(Exception):
    """Base class of all errors whose message is for the user.

    A message has the form ``PATH[:LINE]: problem (value found). Fix.``

    Parameters
    ----------
    message
        The problem: what is wrong, where, and how to fix it. It never names a command-line option.
    remedy
        The parameter that accepts the situation or avoids it, such as ``force`` or ``allow_empty``; empty if
        there is none. A front end turns it into advice in its own words: the command line names the option.
    """

    exit_code = 65

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message as one printable line: names come from data, and a terminal obeys control characters."""
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())


class UsageError(DeepchromeError):
    """The call makes no sense: the value of a parameter, or a combination of parameters."""

    exit_code = 2


class ParameterError(UsageError):
    """One parameter has a value that makes no sense.

    Parameters
    ----------
    parameter
        Its name, as in the library call: ``bin_size``.
    problem
        What is wrong with its value, as the rest of a sentence: ``must be at least 1, got 0``.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter} {problem}")
        self.parameter, self.problem = parameter, problem

    def __reduce__(self) -> tuple[type["ParameterError"], tuple[str, str]]:
        """Pickle the two arguments: errors travel between processes of a cluster."""
        return type(self), (self.parameter, self.problem)


class BadDataError(DeepchromeError):
    """An input file does not hold what it must."""

    exit_code = 65


class MissingInputError(DeepchromeError):
    """An input does not exist or cannot be opened."""

    exit_code = 66


class StorageError(DeepchromeError):
    """Reading or writing failed: disk full, no permission, a dropped connection, a lock held."""

    exit_code = 74
