"""The end of a session: verdicts.json, report, Markdown summary, accepted baselines, exit status and the last lines."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from swapgate.characters import escaped
from swapgate.errors import UserError, unwritten
from swapgate.exits import Exit, of_error
from swapgate.pytest_plugin.cells import UNDECIDED, WIRED, Wired
from swapgate.pytest_plugin.ending import settle
from swapgate.pytest_plugin.options import is_strict
from swapgate.pytest_plugin.quick import add_quick_drill


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write everything down and settle the exit status; a run that decided nothing is red whatever its tests said."""
    wired = session.config.stash.get(WIRED, None)
    if wired is None:
        if is_strict(session.config) and session.config.stash.get(UNDECIDED, False):
            session.exitstatus = int(Exit.UNDECIDED)
        return
    try:
        _write(session, wired)
    except UserError as error:
        wired.lines.append(str(error))
        wired.exits.append(of_error(error))
    except Exception as error:  # what is raised here would end pytest with the status of a regression
        told = unwritten(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        wired.lines.append(f"swapgate: the run could not be written down; its images are kept: pytest --replay={wired.suite.run_name}\n{told}")
        wired.exits.append(of_error(error))
        if not isinstance(error, OSError):
            sys.stderr.write(escaped(traceback.format_exc(), keep="\n"))
    settle(session, wired)
    _mark_junit(session, wired)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The very last lines: the verdict counts and where the report is."""
    wired = config.stash.get(WIRED, None)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if wired and reporter:
        for line in wired.lines:
            reporter.write_line(escaped(line, keep="\n"))


def _mark_junit(session: pytest.Session, wired: Wired) -> None:
    from swapgate.report import junit

    path = getattr(session.config.option, "xmlpath", None)
    if not path or not Path(path).is_file():
        return
    try:
        junit.mark(Path(path), wired.data, exit_status=int(session.exitstatus))
    except (OSError, SyntaxError) as error:  # a ParseError of XML is a SyntaxError
        wired.lines.append(f"swapgate: {path} could not be completed: {type(error).__name__}: {error}")
        session.exitstatus = int(session.exitstatus) or int(Exit.ERROR)


def _write(session: pytest.Session, wired: Wired) -> None:
    from swapgate import report
    from swapgate.report import markdown, terminal
    from swapgate.suite.results import FILE

    suite = wired.suite
    wired.data = suite.finish(wired.cells)
    if session.exitstatus != pytest.ExitCode.INTERRUPTED:
        add_quick_drill(wired)
    page = report.build(suite.run.path, suite.image_path, lang=session.config.getoption("swapgate_lang"), runs=suite.runs_folder)
    markdown.publish(wired.data)
    if session.exitstatus == pytest.ExitCode.INTERRUPTED or Exit.INTERRUPTED in wired.exits:
        wired.lines.append(f"interrupted; go on with: pytest --resume={suite.run_name}")
    elif suite.setup.options.update_baselines:
        wired.lines.extend(_accept(wired))
    elif wired.data["outcome"]["red"] and not wired.failed:
        wired.exits.append(Exit.UNDECIDED)
    if suite.written and suite.written != suite.run.path / FILE:
        wired.lines.append(f"only some cells were judged: {suite.written.name} holds them; {FILE} and the report keep the whole run")
    wired.lines.extend(_unused(session, wired))
    wired.lines.extend(terminal.summary_lines(wired.data, page))


def _unused(session: pytest.Session, wired: Wired) -> list[str]:
    """Baselines that nothing is held against any more; with `--strict` they fail the session, because nobody would see what they no longer guard."""
    from swapgate.suite.known import unused_lines

    lines = unused_lines(wired.suite.setup.config, wired.suite.store)
    if lines and is_strict(session.config):
        wired.exits.append(Exit.UNDECIDED)
    return lines


def _accept(wired: Wired) -> list[str]:
    from swapgate.baselines.review import accept

    suite, options = wired.suite, wired.suite.setup.options
    accepted = accept(suite.run.path, store=suite.store, patterns=(), reason=options.reason, allow_ci=options.allow_ci)
    if not accepted.complete:
        wired.exits.append(Exit.REGRESSION)
    return list(accepted.lines)
