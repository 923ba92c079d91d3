"""How a command or a session of pytest ends: one exit status for one meaning, so that CI can tell them apart.

Which one stands where several hold is `combined`. pytest has statuses of its own (1 failed tests, 2 interrupted, 3 internal error, 4 an option
or a path that it cannot read, 5 no tests): they stand as long as no gate was asked; from then on these are used, also for what pytest calls 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from swapgate.errors import RunBroken, UserError


class Exit(IntEnum):
    """The exit statuses of `swapgate` and of `pytest` with gates."""

    PASS = 0
    """Nothing is worse; without `--strict` cells may be undecided."""
    REGRESSION = 1
    """Shown worse; or a test beside the gates failed; or what a command looked for was found (`swapgate doctor`: a card that cannot run)."""
    USAGE = 2
    """A mistake in options, cards, tasks or baselines; the message says the rule and the remedy."""
    UNDECIDED = 3
    """Under `--strict` a cell is undecided; without it no cell at all was decided, or a planned one was not judged."""
    ERROR = 4
    """Something was not made, measured, read or written, or a gate is DEAD: nothing is said about the model."""
    INTERRUPTED = 130
    """Ctrl-C; `--resume` goes on."""


WEIGHTIEST_FIRST = (Exit.INTERRUPTED, Exit.REGRESSION, Exit.ERROR, Exit.USAGE, Exit.UNDECIDED, Exit.PASS)


def combined(exits: Iterable[Exit]) -> Exit:
    """The exit status of several: what was shown outweighs what could not be, and that outweighs what is undecided; PASS for none."""
    return min(exits, key=WEIGHTIEST_FIRST.index, default=Exit.PASS)


def of_error(error: BaseException) -> Exit:
    """The exit status of an exception: USAGE where the user can mend what was written, else ERROR (a damaged run, a bug, a full disk in whatever words)."""
    cause = error.__context__
    refused = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return Exit.USAGE if isinstance(error, UserError) and not refused and not isinstance(error, RunBroken) else Exit.ERROR
