"""A board on which a child writes what it is doing, readable after its death.

A small file mapped by both processes: writing is a copy of a few bytes, so it disturbs no measurement, and what was
written stays when the writer is killed in the middle of a kernel.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
from typing import BinaryIO

SIZE = 128  # bytes of text
_TAIL = struct.Struct("<dQ")  # the peak in MiB (not a number: unknown), and how often anything was written
_NOTHING = _TAIL.pack(math.nan, 0)


class Board:
    """One line of text shared with a child, with the peak of memory that it knew. The parent makes it with `create`, the child with `attach`."""

    def __init__(self, descriptor: int, file: BinaryIO | None = None) -> None:
        self.descriptor = descriptor
        self._file = file
        self._map = mmap.mmap(descriptor, SIZE + _TAIL.size)

    @classmethod
    def create(cls) -> Board:
        """A new, empty board on an unnamed file."""
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        os.ftruncate(file.fileno(), SIZE + _TAIL.size)
        board = cls(file.fileno(), file)
        board._map[SIZE:] = _NOTHING
        return board

    @classmethod
    def attach(cls, descriptor: int) -> Board:
        """The board behind an inherited descriptor."""
        return cls(descriptor)

    def write(self, text: str, peak: float | None = None) -> None:
        """Replace the text; what is longer than the board is cut. `peak` in MiB; None leaves the one that stands."""
        before, count = _TAIL.unpack(self._map[SIZE:])
        self._map[:SIZE] = text.encode()[: SIZE - 1].ljust(SIZE, b"\0")
        self._map[SIZE:] = _TAIL.pack(before if peak is None else peak, count + 1)

    def read(self) -> str:
        """The text as it stands."""
        return bytes(self._map[:SIZE]).rstrip(b"\0").decode(errors="replace")

    def peak(self) -> float | None:
        """The last peak written, in MiB; None for none."""
        found: float = _TAIL.unpack(self._map[SIZE:])[0]
        return None if math.isnan(found) else found

    def writes(self) -> int:
        """How often anything was written: a child that gets on writes, and also the same text twice is a sign of life."""
        found: int = _TAIL.unpack(self._map[SIZE:])[1]
        return found

    def close(self) -> None:
        """Let go of the map, and of the file where this side made it."""
        self._map.close()
        if self._file is not None:
            self._file.close()
