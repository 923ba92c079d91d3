"""Runs a server's command and ends it, with all that it has started, when its owner ends, however that is: by itself, by a signal, or killed.

The owner holds the other end of standard input, so the end of that file is the owner's. A signal that asks this process to end is passed on to
the server, which has a session of its own and would not hear of one to its owner's group; and where this process is killed itself, Linux
kills the server (prctl(2), PR_SET_PDEATHSIG).

A script of its own that needs nothing but the standard library: `python keeper.py COMMAND...`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

GRACE_SECONDS = 5.0
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """The command's exit status."""
    told = _signals()
    before = _killed_with(os.getpid())
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before) as child:  # noqa: PLW1509 - no threads here
        while child.poll() is None:
            ready, _, _ = select.select([0, told], [], [])
            if 0 in ready and not os.read(0, 4096):
                break
            if told in ready and set(os.read(told, 4096)) & set(ENDS):
                break
        return _end(child)


def _signals() -> int:
    """A pipe into which the numbers of signals are written: the child's end, and those that ask for this process's."""
    told, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for sent in (*ENDS, signal.SIGCHLD):
        signal.signal(sent, lambda *_: None)
    return told


def _killed_with(keeper: int) -> Callable[[], None] | None:
    """To be called in the child before it becomes the server, on Linux; what it uses is loaded here, because nothing may be loaded after a fork."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:  # killed meanwhile
            os._exit(1)

    return ask


def _end(child: subprocess.Popen[bytes]) -> int:
    """Asked first and killed where that does not help; then what it left behind in its session."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            break
        with contextlib.suppress(OSError):
            os.killpg(child.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
