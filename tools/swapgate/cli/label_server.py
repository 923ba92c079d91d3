"""The page of `swapgate label`: a server on the loopback interface for one person and one sitting.

Nobody else gets in: it listens on 127.0.0.1 alone, every address holds a secret made for the sitting, the Host header must name this
server (a page elsewhere whose name was pointed here is refused), and answers are taken as JSON from the page itself only. The page asks
nothing of any network, by its own policy. It serves the images of the queue by their hash, and no other file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.canonical import dumps
from swapgate.errors import UserError
from swapgate.runs.labels import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from swapgate.suite.labelling import Sitting

LOOPBACK = "127.0.0.1"
_LARGEST = 4096  # bytes of an answer


class LabelServer(ThreadingHTTPServer):
    """Serves one sitting on a free port until `shutdown`. `url` is where; it holds the secret."""

    daemon_threads = True

    def __init__(self, sitting: Sitting, image_path: Callable[[str], Path]) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.sitting, self.image_path = sitting, image_path
        self.token = secrets.token_urlsafe(24)
        self.lock = threading.Lock()
        self.page, self.policy = _page(sitting.person)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news; anything else is told as http.server tells it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a Host header may say."""
        return (f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}")


class _Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "swapgate", ""
    timeout = 60
    disable_nagle_algorithm = True  # head and body go out apart, and the second would wait 40 ms

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a line a picture would bury what the command says, and would hold the secret."""

    def _serve(self, action: Callable[[str], None]) -> None:
        try:
            action(self._allowed())
        except _Refused as refused:
            self.close_connection = True  # a body that was not read would be taken for the next request
            self._send(refused.status, "text/plain; charset=utf-8", f"{refused}\n".encode())
        except UserError as error:
            self.close_connection = True
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", f"{error}\n".encode())

    def _allowed(self) -> str:
        """The path behind the secret, of a request that may be answered."""
        if self.headers.get("Host", "") not in self.server.hosts:
            raise _Refused(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
        if self.headers.get("Origin", self._own()) not in [f"http://{host}" for host in self.server.hosts]:
            raise _Refused(HTTPStatus.FORBIDDEN, "another page may not ask here")
        token, _, rest = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN, "the address is not complete: open the one that swapgate label printed")
        return rest

    def _own(self) -> str:
        return f"http://{self.server.hosts[0]}"

    def _get(self, path: str) -> None:
        kind, _, name = path.partition("/")
        if path == "":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif kind == "image" and name in self.server.sitting.images:
            self._image(name)
        elif path == "state":
            with self.server.lock:
                sitting = self.server.sitting
                self._json(sitting.state(sitting.upcoming()))
        elif kind == "state" and (number := _whole(name)) is not None and number < len(self.server.sitting.shown):
            with self.server.lock:
                self._json(self.server.sitting.state(number))
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self, path: str) -> None:
        if path != "label":
            raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        number, usable, seconds = _answer(self._body(), len(self.server.sitting.shown))
        with self.server.lock:
            sitting = self.server.sitting
            self._json(sitting.state(sitting.answer(number, usable=usable, seconds=seconds)))

    def _body(self) -> bytes:
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is application/json")
        length = _whole(self.headers.get("Content-Length", ""))
        if length is None:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "an answer needs a Content-Length")
        if length > _LARGEST:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {_LARGEST} bytes")
        return self.rfile.read(length)

    def _image(self, sha: str) -> None:
        try:
            content = self.server.image_path(sha).read_bytes()
        except OSError:
            raise _Refused(HTTPStatus.NOT_FOUND, "the picture is gone from the run folder") from None
        self._send(HTTPStatus.OK, "image/png", content, cache="private, max-age=600")

    def _json(self, data: dict[str, Any]) -> None:
        self._send(HTTPStatus.OK, "application/json", dumps(data).encode("utf-8", "replace"))

    def _send(self, status: HTTPStatus, kind: str, content: bytes, *, cache: str = "no-store") -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", cache),
            ("Content-Security-Policy", self.server.policy),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _whole(text: str) -> int | None:
    """A whole number of at most nine digits; None for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _answer(body: bytes, total: int) -> tuple[int, bool | None, float | None]:
    """(number, usable, seconds) of an answer; refused with 400 where it is none."""
    try:
        given = json.loads(body)
        number, usable, seconds = given["number"], given["usable"], given["seconds"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _Refused(HTTPStatus.BAD_REQUEST, "an answer has number, usable and seconds") from None
    if type(number) is not int or not 0 <= number < total:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"number is a whole number below {total}")
    if usable is not None and not isinstance(usable, bool):
        raise _Refused(HTTPStatus.BAD_REQUEST, "usable is true, false or null")
    if seconds is None:
        return number, usable, None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise _Refused(HTTPStatus.BAD_REQUEST, "seconds is a number of at least 0, or null")
    return number, usable, min(float(seconds), LONGEST)


def _page(person: str) -> tuple[bytes, str]:
    """The page, and the policy that allows its own style, script and pictures, and nothing else."""
    from markupsafe import Markup

    from swapgate.report.html import environment

    parts = {}
    templates = environment()
    assert templates.loader
    for name, file in (("style", "label.css"), ("script", "label.js")):
        parts[name] = Markup(templates.loader.get_source(templates, file)[0].replace("\r\n", "\n"))  # noqa: S704 - our own files
    allowed = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in parts.items()}
    policy = (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'sha256-{allowed['style']}'; "
        f"script-src 'sha256-{allowed['script']}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return templates.get_template("label.html.j2").render(person=person, **parts).encode("utf-8", "replace"), policy
