"""The number of threads that PyTorch uses within one operation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
