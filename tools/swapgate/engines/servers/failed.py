"""How a request to a server fails, by name."""

from __future__ import annotations

from typing import Literal

Kind = Literal["time-out", "connection", "rate-limited", "server-error", "refused", "bad-reply"]
"""Not in time; no connection, or one that broke; 429; 5xx; 4xx and other statuses; a reply that is none."""
KINDS: tuple[Kind, ...] = ("time-out", "connection", "rate-limited", "server-error", "refused", "bad-reply")


class ServerFailed(Exception):  # noqa: N818 - reads as what happened, as HostFailed does
    """A request that gave no usable reply. `message` never holds the key.

    kind: one of KINDS; status: of the reply, None where there was none; retry_after: seconds that the server asks to wait, None where it does not.
    body: what a refusal said, cut after 64 KiB; it may hold the key, and is not to be shown as it is.
    """

    def __init__(self, kind: Kind, message: str, *, status: int | None = None, retry_after: float | None = None, body: bytes = b"") -> None:
        self.kind, self.message, self.status, self.retry_after, self.body = kind, message, status, retry_after, body
        super().__init__(message)
