"""Define functions that compile to LLVM instructions of our choice, and the type of a vector of eight numbers."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import lower_builtin, models, register_model

INT64, INT32, INT8, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.IntType(1)
EIGHT_INT64, EIGHT_INT32 = ir.VectorType(INT64, 8), ir.VectorType(INT32, 8)
BYTES, BITS = ir.VectorType(INT8, 64), ir.VectorType(BIT, 64)


class EightType(types.Type):
    """A vector of eight uint64. LLVM puts it in as many registers as the processor needs for it."""

    def __init__(self) -> None:
        super().__init__("eight uint64")


@register_model(EightType)
class _EightModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, EIGHT_INT64)


def lowers(function: Any, *signatures: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function. It emits the LLVM instructions that compiled code runs in place of ``function``.

    The decorated function takes an LLVM ``IRBuilder`` and the arguments as LLVM values, and returns an LLVM value.

    Parameters
    ----------
    function
        A Python function or an operator. Plain Python still calls it.
    signatures
        numba signatures of the calls to replace, such as ``types.int64(types.intp, types.intp)``.
    """

    def register(build: Callable[..., Any]) -> Callable[..., Any]:
        infer_global(function)(type("Template", (ConcreteTemplate,), {"cases": [*signatures]}))
        for signature in signatures:
            lower_builtin(function, *signature.args)(lambda context, builder, signature, args: build(builder, *args))
        return build

    return register


def constant(kind: ir.Type, value: int) -> Any:
    """Return a constant of a type; a vector has ``value`` in every element."""
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def pointer(builder: Any, buffer: Any, i: Any, kind: ir.Type) -> Any:
    """Return a pointer to byte ``i`` of a buffer, for a value of type ``kind``."""
    return builder.inttoptr(builder.add(buffer, i), kind.as_pointer())


def load(builder: Any, buffer: Any, i: Any, kind: ir.Type) -> Any:
    """Load a value of any alignment."""
    return builder.load(pointer(builder, buffer, i, kind), align=1)


def store(builder: Any, buffer: Any, i: Any, value: Any) -> None:
    """Store a value at any alignment."""
    builder.store(value, pointer(builder, buffer, i, value.type), align=1)


def broadcast(builder: Any, value: Any) -> Any:
    """Return a vector of eight with ``value`` in every element; a vector is returned as it is."""
    if value.type == EIGHT_INT64:
        return value
    first = builder.insert_element(ir.Constant(EIGHT_INT64, ir.Undefined), value, constant(INT32, 0))
    return builder.shuffle_vector(first, first, constant(EIGHT_INT32, 0))


def elementwise(combine: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that emits an operation on two vectors also take a vector and a number, in either order."""
    return lambda builder, a, b: combine(builder, broadcast(builder, a), broadcast(builder, b))
