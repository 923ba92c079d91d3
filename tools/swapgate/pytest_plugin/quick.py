"""The quick drill at the end of a full run: made, or read from the recorded run, told, and red when a gate is DEAD."""

from __future__ import annotations

from swapgate.exits import Exit
from swapgate.pytest_plugin.cells import Wired

NONE = "quick drill: none is recorded in this run, and a replay makes no images; it is part of a run with --budget=full"
CUT_OFF = "the quick drill was interrupted; the next run with --budget=full goes on with it"


def add_quick_drill(wired: Wired) -> None:
    """Make the quick drills of a full run (a recorded run has its own), add their lines, and end with an error for a DEAD gate."""
    from swapgate.drills.quick import quick_drills
    from swapgate.report.quick import lines, read

    suite = wired.suite
    full = suite.setup.options.budget == "full"
    try:
        found = quick_drills(suite) if full and not suite.setup.options.replay else read(suite.run.path)
    except KeyboardInterrupt:
        wired.lines.append(CUT_OFF)
        wired.exits.append(Exit.INTERRUPTED)
        return
    wired.lines.extend(lines(found) if found or not full else [NONE])
    missing = suite.setup.options.strict and (any(one.unproved for one in found) or (full and not found))
    if any(one.red for one in found):
        wired.exits.append(Exit.ERROR)
    if missing:
        wired.exits.append(Exit.UNDECIDED)
