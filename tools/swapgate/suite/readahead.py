"""Reading ahead: while one model works on an accelerator, the next one's weight files are read into the page cache.

Loading is then bounded by the way to the device and not by the disk. The thread has the lowest priority, takes at most a share of the
memory that is free, and stops when the model that works is done: from then on the next one reads for itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from swapgate.cards import Card

PIECE = 16 * 2**20  # bytes read at once: after each, the thread may be stopped
SHARE = 0.5  # of the memory that is free when it begins; what is read beyond what stays in the cache was read for nothing
_LOWEST = 19


class ReadAhead:
    """Reads the files that `find` names, in a thread of its own while the context lasts; `begin` starts it. `read` counts the bytes so far."""

    def __init__(self, find: Callable[[], Iterable[Path]], *, limit: int | None = None) -> None:
        self._find, self._limit = find, limit
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def begin(self) -> None:
        """Start to look for the files and to read them, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="swapgate-read-ahead", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait until everything is read."""
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # a system without priorities of single threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        limit = int(SHARE * _free_bytes()) if self._limit is None else self._limit
        buffer = memoryview(bytearray(PIECE))
        for size in _pieces(self._find(), buffer):
            self.read += size
            if self._stop.is_set() or self.read + PIECE > limit:
                return


def weight_files(card: Card) -> tuple[Path, ...]:
    """The weight files that loading a card will read, of those that are on this machine; nothing is fetched."""
    if card.engine != "diffusers" or card.dry:
        return ()
    parts = (*card.parts.loras, card.parts.control, card.parts.refiner)
    sources = [(card.source, card.revision), *((part.source, part.revision) for part in parts if part)]
    return tuple(dict.fromkeys(file for source, revision in sources for file in _files(card.root, source, revision)))


def _files(root: Path, source: str, revision: str | None) -> Sequence[Path]:
    here = root / source
    if here.is_file():
        return [here]
    folder = here if here.is_dir() else _cached(source, revision)
    if folder is None:
        return ()
    # Beside the parts of a pipeline there may be one more file with all of them, which a pipeline does not load.
    pattern = "*/*.safetensors" if (folder / "model_index.json").is_file() else "**/*.safetensors"
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def _cached(source: str, revision: str | None) -> Path | None:
    """The folder of a Hub id in the Hub's cache; None where it is not there."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except Exception:  # not there, not whole, no such id: whoever loads the model says so with its remedy
        return None


def _pieces(files: Iterable[Path], buffer: memoryview) -> Iterator[int]:
    """Read the files into `buffer`, piece by piece; gives the sizes. A file that cannot be read is left out."""
    for path in files:
        with suppress(OSError), path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                yield size


def _free_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
