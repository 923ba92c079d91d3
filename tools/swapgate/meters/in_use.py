"""What a process on the CPU has in use, in MiB: its writable memory, less what malloc keeps free in it.

The resident size cannot show a slow leak: malloc keeps what was freed, and a leak of the first hundred MiB fits into it.
Private writable memory (VmData of proc_pid_status(5)) holds everything that a process can leak: what malloc took from the
system, tensors that lie in mappings of their own, Python's arenas of small objects. What of it is free in glibc's malloc
malloc_info(3) tells (glibc manual, "Statistics for Memory Allocation with malloc"), summed over the arenas of all threads:
chunks ready for use, and what an arena gave back without unmapping it. mallinfo2 leaves the latter out.
Where there is no malloc_info, or another allocator took malloc's place, there is the resident size.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cache

from swapgate.meters.memory import MIB, resident_now

_STATUS = "/proc/self/status"
_FIGURE = re.compile(rb'<(?:total|system|aspace) type="(\w+)"(?: count="\d+")? size="(\d+)"/>')


def in_use_now() -> float:
    """MiB in use; may exceed the resident size, because memory that was never written to counts. OSError where it cannot be told."""
    return _data() - _free()


def in_use_works(megabytes: int = 32) -> bool:
    """Whether the figure rises with `megabytes` and falls when they are freed, tried with real memory.

    Blocks above 32 MiB never change from which size on malloc maps blocks (M_MMAP_THRESHOLD of mallopt(3)): trying leaves
    the process as it was.
    """
    try:
        before = in_use_now()
        block = bytearray(megabytes * MIB)
        risen = in_use_now()
        del block
        return risen - before > megabytes * 0.9 and risen - in_use_now() > megabytes * 0.9
    except OSError:
        return False


def held_here() -> tuple[Callable[[], float], tuple[str, ...]]:
    """The best way there is here to read what stays held after a call, and a note when it is the resident size."""
    if in_use_works():
        return in_use_now, ()
    return resident_now, ("held memory: the resident size, because this system's malloc does not tell what is in use",)


def _data() -> float:
    with open(_STATUS, encoding="ascii") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) / 1024
    raise OSError(f"{_STATUS} has no VmData")


def _free() -> float:
    totals = _malloc_info().rpartition(b"</heap>")[2]  # behind the last arena stand the sums
    found = {name: int(size) for name, size in _FIGURE.findall(totals)}
    try:
        return (found[b"mprotect"] - found[b"current"] + found[b"fast"] + found[b"rest"]) / MIB
    except KeyError as error:
        raise OSError(f"malloc_info does not tell {error}") from error


def _malloc_info() -> bytes:
    """The XML that malloc_info writes, kept in memory."""
    library = _library()
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    stream = library.open_memstream(ctypes.byref(text), ctypes.byref(size))
    if not stream:
        raise OSError("no memory for what malloc_info writes")
    library.malloc_info(0, stream)
    library.fclose(stream)
    try:
        return ctypes.string_at(text, size.value)
    finally:
        library.free(text)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(None)
        library.open_memstream.restype = ctypes.c_void_p
        library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
        library.fclose.argtypes = library.free.argtypes = [ctypes.c_void_p]
    except (AttributeError, TypeError) as error:  # TypeError: CDLL(None) is not for Windows
        raise OSError("this C library has no malloc_info") from error
    return library
