"""A server that replays whatever bytes it is given, as slowly as it is told, and remembers what it was asked."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swapgate.cards import Card, Judge
from swapgate.engines.servers.address import Address, parse
from swapgate.plan import Call, Request

RESET = object()  # in a script: the connection is reset instead of closed
HANG = object()  # in a script: nothing more is sent, until the client leaves
Step = bytes | float | object  # bytes to send, seconds to wait, RESET or HANG


@dataclass
class Replayer:
    """Answers the n-th request with the n-th script, and every later one with the last; a script ends by closing the connection."""

    scripts: list[Sequence[Step]] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        return parse(f"http://127.0.0.1:{self.port}/v1")

    def close(self) -> None:
        self._open = False
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if not self._open:
                connection.close()
                return
            # A thread each: one that hangs must not keep the next from being answered.
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(5)
                asked = read_request(connection)
                if asked is None:
                    return
                number = len(self.asked)
                self.asked.append(asked)
                for step in self.scripts[min(number, len(self.scripts) - 1)] if self.scripts else ():
                    if not self._take(connection, step):
                        return
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(0.2)
                while connection.recv(65536):
                    pass
            except OSError:
                return

    def _take(self, connection: socket.socket, step: Step) -> bool:
        if step is RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if step is HANG:
            connection.recv(1)  # until the client closes
            return False
        if isinstance(step, float):
            time.sleep(step)
        elif isinstance(step, bytes):
            connection.sendall(step)
        return True


def read_request(connection: socket.socket) -> bytes | None:
    """Head and body of one request; None when the client left before its end."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        piece = connection.recv(65536)
        if not piece:
            return None
        asked += piece
    head, _, body = asked.partition(b"\r\n\r\n")
    length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return head + b"\r\n\r\n" + body


def http(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """A whole reply, which says that the connection closes."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def json_reply(data: Any, status: int = 200, *headers: str) -> bytes:
    return http(status, json.dumps(data).encode(), "Content-Type: application/json", *headers)


def pixels(width: int = 24, height: int = 16, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(picture: np.ndarray[Any, Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def replayer() -> Iterator[Callable[..., Replayer]]:
    """Makes servers that replay the scripts they are given."""
    made: list[Replayer] = []

    def make(*scripts: Sequence[Step] | bytes) -> Replayer:
        made.append(Replayer([[script] if isinstance(script, bytes) else script for script in scripts]))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def card_of(tmp_path) -> Callable[..., Card]:
    """Makes a card of the images_api engine for a server."""

    def make(source: str, **changes: Any) -> Card:
        given: dict[str, Any] = {
            "id": "served",
            "title": "served",
            "engine": "images_api",
            "source": source,
            "revision": None,
            "pipeline": None,
            "device": "auto",
            "dtype": {"cpu": "float32", "cuda": "bfloat16"},
            "call": {"steps": 4, "guidance": 2.5},
            "negative_prompt": {},
            "expected_forwards": None,
            "tasks": ("t",),
            "judge": Judge(source="judge"),
            "ceilings": {},
            "usability_floor": 0.0,
            "timeout_seconds": 5.0,
            "licence": "none",
            "options": {"model": "m", "seed": False},
            "path": tmp_path / "served.toml",
            "root": tmp_path,
        }
        return Card(**{**given, **changes})

    return make


@pytest.fixture
def call_of() -> Callable[..., Call]:
    """Makes a call of one or more requests, 24 x 16 pixels."""

    def make(card: Card, *, seed: int = 7, images: int = 1, negative: str | None = None, prompt: str = "一只 red cup") -> Call:
        common = {"model": card.id, "task": "t", "language": "en", "seed": seed, "prompt": prompt, "negative_prompt": negative}
        size = {"width": 24, "height": 16, "call": tuple(card.call.items())}
        return Call(requests=tuple(Request(index=index, **common, **size) for index in range(images)))

    return make
