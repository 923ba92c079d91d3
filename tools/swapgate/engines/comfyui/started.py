"""A server that is started for a run: its command, its port, its log, and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from swapgate.engines.comfyui import keeper
from swapgate.engines.servers.address import Address
from swapgate.engines.servers.failed import ServerFailed
from swapgate.runs.environment import RUN_FOLDER

TURN_SECONDS = 0.2
CLOSE_SECONDS = 12.0
_WORDS = 500


class ServerDied(RuntimeError):  # noqa: N818 - reads as what happened, as ServerFailed does
    """A started server has ended by itself."""


class Started:
    """The process of a server. Its output goes to a log beside the run, which is kept when it fails.

    Args:
        command: with {port} where its port goes.
        folder: where it is run, "" for here.
        name: of the log.
    """

    def __init__(self, command: Sequence[str], folder: str, name: str) -> None:
        self.address = Address(scheme="http", host="127.0.0.1", port=_free_port(), path="/")
        self.log = _logs() / f"{name}-{os.getpid()}.log"
        words = [word.replace("{port}", str(self.address.port)) for word in command]
        with self.log.open("wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, keeper.__file__, *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder or None,
                start_new_session=True,  # a signal to the group of this process must not end it before its server
            )

    def wait(self, answers: Callable[[], object], seconds: float) -> None:
        """Until `answers` raises no ServerFailed. ServerDied when it does not within `seconds`, or has ended."""
        end = time.monotonic() + seconds
        while True:
            self.check()
            with contextlib.suppress(ServerFailed):
                answers()
                return
            if time.monotonic() > end:
                raise ServerDied(f"the server did not answer within {seconds:g} s{self.last_words()}")
            time.sleep(TURN_SECONDS)

    def check(self) -> None:
        """ServerDied when it has ended."""
        code = self._keeper.poll()
        if code is not None:
            raise ServerDied(f"the server ended with status {code}{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, and where that is."""
        with contextlib.suppress(OSError):
            lines = [line.strip() for line in self.log.read_bytes()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
            return f"; its last words: {lines[-1][:_WORDS] if lines else 'none'}; its log: {self.log}"
        return ""

    def close(self, *, failed: bool) -> None:
        """End it, and all that it has started."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        if not failed:
            self.log.unlink(missing_ok=True)


def _logs() -> Path:
    folder = Path(os.environ.get(RUN_FOLDER) or ".swapgate") / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
