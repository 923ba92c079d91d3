"""The child side of a host: loads one engine and makes calls until it is told to stop or its parent is gone.

It runs in a fresh interpreter whose environment was complete before it started, so thread counts and CUDA settings
hold from the first import on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from typing import Any

from swapgate.engines.base import Engine
from swapgate.engines.registry import Setting, create
from swapgate.engines.servers.failed import ServerFailed
from swapgate.errors import UserError
from swapgate.hosts.board import Board
from swapgate.hosts.failures import DEVICE_ERROR, OUT_OF_MEMORY, kind_of
from swapgate.hosts.wire import call_from_json, card_from_json, error_to_json, receive, send, send_images, sizes
from swapgate.meters.clock import StageClock
from swapgate.meters.kinds import Meters, nothing
from swapgate.meters.memory import known_peak
from swapgate.plan import Call
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Loaded, Memory, Times


def main(connection: str, board: str) -> None:
    """Serve the parent behind these file descriptors until it says close or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=leave_with_parent, name="swapgate-lifeline", daemon=True).start()
    child = _Child(Connection(int(connection)), Board.attach(int(board)))
    try:
        child.serve()
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone: nobody is left to tell


def leave_with_parent() -> None:
    """End this process when its parent has ended, however that was: standard input is a pipe whose other end only the parent holds."""
    while os.read(0, 4096):
        pass
    os._exit(0)


class _Child:
    def __init__(self, connection: Connection, board: Board) -> None:
        self._connection, self._board = connection, board
        self._engine: Engine | None = None
        self._meters: Meters | None = None

    def serve(self) -> None:
        message = receive(self._connection)
        if not self._load(message):
            return
        while (message := receive(self._connection))["op"] == "make":
            queue = max(0.0, time.monotonic() - message["sent"])
            self._make(call_from_json(message["call"]), queue, suite_computes=message["suite_computes"])
        self._board.write("closing")
        assert self._engine is not None
        self._engine.close()

    def _load(self, message: dict[str, Any]) -> bool:
        card = card_from_json(message["card"])
        self._board.write("importing")
        try:
            engine = create(card, Setting(threads=message["threads"], images_before=message["images_before"], numerics=message["numerics"]))
            self._board.write("loading")
            begin = time.perf_counter()
            engine.load()
            seconds = time.perf_counter() - begin
            self._board.write("looking at what was loaded")
            self._meters = meters = engine.meters()
            self._clock = StageClock(now=meters.now, synchronise=meters.synchronise, tell=self._tell)
            if meters.foreign:
                meters.foreign.loaded(message["used"], suite_computes=message["suite_computes"])
            loaded = _loaded(card.id, engine, meters, seconds)
        except UserError as error:
            send(self._connection, {"kind": "user-error", "error": error_to_json(error)})
            return False
        except Exception as error:  # whatever a model raises becomes a record
            self._send_failure(error)
            return False
        self._engine = engine
        self._board.write("idle")
        send(self._connection, {"kind": "loaded", "loaded": loaded.as_json()})
        return True

    def _tell(self, stage: str) -> None:
        """A stage begins: written with the peak so far, for those who are left should this process die in it."""
        assert self._meters is not None
        self._board.write(stage, self._meters.memory.so_far())

    def _make(self, call: Call, queue: float, *, suite_computes: bool) -> None:
        assert self._engine is not None
        assert self._meters is not None
        self._meters.memory.begin()
        neighbours, foreign = self._meters.neighbours, self._meters.foreign
        waited: float | None = None
        try:
            if foreign:
                foreign.begin(suite_computes=suite_computes)
            if neighbours:
                neighbours.begin()
            self._clock.start()
            images = self._engine.make(call, self._clock)
            self._clock.stop()
            if neighbours:
                waited = neighbours.end()
            _check(call, images)
        except Exception as error:  # whatever a model raises becomes a record
            # Names in frames keep tensors alive; the memory after the failure must not include them.
            traceback.clear_frames(error.__traceback__)
            self._send_failure(error)
            return
        measured = {"memory": _as_json(self._meters.memory.end()), **self._measured(self._clock.times(queue=queue), waited)}
        self._board.write("sending images")
        send(self._connection, {"kind": "made", "sizes": sizes(images), **measured})
        send_images(self._connection, images)
        self._board.write("idle")

    def _measured(self, times: Times | None, waited: float | None = None) -> dict[str, Any]:
        """What a call that was made or failed leaves, without memory."""
        assert self._engine is not None
        assert self._meters is not None
        foreign = self._meters.foreign.end() if self._meters.foreign else ()
        return {
            "times": None if times is None else asdict(times),
            "forwards": self._clock.forwards,
            "device": asdict(replace(self._meters.health(), waited=waited, foreign=foreign)),
            "notes": list(self._engine.notes()),
        }

    def _send_failure(self, error: Exception) -> None:
        """Of a call, or of loading. A device that is lost is asked for nothing: its allocator's books are all that is read."""
        stage, meters = self._board.read(), self._meters
        kind = kind_of(error, meters.synchronise if meters else nothing)
        peak, measured = None if meters else known_peak(), {}  # type: float | None, dict[str, Any]
        if meters and self._engine is None:  # loaded, but not ready
            peak = known_peak()
        elif meters and kind == DEVICE_ERROR:
            peak = meters.memory.so_far()
        elif meters:
            memory = meters.memory.end()
            peak = memory.peak if memory else None
            measured = {"memory": _as_json(memory), **self._measured(None)}
        message = _described(error) + (f"; peak {peak:.0f} MiB" if kind in (DEVICE_ERROR, OUT_OF_MEMORY) and peak is not None else "")
        send(self._connection, {"kind": "failed", "failure": {"kind": kind, "message": message, "stage": stage, "peak": peak}, **measured})


def _loaded(model: str, engine: Engine, meters: Meters, seconds: float) -> Loaded:
    identity = engine.identity()
    return Loaded(
        model=model,
        seconds=seconds,
        accelerator=meters.accelerator,
        device_name=meters.device_name,
        weights=identity.weights,
        placement=identity.placement,
        dtype=identity.dtype,
        attention=identity.attention,
        threads=identity.threads,
        versions=identity.versions,
        memory=meters.memory.end(),
        notes=(*engine.notes(), *meters.notes, *(meters.foreign.notes if meters.foreign else ())),
        devices=meters.devices,
        no_memory=meters.no_memory,
    )


def _as_json(memory: Memory | None) -> dict[str, Any] | None:
    return asdict(memory) if memory else None


def _check(call: Call, images: list[Pixels]) -> None:
    if len(images) != len(call.requests):
        raise ValueError(f"the engine returned {len(images)} images; the call asks for {len(call.requests)}")
    for (height, width), request in zip(sizes(images), call.requests, strict=True):
        if (width, height) != (request.width, request.height):
            raise ValueError(f"the engine returned an image of {width} x {height}; the request asks for {request.width} x {request.height}")


def _described(error: Exception) -> str:
    """Type, message and the line that raised it, on one line; of a server's failure only what it says."""
    if isinstance(error, ServerFailed):
        return " ".join(error.message.split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
