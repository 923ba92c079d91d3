"""One prompt from its start to its end, by what the server says: marks of stages on the clock, the pictures made, what was not computed anew."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from swapgate.engines.base import OutOfMemoryError
from swapgate.engines.comfyui.binding import Binding
from swapgate.engines.comfyui.events import Event
from swapgate.engines.comfyui.kinds import DECODE_STAGE, OVER_SOCKET, TEXT_STAGE
from swapgate.engines.comfyui.server import Picture, pictures_of
from swapgate.meters.clock import StageClock

_SAID = 400


class WorkflowFailed(RuntimeError):  # noqa: N818 - reads as what happened, as ServerFailed does
    """The server ran the prompt and it did not come to its end."""


class Watch:
    """Fed every message until `done`. Messages of other prompts, and of kinds that are not known, are left alone.

    After `done`: pictures (files of the server's) or received (encoded ones that came over the websocket) of the output, in their order;
    steps: of all samplers together; previews: pictures that came before the output; cached: samplers that the server did not run;
    others: the most prompts of others that were in the queue.
    """

    def __init__(self, binding: Binding, prompt: str, clock: StageClock, *, counts: bool = True) -> None:
        self._binding, self.prompt, self._clock, self._counts = binding, prompt, clock, counts
        self._now = ""
        self._stage: AbstractContextManager[None] | None = None
        self._value = 0
        self._ran: set[str] = set()
        self._shown = False  # the end of a step was marked by its picture, which may come before its number
        self.done = False
        self.pictures: list[Picture] = []
        self.received: list[bytes] = []
        self.steps = self.previews = self.others = 0
        self.cached: tuple[str, ...] = ()
        self.started: int | None = None
        self.ended: int | None = None

    def feed(self, event: Event) -> None:
        """One message. WorkflowFailed or OutOfMemoryError when the prompt has failed."""
        if event.kind == "status":
            self._queue(event.data)
        elif event.kind == "picture" and event.prompt in ("", self.prompt):
            self._picture(event)
        elif event.prompt == self.prompt:
            step = {
                "execution_start": self._start,
                "executing": self._executing,
                "progress": self._progress,
                "executed": self._executed,
                "execution_success": self._end,
                "execution_error": self._error,
                "execution_interrupted": self._interrupted,
            }.get(event.kind)
            if step:
                step(event)

    def close(self) -> None:
        """End the stage that is open."""
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.__exit__(None, None, None)

    def _start(self, event: Event) -> None:
        self.started = _timestamp(event)

    def _executing(self, event: Event) -> None:
        if not event.node:  # the prompt is over; servers that say no success end so
            self._end(event)
        elif event.node != self._now:
            self._enter(event.node)

    def _enter(self, node: str) -> None:
        self.close()
        self._now, self._value, self._shown = node, 0, False
        self._ran.add(node)
        if node in self._binding.samplers:
            self._clock.step_begin()
            return
        known = self._binding.workflow.nodes.get(node)
        if known and known.kind in TEXT_STAGE:
            self._stage = self._clock.text()
        elif known and known.kind in DECODE_STAGE:
            self._stage = self._clock.decode()
        if self._stage is not None:
            self._stage.__enter__()

    def _progress(self, event: Event) -> None:
        """Values rise from 1 to the number of steps; a server that is slow to tell leaves some out."""
        value = event.data.get("value")
        if self._now not in self._binding.samplers or event.node not in (self._now, "") or not isinstance(value, (int, float)):
            return
        more = int(value) - self._value
        if more <= 0:
            return
        self._value = int(value)
        self.steps += more
        if self._counts:
            self._clock.count(more)
        if not self._shown:
            self._clock.step_end()
        self._shown = False

    def _picture(self, event: Event) -> None:
        node = event.node or self._now
        output = self._binding.output
        if node == output.id and output.kind in OVER_SOCKET:
            self.received.append(event.picture)
        elif node in self._binding.samplers:
            self.previews += 1
            if not self._value and not self._shown:  # before the first step is told, or without
                self._clock.step_end()
                self._shown = True

    def _executed(self, event: Event) -> None:
        if event.node == self._binding.output.id:
            self.pictures = pictures_of(event.data.get("output"))

    def _end(self, event: Event) -> None:
        self.close()
        self.done = True
        self.ended = _timestamp(event)
        self.cached = tuple(sorted(self._binding.samplers - self._ran))

    def _error(self, event: Event) -> None:
        self.close()
        data = event.data
        said = " ".join(str(data.get("exception_message") or "").split())[:_SAID]
        kind = str(data.get("exception_type") or "an error")
        message = f"node {data.get('node_id')} ({data.get('node_type')}) raised {kind}: {said}"
        if "outofmemory" in kind.lower() or "out of memory" in said.lower():
            raise OutOfMemoryError(message)
        raise WorkflowFailed(message)

    def _interrupted(self, event: Event) -> None:
        self.close()
        raise WorkflowFailed(f"interrupted at node {event.data.get('node_id')} ({event.data.get('node_type')}), and not by this run")

    def _queue(self, data: dict[str, Any]) -> None:
        try:
            left = int(data["status"]["exec_info"]["queue_remaining"])
        except (KeyError, TypeError, ValueError):
            return
        self.others = max(self.others, left - 1)


def _timestamp(event: Event) -> int | None:
    """Milliseconds of the server's own clock."""
    found = event.data.get("timestamp")
    return int(found) if isinstance(found, (int, float)) else None
