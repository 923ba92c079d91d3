"""Addresses of servers: http or https, a host, no password in them; and what counts as the same server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A checked URL. host is in lower case without brackets; path begins with "/" and ends as it was given, query is without "?"."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.origin}{self.path}{f'?{self.query}' if self.query else ''}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a key is sent to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    @property
    def shown(self) -> str:
        """The URL as messages show it: without its query, which may hold a signature."""
        return f"{self.origin}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    def below(self, path: str) -> Address:
        """The address of `path` under this one, whose own path is kept: "http://h/v1" and "images" give "http://h/v1/images"."""
        return Address(scheme=self.scheme, host=self.host, port=self.port, path=f"{self.path.rstrip('/')}/{path.lstrip('/')}")

    def leads_to(self, other: Address) -> bool:
        """Whether a redirect may lead there: to the same server, or to the same host by https instead of http."""
        return self.origin == other.origin or (self.host == other.host and (self.scheme, other.scheme) == ("http", "https"))


def parse(text: str, *, base: Address | None = None) -> Address:
    """The address that `text` writes, relative to `base` where that is given.

    Raises:
        ValueError: another scheme than http and https, no host, a user or password, a fragment, a space or control. Its message is the
            rule that is broken and never quotes the text, which may hold a password.
    """
    if any(char.isspace() or not char.isprintable() for char in text) or "\\" in text:
        raise ValueError("an address without spaces, controls and backslashes")
    try:
        found = urlsplit(urljoin(base.url, text) if base else text)
        port, host = found.port, found.hostname
    except ValueError:
        raise ValueError("an address such as https://host:port/v1") from None
    if found.scheme not in PORTS:
        raise ValueError("an address that begins with http:// or https://")
    if "@" in found.netloc:
        raise ValueError("an address without a user or password: name the environment variable of the key in key_env")
    if not host or port == 0:
        raise ValueError("an address with a host, and a port from 1 to 65535 where it has one")
    if found.fragment:
        raise ValueError("an address without #")
    try:
        plain = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("an address whose host is a name of the internet") from None
    return Address(
        scheme=found.scheme, host=plain.lower(), port=port or PORTS[found.scheme], path=_ascii(found.path or "/"), query=_ascii(found.query)
    )


def _ascii(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="%/:=&?~#+!$,;'@()*[]")
