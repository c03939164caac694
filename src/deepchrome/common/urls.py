"""Recognize URLs, hide the secrets in them, and extract their file names."""

import re
from urllib.parse import unquote

_READABLE_URL = re.compile(r"(?:https?|s3)://", re.IGNORECASE)
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    """Return whether ``path`` is a URL of a supported scheme: http, https or s3."""
    return _READABLE_URL.match(path) is not None


def url_scheme(path: str) -> str:
    """Return the scheme of any kind of URL, including ``://``, or the empty string for a path."""
    match = _ANY_URL.match(path)
    return match[0] if match else ""


def hide_secrets(path: str) -> str:
    """Return a URL without user, password, query and fragment, or a path unchanged.

    These parts of a URL may be secrets: the query of a presigned URL, for example, is a signature.
    """
    if not (scheme := url_scheme(path)):
        return path
    rest = re.split("[?#]", path.removeprefix(scheme), maxsplit=1)[0]
    host, slash, object_path = rest.partition("/")
    return f"{scheme}{host.rpartition('@')[2]}{slash}{object_path}"


def url_file_name(url: str) -> str:
    """Return the last component of the path of a URL, percent-decoded."""
    return unquote(hide_secrets(url).partition("://")[2].rpartition("/")[2])
