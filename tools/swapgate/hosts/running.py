"""A child process with its connection, board and log: how it is started, asked, and what is known of it when it is lost.

The child is a fresh interpreter and never a fork: CUDA does not survive a fork, and neither do threads. It is started
with `subprocess` rather than through multiprocessing, which would run the caller's main script again in the child and
could only set the environment after the interpreter has started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, BinaryIO

from swapgate.hosts import wire
from swapgate.hosts.board import Board
from swapgate.runs.records import Failure

CLOSE_SECONDS = 10.0
TURN_SECONDS = 0.5  # an interrupt is noticed within this time
_BOOT = "import json, sys; from importlib import import_module; sys.path[:] = json.loads(sys.argv[1]); import_module(sys.argv[2]).main(*sys.argv[3:])"
CHILD = "swapgate.hosts.child"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(1024 * 1024 * 1024)}
"""glibc moves both thresholds by what happens to be freed (mallopt(3)), so that of two processes of the same code one
gives its large blocks back and takes them anew in every call and the other does not: tens of thousands of page faults.
Set, they stay where they are: the first is the largest that glibc would come to by itself."""
_DEFAULTS = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS is only deterministic with a fixed workspace
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    **ALLOCATOR,
}


class Process:
    """A child with its connection, board and log; `module` is what runs in it: its `main(connection, board)` with their file descriptors."""

    def __init__(self, threads: int | None, environment: Mapping[str, str], *, module: str = CHILD) -> None:
        self.board = Board.create()
        self.board.write("starting")
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-c", _BOOT, json.dumps(sys.path), module, str(theirs.fileno()), str(self.board.descriptor)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=_environment(threads) | dict(environment),
                pass_fds=(theirs.fileno(), self.board.descriptor),
            )
        self._connection = Connection(ours.detach())
        # Also when the interpreter ends without anybody closing the host.
        self._finalizer = weakref.finalize(self, _end, self._child)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        return self._child.pid

    def ask(self, message: dict[str, Any], seconds: float, stall: float | None = None) -> dict[str, Any] | Failure:
        """The answer (with "images" where it has any); a Failure when the child dies or does not answer in time, and it is dead then.

        stall: seconds after which a child that writes nothing on its board has hung; None: it may stand still as long as it likes.
        """
        try:
            wire.send(self._connection, message)
            if hung := self._hung(seconds, stall):
                return self._timed_out(hung)
            answer = wire.receive(self._connection)
            if "sizes" in answer:
                answer["images"] = wire.receive_images(self._connection, answer["sizes"])
        except (EOFError, OSError):
            return self._died()
        return answer

    def _hung(self, seconds: float, stall: float | None) -> str:
        """Waits until something can be read; why it is given up, "" where it is not.

        Waited for in short turns: an interrupt that comes between two instructions, just before the system is asked to wait, is only
        seen when that wait is over. The board is looked at in the same turns.
        """
        begun = changed = time.monotonic()
        written = self.board.writes()
        while (now := time.monotonic()) < begun + seconds:
            if (found := self.board.writes()) != written:
                written, changed = found, now
            if stall is not None and now - changed >= stall:
                return f"stage {self.board.read()!r} stood still for {now - changed:.3g} s (stall_seconds = {stall:g})"
            left = begun + seconds - now if stall is None else min(begun + seconds, changed + stall) - now
            if wait([self._connection], min(left, TURN_SECONDS)):
                return ""
        return "" if wait([self._connection], 0) else f"no answer within {seconds:g} s"

    def leave(self) -> None:
        """Ask the child to close, and wait a while."""
        if not self.alive:
            return
        try:
            wire.send(self._connection, {"op": "close"})
            self._child.wait(CLOSE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        self._finalizer()

    def close(self) -> None:
        """Kill the child if it still runs, and let go of everything."""
        self.kill()
        self._connection.close()
        self.board.close()
        self._log.close()

    def _timed_out(self, why: str) -> Failure:
        stage, peak = self.board.read(), self.board.peak()
        self.kill()
        return Failure(kind="time-out", message=f"{why}; the process was killed{_known(peak)}", stage=stage, peak=peak)

    def _died(self) -> Failure:
        try:
            code = self._child.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._child.wait()
        said, peak = self._last_words(), self.board.peak()
        message = f"the process {_how(code)}{f'; its last words: {said}' if said else ''}{_known(peak)}"
        return Failure(kind="host-death", message=message, stage=self.board.read(), peak=peak)

    def _last_words(self, limit: int = 400) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return (fatal or lines or [""])[-1][:limit]


def _environment(threads: int | None) -> dict[str, str]:
    found = {**_DEFAULTS, **os.environ}
    if threads is not None:
        found |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    return found


def _known(peak: float | None) -> str:
    """What a process that is dead had written of its peak, at the beginning of its last stage."""
    return "" if peak is None else f"; peak until then {peak:.0f} MiB"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
