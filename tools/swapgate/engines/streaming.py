"""Tensors of safetensors files into the memory of a device, by several threads at once.

The libraries read through one memory map: page faults of one thread, then a copy from memory that the device cannot
fetch by itself, 7 GB/s in all. Here threads read chunks into locked buffers of their own, two each: while one is on its
way to the device, the other one is read into. Files then come at the rate of the disk; from the page cache at what
the processor's memory can copy and the device fetch at the same time. Reads past the page cache would be a twentieth
faster, but the next process that loads the same files would have to wait for the disk again. No byte is copied twice
on the device, and none is cast.

With `lock`, what is in the page cache is mapped and locked, page by page of the cache itself, and the device fetches it
from there: no processor copies it, and threads hold the interpreter for moments only, so that models are built beside
it. Locking alone goes at 50 GB/s; whole loads have not been measured yet, so it has to be asked for.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

import torch

from swapgate.engines.tensor_files import Entry, damaged, read_header

WINDOW = 256 * 2**20  # bytes that are locked at once: locking takes its time a call, and a page
CHUNK = 8 * 2**20  # bytes that a thread reads at once
_READERS, _LOCKERS = 12, 2  # threads; more readers than 12 only wait for each other, and one locks while the other waits
_SWITCH = 5e-5  # seconds: a thread that is done must not wait the usual 5 ms for the interpreter
_READ_ONLY, _POPULATE_READ = 8, 22  # cudaHostRegisterReadOnly; MADV_POPULATE_READ of Linux 5.14, unknown to Python
_CUDA: Any = torch.cuda  # without types


@dataclass(slots=True, kw_only=True)
class Pending:
    """Tensors that are being read. They may be handed on at once; their values are there when `wait` has returned."""

    tensors: dict[str, torch.Tensor]
    device: torch.device
    left: int = 0
    error: BaseException | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    settled: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Blocks until every byte is on the device. Raises what a read raised."""
        self.settled.wait()
        if self.error is not None:
            raise self.error

    def expect(self, count: int) -> None:
        """So many pieces will come."""
        with self.lock:
            self.left += count
            if not self.left:
                self.settled.set()

    def fail(self, error: BaseException) -> None:
        """A piece will not come."""
        self.error = error
        self.settled.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that is open for as long as it is read. `mapped`: its bytes; nothing looks at them before they are in memory."""

    path: Path
    number: int
    mapped: torch.Tensor
    map: mmap.mmap


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A piece of a file: the bytes from `offset` on, and which of them belong where: (first byte in the piece, uint8 on the device)."""

    pending: Pending
    file: _File
    offset: int
    parts: list[tuple[int, torch.Tensor]]

    @property
    def length(self) -> int:
        """Bytes up to the last that is needed."""
        first, target = self.parts[-1]
        return first + len(target)


@dataclass(slots=True, kw_only=True)
class _Way:
    """One piece at a time on its way to the device, on the stream of its thread."""

    sent: Pending | None = None
    done: Any = None

    def send(self, job: _Job, source: torch.Tensor) -> None:
        """Hands a piece, whose first byte is the first of `source`, to the device."""
        for first, target in job.parts:
            target.copy_(source[first : first + len(target)], non_blocking=True)
        if job.pending.device.type == "cuda":
            self.done = self.done or _CUDA.Event(blocking=True)  # who waits leaves the processor to others
            self.done.record()
        self.sent = job.pending

    def settle(self) -> None:
        """Waits until the piece is there, and tells whom it belongs to."""
        sent, self.sent = self.sent, None
        if sent is None:
            return
        try:
            if self.done is not None:
                self.done.synchronize()
        except RuntimeError as error:
            sent.fail(error)
        else:
            sent.expect(-1)


class Stream:
    """Reads files for as long as it is open; first added, first read."""

    def __init__(self, device: torch.device, *, threads: int | None = None, lock: bool = False) -> None:
        self._may_lock = lock
        self._device = torch.device("cuda", _CUDA.current_device()) if device.type == "cuda" and device.index is None else device
        self._files: list[_File] = []
        self._locked: list[torch.Tensor] = []
        self._to_lock: SimpleQueue[_Job | None] = SimpleQueue()
        self._to_read: SimpleQueue[_Job | None] = SimpleQueue()
        self._readers = threads or min(_READERS, max(2, _processors() - 1))
        self._starting = threading.Lock()
        self._threads: dict[str, list[threading.Thread]] = {"lock": [], "read": []}

    def __enter__(self) -> Self:
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for queue, name in ((self._to_lock, "lock"), (self._to_read, "read")):  # lockers may still give work to readers
            with suppress(Empty):
                while True:  # what nobody waits for any more
                    queue.get_nowait()
            for _ in self._threads[name]:
                queue.put(None)
            for thread in self._threads[name]:
                thread.join()
        sys.setswitchinterval(self._switch)
        threading.Thread(target=_let_go, args=(self._device, self._files, self._locked), name="weights-unlock").start()

    def add(self, paths: Sequence[Path]) -> Pending:
        """Begins to read all tensors of `paths`, the shards of one model, into new tensors of the device.

        Raises:
            UserError: a file is damaged, or two hold the same tensor.
            UnknownDtypeError: see there.
            torch.OutOfMemoryError: there is no room for them on the device.
        """
        shards = [(path, read_header(path)) for path in paths]
        self._make_room(entry for _, entries in shards for entry in entries)
        pending = Pending(tensors={}, device=self._device)
        for path, entries in shards:
            for entry in entries:
                if entry.name in pending.tensors:
                    raise damaged(path, entry.name, "a tensor is in one file of a model, not in two")
                pending.tensors[entry.name] = torch.empty(entry.shape, dtype=entry.dtype, device=self._device)
        if self._device.type == "cuda":  # memory that is used again may still be written to by what was asked before
            _CUDA.current_stream(self._device).synchronize()
        pending.expect(1)  # so that it is not settled before all is asked for
        for path, entries in shards:
            if entries and entries[-1].end > entries[0].begin:
                self._ask(pending, _opened(path), entries)
        pending.expect(-1)
        return pending

    def _make_room(self, entries: Iterator[Entry]) -> None:
        """One request to the driver for a whole model: the allocator then cuts its tensors from it."""
        if self._device.type == "cuda":
            torch.empty(sum(-(-(entry.end - entry.begin) // 512) * 512 for entry in entries), dtype=torch.uint8, device=self._device)

    def _ask(self, pending: Pending, file: _File, entries: Sequence[Entry]) -> None:
        """Cuts a file into pieces for the threads."""
        self._files.append(file)
        whole = [(entry.begin, pending.tensors[entry.name].reshape(-1).view(torch.uint8)) for entry in entries if entry.end > entry.begin]
        for job in _pieces(_Job(pending=pending, file=file, offset=0, parts=whole), WINDOW):
            if self._may_lock and _is_cached(file.number, job.offset, job.offset + job.length):
                pending.expect(1)
                self._start("lock", _LOCKERS, self._lock)
                self._to_lock.put(job)
            else:
                self._ask_readers(job)

    def _ask_readers(self, job: _Job) -> None:
        chunks = list(_pieces(job, CHUNK))
        job.pending.expect(len(chunks))
        self._start("read", self._readers, self._read)
        for chunk in chunks:
            self._to_read.put(chunk)

    def _start(self, name: str, count: int, work: Callable[[], None]) -> None:
        """The threads of one kind, once there is work for them."""
        with self._starting:
            if not self._threads[name]:
                self._threads[name] = [threading.Thread(target=work, name=f"weights-{name}-{index}", daemon=True) for index in range(count)]
                for thread in self._threads[name]:
                    thread.start()

    def _on_device(self) -> AbstractContextManager[object]:
        """A stream of one thread."""
        if self._device.type != "cuda":
            return nullcontext()
        _CUDA.set_device(self._device)
        stream: AbstractContextManager[object] = _CUDA.stream(_CUDA.Stream(self._device))
        return stream

    def _lock(self) -> None:
        """A thread that sends pieces from where they are in the page cache."""
        ways = _Way(), _Way()
        with self._on_device():
            for turn, job in enumerate(_all(self._to_lock, ways)):
                way = ways[turn % 2]
                way.settle()
                try:
                    if self._is_locked(job):
                        way.send(job, job.file.mapped[job.offset :])
                    else:
                        self._ask_readers(job)
                        job.pending.expect(-1)
                except Exception as error:  # whoever waits for the piece is told
                    job.pending.fail(error)

    def _is_locked(self, job: _Job) -> bool:
        """Whether the pages of a piece could be locked. Not every file system and platform can."""
        if self._device.type != "cuda":
            return True
        with suppress(OSError):  # an older kernel: then they are mapped one by one, as they are locked
            job.file.map.madvise(_POPULATE_READ, job.offset, job.length)
        pages = job.file.mapped[job.offset : job.offset + job.length]
        if int(_CUDA.cudart().cudaHostRegister(pages.data_ptr(), job.length, _READ_ONLY)) == 0:
            self._locked.append(pages)
            return True
        _forget_error(self._device)
        return False

    def _read(self) -> None:
        """A thread that reads pieces from the disk, in turn into each of its two buffers."""
        ways = _Way(), _Way()
        buffers: list[mmap.mmap] = []
        try:
            with self._on_device():
                buffers += [self._buffer(), self._buffer()]
                staged = [torch.frombuffer(buffer, dtype=torch.uint8) for buffer in buffers]
                for turn, job in enumerate(_all(self._to_read, ways)):
                    way = ways[turn % 2]
                    way.settle()
                    try:
                        _fill(job, memoryview(buffers[turn % 2])[: job.length])
                        way.send(job, staged[turn % 2])
                    except Exception as error:  # whoever waits for the piece is told
                        job.pending.fail(error)
        except Exception as error:  # it has no buffers; whoever waits for a piece is told
            for job in iter(self._to_read.get, None):
                job.pending.fail(error)

    def _buffer(self) -> mmap.mmap:
        """Memory that is mapped, not allocated: locked in one piece for the device, and given back at the end."""
        memory = mmap.mmap(-1, CHUNK)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        if self._device.type == "cuda":
            bytes_ = torch.frombuffer(memory, dtype=torch.uint8)
            if int(_CUDA.cudart().cudaHostRegister(bytes_.data_ptr(), CHUNK, 0)) == 0:
                self._locked.append(bytes_)
            else:  # copies from it are slower
                _forget_error(self._device)
        return memory


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _opened(path: Path) -> _File:
    number = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap(number, 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to; it need not
        return _File(path=path, number=number, map=mapped, mapped=torch.frombuffer(mapped, dtype=torch.uint8))


def _let_go(device: torch.device, files: list[_File], locked: list[torch.Tensor]) -> None:
    """Unlocks and closes what was read. It takes a third of a second for 30 GB of the page cache, so nobody waits for it."""
    if locked:
        _CUDA.set_device(device)
    while locked:
        _CUDA.cudart().cudaHostUnregister(locked.pop().data_ptr())
    while files:
        os.close(files.pop().number)


def _pieces(job: _Job, size: int) -> Iterator[_Job]:
    """A piece in smaller ones: each begins at a multiple of `size` in its file, and holds bytes of tensors."""
    pieces: dict[int, list[tuple[int, torch.Tensor]]] = {}
    for at, target in job.parts:
        begin, end = job.offset + at, job.offset + at + len(target)
        for offset in range(begin // size * size, end, size):
            first, last = max(begin, offset), min(end, offset + size)
            pieces.setdefault(offset, []).append((first - offset, target[first - begin : last - begin]))
    for offset, parts in pieces.items():
        yield _Job(pending=job.pending, file=job.file, offset=offset, parts=parts)


def _is_cached(file: int, begin: int, end: int) -> bool:
    """Whether the page cache holds these bytes, as far as a look at a page in every chunk tells."""
    page = bytearray(1)
    try:
        return all(os.preadv(file, [page], offset, os.RWF_NOWAIT) for offset in (*range(begin, end, CHUNK), end - 1))
    except (OSError, AttributeError):  # it would have to wait for the disk; or this system cannot tell
        return False


def _all(queue: SimpleQueue[_Job | None], ways: Sequence[_Way]) -> Iterator[_Job]:
    """The pieces of a queue, up to its end. Before a thread waits for one, all that it sent is there."""
    while True:
        try:
            job = queue.get_nowait()
        except Empty:
            _settle(ways)
            job = queue.get()
        if job is None:
            _settle(ways)
            return
        yield job


def _settle(ways: Sequence[_Way]) -> None:
    for way in ways:
        way.settle()


def _fill(job: _Job, into: memoryview) -> None:
    got = 0
    while got < len(into):
        more = os.preadv(job.file.number, [into[got:]], job.offset + got)
        if not more:
            raise damaged(job.file.path, f"ends at byte {job.offset + got}", "a whole file; it became shorter while it was read")
        got += more


def _forget_error(device: torch.device) -> None:
    """The runtime keeps the error of a call for the next one that asks; torch would raise it, as if it were of its own."""
    with suppress(RuntimeError):
        torch.zeros(1, device=device)
