"""A host: one model in a process of its own, so that its crash, hang or memory never is the suite's.

The child is a fresh interpreter and never a fork: CUDA does not survive a fork, and neither do threads. It is started
with `subprocess` rather than through multiprocessing, which would run the caller's main script again in the child and
could only set the environment after the interpreter has started. The parent imports no torch.
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
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Self

from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.hosts import wire
from swapgate.hosts.board import Board
from swapgate.plan import Call
from swapgate.runs.pixels import MODE, Pixels, pixel_hash
from swapgate.runs.records import DeviceHealth, Failure, Generation, Loaded, Memory, Times

LOAD_SECONDS = 1800.0
CLOSE_SECONDS = 10.0
TURN_SECONDS = 0.5  # an interrupt is noticed within this time
RESTARTS = 1
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from swapgate.hosts.child import main; main(*sys.argv[2:])"
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

_NOTHING: Mapping[str, str] = MappingProxyType({})

Made = list[tuple[Generation, Pixels | None]]


class HostFailed(Exception):  # noqa: N818 - reads as what happened, as UserError and RunBroken do
    """A model could not be loaded, and not by a mistake of the user; `failure` says how."""

    def __init__(self, model: str, failure: Failure) -> None:
        self.model, self.failure = model, failure
        super().__init__(f"{model} could not be loaded ({failure.kind} while {failure.stage or 'starting'}): {failure.message}")


class Host:
    """The process of one card's model.

    After the death or time-out of a call the next call starts the process again, once; after a second one every call
    fails at once with the reason. Not for several threads at a time.

    Args:
        card: what to load; `card.timeout_seconds` limits every call.
        threads: CPU threads of the child; None leaves it to the libraries.
        load_seconds: how long loading may take.
        numerics: another legal way to compute the same; see `engines.registry.Setting`.
        environment: variables of the child beside, and instead of, those of this process.
    """

    def __init__(
        self,
        card: Card,
        threads: int | None = None,
        *,
        load_seconds: float = LOAD_SECONDS,
        numerics: Mapping[str, str] = _NOTHING,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._card, self._threads, self._load_seconds = card, threads, load_seconds
        self._numerics, self._environment = dict(numerics), dict(environment)
        self._process: _Process | None = None
        self._loads: list[Loaded] = []
        self._images_asked = self._restarts = 0
        self._number = 0
        self._first_call = True
        self._lost: Failure | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and self._process is not None:
            self._process.kill()  # an interrupted call does not answer; there is nothing to wait for
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.alive

    @property
    def loads(self) -> tuple[Loaded, ...]:
        """What was said at every loading: one, or two after a restart."""
        return tuple(self._loads)

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        return self._process.pid if self._process is not None and self._process.alive else None

    def start(self) -> Loaded:
        """Start the process and load the model.

        Raises:
            UserError: what the user can mend (weights missing, a package not installed, a fault that does not parse).
            HostFailed: loading raised, ran out of memory or time, or the process died.
        """
        self._restarts = 0
        return self._begin()

    def _begin(self) -> Loaded:
        self._discard()
        self._process = _Process(self._threads, self._environment)
        message = {"op": "start", "card": wire.card_to_json(self._card), "threads": self._threads, "images_before": self._images_asked}
        answer = self._process.ask({**message, "numerics": self._numerics}, self._load_seconds)
        if isinstance(answer, Failure) or answer["kind"] == "failed":
            failure = answer if isinstance(answer, Failure) else Failure(**answer["failure"])
            self._discard()
            raise HostFailed(self._card.id, failure)
        if answer["kind"] == "user-error":
            self._discard()
            raise UserError(**answer["error"])
        self._number, self._first_call, self._closed = 0, True, False
        self._loads.append(Loaded.from_json(answer["loaded"]))
        return self._loads[-1]

    def make(self, call: Call, timeout: float | None = None) -> Made:
        """The generations of a call in the order of its requests, each with its pixels, or with None and a failure.

        `timeout` in seconds, `card.timeout_seconds` by default. Never raises for what the model does.
        """
        if not self._loads or self._closed:
            raise RuntimeError("start the host before asking it for images")
        if not self.alive:
            failure = self._restarted()
            if failure is not None:
                return self._failed(call, failure, {})
        assert self._process is not None
        self._images_asked += len(call.requests)
        limit = self._card.timeout_seconds if timeout is None else timeout
        answer = self._process.ask({"op": "make", "call": wire.call_to_json(call), "sent": time.monotonic()}, limit)
        if isinstance(answer, Failure):
            self._lost = answer
            self._process.close()
            return self._failed(call, answer, {})
        if answer["kind"] == "failed":
            made = self._failed(call, Failure(**answer["failure"]), answer)
        else:
            made = [(self._generation(call, index, pixels, answer), pixels) for index, pixels in enumerate(answer["images"])]
            self._number += len(call.requests)
        self._first_call = False
        return made

    def close(self) -> None:
        """End the process: asked first, killed when it does not answer."""
        self._closed = True
        if self._process is not None:
            self._process.leave()
            self._discard()

    def abort(self) -> None:
        """Kill the process, from any thread: what waits for it fails, and nothing starts it again. The host is still to be closed."""
        self._restarts = RESTARTS
        process = self._process
        if process is not None:
            process.kill()

    def _restarted(self) -> Failure | None:
        """Start again after a death, or say why not."""
        before = self._lost or Failure(kind="host-death", message="the process ended between two calls", stage="idle")
        if self._restarts >= RESTARTS:
            return replace(before, message=f"not tried: the process was restarted once and was lost again ({before.message})")
        self._restarts += 1
        try:
            self._begin()
        except (HostFailed, UserError) as error:
            self._lost = replace(before, message=f"{before.message}; starting again failed: {error}")
            return self._lost
        self._lost = None
        return None

    def _generation(self, call: Call, index: int, pixels: Pixels, answer: dict[str, Any]) -> Generation:
        return Generation(
            request=call.requests[index].key,
            image=pixel_hash(pixels),
            width=pixels.shape[1],
            height=pixels.shape[0],
            mode=MODE,
            **self._measured(call, answer),
        )

    def _failed(self, call: Call, failure: Failure, answer: dict[str, Any]) -> Made:
        measured = self._measured(call, answer)
        return [
            (Generation(request=request.key, image=None, width=request.width, height=request.height, mode=MODE, failure=failure, **measured), None)
            for request in call.requests
        ]

    def _measured(self, call: Call, answer: dict[str, Any]) -> dict[str, Any]:
        times, memory, device = answer.get("times"), answer.get("memory"), answer.get("device", {})
        return {
            "call": call.key,
            "images_in_call": len(call.requests),
            "number": self._number,
            "first_call": self._first_call,
            "times": None if times is None else Times(**{**times, "steps": tuple(times["steps"])}),
            "memory": None if memory is None else Memory(**memory),
            "forwards": answer.get("forwards"),
            "device": DeviceHealth(**{**device, "throttle": tuple(device.get("throttle", ()))}),
            "notes": tuple(answer.get("notes", ())),
        }

    def _discard(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


class _Process:
    """A child with its connection, board and log."""

    def __init__(self, threads: int | None, environment: Mapping[str, str]) -> None:
        self._board = Board.create()
        self._board.write("starting")
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno()), str(self._board.descriptor)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=_environment(threads) | dict(environment),
                pass_fds=(theirs.fileno(), self._board.descriptor),
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

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any] | Failure:
        """The answer (with "images" where it has any); a Failure when the child dies or does not answer in time, and it is dead then."""
        try:
            wire.send(self._connection, message)
            if not self._answered(seconds):
                return self._timed_out(seconds)
            answer = wire.receive(self._connection)
            if "sizes" in answer:
                answer["images"] = wire.receive_images(self._connection, answer["sizes"])
        except (EOFError, OSError):
            return self._died()
        return answer

    def _answered(self, seconds: float) -> bool:
        """Whether something can be read within that time.

        Waited for in short turns: an interrupt that comes between two instructions, just before the system is asked to wait, is only
        seen when that wait is over.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if wait([self._connection], min(left, TURN_SECONDS)):
                return True
        return bool(wait([self._connection], 0))

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
        self._board.close()
        self._log.close()

    def _timed_out(self, seconds: float) -> Failure:
        stage = self._board.read()
        self.kill()
        return Failure(kind="time-out", message=f"no answer within {seconds:g} s; the process was killed", stage=stage)

    def _died(self) -> Failure:
        try:
            code = self._child.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._child.wait()
        said = self._last_words()
        return Failure(kind="host-death", message=f"the process {_how(code)}{f'; its last words: {said}' if said else ''}", stage=self._board.read())

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
