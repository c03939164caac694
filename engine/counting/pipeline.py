"""Count one file of reads with several threads.

A block goes through four steps:

1. A thread fills it from the source; only one thread at a time may do this.
2. A thread decompresses it, if it contains bgzip members.
3. A thread cuts it after its last complete line or record; blocks are cut in the order of the file.
4. A thread counts the complete lines or records.

Each thread has its own counter, so the order of counting does not matter, and memory does not grow with the number of
reads.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from deepchrome.common.signatures import BAM_MAGIC
from deepchrome.common.threads import join_thread, wait_until
from deepchrome.engine.counting.bam import Bam
from deepchrome.engine.counting.bed import Bed, Bedpe
from deepchrome.engine.counting.formats import BadItemError, Counter, Format, Target
from deepchrome.engine.counting.sniff import HEAD_BYTES, identify, refusal
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.sources import Source
from deepchrome.errors import BadDataError

ProgressCallback = Callable[[int, int], None]
"""Called with the bytes read and the lines or records counted so far."""

_BEFORE_ALL = -1  # stands in for the block number of an interrupt, so that it precedes all other errors


def detect_format(head: bytes, target: Target) -> Format:
    """Return the format of a file of reads, from its first bytes. Raise a BadDataError if it is of another format."""
    if head.startswith(BAM_MAGIC):
        return Bam(target)
    fragments, insisted = target.options.fragments, target.options.format == "bed"
    found = identify(head)
    if error := refusal(found, fragments=fragments, insisted=insisted):  # guard: not-reads
        raise error
    if fragments and found and found.kind == "bedpe":
        return Bedpe(target)
    if fragments and head and not found and not insisted:  # guard: single-reads
        raise BadDataError("a BED file of single reads, not of fragments. Give BAM, BEDPE or the fragments of 10x.")
    return Bed(target)


class FilePipeline:
    """The state that the threads of one file share.

    A thread either fills the next block or counts a filled one. A thread that has filled a block fills the next one,
    if there is a free block: the stream never waits for a thread to wake up.

    Parameters
    ----------
    source
        The source of blocks.
    target
        The regions in which to count, and the options that select the reads.
    meter
        The stream below the source, which counts the bytes read.
    progress
        Called after each block, by one thread at a time.

    Attributes
    ----------
    counters
        One counter for each thread that has counted a block.
    format
        Format of the file; None until the first block is cut.
    """

    def __init__(self, source: Source, target: Target, meter: MeteredStream, progress: ProgressCallback | None) -> None:
        self.target = target
        self.counters: list[Counter] = []
        self.format: Format | None = None
        self._source = source
        self._meter = meter
        self._progress = progress
        self._carry = b""
        self._changed = threading.Condition()  # guards all that follows
        self._free: list[Block] = []
        self._filled: deque[tuple[int, Block, memoryview]] = deque()
        self._is_filling = False
        self._n_taken = 0
        self._n_cut = 0
        self._is_at_end = False
        # Errors by the number of their block. The user gets the one from the earliest block.
        self._errors: dict[int, BaseException] = {}
        self._n_counted = 0  # number of blocks, from the first one on, that are all counted
        self._n_lines = 0  # lines or records in these blocks
        self._lines_of: dict[int, int] = {}  # lines or records in each later block that is counted

    def run(self, threads: int) -> None:
        """Count the file in this thread and ``threads - 1`` others.

        Raises
        ------
        BadItemError
            A line or record is wrong. The error describes the first wrong one in the file.
        """
        self._free = [Block() for _ in range(1 if threads == 1 else threads + 1)]
        others = [threading.Thread(target=self._work) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        self._work()
        try:
            for thread in others:
                join_thread(thread)
        except BaseException as error:  # an interrupt: wait for the others before it is raised
            self._fail(_BEFORE_ALL, error)
            for thread in others:
                thread.join()
        if self._errors:
            first = self._errors[min(self._errors)]
            if isinstance(first, BadItemError):
                first.n_before += self._n_lines
            raise first

    def _work(self) -> None:
        """Fill and count blocks until nothing is left to do."""
        counter: Counter | None = None
        number = _BEFORE_ALL
        try:
            while True:
                with self._changed:
                    wait_until(self._changed, lambda: self._can_fill() or self._can_count() or self._is_over())
                    if fill := self._can_fill():
                        block = self._free.pop()
                        self._is_filling = True
                        number, self._n_taken = self._n_taken, self._n_taken + 1
                    elif self._can_count():
                        number, block, members = self._filled.popleft()
                    else:
                        return
                if fill:
                    self._fill(number, block)
                    continue
                self._source.finish(members, block)
                first, last = self._cut(number, block)
                lines = 0
                if first < last:
                    if counter is None:  # not earlier: the header of a BAM file may be longer than a block
                        assert self.format
                        counter = self.format.counter()
                        self.counters.append(counter)
                    lines = counter.count(block.buffer, first, last)
                self._finish(number, lines, block)
        except BaseException as error:  # interrupts too: otherwise the other threads would wait for this block
            self._fail(number if isinstance(error, Exception) else _BEFORE_ALL, error)

    def _can_fill(self) -> bool:
        return bool(self._free) and not self._is_filling and not self._is_over()

    def _can_count(self) -> bool:
        # After an error, the blocks before it are still counted: one of them may have an earlier error.
        return bool(self._filled) and not self._failed_before(self._filled[0][0])

    def _is_over(self) -> bool:
        return self._is_at_end or bool(self._errors)

    def _fill(self, number: int, block: Block) -> None:
        members = self._source.take(block)
        with self._changed:
            self._is_filling = False
            self._is_at_end = block.is_last
            self._filled.append((number, block, members))
            self._changed.notify_all()

    def _cut(self, number: int, block: Block) -> tuple[int, int]:
        """Wait until the block before is cut, cut this one, and return the begin and end of the part to count.

        The rest goes to the next block. After an earlier error, the part is empty.
        """
        with self._changed:
            wait_until(self._changed, partial(self._can_cut, number))
            if self._failed_before(number):
                return 0, 0
            begin = block.prepend(self._carry)
            if self.format is None and (block.end - begin >= HEAD_BYTES or block.is_last):
                head = block.buffer[begin : min(begin + HEAD_BYTES, block.end)].tobytes()
                self.format = detect_format(head, self.target)
            first = last = begin  # a block of empty bgzip members has no bytes
            if self.format:
                first, last = self.format.cut(block.buffer, begin, block.end, block.is_last)
            self._carry = b""  # freed before the next one is made, because it can be as long as a record
            self._carry = block.buffer[last : block.end].tobytes()
            self._n_cut += 1
            self._changed.notify_all()
        return first, last

    def _can_cut(self, number: int) -> bool:
        return self._n_cut == number or self._failed_before(number)

    def _failed_before(self, number: int) -> bool:
        return any(failed < number for failed in self._errors)

    def _finish(self, number: int, lines: int, block: Block) -> None:
        """Free a block that is counted, and report the progress."""
        with self._changed:
            self._free.append(block)
            self._lines_of[number] = lines
            while self._n_counted in self._lines_of:
                self._n_lines += self._lines_of.pop(self._n_counted)
                self._n_counted += 1
            if self._progress:
                self._progress(self._meter.bytes_read, self._n_lines)
            self._changed.notify_all()

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._errors[number] = error
            self._changed.notify_all()
