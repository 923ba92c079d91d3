"""The text that a task asks for, as it was read: once per picture and reader, kept in the run beside the other scores.

A picture is looked at again only if it was not read yet, or by another reader than the run's last. Without a reader nothing is kept, so
that a replay on a machine that has one still judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from swapgate.canonical import digest
from swapgate.runs.folder import RunFolder

if TYPE_CHECKING:
    from swapgate.metrics.text_reader import Reader
    from swapgate.suite.scoring import Wanted

BIT = "text:readable"
CHECK = "text"


def installed() -> Reader | None:
    """The reader of the extra `text`."""
    from swapgate.metrics.text_reader import find_reader

    return find_reader()


def required(one: Wanted) -> str | None:
    """What must be readable in this picture; None where the task asks for no text."""
    return one.task.text.get(one.request.language) if CHECK in one.task.checks else None


class Lettering:
    """Reads pictures of one run; the reader is loaded only when something was not read yet. `find` gives it, or None (default: the extra's)."""

    def __init__(self, run: RunFolder, find: Callable[[], Reader | None] | None = None) -> None:
        self._run, self._find = run, find or installed
        self._identity = known_reader(run)
        self._reader: Reader | None = None
        self._asked = False

    def read(self, wanted: Sequence[Wanted]) -> list[dict[str, Any] | None]:
        """Of each picture its lines and their distance from what must be readable; None where that could not be judged, or nothing must be."""
        asked = [one for one in wanted if required(one) is not None]
        # Loading the reader may show that it is another one than the run's last: what that one read is missing then, too.
        while (missing := [one for one in asked if self._known(one) is None]) and self._load():
            self._measure(missing)
        return [self._known(one) for one in wanted]

    def _known(self, one: Wanted) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._run.score_get(self._key(one)) if self._identity and required(one) is not None else None
        return found

    def _key(self, one: Wanted) -> str:
        from swapgate.metrics.text import VERSION

        return f"text/{VERSION}/{self._identity}/{one.image}/{digest([required(one)])[:16]}"

    def _load(self) -> bool:
        if not self._asked:
            self._asked, self._reader = True, self._find()
        if self._reader is None:
            return False
        if self._identity != self._reader.identity:
            self._identity = self._reader.identity
            self._run.append({"event": "reader", "reader": self._identity})
        return True

    def _measure(self, missing: Sequence[Wanted]) -> None:
        from swapgate.metrics.text import distance

        assert self._reader is not None
        for one in missing:
            if self._known(one) is None:  # under another identity it may have been read before
                (lines,) = self._reader.read([self._run.load_image(one.image)])
                found = {"lines": list(lines), "distance": round(distance(required(one) or "", lines), 6)}
                self._run.score_put(self._key(one), found)


def known_reader(run: RunFolder) -> str | None:
    """The identity of the reader that this run was last read by, if any."""
    found: list[str] = [event["reader"] for event in run.events() if event["event"] == "reader"]
    return found[-1] if found else None
