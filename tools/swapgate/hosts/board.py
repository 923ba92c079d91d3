"""A board on which a child writes what it is doing, readable after its death.

A small file mapped by both processes: writing is a copy of a few bytes, so it disturbs no measurement, and what was
written stays when the writer is killed in the middle of a kernel.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import BinaryIO

SIZE = 128


class Board:
    """One line of text shared with a child. The parent makes it with `create`, the child with `attach`."""

    def __init__(self, descriptor: int, file: BinaryIO | None = None) -> None:
        self.descriptor = descriptor
        self._file = file
        self._map = mmap.mmap(descriptor, SIZE)

    @classmethod
    def create(cls) -> Board:
        """A new, empty board on an unnamed file."""
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        os.ftruncate(file.fileno(), SIZE)
        return cls(file.fileno(), file)

    @classmethod
    def attach(cls, descriptor: int) -> Board:
        """The board behind an inherited descriptor."""
        return cls(descriptor)

    def write(self, text: str) -> None:
        """Replace the text; what is longer than the board is cut."""
        self._map[:SIZE] = text.encode()[: SIZE - 1].ljust(SIZE, b"\0")

    def read(self) -> str:
        """The text as it stands."""
        return bytes(self._map[:SIZE]).rstrip(b"\0").decode(errors="replace")

    def close(self) -> None:
        """Let go of the map, and of the file where this side made it."""
        self._map.close()
        if self._file is not None:
            self._file.close()
