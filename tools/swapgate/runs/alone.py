"""Holding a folder against other processes of this machine, so that two of them never decide on the same state."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swapgate.errors import UserError

PATIENCE = 60.0  # seconds; whoever holds a folder copies some pictures, and does not wait for a person meanwhile
_PAUSE = 0.05


@contextmanager
def alone(folder: Path, *, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold `folder` (which must exist) until the block ends, or until this process dies; nothing is left behind in it.

    Gives whether it is held: not where the system or the file system has no such lock (Windows, some network disks). UserError
    when another process does not let go of it within `patience` seconds. Not for use twice in one thread.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + patience
        held: bool | None = None
        while held is None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    held = False
                elif time.monotonic() > until:
                    raise _busy(folder) from None
                else:
                    time.sleep(_PAUSE)
        yield held
    finally:
        os.close(handle)


def _busy(folder: Path) -> UserError:
    return UserError(
        where=str(folder),
        rule="one process at a time changes this folder, and another one does not let go of it",
        remedy=f"let the other command end (who it is: fuser -v {folder}), then give this one again: nothing was changed",
    )
