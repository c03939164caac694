"""Settings of the documentation site. `make docs` builds the site in build/docs, without network access."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import reference

from deepchrome.version import VERSION

project = "deepchrome"
author = "The deepchrome maintainers"
copyright = "the deepchrome maintainers"  # noqa: A001 - Sphinx requires this name
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
smartquotes = False  # otherwise -- in options becomes a dash

html_theme = "furo"
html_title = f"deepchrome {VERSION}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False


# Pages that show a file from the root of the repository.
ROOT_FILES = {
    "architecture": "ARCHITECTURE.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}


def _prepare_source(_app: Any, docname: str, source: list[str]) -> None:
    """Insert generated text and the files from the root, and adapt links that lead out of docs/."""
    text = source[0]
    if docname in ROOT_FILES:
        text = (Path(__file__).parents[1] / ROOT_FILES[docname]).read_text(encoding="utf-8")
        text = text.replace("](docs/", "](")
        for page, file in ROOT_FILES.items():
            text = text.replace(f"]({file})", f"]({page}.md)")
    for marker, generate in reference.GENERATORS.items():
        if marker in text:
            text = text.replace(marker, generate())
    # The site contains no other files of the repository. Replace links to them by the text of the link.
    source[0] = re.sub(r"(?<!!)\[([^\]]*)\]\(\.\./(?:benchmarks|tests)/[^)]*\)", r"`\1`", text)


def _shorten_array_types(*arguments: Any) -> tuple[str | None, str | None]:
    """Shorten array types in signatures: NDArray[uint32] instead of the full numpy type."""
    signature, returns = arguments[-2:]
    return _shorten(signature), _shorten(returns)


def _shorten(text: str | None) -> str | None:
    plain = text and re.sub(r"~?\b(numpy|typing)\.", "", text)
    return plain and re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"NDArray[\1]", plain)


def setup(app: Any) -> None:
    """Connect the two hooks above."""
    app.connect("source-read", _prepare_source)
    app.connect("autodoc-process-signature", _shorten_array_types)
