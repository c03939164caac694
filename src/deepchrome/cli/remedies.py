"""Turn errors of the library into words of the command line.

The library names parameters (``force``); users of the command line know options (``--force``).
"""

from deepchrome.errors import DeepchromeError, ParameterError

# What to add to a message whose error names this remedy.
REMEDIES = {
    "allow_empty": "Use --allow-empty to accept this.",
    "allow_no_eof": "Use --allow-no-eof if you know that the file is complete.",
    "force": "Use --force to replace it.",
    "resume_or_force": "Use --resume to continue it, or --force to replace it.",
    "resume": "Use --resume to continue it.",
    "out": "Choose another directory with --out.",
}
# Parameters whose option has another name.
_OPTIONS = {"container": "--format"}


def explain(error: DeepchromeError) -> str:
    """Return the message of an error, with options in place of parameters."""
    if isinstance(error, ParameterError):
        option = _OPTIONS.get(error.parameter, "--" + error.parameter.replace("_", "-"))
        return str(error).replace(error.parameter, option, 1)
    advice = REMEDIES.get(error.remedy, "")
    return f"{str(error).rstrip('.')}. {advice}" if advice else str(error)
