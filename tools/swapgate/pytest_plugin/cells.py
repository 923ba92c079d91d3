"""Gate tests become one test per cell (gate, model, task); tests of one model are kept together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from swapgate.characters import escaped
from swapgate.errors import UserError
from swapgate.exits import Exit, of_error
from swapgate.gates.verdict import GATES, Verdict
from swapgate.pytest_plugin.options import options_of
from swapgate.suite.options import Options
from swapgate.suite.planning import Cell, Setup, prepare
from swapgate.suite.progress import LineProgress

if TYPE_CHECKING:
    from swapgate.suite.session import Suite

SETUP = pytest.StashKey[Setup]()
MISTAKE = pytest.StashKey["Mistake"]()
WIRED = pytest.StashKey["Wired"]()
UNDECIDED = pytest.StashKey[bool]()  # whether `--plan` found a gate that cannot be decided


@dataclass(frozen=True, slots=True)
class Mistake:
    """What keeps a session from beginning: the words that end it, and its exit status."""

    text: str
    status: Exit = Exit.USAGE

    @classmethod
    def of(cls, error: UserError | pytest.UsageError) -> Mistake:
        """A mistake in options or files (USAGE), or a recorded run that is damaged (ERROR)."""
        return cls(escaped(str(error), keep="\n"), of_error(error) if isinstance(error, UserError) else Exit.USAGE)


@dataclass(slots=True)
class Wired:
    """What one session holds: the open suite, the cells selected, and the last lines.

    failed: what every failed test makes of the exit status; exits: what else does.
    """

    suite: Suite
    cells: list[Cell]
    data: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    failed: list[Exit] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CellUnderTest:
    """What a gate test is given: `check` turns the verdict into the test's outcome."""

    suite: Suite
    cell: Cell
    node: pytest.Item

    def check(self) -> Verdict:
        """Fails on a red verdict, is reported as undecided on an undecided one (`--strict`: fails), else passes."""
        from swapgate.baselines.guards import bars
        from swapgate.report import junit

        with explained(self.node):
            verdict = self.suite.verdict(self.cell)
        self.node.user_properties.extend(junit.properties(verdict))
        options = self.suite.setup.options
        if options.update_baselines and not bars(verdict):
            return verdict
        if verdict.red:
            pytest.fail(explain(verdict), pytrace=False)
        if not verdict.decided:
            if options.strict and verdict.applies:
                pytest.fail(f"--strict: {explain(verdict)}", pytrace=False)
            pytest.skip(explain(verdict))
        return verdict

    def play_back(self, benchmark: Any) -> None:
        """Record the cell's measured seconds per image in pytest-benchmark, by the host's synchronised clock."""
        from swapgate.pytest_plugin.playback import play_back

        with explained(self.node):
            self.suite.ensure(self.cell.model)
        play_back(benchmark, self.suite, self.cell)


def refuse(config: pytest.Config, mistake: Mistake) -> NoReturn:
    """End the session with these words; `ending` gives it its status."""
    config.stash[MISTAKE] = mistake
    raise pytest.UsageError(mistake.text) from None


@contextmanager
def explained(node: pytest.Item) -> Iterator[None]:
    """What keeps a cell from its verdict is a property of its test; a mistake fails it as it is written for the user, without a traceback."""
    try:
        yield
    except Exception as error:
        from swapgate.report import junit

        one = cell_of(node)
        node.user_properties.extend(junit.unjudged(one.id if one else node.name, str(error)))
        if not isinstance(error, UserError):
            raise
        pytest.fail(str(error), pytrace=False)


def explain(verdict: Verdict) -> str:
    """The verdict in a few lines: status and reason, then the next command; what steers a terminal is written out."""
    following = f"\nnext: {verdict.next}" if verdict.next else ""
    return escaped(f"{verdict.status}: {verdict.reason}{following}", keep="\n")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `cell` is asked once per cell of the gate that its name ends with."""
    if "cell" not in metafunc.fixturenames:
        return
    gate = metafunc.function.__name__.removeprefix("test_")
    setup = setup_of(metafunc.config)
    if gate not in GATES:
        metafunc.config.stash[MISTAKE] = Mistake(
            f"{metafunc.function.__name__}: a test that takes `cell` is named test_<gate>, of {', '.join(GATES)}"
        )
    cells = [one for one in setup.cells() if one.gate == gate] if setup else []
    metafunc.parametrize("cell", cells, ids=[f"{one.model}-{one.task}" for one in cells], indirect=True)


def setup_of(config: pytest.Config) -> Setup | None:
    """The checked cards and tasks of this session; None after a mistake in them, which then ends the session once, in plain words."""
    if SETUP not in config.stash and MISTAKE not in config.stash:
        from swapgate.config import find_config

        try:
            config.stash[SETUP] = prepare(find_config(config.rootpath), options_of(config))
        except (UserError, pytest.UsageError) as error:
            config.stash[MISTAKE] = Mistake.of(error)
    return config.stash.get(SETUP, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of one model together, in the order of its gates, so that each model is loaded once."""
    if MISTAKE in config.stash:
        refuse(config, config.stash[MISTAKE])
    places = {id(item): place for place, item in enumerate(items)}
    models = list(dict.fromkeys(one.model for item in items if (one := cell_of(item))))

    def order(item: pytest.Item) -> tuple[int, int, int]:
        one = cell_of(item)
        return (models.index(one.model), GATES.index(one.gate), places[id(item)]) if one else (-1, 0, places[id(item)])

    items.sort(key=order)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Open the run when any cell was selected; mistakes end the session before anything is loaded, and with `--plan` the plan does."""
    cells = [one for item in session.items if (one := cell_of(item))]
    if session.config.option.swapgate_plan and not session.config.option.collectonly:
        return show_plan(session, cells)
    if not cells or session.config.option.collectonly:
        return None
    if hasattr(session.config, "workerinput"):
        refuse(session.config, Mistake("gates do not run under xdist: each model is loaded once, in a process of its own; leave out -n"))
    session.config.stash[WIRED] = Wired(suite=_open(session.config, cells), cells=cells)
    return None


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> CellUnderTest:
    """The cell under test; its model's images are made when the first of its cells is asked for."""
    return CellUnderTest(request.config.stash[WIRED].suite, request.param, request.node)


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell that a test judges, or None for any other test."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    found = params.get("cell")
    return found if isinstance(found, Cell) else None


def show_plan(session: pytest.Session, cells: Sequence[Cell]) -> bool:
    """Print the outlook of the selected cells; True, which keeps every test from running."""
    from swapgate.suite.outlook import foresee
    from swapgate.suite.outlook_lines import lines

    setup = session.config.stash.get(SETUP, None)
    if setup is None or not cells:
        refuse(session.config, Mistake("--plan needs gate tests: none was selected"))
    try:
        seen = foresee(setup.config, selected(setup, cells))
    except UserError as error:
        refuse(session.config, Mistake.of(error))
    session.config.stash[UNDECIDED] = bool(seen.undecided)
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    for line in ("", *lines(seen)) if reporter else ():
        reporter.write_line(escaped(line))
    return True


def selected(setup: Setup, cells: Sequence[Cell]) -> Options:
    """The options of this session, narrowed to the gates and models whose cells were selected."""
    gates = tuple(gate for gate in GATES if any(one.gate == gate for one in cells))
    return replace(setup.options, gates=gates, models=tuple(dict.fromkeys(one.model for one in cells)))


def _open(config: pytest.Config, cells: Sequence[Cell]) -> Suite:
    from swapgate.gates.policy import read_policy
    from swapgate.suite.session import Suite

    setup = config.stash[SETUP]
    options = selected(setup, cells)
    try:
        policy = read_policy(setup.config.policy_table())
        policy = replace(policy, false_alarms=options.false_alarms or policy.false_alarms)
        return Suite.open(setup.config, options, policy, _progress(config))
    except UserError as error:
        refuse(config, Mistake.of(error))


def _progress(config: pytest.Config) -> LineProgress:
    """Progress lines to the real terminal, past pytest's capture."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(text)
            sys.stdout.flush()

    return LineProgress(write=write, live=sys.__stdout__ is not None and sys.__stdout__.isatty())
