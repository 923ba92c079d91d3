"""The end of a session: verdicts.json, report, Markdown summary, accepted baselines, exit status and the last lines."""

from __future__ import annotations

import pytest

from swapgate.errors import UserError, unwritten
from swapgate.pytest_plugin.cells import UNDECIDED, WIRED, Wired
from swapgate.pytest_plugin.options import is_strict
from swapgate.pytest_plugin.quick import add_quick_drill


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write everything down; a run that decided nothing is red whatever its tests said."""
    wired = session.config.stash.get(WIRED, None)
    if wired is None:
        if is_strict(session.config) and session.config.stash.get(UNDECIDED, False):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return
    try:
        _write(session, wired)
    except (UserError, OSError) as error:
        wired.lines.append(str(unwritten(error) if isinstance(error, OSError) else error))
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_unconfigure(config: pytest.Config) -> None:
    """The very last lines: the verdict counts and where the report is."""
    wired = config.stash.get(WIRED, None)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if wired and reporter:
        for line in wired.lines:
            reporter.write_line(line)


def _write(session: pytest.Session, wired: Wired) -> None:
    from swapgate import report
    from swapgate.report import markdown, terminal
    from swapgate.suite.results import FILE

    suite = wired.suite
    wired.data = suite.finish(wired.cells)
    if session.exitstatus != pytest.ExitCode.INTERRUPTED:
        add_quick_drill(session, wired)
    page = report.build(suite.run.path, suite.image_path)
    markdown.publish(wired.data)
    if session.exitstatus == pytest.ExitCode.INTERRUPTED:
        wired.lines.append(f"interrupted; go on with: pytest --resume={suite.run_name}")
    elif suite.setup.options.update_baselines:
        wired.lines.extend(_accept(session, wired))
    elif wired.data["outcome"]["red"] and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if suite.written and suite.written != suite.run.path / FILE:
        wired.lines.append(f"only some cells were judged: {suite.written.name} holds them; {FILE} and the report keep the whole run")
    wired.lines.extend(_unused(session, wired))
    wired.lines.extend(terminal.summary_lines(wired.data, page))


def _unused(session: pytest.Session, wired: Wired) -> list[str]:
    """Baselines that nothing is held against any more; with `--strict` they fail the session, because nobody would see what they no longer guard."""
    from swapgate.suite.known import unused_lines

    lines = unused_lines(wired.suite.setup.config, wired.suite.store)
    if lines and is_strict(session.config) and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return lines


def _accept(session: pytest.Session, wired: Wired) -> list[str]:
    from swapgate.baselines.review import accept

    suite, options = wired.suite, wired.suite.setup.options
    accepted = accept(suite.run.path, store=suite.store, patterns=(), reason=options.reason, allow_ci=options.allow_ci)
    if not accepted.complete:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return list(accepted.lines)
