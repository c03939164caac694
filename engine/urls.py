"""URLs of reads: telling them from paths, showing them without their secrets, naming their files."""

import re
from urllib.parse import unquote

_URL = re.compile(r"(?:https?|s3)://", re.IGNORECASE)


def is_url(path: str) -> bool:
    """Tell whether ``path`` is a URL that reads can come from: http, https or s3."""
    return _URL.match(path) is not None


def shown(path: str) -> str:
    """Return a URL without user, password, query and fragment, which may be secrets; any other path as it is."""
    if not is_url(path):
        return path
    scheme, _, rest = re.split("[?#]", path, maxsplit=1)[0].partition("://")
    host, slash, place = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{place}"


def file_name(url: str) -> str:
    """Return the last part of a URL's path, percent-decoded: the name of its file."""
    return unquote(shown(url).partition("://")[2].rpartition("/")[2])
