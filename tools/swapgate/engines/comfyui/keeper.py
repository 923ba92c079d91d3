"""Runs a server's command and ends it, with all that it has started, when standard input is closed: however its owner ends, it does not stay.

A script of its own that needs nothing but the standard library: `python keeper.py COMMAND...`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def main(command: list[str]) -> int:
    """The command's exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    return child.wait()


def _watch(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(child.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
            break
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)  # what it left behind in its session
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
