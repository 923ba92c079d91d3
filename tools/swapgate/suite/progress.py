"""Progress of the generation: images done of planned, seconds an image, time left, per model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from swapgate.characters import escaped


class Progress(Protocol):
    """Is told what happens while images are made."""

    def loading(self, model: str) -> None:
        """A model is being loaded."""

    def begin(self, model: str, planned: int, done: int) -> None:
        """Images planned for a model, of which some were made before (resume)."""

    def made(self, model: str, images: int, seconds: float) -> None:
        """Images came back (or failed) after `seconds` of wall time."""

    def note(self, text: str) -> None:
        """Something a person should know."""


class Silent:
    """Says nothing."""

    def loading(self, model: str) -> None: ...

    def begin(self, model: str, planned: int, done: int) -> None: ...

    def made(self, model: str, images: int, seconds: float) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(slots=True)
class _Count:
    planned: int
    done: int
    made: int = 0
    seconds: float = 0.0
    last: float = 0.0  # when a line was last written of this model


@dataclass(slots=True)
class LineProgress:
    """Lines of progress, told by one thread or several: rewritten in place on a terminal, one every `every` seconds elsewhere.

    Args:
        write: takes one line; on a terminal it is given text that starts with a carriage return and has no newline.
        live: whether the output is a terminal.
    """

    write: Callable[[str], None]
    live: bool
    every: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _counts: dict[str, _Count] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def loading(self, model: str) -> None:
        self._line(f"{model}: loading")

    def begin(self, model: str, planned: int, done: int) -> None:
        already = f", {done} from before" if done else ""
        with self._lock:
            self._counts[model] = _Count(planned, done, last=self.clock())
            self._line(f"{model}: {planned} images planned{already}")

    def made(self, model: str, images: int, seconds: float) -> None:
        with self._lock:
            count = self._counts[model]
            count.done, count.made, count.seconds = count.done + images, count.made + images, count.seconds + seconds
            finished = count.done >= count.planned
            if finished or self.live or self.clock() - count.last >= self.every:
                count.last = self.clock()
                self._line(describe(model, count.done, count.planned, count.seconds / max(count.made, 1)), keep=finished)

    def note(self, text: str) -> None:
        self._line(text)

    def _line(self, text: str, *, keep: bool = True) -> None:
        text = escaped(text)  # names and reasons are other people's
        with self._lock:
            if self.live:
                self.write(f"\r\x1b[2K{text}" + ("\n" if keep else ""))
            else:
                self.write(f"{text}\n")


def describe(model: str, done: int, planned: int, seconds_each: float) -> str:
    """One line: `standin-qwen: 12/72 images, 0.21 s an image, 13 s left`."""
    left = (planned - done) * seconds_each
    remaining = f", {left:.0f} s left" if done < planned else ""
    return f"{model}: {done}/{planned} images, {seconds_each:.2f} s an image{remaining}"
