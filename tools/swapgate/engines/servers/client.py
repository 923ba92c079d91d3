"""One bounded request at a time: a deadline for the whole of it, redirects to other servers refused, the size limited while reading.

httpcore limits how long a single wait for the network may take, so that a server which sends a byte now and then is never given up; its
network is wrapped here, and no wait is longer than what is left of the request. A lookup of a name is left to the system's own limits.
Every request has a connection of its own: a server may close one that is idle just when the next request goes out on it, and that request
would have to be sent twice or be lost, though nothing is wrong. The handshake is a part of every time alike.
Nothing of the environment is used (proxies, .netrc), no reply is decompressed, and the key goes to the card's own server alone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpcore2

from swapgate.engines.servers.address import Address, parse
from swapgate.engines.servers.failed import KINDS, Kind, ServerFailed

__all__ = ["KINDS", "Bounds", "Client", "File", "Kind", "Reply", "ServerFailed", "retry_after"]
MIB = 1024 * 1024
REDIRECTS = 3
_HIDDEN = "[key]"
_SHOWN = 300  # characters of what a server said that a message quotes
_PIECE = 64 * 1024  # bytes handed to the network at once, so that a slow reader is noticed
_ERROR_BYTES = 64 * 1024  # of a reply that says what went wrong, as much is read
_REDIRECTING = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one request may take: seconds to connect and as a whole, bytes of its reply's body."""

    connect_seconds: float = 10.0
    seconds: float = 600.0
    body_bytes: int = 256 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply with status 2xx, read to its end. Header names are in lower case; first_byte: seconds until its head was there, of `seconds` in all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    address: Address
    first_byte: float
    seconds: float

    def json(self) -> Any:
        """The body as JSON. ServerFailed ("bad-reply") where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:  # ValueError: also bytes that are no text, and numbers too long to convert
            kind = self.headers.get("content-type", "no content type")
            why = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
            said = f"{self.address.shown}: the reply is no JSON ({why}; {kind[:60]}, {len(self.body)} bytes)"
            raise ServerFailed("bad-reply", said, status=self.status) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in a form: `name` is what the server is told, content its bytes, kind its media type."""

    name: str
    content: bytes
    kind: str = "image/png"


class Client:
    """Requests to one server, of one thread at a time. Close it, or use it as a context.

    Args:
        base: the server that the key belongs to; `get` may ask others, and they are not told the key.
        key: sent as a bearer token, "" for none; it is taken out of every message.
        bounds: of each request.
        headers: more of them, for the server alone.
    """

    def __init__(self, base: Address, *, key: str = "", bounds: Bounds = Bounds(), headers: Mapping[str, str] = {}) -> None:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("a key is of printable ASCII characters without a space")  # a header's value: no library may quote it in an error
        self.base, self.bounds = base, bounds
        self._secrets = _writings(key)
        self._private = {**headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        self._network = _Network()
        # Made once: reading the certificates of the machine for every connection takes longer than many a reply.
        tls = httpcore2.default_ssl_context() if base.scheme == "https" else None
        self._pool = httpcore2.ConnectionPool(ssl_context=tls, max_keepalive_connections=0, network_backend=self._network)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is left of connections."""
        self._pool.close()

    def get(self, address: Address, *, seconds: float | None = None) -> Reply:
        """What is at an address. ServerFailed for anything but a reply with status 2xx within the bounds; `seconds` narrows them."""
        return self._ask("GET", address, b"", {}, seconds)

    def post_json(self, address: Address, body: Any, *, seconds: float | None = None) -> Reply:
        """The reply to `body` as JSON; ServerFailed as in `get`."""
        content = json.dumps(body, allow_nan=False).encode()
        return self._ask("POST", address, content, {"Content-Type": "application/json"}, seconds)

    def post_form(self, address: Address, fields: Mapping[str, str], files: Mapping[str, File], *, seconds: float | None = None) -> Reply:
        """The reply to a multipart form; ServerFailed as in `get`."""
        import httpx2

        given = {name: (file.name, file.content, file.kind) for name, file in files.items()}
        form = httpx2.Request("POST", address.url, data=dict(fields), files=given)
        return self._ask("POST", address, form.read(), {"Content-Type": form.headers["Content-Type"]}, seconds)

    def hide(self, text: str) -> str:
        """`text` without the key, in whatever way it is written there."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    def _ask(self, method: str, address: Address, content: bytes, headers: Mapping[str, str], seconds: float | None) -> Reply:
        limit = self.bounds.seconds if seconds is None else min(seconds, self.bounds.seconds)
        begun = time.monotonic()
        self._network.deadline = begun + limit
        try:
            for _ in range(REDIRECTS + 1):
                reply = self._once(method, address, content, headers, begun)
                if isinstance(reply, Reply):
                    return reply
                address = reply
        except ServerFailed as failed:
            # From None: what was caught on the way may quote headers, and so the key.
            raise ServerFailed(
                failed.kind, self.hide(failed.message), status=failed.status, retry_after=failed.retry_after, body=failed.body
            ) from None
        except httpcore2.TimeoutException as error:
            what = "connecting" if isinstance(error, httpcore2.ConnectTimeout) else "the whole reply"
            raise ServerFailed("time-out", f"{address.shown}: no time left for {what} ({time.monotonic() - begun:.3g} s of {limit:.3g} s)") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            kind: Kind = "bad-reply" if _garbled(error) else "connection"
            raise ServerFailed(kind, self.hide(f"{address.shown}: {_said(error)}")) from None
        raise ServerFailed("bad-reply", f"{address.shown}: more than {REDIRECTS} redirects")

    def _once(self, method: str, address: Address, content: bytes, headers: Mapping[str, str], begun: float) -> Reply | Address:
        """A reply with status 2xx, or where it leads instead."""
        left = max(0.001, self._network.deadline - time.monotonic())
        waits = {"connect": min(self.bounds.connect_seconds, left), "read": left, "write": left, "pool": left}
        sent = {**self._headers(address, content, method), **headers}
        with self._pool.stream(method, address.url, headers=list(sent.items()), content=content, extensions={"timeout": waits}) as response:
            first_byte = time.monotonic() - begun
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in _REDIRECTING:
                return _leads(method, address, response.status, found)
            if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                raise self._refused(address, response, found)
            if found.get("content-encoding", "identity").lower() not in ("", "identity"):
                raise ServerFailed("bad-reply", f"{address.shown}: the reply is compressed, which was not asked for", status=response.status)
            body = self._body(address, response, found)
        return Reply(status=response.status, headers=found, body=body, address=address, first_byte=first_byte, seconds=time.monotonic() - begun)

    def _headers(self, address: Address, content: bytes, method: str) -> dict[str, str]:
        own = self._private if address.origin == self.base.origin or self.base.leads_to(address) else {}
        length = {"Content-Length": str(len(content))} if method != "GET" else {}
        return {
            "Host": address.origin.partition("://")[2],
            "User-Agent": "swapgate",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **length,
            **own,
        }

    def _body(self, address: Address, response: httpcore2.Response, headers: Mapping[str, str]) -> bytes:
        limit = self.bounds.body_bytes
        stated = headers.get("content-length", "")
        if stated.isascii() and stated.isdigit() and (len(stated) > 15 or int(stated) > limit):
            raise ServerFailed("bad-reply", f"{address.shown}: the reply is larger than {limit} bytes", status=response.status)
        body = bytearray()
        for piece in response.iter_stream():
            body += piece
            if len(body) > limit:
                raise ServerFailed("bad-reply", f"{address.shown}: the reply is larger than {limit} bytes", status=response.status)
        return bytes(body)

    def _refused(self, address: Address, response: httpcore2.Response, headers: Mapping[str, str]) -> ServerFailed:
        body = bytearray()
        for piece in response.iter_stream():
            body += piece
            if len(body) > _ERROR_BYTES:
                break
        status, said = response.status, " ".join(self.hide(_explained(bytes(body[:_ERROR_BYTES]))).split())
        kind: Kind = "rate-limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "server-error" if status >= 500 else "refused"
        more = f": {said[:_SHOWN]}" if said else ""
        waits = retry_after(headers.get("retry-after", ""))
        return ServerFailed(kind, f"{address.shown}: status {status}{more}", status=status, retry_after=waits, body=bytes(body[:_ERROR_BYTES]))


def retry_after(text: str, *, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3); None where it is neither. Never below 0."""
    plain = text.strip()
    try:
        seconds = float(plain)
    except ValueError:
        try:
            then = parsedate_to_datetime(plain)
        except (ValueError, IndexError, TypeError, OverflowError):
            return None
        seconds = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _leads(method: str, address: Address, status: int, headers: Mapping[str, str]) -> Address:
    """Where a redirect leads. A POST is only sent again where the status says that it is to be (RFC 9110, 15.4)."""
    try:
        there = parse(headers.get("location", ""), base=address)
    except ValueError as error:
        raise ServerFailed("bad-reply", f"{address.shown}: a redirect (status {status}) needs {error}", status=status) from None
    if not address.leads_to(there):
        said = f"{address.shown}: redirects to another server ({there.origin}), which is refused; name that server if it is the one that is meant"
        raise ServerFailed("bad-reply", said, status=status)
    if method != "GET" and status not in (307, 308):
        raise ServerFailed("bad-reply", f"{address.shown}: status {status} would turn the request into another one", status=status)
    return there


def _explained(body: bytes) -> str:
    """What an error's body says: OpenAI's {"error": {"message": ...}}, FastAPI's {"detail": ...}, or its text."""
    text = body.decode(errors="replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(found, dict):
        inner = found.get("error", found.get("detail", found.get("message", text)))
        inner = inner.get("message", text) if isinstance(inner, dict) else inner
        return inner if isinstance(inner, str) else text
    return text


def _writings(key: str) -> tuple[str, ...]:
    """The ways in which a text may hold the key, longest first."""
    return tuple(sorted({key, json.dumps(key)[1:-1], quote(key, safe=""), quote(key)}, key=len, reverse=True)) if key else ()


def _garbled(error: Exception) -> bool:
    """Whether what came is no HTTP, and not merely cut off."""
    return isinstance(error, httpcore2.RemoteProtocolError) and "disconnected" not in str(error) and "closed connection" not in str(error)


def _said(error: Exception) -> str:
    return str(error)[:_SHOWN] or type(error).__name__


@dataclass(slots=True)
class _Network(httpcore2.NetworkBackend):
    """The network, where no wait goes beyond `deadline` (of time.monotonic)."""

    deadline: float = math.inf
    _own: httpcore2.NetworkBackend = field(default_factory=httpcore2.SyncBackend)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        left = self.left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self, self._own.connect_tcp(host, port, left, local_address, socket_options))

    def left(self, timeout: float | None, late: type[Exception]) -> float:
        """Seconds that a wait may take; raises `late` where there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise late("the deadline is over")
        return min(left, math.inf if timeout is None else timeout)


@dataclass(slots=True)
class _Stream(httpcore2.NetworkStream):
    """A connection of that network."""

    _network: _Network
    _own: httpcore2.NetworkStream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._own.read(max_bytes, self._network.left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._own.write(buffer[start : start + _PIECE], self._network.left(timeout, httpcore2.WriteTimeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> httpcore2.NetworkStream:
        left = self._network.left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._network, self._own.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._own.close()

    def get_extra_info(self, info: str) -> Any:
        return self._own.get_extra_info(info)
