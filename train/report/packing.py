"""Compact forms of numbers for report.html: arrays as compressed text, and rounded floats."""

import base64
import gzip
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArrayPack:
    """Named arrays, packed into one block of bytes.

    Attributes
    ----------
    index
        Type, shape, offset in bytes, and scale (if any) of every array, by name.
    """

    def __init__(self) -> None:
        self.index: dict[str, dict[str, Any]] = {}
        self._bytes = bytearray()

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Append an array, little-endian, at a multiple of four bytes."""
        self._bytes.extend(bytes(-len(self._bytes) % 4))
        little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self.index[name] = {"type": array.dtype.name, "shape": array.shape, "offset": len(self._bytes)}
        self._bytes.extend(little_endian.tobytes())

    def add_scaled(self, name: str, array: NDArray[np.float32], dtype: type, axes: int = 1) -> None:
        """Append an array as integers.

        There is one scale per index into the first ``axes`` axes. It maps the largest absolute value at this index to
        the largest integer of ``dtype``. To restore a value, multiply its integer by the scale.
        """
        leading = array.shape[:axes]
        largest = np.abs(array).reshape(*leading, -1).max(-1)
        top = np.iinfo(dtype).max
        factor = np.where(largest > 0, top / np.where(largest > 0, largest, 1), 0)
        self.add(name, np.rint(array * factor.reshape(*leading, *[1] * (array.ndim - axes))).astype(dtype))
        self.index[name]["scale"] = [float(f"{value:.6g}") for value in (largest / top).reshape(-1)]

    def to_base64(self) -> str:
        """Return all bytes, compressed by gzip, as base64."""
        return base64.b64encode(gzip.compress(bytes(self._bytes), 9, mtime=0)).decode()


def rounded(value: Any) -> Any:
    """Round floats to five significant digits, also inside lists; NaN and infinity become ``None``, as JSON needs."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
