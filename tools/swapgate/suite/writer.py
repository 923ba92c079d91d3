"""Writing beside generating: while a model makes its next image, a thread hashes, encodes and journals the last one.

Only where the model runs on an accelerator. On a CPU the encoder would take the model's processor from it, and the time of the next
call would be measured with that: there everything is written before the next call is made.

One writer serves the hosts that take turns, so that the journal keeps the order of the calls. What writes an image journals it after that:
a line in the journal still means that its image is safely on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Self

from swapgate.hosts.process import Made

DEPTH = 8  # calls that wait to be written, each with its pixels: beyond them the model waits for the disk


class Writer:
    """Hands what came back from calls to `write`, in order: at once, or beside what follows where `beside` is set.

    What could not be written is raised as it is, by the next `put` or `flush` or at the end; nothing later is written then.
    """

    def __init__(self, write: Callable[[Made], None], *, beside: bool = False) -> None:
        self.beside = beside
        self._write = write
        self._queue: Queue[Made | None] = Queue(DEPTH)
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what waits, also when the run is being interrupted; an error of the writer never hides the one that ended the run."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None and self._error is not error:
            if error is None:
                raise self._error
            error.add_note(f"and the last images could not be kept: {self._error}")

    def put(self, made: Made) -> None:
        """Write `made` after everything before it."""
        self._check()
        if not self.beside:
            self.flush()
            self._write(made)
            return
        if self._thread is None:
            self._thread = Thread(target=self._work, name="swapgate-writer", daemon=True)
            self._thread.start()
        self._queue.put(made)

    def flush(self) -> None:
        """Return when everything is on disk."""
        self._queue.join()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (made := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._write(made)
            except BaseException as error:  # whatever it is, the run is told: it ends with it
                self._error = error
            finally:
                self._queue.task_done()
        self._queue.task_done()
