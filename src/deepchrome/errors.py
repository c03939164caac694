"""Errors that reach a user: one clear line and an exit code, never a traceback.

The exit codes follow ``sysexits.h``: 2 usage, 65 bad data, 66 missing input, 74 input/output.
"""


class DeepchromeError(Exception):
    """Base of all errors whose message is meant for the user.

    The message says what is wrong, where (file and line), and how to mend it.
    """

    exit_code = 65

    def __str__(self) -> str:
        """Return the message as one line: names come from data, and a terminal would obey some of them."""
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())


class UsageError(DeepchromeError):
    """The call itself makes no sense: an option's value, or a combination of options."""

    exit_code = 2


class BadDataError(DeepchromeError):
    """An input was read and does not hold what it must."""

    exit_code = 65


class MissingInputError(DeepchromeError):
    """An input does not exist or cannot be opened."""

    exit_code = 66


class StorageError(DeepchromeError):
    """Reading or writing failed: disk full, no permission, a dropped connection, a lock held."""

    exit_code = 74
