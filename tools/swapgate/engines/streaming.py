"""Tensors of safetensors files into the memory of a device, by several threads at once.

The libraries read through one memory map: page faults of one thread, then a copy from memory that the device cannot
fetch by itself, each at a few GB/s. Here every thread reads whole chunks into buffers of its own that are locked in
memory, and hands them to the device on a stream of its own: while one buffer is on its way, the other one is read into.
Files then come at the rate of the disk, or, when they are in the page cache, of the link to the device. No byte is
copied twice on the device, and none is cast. Reads go through the page cache: past it they are at most a tenth faster,
and the next process that loads the same files would have to fetch them from the disk again.

Format of a file: 8 bytes with the length of the header (little endian), the header as JSON, the tensors without gaps.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType, TracebackType
from typing import Any, Self

import torch

from swapgate.errors import UserError

CHUNK = 8 * 2**20  # bytes that a thread reads at once: few enough to be still in the processor's cache when the device fetches them
_MOST_THREADS = 12
_EARLY = 3
_SWITCH = 5e-5  # seconds: a thread that has read its chunk must not wait the usual 5 ms for the interpreter
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_CUDA: Any = torch.cuda  # without types
DTYPES = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)


class UnknownDtypeError(Exception):
    """A file holds tensors of a dtype that this reader does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor of a file; begin, end: its bytes, counted from the file's first."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A chunk of a file: the bytes from `offset` on, and which of them belong where: (first byte in the chunk, uint8 on the device)."""

    pending: Pending
    path: Path
    file: int
    offset: int
    parts: list[tuple[int, torch.Tensor]]


@dataclass(slots=True, kw_only=True)
class _Buffer:
    """What a thread reads into. `sent`: whose bytes are on their way from here to the device."""

    memory: mmap.mmap
    staged: torch.Tensor
    done: Any = None
    sent: Pending | None = None

    def settle(self) -> None:
        """Waits until the bytes have left, and tells whom they belong to."""
        sent, self.sent = self.sent, None
        if sent is None:
            return
        try:
            if self.done is not None:
                self.done.synchronize()
        except RuntimeError as error:
            sent.fail(error)
        else:
            sent.arrived()


def read_header(path: Path) -> tuple[Entry, ...]:
    """The tensors of a file, in the order of their bytes.

    Raises:
        UserError: it is no safetensors file, or not a whole one.
        UnknownDtypeError: see there.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if size < 8 or start > min(size, _LONGEST_HEADER):
            raise _damaged(path, f"{size} bytes", "a file of safetensors begins with the length of its header")
        header = _parsed(path, file.read(start - 8))
    header.pop("__metadata__", None)
    entries = sorted((_entry(path, start, name, value) for name, value in header.items()), key=lambda entry: (entry.begin, entry.end))
    ends = [start, *(entry.end for entry in entries)]
    if any(entry.begin != before for entry, before in zip(entries, ends, strict=False)):
        raise _damaged(path, None, "the tensors of a file follow each other without gaps")
    if ends[-1] != size:
        raise _damaged(path, f"{size} bytes", f"a whole file: its header promises {ends[-1]} bytes")
    return tuple(entries)


@dataclass(slots=True, kw_only=True)
class Pending:
    """Tensors that are being read. They may be handed on at once; their values are there when `wait` has returned."""

    tensors: dict[str, torch.Tensor]
    device: torch.device
    left: int = 0
    error: BaseException | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    settled: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Blocks until every byte is on the device. Raises what a read raised."""
        self.gate.set()
        self.settled.wait()
        if self.error is not None:
            raise self.error

    def arrived(self) -> None:
        """One more chunk is there."""
        with self.lock:
            self.left -= 1
            if not self.left:
                self.settled.set()

    def fail(self, error: BaseException) -> None:
        """A chunk will not come."""
        self.error = error
        self.settled.set()


class Stream:
    """Reads files for as long as it is open; first added, first read."""

    def __init__(self, device: torch.device, *, threads: int | None = None) -> None:
        self._device = torch.device("cuda", _CUDA.current_device()) if device.type == "cuda" and device.index is None else device
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._files: list[int] = []
        self._gate = threading.Event()
        count = threads or min(_MOST_THREADS, max(2, _processors() - 1))
        self._threads = [threading.Thread(target=self._work, args=(index,), name=f"weights-{index}", daemon=True) for index in range(count)]

    def __enter__(self) -> Self:
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while True:  # what nobody waits for any more
                self._jobs.get_nowait()
        except Empty:
            pass
        self._gate.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        sys.setswitchinterval(self._switch)
        for file in self._files:
            os.close(file)

    def add(self, paths: Sequence[Path]) -> Pending:
        """Begins to read all tensors of `paths`, the shards of one model, into new tensors of the device.

        Raises:
            UserError: a file is damaged, or two hold the same tensor.
            UnknownDtypeError: see there.
            torch.OutOfMemoryError: there is no room for them on the device.
        """
        shards = [(path, read_header(path)) for path in paths]
        self._make_room(entry for _, entries in shards for entry in entries)
        pending = Pending(tensors={}, device=self._device, gate=self._gate)
        for path, entries in shards:
            for entry in entries:
                if entry.name in pending.tensors:
                    raise _damaged(path, entry.name, "a tensor is in one file of a model, not in two")
                pending.tensors[entry.name] = torch.empty(entry.shape, dtype=entry.dtype, device=self._device)
        if self._device.type == "cuda":  # memory that is used again may still be written to by what was asked before
            _CUDA.current_stream(self._device).synchronize()
        jobs = [job for path, entries in shards for job in self._chunks(pending, path, entries)]
        pending.left = len(jobs)
        if not jobs:
            pending.settled.set()
        for job in jobs:
            self._jobs.put(job)
        return pending

    def _make_room(self, entries: Iterator[Entry]) -> None:
        """One request to the driver for a whole model: the allocator then cuts its tensors from it."""
        if self._device.type == "cuda":
            torch.empty(sum(-(-(entry.end - entry.begin) // 512) * 512 for entry in entries), dtype=torch.uint8, device=self._device)

    def _chunks(self, pending: Pending, path: Path, entries: Sequence[Entry]) -> Iterator[_Job]:
        """Every chunk of a file that holds bytes of tensors."""
        file = os.open(path, os.O_RDONLY)
        self._files.append(file)
        chunks: dict[int, list[tuple[int, torch.Tensor]]] = {}
        for entry in entries:
            flat = pending.tensors[entry.name].reshape(-1).view(torch.uint8) if entry.end > entry.begin else None
            for offset in range(entry.begin // CHUNK * CHUNK, entry.end, CHUNK):
                if flat is not None:
                    first, last = max(entry.begin, offset), min(entry.end, offset + CHUNK)
                    chunks.setdefault(offset, []).append((first - offset, flat[first - entry.begin : last - entry.begin]))
        for offset, parts in chunks.items():
            yield _Job(pending=pending, path=path, file=file, offset=offset, parts=parts)

    def _work(self, index: int) -> None:
        """A thread: its two buffers, then one chunk after the other, into each in turn."""
        buffers: list[_Buffer] = []
        try:
            if self._device.type == "cuda":
                _CUDA.set_device(self._device)
            buffers += [_buffer(self._device), _buffer(self._device)]
            if index >= _EARLY:
                self._gate.wait()
            turns = cycle(buffers)
            with _CUDA.stream(_CUDA.Stream(self._device)) if self._device.type == "cuda" else nullcontext():
                while (job := self._next(buffers)) is not None:
                    _take(job, next(turns))
        except Exception as error:  # it has no buffers; whoever waits for a chunk is told
            for job in iter(self._jobs.get, None):
                job.pending.fail(error)
        finally:
            if self._device.type == "cuda":
                for buffer in buffers:
                    _CUDA.cudart().cudaHostUnregister(buffer.staged.data_ptr())

    def _next(self, buffers: Sequence[_Buffer]) -> _Job | None:
        """The next chunk. Before it waits for one, everything that was read is on the device."""
        try:
            return self._jobs.get_nowait()
        except Empty:
            for buffer in buffers:
                buffer.settle()
            return self._jobs.get()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _buffer(device: torch.device) -> _Buffer:
    """Memory that is mapped, not allocated: locked in one piece for the device, and given back at the end."""
    memory = mmap.mmap(-1, CHUNK)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    staged = torch.frombuffer(memory, dtype=torch.uint8)
    if device.type != "cuda":
        return _Buffer(memory=memory, staged=staged)
    _CUDA.cudart().cudaHostRegister(staged.data_ptr(), CHUNK, 0)  # where memory may not be locked, copies are only slower
    return _Buffer(memory=memory, staged=staged, done=_CUDA.Event(blocking=True))  # who waits leaves the processor to those that read


def _take(job: _Job, buffer: _Buffer) -> None:
    """Reads a chunk and sends it off."""
    buffer.settle()
    try:
        last, target = job.parts[-1]
        _read(job, memoryview(buffer.memory)[: last + len(target)])
        for first, target in job.parts:
            target.copy_(buffer.staged[first : first + len(target)], non_blocking=True)
        if buffer.done is not None:
            buffer.done.record()
    except Exception as error:  # whoever waits for the chunk is told
        job.pending.fail(error)
    else:
        buffer.sent = job.pending


def _read(job: _Job, into: memoryview) -> None:
    got = 0
    while got < len(into):
        more = os.preadv(job.file, [into[got:]], job.offset + got)
        if not more:
            raise _damaged(job.path, f"ends at byte {job.offset + got}", "a whole file; it became shorter while it was read")
        got += more


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise _damaged(path, None, "the header of a file of safetensors is a JSON object")
    return header


def _entry(path: Path, start: int, name: str, value: Any) -> Entry:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, name, "a tensor has dtype, shape and data_offsets") from None
    if dtype not in DTYPES:
        raise UnknownDtypeError(f"since {path.name} holds tensors of dtype {dtype}")
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise _damaged(path, name, "the bytes of a tensor are as many as its shape and dtype need")
    return Entry(name=name, dtype=DTYPES[dtype], shape=shape, begin=start + begin, end=start + end)


def _damaged(path: Path, value: object, rule: str) -> UserError:
    return UserError(
        where=str(path), key="safetensors", value=value, rule=rule, remedy=f"fetch it again: hf download <model id> --local-dir {path.parent.parent}"
    )
