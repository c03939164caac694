"""One file of reads to counts: blocks of bytes, shared out to threads, through the kernels.

Blocks are taken in the order of the file, completed in any thread, cut at the end of their last whole line or
record in the order of the file again, and counted in any thread. Each thread has its own counts, added
up at the end, so the order of counting does not matter and no memory grows with the number of reads.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepchrome.engine import kernels
from deepchrome.engine.formats import Format, Text, detect
from deepchrome.engine.reads import (
    Block,
    ByteStream,
    Meter,
    Source,
    explain,
    is_cram,
    open_source,
    open_stream,
)
from deepchrome.engine.tally import Filters, Registry, Tally
from deepchrome.engine.windows import WindowIndex, Windows, index_windows
from deepchrome.errors import BadDataError, DeepchromeError, UsageError
