"""Who accepts, when and why: the signature of a baseline, and those before it."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from swapgate.baselines.record import Baseline, Past
from swapgate.errors import UserError
from swapgate.gates.verdict import Status, Verdict

LONGEST_NAME, LONGEST_REASON = 200, 2000


def user(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The name of who is at the keyboard: GIT_AUTHOR_NAME, user.name of git in `folder`, the system's name; "unknown" without any."""
    try:
        return environ.get("GIT_AUTHOR_NAME", "").strip() or _of_git(folder or Path()) or getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def now() -> str:
    """UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def check(reason: str, by: str) -> None:
    """UserError for a name or a reason that is too long or holds control characters (a reason may have several lines)."""
    for option, text, most, allowed in (("--by", by, LONGEST_NAME, ""), ("--reason", reason, LONGEST_REASON, "\n\t")):
        if len(text) > most or any(ord(char) < 0x20 and char not in allowed for char in text) or any(0x7F <= ord(char) < 0xA0 for char in text):
            raise UserError(
                where=option,
                value=text,
                rule=f"at most {most} characters, none of them a control",
                remedy="write it as plain text; it is kept for good",
            )


def signed(wanted: Baseline, old: Baseline | None, verdicts: Sequence[Verdict], *, reason: str, by: str, name: str) -> Baseline:
    """`wanted` with reason, name and date, and with the signatures of the one that it replaces.

    Where `old` is the same already and nothing new is said of it, it is `old`: an interrupted acceptance is only completed.
    by: the name that was asked for, "" for none; name: who it is then.
    """
    if (
        old is not None
        and unsigned(old) == unsigned(wanted)
        and reason.strip() in ("", old.provenance.reason)
        and by in ("", old.provenance.accepted_by)
    ):
        return old
    said = reason.strip() or ("first baseline" if all(one.status is Status.NEW for one in verdicts) else "reviewed, no reason given")
    history = (*old.provenance.history, _past(old)) if old else ()
    return replace(wanted, provenance=replace(wanted.provenance, reason=said, accepted_by=by or name, accepted_on=now(), history=history))


def unsigned(baseline: Baseline) -> object:
    """What was measured, as JSON, without who accepted it and why."""
    return replace(baseline, provenance=replace(baseline.provenance, reason="", accepted_by="", accepted_on="", history=())).as_json()


def _past(old: Baseline) -> Past:
    made = old.provenance
    return Past(run=made.run, reason=made.reason, accepted_by=made.accepted_by, accepted_on=made.accepted_on, mark=old.mark)


def _of_git(folder: Path) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), "config", "user.name"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
