"""An append-only file of JSON lines that survives the death of the process writing it.

Every line is one `write` of the whole line followed by a flush: once `append` returns, the line is with the operating
system, and the death of this process cannot take it back. It is not forced to the disk (no fsync: that costs
milliseconds a line on many disks), so a power cut may take the last lines; they are then missing, never wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from swapgate.canonical import dumps
from swapgate.errors import RunBroken


class Lines:
    """The objects of one JSON-lines file, held in memory, and the way to add to them.

    Reading never changes the file. A last line that a crash left half written is left out and named in `note`; it is
    cut off before the next `append`. Any other line that is not a JSON object raises RunBroken naming its number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note: str | None = None
        self._file: TextIO | None = None
        self._good = 0
        self._needs_newline = False
        self._items: list[dict[str, Any]] = list(self._read()) if path.exists() else []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: Mapping[str, Any], *, durable: bool = False) -> None:
        """Add one object; it is on file (against process death) when this returns, and on the disk (against a power cut) if `durable`."""
        line = dumps(dict(item))
        file = self._opened()
        file.write(f"{line}\n")
        file.flush()
        if durable:
            os.fsync(file.fileno())
        self._items.append(json.loads(line))

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._needs_newline = False
            self._good = self.path.stat().st_size

    def _opened(self) -> TextIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size > self._good:
                with self.path.open("r+b") as torn:
                    torn.truncate(self._good)
            self._file = self.path.open("a", encoding="utf-8", newline="\n")
            if self._needs_newline:
                self._file.write("\n")
        return self._file

    def _read(self) -> Iterator[dict[str, Any]]:
        raw = self.path.read_bytes()
        lines = raw.split(b"\n")
        for number, line in enumerate(lines, start=1):
            last = number == len(lines)
            if last and not line:
                return
            item = _parsed(line)
            if item is None:
                if not last:
                    raise self._broken(number)
                self.note = f"{self.path.name}: line {number} was cut off by a crash and is left out ({len(line)} bytes)"
                return
            self._needs_newline = last
            self._good += len(line) + (0 if last else 1)
            yield item

    def _broken(self, number: int) -> RunBroken:
        return RunBroken(
            where=f"{self.path}:{number}",
            rule="every line of the file is a JSON object",
            remedy="restore the file from a copy, or make the run again; the lines before it are whole",
        )


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        item = json.loads(line, parse_constant=_refused)
    except ValueError:
        return None
    return item if isinstance(item, dict) else None


def _refused(word: str) -> None:
    """NaN and the infinities are no JSON, and nothing here writes them: a figure that is none would be judged as one."""
    raise ValueError(word)
