"""Exit statuses: what a failed test of a gate, a failed test beside the gates, and a mistake of the user make of a session's end (`swapgate.exits`)."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from swapgate.exits import Exit, combined, of_error
from swapgate.gates.verdict import DECIDED, RED, Status
from swapgate.pytest_plugin.cells import MISTAKE, WIRED, Wired, cell_of

_OF_STATUS = {Status.REGRESSION: Exit.REGRESSION, Status.ERROR: Exit.ERROR}
_OWN = {
    pytest.ExitCode.OK: Exit.PASS,
    pytest.ExitCode.NO_TESTS_COLLECTED: Exit.PASS,
    pytest.ExitCode.TESTS_FAILED: Exit.PASS,  # of what they failed is in `Wired.failed`
    pytest.ExitCode.INTERRUPTED: Exit.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: Exit.ERROR,
}


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int | pytest.ExitCode | None, int | pytest.ExitCode | None]:
    """A mistake ends with its own status; pytest's 4 stays for an option or a path that pytest cannot read."""
    try:
        return (yield)
    except pytest.UsageError:
        mistake = config.stash.get(MISTAKE, None)
        if mistake is None:
            raise
        sys.stderr.write(f"ERROR: {mistake.text}\n\n")
        return int(mistake.status)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember of every test that failed what it makes of the exit status."""
    report = yield
    wired = item.config.stash.get(WIRED, None)
    if wired is not None and report.failed:
        wired.failed.append(_exit_of(item, call.excinfo.value if call.excinfo else None))
    return report


def _exit_of(item: pytest.Item, error: BaseException | None) -> Exit:
    """What a failed test says: a red or undecided verdict its own, none reached an error or a mistake; anything else is a failed test as any other."""
    if cell_of(item) is None:
        return Exit.REGRESSION
    word = dict(item.user_properties).get("swapgate.verdict")
    if not isinstance(word, str):
        cause = error.__context__ if isinstance(error, pytest.fail.Exception) else error
        return of_error(cause or AssertionError())
    status = Status(word)
    return _OF_STATUS[status] if status in RED else Exit.REGRESSION if status in DECIDED else Exit.UNDECIDED


def settle(session: pytest.Session, wired: Wired) -> None:
    """Give the session its exit status. What pytest says beside these (a status given to `pytest.exit`) stays.

    Files that could not be collected count as failed tests, and no test reports them.
    """
    if session.exitstatus not in _OWN:
        return
    unreported = session.testsfailed > len(wired.failed)
    beside = [Exit.REGRESSION] if unreported else []
    session.exitstatus = int(combined([_OWN[pytest.ExitCode(session.exitstatus)], *beside, *wired.failed, *wired.exits]))
