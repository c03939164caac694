"""The number of threads that one stack of networks may use."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from deepchrome.common.threads import map_in_threads

Item = TypeVar("Item")
Value = TypeVar("Value")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let each PyTorch operation use ``count`` threads, and restore the previous number at the end.

    The setting applies to the whole process.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_in_torch_threads(function: Callable[[Item], Value], items: Sequence[Item]) -> list[Value]:
    """Call a function with each item, in as many threads as a PyTorch operation uses; return the values in order."""
    threads = min(len(items), torch.get_num_threads())
    return [function(item) for item in items] if threads == 1 else map_in_threads(function, items, threads)
