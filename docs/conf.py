"""Settings of the documentation site. `make docs` builds it in build/docs, without the network."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import reference

from deepchrome.version import VERSION

project = "deepchrome"
author = "The deepchrome maintainers"
copyright = "the deepchrome maintainers"  # noqa: A001 - the name that Sphinx reads
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"deepchrome {VERSION}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False


def _insert_reference(_app: Any, _docname: str, source: list[str]) -> None:
    """Replace the markers in docs/reference/*.md by generated text."""
    for marker, generate in reference.GENERATORS.items():
        if marker in source[0]:
            source[0] = source[0].replace(marker, generate())


def _shorten_array_types(*arguments: Any) -> tuple[str | None, str | None]:
    """Write array types as NDArray[uint32]."""
    signature, returns = arguments[-2:]
    return _shorten(signature), _shorten(returns)


def _shorten(text: str | None) -> str | None:
    return text and re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"NDArray[\1]", text)


def setup(app: Any) -> None:
    """Connect the two hooks above."""
    app.connect("source-read", _insert_reference)
    app.connect("autodoc-process-signature", _shorten_array_types)
