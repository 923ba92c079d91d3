"""The images_api engine: a model behind a server that speaks OpenAI's images API (vLLM-Omni, SGLang-Diffusion, LocalAI, a vendor's).

One request at a time, and never the same one again: a request that fails is a failed image. Only a server that says 429 did not begin; it
is waited for as it asks, within bounds, and the clock stands still meanwhile. Times are the client's, from the first byte sent to the last
one received; decoding the picture comes after. What the server has no figure of (stages, forwards) stays unknown.

Whether a seed gives its picture again is tried once a process, with the first request that succeeded, outside of its time.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.engines.base import Identity
from swapgate.engines.images_options import Options, address_of, read_options
from swapgate.engines.registry import Setting
from swapgate.engines.servers.address import Address, parse
from swapgate.engines.servers.client import Bounds, Client, File
from swapgate.engines.servers.failed import ServerFailed
from swapgate.engines.servers.pictures import MOST_BYTES, decode, from_base64
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.meters.kinds import Meters
from swapgate.meters.server import memory_of
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import NO_SEED, waited_note

_LOOK_SECONDS = 10.0  # for the list of models, which costs a server nothing
_MARGIN = 0.05  # of the card's time-out: what is left to say that it is over, before the process is given up
_WAIT = 1.0  # seconds to wait after a 429 that does not say how long, doubled every time
_PAUSE = 0.05  # seconds that a wait takes at least, so that a server that asks for none is not flooded
_ANOTHER = 20.0  # dB: pictures of one seed that are less alike are other pictures; noise of kernels stays well above
_HASH = re.compile(r"[0-9a-f]{64}")
_FACTS = ("id", "root", "owned_by")


def create(card: Card, _setting: Setting) -> ImagesApi:
    """The engine of a card. UserError for an option that it does not have."""
    return ImagesApi(card, address_of(card), read_options(card))


class ImagesApi:
    """See the module."""

    def __init__(self, card: Card, address: Address, options: Options) -> None:
        self._card, self._address, self._options = card, address, options
        self._client: Client | None = None
        self._facts: dict[str, str] = {}
        self._weights = digest(["images_api", options.model, card.revision])
        self._loading: tuple[str, ...] = () if options.seed else (f"{NO_SEED}the card says that the server takes none (seed = false)",)
        self._notes: list[str] = []
        self._waited = 0.0  # seconds of this process that the clock leaves out
        self._left_to_wait = options.wait_seconds
        self._tried = not options.seed

    def load(self) -> None:
        """Ask the server what it has. UserError where nobody answers, or the key is not taken."""
        self._client = Client(self._address, key=self._key(), bounds=Bounds(seconds=self._card.timeout_seconds))
        try:
            reply = self._client.get(self._address.below("models"), seconds=min(_LOOK_SECONDS, self._card.timeout_seconds))
            listed = reply.json()
        except ServerFailed as failed:
            if failed.kind in ("connection", "time-out") or failed.status in (401, 403):
                raise self._unreachable(failed) from None
            self._loading += (f"models: not listed ({failed.message})",)
            return
        self._facts = {"server": _short(self._client.hide(reply.headers.get("server", "")))}
        self._read_models(listed)

    def identity(self) -> Identity:
        versions = {name: value for name, value in self._facts.items() if value}
        return Identity(weights=self._weights, versions=versions, placement="server", dtype="as served", attention="as served", threads=0)

    def meters(self) -> Meters:
        """The client's clock, without the waits after a 429; memory of the server where it can be seen from here."""
        memory, why, notes = memory_of(self._address.host, self._address.port, loopback=self._address.loopback)
        return Meters(
            memory=memory,
            accelerator=self._options.accelerator(self._address),
            device_name=f"behind {self._address.origin}",
            now=self._now,
            notes=notes,
            no_memory=why,
        )

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        self._notes = []
        limit = self._card.timeout_seconds
        deadline = time.monotonic() + limit * (1 - _MARGIN)
        self._left_to_wait = self._options.wait_seconds
        groups = [call.requests[start : start + self._options.n] for start in range(0, len(call.requests), self._options.n)]
        assert self._client is not None
        try:
            files = [file for group in groups for file in self._sent(group, deadline)]
            clock.stop()
            pictures = [decode(file, size=(one.width, one.height)) for file, one in zip(files, call.requests, strict=True)]
        except ServerFailed as failed:
            raise ServerFailed(failed.kind, self._client.hide(failed.message), status=failed.status) from None
        self._try_seed(groups[0], pictures[0], deadline)
        return pictures

    def notes(self) -> tuple[str, ...]:
        return (*self._loading, *self._notes)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _now(self) -> float:
        return time.perf_counter() - self._waited

    def _key(self) -> str:
        name = self._options.key_env
        key = os.environ.get(name, "") if name else ""
        if name and (not key or not key.isascii() or not key.isprintable() or " " in key):
            rule = f"the environment variable {name} must hold the key, in printable ASCII without a space"
            raise UserError(
                where=str(self._card.path), key="options.key_env", value=name, rule=rule, remedy=f"export {name}=…, where the run is started"
            )
        return key

    def _unreachable(self, failed: ServerFailed) -> UserError:
        wrong_key = failed.status in (401, 403)
        remedy = "put the right key into the variable that key_env names" if wrong_key else "start the server, or correct the address"
        rule = f"a server that answers; {failed.message}"
        return UserError(where=str(self._card.path), key="source", value=self._address.shown, rule=rule, remedy=remedy)

    def _read_models(self, listed: Any) -> None:
        entries = listed.get("data") if isinstance(listed, dict) else None
        known = [one for one in entries if isinstance(one, dict) and isinstance(one.get("id"), str)] if isinstance(entries, list) else []
        mine = next((one for one in known if one["id"] == self._options.model), known[0] if len(known) == 1 and not self._options.model else None)
        assert self._client is not None
        if mine is None:
            names = ", ".join(_short(self._client.hide(one["id"])) for one in known[:5]) or "none"
            self._loading += (f"models: the server lists {names}, and not {self._options.model or 'a single one'}",)
            return
        self._facts |= {f"served {name}": _short(self._client.hide(mine[name])) for name in _FACTS if isinstance(mine.get(name), str)}
        stated = mine.get("weights")
        if isinstance(stated, str) and _HASH.fullmatch(stated):
            self._weights = stated  # `swapgate serve` tells the hash of what it loaded, as the engine in it computed it

    def _sent(self, group: Sequence[Request], deadline: float) -> list[bytes]:
        """The pictures of one request of the API, as files, in the order of `group`; waited for where the server says 429."""
        refused, waited = 0, 0.0
        while True:
            try:
                files = self._asked(group, deadline)
                break
            except ServerFailed as failed:
                if failed.kind != "rate-limited":
                    raise self._explained(failed) from None
                pause = max(_PAUSE, failed.retry_after if failed.retry_after is not None else _WAIT * 2**refused)
                refused += 1
                if pause > self._left_to_wait or time.monotonic() + pause >= deadline:
                    said = f"{failed.message}; refused {refused} times, and to wait {pause:.3g} s more is beyond wait_seconds or the time-out"
                    raise ServerFailed("rate-limited", said, status=failed.status) from None
                took = self._pause(pause)
                waited, self._left_to_wait = waited + took, self._left_to_wait - took
        if refused:
            self._notes.append(waited_note(waited, refused))
        return files

    def _pause(self, seconds: float) -> float:
        """Wait, with the clock standing still; gives the seconds that it really took."""
        begun = time.perf_counter()
        time.sleep(seconds)
        took = time.perf_counter() - begun
        self._waited += took
        return took

    def _asked(self, group: Sequence[Request], deadline: float) -> list[bytes]:
        assert self._client is not None
        begun = time.perf_counter()
        left = max(0.001, deadline - time.monotonic())
        body = self._body(group)
        try:
            if self._options.image:
                reply = self._client.post_form(self._address.below("images/edits"), _fields(body), self._image(), seconds=left)
            else:
                reply = self._client.post_json(self._address.below("images/generations"), body, seconds=left)
        except ServerFailed as failed:
            if failed.kind == "rate-limited":
                self._waited += time.perf_counter() - begun  # a refusal is no part of the time of an image, as the wait after it is none
            raise
        return [self._file(entry, deadline) for entry in _entries(reply.json(), len(group))]

    def _body(self, group: Sequence[Request]) -> dict[str, Any]:
        first, options = group[0], self._options
        return {
            **dict(first.call),
            "prompt": first.prompt,
            **({"negative_prompt": first.negative_prompt} if first.negative_prompt is not None else {}),
            **({"model": options.model} if options.model else {}),
            "n": len(group),
            "size": f"{first.width}x{first.height}",
            **({"response_format": options.reply} if options.reply else {}),
            **({"seed": first.image_seed} if options.seed else {}),
        }

    def _image(self) -> dict[str, File]:
        path = self._card.root / self._options.image
        return {"image": File(name=path.name, content=path.read_bytes())}

    def _file(self, entry: Mapping[str, Any], deadline: float) -> bytes:
        """The file of one picture of a reply, which holds it or says where it is."""
        if entry.get("b64_json"):
            return from_base64(entry["b64_json"])
        given = entry.get("url")
        if not isinstance(given, str) or not given:
            raise ServerFailed("bad-reply", "a picture of the reply has neither b64_json nor url")
        if given.startswith("data:"):
            return from_base64(given)
        try:
            there = parse(given, base=self._address)
        except ValueError as error:
            raise ServerFailed("bad-reply", f"the url of a picture has to be {error}") from None
        if there.origin != self._address.origin and there.host not in self._options.hosts:
            said = f'the picture lies at {there.origin}, which the card does not name: picture_hosts = "{there.host}" under [options] allows it'
            raise ServerFailed("bad-reply", said)
        assert self._client is not None
        found = self._client.get(there, seconds=max(0.001, deadline - time.monotonic())).body
        if len(found) > MOST_BYTES:
            raise ServerFailed("bad-reply", f"a picture of {len(found)} bytes; at most {MOST_BYTES} are read")
        return found

    def _explained(self, failed: ServerFailed) -> ServerFailed:
        """With the option that helps, where the server does not know what a seed is."""
        if failed.status in (400, 422) and self._options.seed and "seed" in failed.message.lower():
            more = "; a server without seeds is asked with seed = false under [options]"
            return ServerFailed(failed.kind, failed.message + more, status=failed.status)
        return failed

    def _try_seed(self, group: Sequence[Request], first: Pixels, deadline: float) -> None:
        """Whether the first request gives its picture once more. What fails here fails nothing, and is tried at the next call."""
        if self._tried:
            return
        try:
            again = decode(self._sent(group, deadline)[0])
        except ServerFailed:
            return
        self._tried = True
        if again.shape == first.shape and np.array_equal(again, first):
            self._notes.append("seed: the same request gave the same pixels")
        elif again.shape != first.shape or (alike := _decibels(first, again)) < _ANOTHER:
            self._loading += (f"{NO_SEED}the server does not use it: the same request gave another picture",)
        else:
            self._notes.append(f"seed: the same request gave the same picture, not bit for bit (PSNR {alike:.1f} dB)")


def _entries(data: Any, count: int) -> list[Mapping[str, Any]]:
    """The pictures of a reply: {"data": [{"b64_json": ...}, ...]}, as many as were asked for."""
    found = data.get("data") if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        kind = f"the keys {', '.join(sorted(map(str, data))[:5])}" if isinstance(data, dict) else type(data).__name__
        raise ServerFailed("bad-reply", f'the reply has no list of pictures under "data", but {_short(kind)}')
    if len(found) != count:
        raise ServerFailed("bad-reply", f"the reply has {len(found)} pictures; {count} were asked for")
    return found


def _fields(body: Mapping[str, Any]) -> dict[str, str]:
    """A body as fields of a form."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}


def _decibels(one: Pixels, other: Pixels) -> float:
    """PSNR of two unlike pictures of one size."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 10 * math.log10(255**2 / error)


def _short(text: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())[:120]
