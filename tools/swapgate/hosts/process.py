"""A host: one model in a process of its own, so that its crash, hang or memory never is the suite's. The parent imports no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.hosts import wire
from swapgate.hosts.devices import LEDGER, Ledger
from swapgate.hosts.failures import DEVICE_ERROR
from swapgate.hosts.running import Process
from swapgate.meters.foreign import computes_here
from swapgate.plan import Call
from swapgate.runs.pixels import MODE, Pixels, pixel_hash
from swapgate.runs.records import DeviceHealth, Failure, Generation, Loaded, Memory, Times

LOAD_SECONDS = 1800.0
RESTARTS = 1

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_FIGURES: Mapping[str, float] = MappingProxyType({})

Made = list[tuple[Generation, Pixels | None]]


class HostFailed(Exception):  # noqa: N818 - reads as what happened, as UserError and RunBroken do
    """A model could not be loaded, and not by a mistake of the user; `failure` says how."""

    def __init__(self, model: str, failure: Failure) -> None:
        self.model, self.failure = model, failure
        super().__init__(f"{model} could not be loaded ({failure.kind} while {failure.stage or 'starting'}): {failure.message}")


class Host:
    """The process of one card's model.

    After a call that ended in its death, a time-out or the loss of its device the next call starts the process again, once; after a
    second one every call fails at once with the reason. Not for several threads at a time.

    Args:
        card: what to load; `card.timeout_seconds` limits every call, and `card.stall_seconds` how long a stage of it may stand still.
        threads: CPU threads of the child; None leaves it to the libraries.
        load_seconds: how long loading may take.
        numerics: another legal way to compute the same; see `engines.registry.Setting`.
        environment: variables of the child beside, and instead of, those of this process.
        ledger: what watches that a device's memory is given back.
    """

    def __init__(
        self,
        card: Card,
        threads: int | None = None,
        *,
        load_seconds: float = LOAD_SECONDS,
        numerics: Mapping[str, str] = _NOTHING,
        environment: Mapping[str, str] = _NOTHING,
        ledger: Ledger = LEDGER,
    ) -> None:
        self._card, self._threads, self._load_seconds = card, threads, load_seconds
        self._numerics, self._environment, self._ledger = dict(numerics), dict(environment), ledger
        self._warnings: list[str] = []
        self._process: Process | None = None
        self._before: Mapping[str, float] = _NO_FIGURES
        self._holds: tuple[str, ...] | None = None  # devices of a process that has loaded
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
    def warnings(self) -> tuple[str, ...]:
        """What went wrong beside calls, by name: device memory that was not given back. Complete when the host is closed."""
        return tuple(self._warnings)

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
        self._before, self._holds = self._ledger.start(), None
        self._process = Process(self._threads, self._environment)
        message = {"op": "start", "card": wire.card_to_json(self._card), "threads": self._threads, "images_before": self._images_asked}
        answer = self._process.ask(
            {**message, "numerics": self._numerics, "used": dict(self._before), "suite_computes": computes_here()}, self._load_seconds
        )
        try:
            loaded = self._loaded(answer)
        except (HostFailed, UserError):
            self._discard()
            raise
        self._holds = loaded.devices
        self._ledger.enter(self._process.pid, loaded.devices, self._before)
        self._number, self._first_call, self._closed = 0, True, False
        self._loads.append(loaded)
        return loaded

    def _loaded(self, answer: dict[str, Any] | Failure) -> Loaded:
        if isinstance(answer, Failure):
            raise HostFailed(self._card.id, answer)
        if answer["kind"] == "failed":
            raise HostFailed(self._card.id, Failure(**answer["failure"]))
        if answer["kind"] == "user-error":
            raise UserError(**answer["error"])
        return Loaded.from_json(answer["loaded"])

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
        message = {"op": "make", "call": wire.call_to_json(call), "sent": time.monotonic(), "suite_computes": computes_here()}
        answer = self._process.ask(message, limit, self._card.stall_seconds)
        if isinstance(answer, Failure):
            return self._failed(call, self._lose(answer), {})
        if answer["kind"] == "failed":
            failure = Failure(**answer["failure"])
            if failure.kind == DEVICE_ERROR:
                return self._failed(call, self._lose(failure), answer)
            made = self._failed(call, failure, answer)
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

    def _lose(self, failure: Failure) -> Failure:
        """Part with the process, which is dead or whose device is lost."""
        self._lost = failure
        self._discard()
        return failure

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
            "device": DeviceHealth.from_json(device),
            "notes": tuple(answer.get("notes", ())),
        }

    def _discard(self) -> None:
        """End the process, and wait until the devices have back what it held."""
        if self._process is not None:
            process, self._process = self._process, None
            process.close()
            held, self._holds = self._holds, None
            warned = self._ledger.failed(process.pid, self._before) if held is None else self._ledger.leave(process.pid, held)
            self._warnings += warned
