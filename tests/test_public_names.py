"""``import deepchrome``: what it exports, and what it does not import."""

import inspect
import pkgutil
import subprocess
import sys

import pytest

import deepchrome


@pytest.mark.parametrize("name", deepchrome.__all__)
def test_every_public_name_can_be_imported_and_has_a_docstring(name: str) -> None:
    public = getattr(deepchrome, name)
    text = inspect.getdoc(public)
    assert text
    assert not text.startswith(f"{name}(")  # Python gives a dataclass without a docstring its signature as docstring
    assert name in dir(deepchrome)


def test_no_public_name_is_the_name_of_a_subpackage() -> None:
    assert not {module.name for module in pkgutil.iter_modules(deepchrome.__path__)} & set(deepchrome.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        deepchrome.no_such_name  # noqa: B018


def test_importing_deepchrome_imports_no_heavy_package() -> None:
    heavy = ("numba", "torch", "polars", "pyarrow", "numpy")
    code = f"import sys, deepchrome; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
