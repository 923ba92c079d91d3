"""What a server says over its websocket while it works: JSON messages, and binary ones with pictures (ComfyUI's protocol.py)."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from swapgate.engines.servers.address import Address
from swapgate.engines.servers.client import MIB
from swapgate.engines.servers.failed import Kind, ServerFailed

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MOST_BYTES = 128 * MIB  # of one message: a picture that comes over the socket is one
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
PICTURE, TEXT, DESCRIBED = 1, 3, 4
"""First four bytes of a binary message: a picture with its format, a text, a picture behind a description in JSON."""
_FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One message. kind: its type ("progress", "executing", ...), "picture" for a binary one; data: what it says; picture: the encoded file."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    picture: bytes = b""

    @property
    def prompt(self) -> str:
        """The prompt that it is about, "" where it does not say."""
        return str(self.data.get("prompt_id") or "")

    @property
    def node(self) -> str:
        """The node that it is about, "" for none; of nodes that another one has unfolded to, that one."""
        return str(self.data.get("display_node") or self.data.get("node") or "")


class Events:
    """The websocket of one client of a server. No redirect is followed and no proxy used."""

    def __init__(self, address: Address, client_id: str) -> None:
        self._address, self._client_id = address, client_id
        self._connection: ClientConnection | None = None

    def open(self) -> None:
        """Connect, where that is not done. ServerFailed where it cannot be."""
        if self._connection is not None:
            return
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        there = self._address.below("ws")
        scheme = "wss" if there.scheme == "https" else "ws"
        uri = f"{scheme}://{there.origin.partition('://')[2]}{there.path}?{urlencode({'clientId': self._client_id})}"
        try:
            # A socket of our own: with one, the library follows no redirect.
            own = socket.create_connection((there.host, there.port), timeout=OPEN_SECONDS)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made = connect(uri, sock=own, proxy=None, compression=None, max_size=MOST_BYTES, open_timeout=OPEN_SECONDS, close_timeout=CLOSE_SECONDS)
            self._connection = made.__enter__()  # as a context: in what else it may be, versions of the library differ
            self._connection.send(json.dumps(_FLAGS))
        except (OSError, WebSocketException) as error:
            self.close()
            kind: Kind = "time-out" if isinstance(error, TimeoutError) else "connection"
            raise ServerFailed(kind, f"{there.shown}: no websocket ({type(error).__name__}: {str(error)[:200]})") from None

    def next(self, seconds: float) -> Event | None:
        """The next message, waited for at most so long; None where none came. ServerFailed when the connection is lost."""
        from websockets.exceptions import WebSocketException

        assert self._connection is not None
        try:
            return read(self._connection.recv(timeout=max(0.0, seconds)))
        except TimeoutError:
            return None
        except (OSError, EOFError, WebSocketException) as error:
            self.close()
            raise ServerFailed("connection", f"{self._address.shown}: the websocket broke ({type(error).__name__}: {str(error)[:200]})") from None

    def close(self) -> None:
        """Let go of the connection; `open` makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # the other side may be gone
                connection.close()


def read(message: str | bytes) -> Event:
    """A message as an event; of kind "" where it is none that is known, which is no error: custom nodes send what they like."""
    if isinstance(message, bytes):
        return _binary(message)
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return Event(kind="")
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        return Event(kind="")
    data = found.get("data")
    return Event(kind=found["type"], data=data if isinstance(data, dict) else {})


def _binary(message: bytes) -> Event:
    if len(message) < 8:
        return Event(kind="")
    kind, number = struct.unpack(">II", message[:8])
    if kind == PICTURE:
        return Event(kind="picture", picture=message[8:])
    if kind != DESCRIBED or number > len(message) - 8:
        return Event(kind="")
    described = read(b'{"type": "picture", "data": '.decode() + message[8 : 8 + number].decode(errors="replace") + "}")
    node = described.data.get("node_id")
    return Event(kind="picture", data={**described.data, "node": node}, picture=message[8 + number :])
