"""The one error of a user's mistake, and the one of a broken run.

Both carry everything a person needs to mend it, so that no caller has to compose a message:

    UserError       something the user wrote or typed breaks a rule (cards, tasks, options, baselines)
    RunBroken       a recorded run cannot be used (damaged journal, missing image, unknown schema)
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from swapgate.characters import escaped


class UserError(Exception):
    """A rule that the user's input breaks.

    Args:
        where: file (or option) that holds the mistake.
        key: dotted key inside it, or "" when the file as a whole is meant.
        value: what was given; shown with repr, shortened.
        rule: what is allowed.
        remedy: what to do next, with the command where there is one.
    """

    def __init__(self, *, where: str, key: str = "", value: object = None, rule: str, remedy: str) -> None:
        self.where, self.key, self.value, self.rule, self.remedy = where, key, value, rule, remedy
        super().__init__(self._text())

    def _text(self) -> str:
        given = f" = {_short(self.value)}" if self.value is not None else ""
        where, key = escaped(self.where), escaped(self.key)
        at = f"{where}: {key}{given}" if key else f"{where}{given}"
        return escaped(f"{at}\n  rule: {self.rule}\n  remedy: {self.remedy}", keep="\n")


class RunBroken(UserError):  # noqa: N818 - reads as what happened, as UserError and HostFailed do
    """A run folder that cannot be read as it stands; nothing in it is changed."""


_AGAIN = "then give the command again: nothing that was there before was changed or lost"


def unwritten(error: OSError, *, where: str = "", then: str = _AGAIN) -> UserError:
    """What to tell the user of a file that the system did not read or write; `then`: what to do once the cause is mended."""
    place = where or str(error.filename or "a file")
    said = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(where=place, rule=f"there is room on the disk ({said})", remedy=f"free some space, {then}")
    if error.errno == errno.EROFS:
        return UserError(where=place, rule=f"the disk can be written ({said})", remedy=f"mount it for writing or work in a copy, {then}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(where=place, rule=f"this user may read and write here ({said})", remedy=f"give yourself the right (ls -ld shows it), {then}")
    return UserError(where=place, rule=f"the system reads and writes this ({said})", remedy=f"mend the cause, {then}")


@contextmanager
def written(where: str = "", *, then: str = _AGAIN) -> Iterator[None]:
    """Turns what the system says of files (no room, no right, a disk that cannot be written) into a UserError."""
    try:
        yield
    except OSError as error:
        raise unwritten(error, where=where, then=then) from None


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
