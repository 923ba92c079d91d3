"""The one error of a user's mistake, and the one of a broken run.

Both carry everything a person needs to mend it, so that no caller has to compose a message:

    UserError       something the user wrote or typed breaks a rule (cards, tasks, options, baselines)
    RunBroken       a recorded run cannot be used (damaged journal, missing image, unknown schema)
"""

from __future__ import annotations


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
        at = f"{self.where}: {self.key}{given}" if self.key else f"{self.where}{given}"
        return f"{at}\n  rule: {self.rule}\n  remedy: {self.remedy}"


class RunBroken(UserError):  # noqa: N818 - reads as what happened, as UserError and HostFailed do
    """A run folder that cannot be read as it stands; nothing in it is changed."""


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
