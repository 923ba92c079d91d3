"""The quick drill's wiring: when it is made, when it is read, and what it does to the exit status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swapgate.exits import Exit, combined
from swapgate.pytest_plugin.cells import Wired
from swapgate.pytest_plugin.quick import CUT_OFF, NONE, add_quick_drill
from swapgate.report.quick import QuickDrill, QuickGate, write


def record(state: str = "caught") -> QuickDrill:
    gate = QuickGate(gate="latency", state=state, fault="slow:3", reason="so it is")  # type: ignore[arg-type]
    return QuickDrill(model="m", made="2026-11-25", cached=False, tasks=("cup",), folder="kept", page="matrix.html", gates=(gate,))


class Session:
    """A session of a suite whose quick drill comes to `made`."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, *made: QuickDrill | BaseException, **options: Any) -> None:
        given = SimpleNamespace(**{"budget": "full", "replay": None, "strict": False, **options})
        suite: Any = SimpleNamespace(setup=SimpleNamespace(options=given), run=SimpleNamespace(path=path))
        self.wired, self.calls, self._made = Wired(suite=suite, cells=[]), 0, made
        monkeypatch.setattr("swapgate.drills.quick.quick_drills", self._drills)

    def _drills(self, _suite: Any) -> tuple[QuickDrill, ...]:
        self.calls += 1
        for one in self._made:
            if isinstance(one, BaseException):
                raise one
        return tuple(one for one in self._made if isinstance(one, QuickDrill))

    def end(self) -> Session:
        add_quick_drill(self.wired)
        return self

    @property
    def exit(self) -> Exit:
        return combined(self.wired.exits)


@pytest.mark.parametrize(
    ("state", "strict", "status"),
    [
        ("caught", False, Exit.PASS),
        ("caught", True, Exit.PASS),
        ("DEAD", False, Exit.ERROR),
        ("DEAD", True, Exit.ERROR),
        ("ERROR", False, Exit.ERROR),
        ("not drilled", False, Exit.PASS),
        ("not drilled", True, Exit.UNDECIDED),
    ],
)
def test_the_exit_status_follows_the_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, strict: bool, status: Exit) -> None:
    """An error for a dead gate; what could not be drilled fails under --strict, as any undecided cell does."""
    session = Session(tmp_path, monkeypatch, record(state), strict=strict).end()
    assert (session.exit, session.calls) == (status, 1)
    assert session.wired.lines[0].startswith("quick drill of m, made 2026-11-25")


@pytest.mark.parametrize("budget", ["gate", "smoke", None])
def test_other_runs_make_none_and_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str | None) -> None:
    """Whatever they made."""
    session = Session(tmp_path, monkeypatch, record("DEAD"), budget=budget).end()
    assert (session.calls, session.wired.lines, session.exit) == (0, [], Exit.PASS)


def test_a_replay_reads_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit status of then, whatever budget it names."""
    write(tmp_path, [record("DEAD")])
    for budget in ("full", None):
        session = Session(tmp_path, monkeypatch, record(), replay=tmp_path, budget=budget).end()
        assert (session.calls, session.exit) == (0, Exit.ERROR)
        assert "DEAD" in session.wired.lines[0]


def test_a_replay_of_a_run_without_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red only under --strict, and silent where no full run was asked for."""
    assert Session(tmp_path, monkeypatch, replay=tmp_path).end().wired.lines == [NONE]
    assert Session(tmp_path, monkeypatch, replay=tmp_path, strict=True).end().exit == Exit.UNDECIDED
    assert Session(tmp_path, monkeypatch, replay=tmp_path, budget=None, strict=True).end().exit == Exit.PASS


def test_an_interruption_ends_it_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts are written by then."""
    session = Session(tmp_path, monkeypatch, KeyboardInterrupt()).end()
    assert (session.exit, session.wired.lines) == (Exit.INTERRUPTED, [CUT_OFF])


def test_models_are_told_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead gate of one makes the whole session red."""
    session = Session(tmp_path, monkeypatch, record(), replace(record("DEAD"), model="n")).end()
    assert session.exit == Exit.ERROR
    assert [line.split(",")[0] for line in session.wired.lines[:2]] == ["quick drill of m", "quick drill of n"]
