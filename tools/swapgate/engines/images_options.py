"""What a card says to the images_api engine: where the server is, how it is asked, and what may be fetched from elsewhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from swapgate.card_parts import Scalar
from swapgate.cards import DRY, SERVER, Card, inside
from swapgate.engines.servers.address import Address, parse
from swapgate.errors import UserError

OWN = ("prompt", "model", "size", "n", "seed", "response_format", "negative_prompt", "image", "stream", "partial_images")
"""Keys of a request that come from the task or from the options, and not from the card's [call]."""
REPLIES = ("b64_json", "url", "")
MOST = 16  # images asked for at once
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a card of this engine; all have defaults.

    model: its name on the server, "" for the server's only one. key_env: name of the environment variable that holds the key; the key
    itself stands nowhere. reply: what `response_format` asks for, "" to ask for nothing, as some servers want it. seed: whether the server
    takes one; without it pictures are not compared one by one. n: images asked for at once, each with the first one's seed as the server
    goes on from it; 1 asks for each image by itself, with its own seed. image: a file of the project that is drawn over (the edits
    endpoint). wait_seconds: how long a call may wait in all for a server that says 429. picture_hosts: hosts, separated by commas,
    that pictures may be fetched from beside the server's own (reply = "url"). hardware: slug of what the server computes on
    ("nvidia-h200"), so that its times are compared with those of the same hardware only; "" names it after the server's host.
    """

    model: str = ""
    key_env: str = ""
    reply: str = "b64_json"
    seed: bool = True
    n: int = 1
    image: str = ""
    wait_seconds: float = 60.0
    picture_hosts: str = ""
    hardware: str = ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """`picture_hosts`, one by one."""
        return tuple(host.strip().lower() for host in self.picture_hosts.split(",") if host.strip())

    def accelerator(self, address: Address) -> str:
        """The slug under which times of this server are compared."""
        return self.hardware or f"{SERVER}-{re.sub(r'[^a-z0-9]+', '-', address.host).strip('-')}"


KINDS: Mapping[str, type] = MappingProxyType({field.name: type(field.default) for field in fields(Options)})


def check(card: Card) -> None:
    """UserError for the first mistake in a card of this engine that can be seen without asking the server."""
    address_of(card)
    read_options(card)


def address_of(card: Card) -> Address:
    """The address of the API (`source`), below which images/generations lies. UserError where it is none, without quoting a password."""
    try:
        return parse(card.source)
    except ValueError as error:
        shown = None if "@" in card.source else card.source
        raise _wrong(card, "source", shown, str(error), 'write source = "http://127.0.0.1:8000/v1"') from None


def read_options(card: Card) -> Options:
    """The options of `card`, with everything that this engine can do nothing about refused. UserError for any mistake."""
    _refuse(card)
    found = Options(**{name: _value(card, name, value) for name, value in card.options.items()})
    if found.key_env and not _NAME.fullmatch(found.key_env):
        # Not quoted: the commonest mistake is to write the key itself here.
        raise _wrong(card, "options.key_env", None, "the name of an environment variable, never the key itself", 'write key_env = "IMAGES_API_KEY"')
    if found.reply not in REPLIES:
        raise _wrong(card, "options.reply", found.reply, 'b64_json, url or ""', "choose what the server's documentation names")
    if not 1 <= found.n <= MOST:
        raise _wrong(card, "options.n", found.n, f"from 1 to {MOST}", "ask for fewer at once")
    if not 0 <= found.wait_seconds <= 3600:
        raise _wrong(card, "options.wait_seconds", found.wait_seconds, "seconds from 0 to 3600", "choose a value in that range")
    if found.hardware and not _SLUG.fullmatch(found.hardware):
        raise _wrong(card, "options.hardware", found.hardware, "small letters and digits joined by hyphens", 'write hardware = "nvidia-h200"')
    if any("/" in host or "@" in host or ":" in host for host in found.hosts):
        raise _wrong(card, "options.picture_hosts", found.picture_hosts, "names of hosts, separated by commas", 'write "files.example.org"')
    if found.image:
        _check_image(card, found.image)
    return found


def _refuse(card: Card) -> None:
    """Everything that a card may say of a model that is loaded here, and that would silently do nothing behind a server."""
    parts = next(iter(card.parts.named()), None)
    silent: tuple[tuple[str, Any], ...] = (
        ("expected_forwards", card.expected_forwards),
        ("faults", card.faults or None),
        ("pipeline", card.pipeline),
        ("architecture", card.architecture or None),
        ("weights", card.weights if card.weights == DRY else None),
        (parts or "", parts),
    )
    for key, value in silent:
        if value is not None:
            raise _wrong(card, key, value, "nothing that only a model loaded here can have: a server does as it was started", f"remove {key}")
    for name in card.call:
        if name in OWN:
            rule = "this comes from the task, from negative_prompt or from [options]"
            raise _wrong(card, f"call.{name}", card.call[name], rule, "remove it from [call]")


def _value(card: Card, name: str, value: Scalar) -> Any:
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1)
        rule = f"an option of this engine: {', '.join(KINDS)}"
        raise _wrong(card, f"options.{name}", None, rule, f"did you mean {near[0]!r}?" if near else "remove it, or put it under [call]")
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(card, f"options.{name}", None if name == "key_env" else value, f"a value of type {kind.__name__}", f"write a {kind.__name__}")
    return value


def _check_image(card: Card, image: str) -> None:
    from swapgate.reading import Table

    table = Table({"image": image}, where=str(card.path), prefix="options.")
    inside(card.root, image, table, "image")
    if not (card.root / image).is_file():
        raise table.wrong("image", "a picture of the project that exists", "correct the path; it is relative to the project")


def _wrong(card: Card, key: str, value: object, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=key, value=value, rule=rule, remedy=remedy)
