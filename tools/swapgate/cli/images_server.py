"""The server of `swapgate serve`: as much of OpenAI's images API as a client needs to draw, on the loopback interface.

POST /v1/images/generations (b64_json and url, n, size, seed, negative_prompt, and the arguments of the card's call by their names),
GET /v1/models, GET /v1/models/<id>, GET /files/<name>.png for pictures by url. Errors have OpenAI's shape. There is no edits endpoint: a
card's model is not given a picture. Pages of a browser are not answered (Host and Origin are looked at), and where a key is set it is asked for.
"""

from __future__ import annotations

import base64
import io
import json
import queue
import re
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from swapgate.canonical import dumps
from swapgate.card_parts import Scalar
from swapgate.cards import Card
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Generation

LOOPBACK = "127.0.0.1"
MOST_IMAGES, MOST_SIDE, MOST_WAITING = 10, 4096, 64
_LARGEST = 1024 * 1024  # bytes of a request
_KEPT = 64  # pictures that can still be fetched by their url
_LONGEST = 32_000  # characters of a prompt, as at OpenAI
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_KNOWN = ("model", "prompt", "n", "size", "response_format", "seed", "negative_prompt", "user", "output_format")
MAX_SEED = 2**63 - 1


class Drawing(Protocol):
    """What draws: a host, asked by one thread at a time."""

    def make(self, call: Call, timeout: float | None = None) -> Sequence[tuple[Generation, Pixels | None]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served: the model's name, arguments and negative prompt as its card has them, the size where none is asked for, hash of its weights."""

    model: str
    call: Mapping[str, Scalar]
    negative_prompt: str | None
    size: tuple[int, int]
    weights: str

    @staticmethod
    def of(card: Card, weights: str) -> Served:
        """As a card says; without sizes of its own, 1024 x 1024 as at OpenAI."""
        size = card.sizes[0] if card.sizes else (1024, 1024)
        return Served(model=card.id, call=card.call, negative_prompt=card.negative_prompt.get("en"), size=size, weights=weights)


class ImagesServer(ThreadingHTTPServer):
    """Serves on a port (0: any free one) until `shutdown`; every one of `drawing` draws one request at a time. `url` is the base for clients."""

    daemon_threads = True

    def __init__(self, served: Served, drawing: Sequence[Drawing], *, port: int = 0, key: str = "") -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.served, self.key = served, key
        self.created = int(time.time())
        self._idle: queue.SimpleQueue[Drawing] = queue.SimpleQueue()
        for one in drawing:
            self._idle.put(one)
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is told as http.server tells it."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def draw(self, call: Call) -> list[Pixels]:
        """The pictures of a call, when it is its turn. _Refused when too many wait, or the model failed."""
        if not self._waiting.acquire(blocking=False):
            raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests are waiting", code="rate_limit_exceeded", kind="requests")
        try:
            one = self._idle.get()
            try:
                made = one.make(call)
            finally:
                self._idle.put(one)
        finally:
            self._waiting.release()
        failure = next((generation.failure for generation, _ in made if generation.failure), None)
        if failure:
            raise _Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"{failure.kind}: {failure.message}", kind="server_error", code=failure.kind)
        return [pixels for _, pixels in made if pixels is not None]

    def keep(self, file: bytes) -> str:
        """The url of a picture, which is there until _KEPT others came."""
        name = secrets.token_hex(16)
        with self._lock:
            self._files[name] = file
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
        return f"{self.origin}/files/{name}.png"

    def kept(self, name: str) -> bytes | None:
        with self._lock:
            return self._files.get(name)


class _Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    def __init__(
        self, status: HTTPStatus, why: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(why)
        self.status = status
        self.body = {"error": {"message": why, "type": kind, "param": param, "code": code}}


class _Handler(BaseHTTPRequestHandler):
    server: ImagesServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "swapgate", ""
    timeout = 60
    disable_nagle_algorithm = True  # head and body go out apart, and the second would wait 40 ms

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the command says where it is, and that is all."""

    def _serve(self, action: Callable[[], None]) -> None:
        try:
            self._allowed()
            action()
        except _Refused as refused:
            self.close_connection = True  # a body that was not read would be taken for the next request
            wait = (("Retry-After", "1"),) if refused.status is HTTPStatus.TOO_MANY_REQUESTS else ()
            self._json(refused.body, refused.status, *wait)

    def _allowed(self) -> None:
        own = [f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")]
        if self.headers.get("Host", "") not in own or self.headers.get("Origin") is not None:
            raise _Refused(HTTPStatus.FORBIDDEN, "this server answers to programs of this machine, under its own address only")
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        is_file = self.path.startswith("/files/")  # whoever has the url has the picture, as at OpenAI
        if self.server.key and not is_file and not secrets.compare_digest(given.encode(), self.server.key.encode()):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "the key is missing or wrong", code="invalid_api_key")

    def _get(self) -> None:
        model, path = self.server.served.model, self.path.partition("?")[0]
        if path == "/v1/models":
            self._json({"object": "list", "data": [self._model()]})
        elif path == f"/v1/models/{model}":
            self._json(self._model())
        elif (found := re.fullmatch(r"/files/([0-9a-f]{32})\.png", path)) and (file := self.server.kept(found[1])) is not None:
            self._send(HTTPStatus.OK, "image/png", file)
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:100]}", code="not_found")

    def _model(self) -> dict[str, Any]:
        served = self.server.served
        return {"id": served.model, "object": "model", "created": self.server.created, "owned_by": "swapgate", "weights": served.weights}

    def _post(self) -> None:
        if self.path.partition("?")[0] != "/v1/images/generations":
            raise _Refused(HTTPStatus.NOT_FOUND, "only /v1/images/generations draws here", code="not_found")
        body = self._body()
        call, reply = read_call(body, self.server.served)
        files = [png(pixels) for pixels in self.server.draw(call)]
        data = [{"url": self.server.keep(file)} if reply == "url" else {"b64_json": base64.b64encode(file).decode()} for file in files]
        self._json({"created": int(time.time()), "data": data})

    def _body(self) -> Mapping[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a request is application/json")
        stated = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", stated):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "a request needs a Content-Length")
        if int(stated) > _LARGEST:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {_LARGEST} bytes")
        try:
            found = json.loads(self.rfile.read(int(stated)))
        except (ValueError, RecursionError):
            raise _Refused(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
        if not isinstance(found, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST, "the body is a JSON object")
        return found

    def _json(self, data: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, *headers: tuple[str, str]) -> None:
        self._send(status, "application/json", dumps(data).encode("utf-8", "replace"), *headers)

    def _send(self, status: HTTPStatus, kind: str, content: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", "no-store"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def read_call(body: Mapping[str, Any], served: Served) -> tuple[Call, str]:
    """The call that a request asks for, and how its pictures are wanted: "b64_json" or "url". _Refused for a mistake."""
    _check_known(body, served)
    width, height = _size(body.get("size"), served.size)
    count = _whole(body, "n", 1, low=1, high=MOST_IMAGES)
    reply = _choice(body, "response_format", ("b64_json", "url"))
    arguments = {name: value for name, value in body.items() if name in served.call and value is not None}
    common = {
        "model": served.model,
        "task": "serve",
        "language": "en",
        "seed": _whole(body, "seed", secrets.randbelow(2**31), low=0, high=MAX_SEED),
        "prompt": _text(body, "prompt", None),
        "negative_prompt": _text(body, "negative_prompt", served.negative_prompt)
        if body.get("negative_prompt") is not None
        else served.negative_prompt,
        "width": width,
        "height": height,
        "call": tuple(sorted({**served.call, **arguments}.items())),
    }
    return Call(requests=tuple(Request(index=index, **common) for index in range(count))), reply


def _check_known(body: Mapping[str, Any], served: Served) -> None:
    if body.get("model") not in (None, served.model):
        why = f"there is no model {str(body['model'])[:100]!r}; there is {served.model}"
        raise _Refused(HTTPStatus.NOT_FOUND, why, param="model", code="model_not_found")
    for name, value in body.items():
        if name not in _KNOWN and name not in served.call:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"unknown parameter: {name[:100]!r}", param=name[:100], code="unknown_parameter")
        if name in served.call and not isinstance(value, (str, int, float, bool, type(None))):
            raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is a single value", param=name, code="invalid_type")
    if body.get("output_format") not in (None, "png"):
        raise _Refused(HTTPStatus.BAD_REQUEST, "pictures are png here", param="output_format", code="invalid_value")


def _text(body: Mapping[str, Any], name: str, default: str | None) -> Any:
    found = body.get(name, default)
    if not isinstance(found, str) or len(found) > _LONGEST:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is a text of at most {_LONGEST} characters", param=name, code="invalid_type")
    return found


def _whole(body: Mapping[str, Any], name: str, default: int, *, low: int, high: int) -> int:
    found = body.get(name)
    if found is None:
        return default
    if type(found) is not int or not low <= found <= high:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is a whole number from {low} to {high}", param=name, code="invalid_value")
    return found


def _choice(body: Mapping[str, Any], name: str, options: tuple[str, ...]) -> str:
    found = body.get(name)
    if found is None:
        return options[0]
    if found not in options:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is one of {', '.join(options)}", param=name, code="invalid_value")
    return str(found)


def _size(given: Any, default: tuple[int, int]) -> tuple[int, int]:
    if given in (None, "auto"):
        return default
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if not found or max(int(found[1]), int(found[2])) > MOST_SIDE:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"size is WIDTHxHEIGHT, each at most {MOST_SIDE}", param="size", code="invalid_value")
    return int(found[1]), int(found[2])


def png(pixels: Pixels) -> bytes:
    """A picture as a file, lossless."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
