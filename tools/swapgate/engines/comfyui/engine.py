"""The engine: requests as prompts of a server, one at a time, timed by what the server says while it works.

A call is timed from the POST of its prompt to the server's word that it is done; pictures are fetched and decoded after that. What the
request changes is computed anew in every prompt, and where the server left a sampler out nevertheless, the time is void.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Mapping

from swapgate.cards import Card
from swapgate.engines.base import Identity
from swapgate.engines.comfyui import identity as known
from swapgate.engines.comfyui.binding import Binding, address_of, bind
from swapgate.engines.comfyui.events import Events
from swapgate.engines.comfyui.measuring import QueueOthers, figures, meters_of
from swapgate.engines.comfyui.server import Picture, Server, pictures_of
from swapgate.engines.comfyui.started import Started
from swapgate.engines.comfyui.watch import Watch
from swapgate.engines.registry import Setting
from swapgate.engines.servers.address import Address
from swapgate.engines.servers.client import Bounds, Client
from swapgate.engines.servers.failed import ServerFailed
from swapgate.engines.servers.pictures import decode
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.meters.kinds import Meters, nothing
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels

ASK_SECONDS = 60.0  # for one answer of a server that works
BEFORE_HOST = 0.9  # of the card's time-out: what is not done by then is interrupted, before the host ends this process
TURN_SECONDS = 0.5
HISTORY_TURNS = 20  # a server says that a prompt is done shortly before it can be looked up


def create(card: Card, _: Setting) -> ComfyEngine:
    """The engine of a card; nothing is asked of its server yet. UserError for what does not fit its workflow, or a fault, which a server cannot be given."""
    if card.faults:
        raise UserError(
            where=str(card.path), key="faults", value=list(card.faults), rule="none: a server's pipeline cannot be reached", remedy="remove them"
        )
    return ComfyEngine(card, bind(card))


class ComfyEngine:
    """See the module."""

    def __init__(self, card: Card, binding: Binding) -> None:
        self._card, self._binding = card, binding
        self._client_id = uuid.uuid4().hex
        self._number = 0
        self._started: Started | None = None
        self._clients: list[Client] = []
        self._files: dict[str, str] = {}
        self._notes: list[str] = []
        self._failed = False

    def load(self) -> None:
        """Find or start the server, look that it has what the workflow needs, bring the pictures of the card, let go of other models."""
        address = address_of(self._card) or self._start()
        self._server, self._beside = self._asking(address), self._asking(address)
        self._others = QueueOthers(self._server)
        try:
            if self._started:
                self._started.wait(self._server.stats, self._binding.given.wait_seconds)
            self._prepare(address)
        except Exception:
            self._failed = True
            self.close()
            raise

    def _prepare(self, address: Address) -> None:
        try:
            figures(self._server.stats())
        except ServerFailed as failed:
            rule, remedy = f"a ComfyUI server that answers ({failed.message})", "start it, or correct the address"
            raise UserError(where=str(self._card.path), key="comfyui.url", value=address.shown, rule=rule, remedy=remedy) from None
        self._modules = known.check_classes(self._server, self._binding)
        self._events = Events(address, self._client_id)
        self._events.open()
        for reference, file in self._binding.given.uploads.items():
            self._files[reference] = self._server.upload(self._card.root / file)
        running, waiting = self._server.queue()
        if not running and not waiting:
            self._server.free()
        else:
            self._notes.append(f"server: {len(running) + len(waiting)} prompts of others are in its queue, so other models were not unloaded")

    def _start(self) -> Address:
        given = self._binding.given
        try:
            self._started = Started(given.start, given.folder, self._card.id)
        except OSError as error:
            rule = f"a command that can be started ({error})"
            raise UserError(where=str(self._card.path), key="comfyui.start", value=given.start[0], rule=rule, remedy="correct it") from None
        return self._started.address

    def _asking(self, address: Address) -> Server:
        client = Client(address, bounds=Bounds(seconds=min(ASK_SECONDS, self._card.timeout_seconds)))
        self._clients.append(client)
        return Server(client, address)

    def identity(self) -> Identity:
        told = figures(self._server.stats())
        found = known.weights(self._binding)
        self._notes += found.notes
        where = "cuda" if told.cuda else "cpu"
        return Identity(
            weights=found.identity,
            versions=known.versions(self._server, self._binding, self._modules),
            placement=f"comfyui-{where}",
            dtype="of-the-server",
            attention="of-the-server",
            threads=0,
        )

    def meters(self) -> Meters:
        return meters_of(self._server, self._beside, self._others, self._started.check if self._started else nothing)

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        self._notes = []
        deadline = time.monotonic() + BEFORE_HOST * self._card.timeout_seconds
        batched = "batch" in self._binding.places and len(call.requests) > 1
        asked = [call.first] if batched else list(call.requests)
        self._binding.check_size(call.first)
        if batched:
            self._notes.append(f"batch: {len(call.requests)} pictures of one seed, as the workflow draws them")
        watches = [self._run(request, len(call.requests) if batched else 1, clock, deadline, first=request is asked[0]) for request in asked]
        clock.stop()
        if len({watch.steps for watch in watches}) > 1:
            raise RuntimeError(f"the prompts of one round ran different numbers of steps: {', '.join(str(watch.steps) for watch in watches)}")
        left_out = sorted({str(self._binding.workflow.nodes[node]) for watch in watches for node in watch.cached})
        if left_out:
            clock.void()
            self._notes.append(f"time: void, because the server did not run {', '.join(left_out)} (cached)")
        return [picture for watch in watches for picture in self._pictures(watch, call.first)]

    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def close(self) -> None:
        if hasattr(self, "_events"):
            self._events.close()
        if self._started:
            self._started.close(failed=self._failed)
        elif self._clients and not self._failed:
            with contextlib.suppress(ServerFailed):
                self._server.free()
        for client in self._clients:
            client.close()

    def _run(self, request: Request, pictures: int, clock: StageClock, deadline: float, *, first: bool) -> Watch:
        """One prompt from its POST to its end."""
        self._number += 1
        graph = self._binding.filled(request, pictures, f"{self._client_id}-{self._number}", self._files)
        try:
            self._events.open()
            prompt = self._server.submit(graph, self._client_id)
            self._others.own.add(prompt)
            watch = Watch(self._binding, prompt, clock, counts=first)
            self._follow(watch, deadline)
        except ServerFailed as failed:
            self._failed = True
            self._check_started(failed)
            raise
        except Exception:
            self._failed = True
            raise
        self._others.saw(watch.others)
        return watch

    def _follow(self, watch: Watch, deadline: float) -> None:
        """Until it is done; taken back from the server where that does not come in time, or at all."""
        try:
            while not watch.done:
                self._step(watch, deadline - time.monotonic())
        except BaseException:
            watch.close()
            with contextlib.suppress(ServerFailed):
                self._server.take_back(watch.prompt)
            raise

    def _step(self, watch: Watch, left: float) -> None:
        """The next message, or a turn without one; left: seconds until it is too late."""
        if left <= 0:
            said = f"not done within {BEFORE_HOST:g} of timeout_seconds = {self._card.timeout_seconds:g} s; the prompt was interrupted"
            raise ServerFailed("time-out", said)
        event = self._events.next(min(left, TURN_SECONDS))
        if event is not None:
            watch.feed(event)
        elif self._started:
            self._started.check()

    def _check_started(self, failed: ServerFailed) -> None:
        """ServerDied where a server that was started here is the reason of a lost connection: then the process is started again."""
        if self._started and failed.kind == "connection":
            time.sleep(TURN_SECONDS)  # it may still be ending
            self._started.check()

    def _pictures(self, watch: Watch, request: Request) -> list[Pixels]:
        encoded = watch.received or [self._server.picture(picture) for picture in watch.pictures or self._looked_up(watch)]
        return [decode(one, size=(request.width, request.height)) for one in encoded]

    def _looked_up(self, watch: Watch) -> list[Picture]:
        """The pictures of the output as the server's history has them, where it said nothing of them while it worked."""
        for _ in range(HISTORY_TURNS):
            found = self._server.history(watch.prompt)
            if found:
                outputs: Mapping[str, object] = found.get("outputs") or {}
                return pictures_of(outputs.get(self._binding.output.id))
            time.sleep(TURN_SECONDS / 10)
        return []
