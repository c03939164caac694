"""Arrays whose address a kernel uses must outlive that use.

numba frees an array after the last use of its name. The address of an array does not keep it alive, so a kernel would
read and write memory that already belongs to something else, such as the gzip reader of another thread.
"""

import ast
from pathlib import Path

import pytest
from support.places import CHECKOUT

KERNELS = sorted((CHECKOUT / "engine" / "kernels").glob("*.py"))


def freed_too_early(function: ast.FunctionDef) -> list[str]:
    """Return the local arrays of a kernel that are freed while a name made from their address is still in use."""
    parameters = {argument.arg for argument in function.args.args}
    last_use: dict[str, int] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            last_use[node.id] = max(last_use.get(node.id, 0), node.lineno)
    loops = [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While)]
    found = []
    for assignment in (node for node in ast.walk(function) if isinstance(node, ast.Assign)):
        made = {node.id for target in assignment.targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        for call in (node for node in ast.walk(assignment.value) if isinstance(node, ast.Call)):
            if not (isinstance(call.func, ast.Name) and call.func.id == "address_of"):
                continue
            array = call.args[0]
            while isinstance(array, ast.Attribute):
                array = array.value
            if not isinstance(array, ast.Name) or array.id in parameters:
                continue  # the caller keeps it
            needed = max(last_use[name] for name in made)
            # A name used in a loop is needed until the loop ends.
            needed = max([needed, *(loop.end_lineno or 0 for loop in loops if loop.lineno <= needed)])
            if last_use[array.id] < needed:
                found.append(array.id)
    return found


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_arrays_outlive_their_addresses(path: Path) -> None:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert {function.name: found for function in functions if (found := freed_too_early(function))} == {}


def test_an_array_that_is_freed_too_early_is_found() -> None:
    kernel = """
def kernel(buffer, n):
    text, shapes = address_of(buffer), np.zeros(9)
    table = start(address_of(shapes))
    while n > 0:
        n -= look_up(text, table)
    return n
"""
    (function,) = ast.parse(kernel).body
    assert isinstance(function, ast.FunctionDef)
    assert freed_too_early(function) == ["shapes"]
