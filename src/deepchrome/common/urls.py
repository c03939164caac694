"""URLs of reads: telling them from paths, showing them without their secrets, naming their files."""

import re
from urllib.parse import unquote

_URL = re.compile(r"(?:https?|s3)://", re.IGNORECASE)
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    """Tell whether ``path`` is a URL that reads can come from: http, https or s3."""
    return _URL.match(path) is not None


def url_scheme(path: str) -> str:
    """Return the scheme of a URL of any kind, with its ``://``; nothing for a path."""
    match = _ANY_URL.match(path)
    return match[0] if match else ""


def hide_secrets(path: str) -> str:
    """Return a URL without user, password, query and fragment, which may be secrets; a path as it is."""
    if not (begin := url_scheme(path)):
        return path
    rest = re.split("[?#]", path.removeprefix(begin), maxsplit=1)[0]
    host, slash, place = rest.partition("/")
    return f"{begin}{host.rpartition('@')[2]}{slash}{place}"


def url_file_name(url: str) -> str:
    """Return the last part of a URL's path, percent-decoded: the name of its file."""
    return unquote(hide_secrets(url).partition("://")[2].rpartition("/")[2])
