"""The quick drill's record: what is read back, what is red, how it is told on the terminal and on the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.errors import RunBroken
from swapgate.gates.verdict import GATES
from swapgate.report import html
from swapgate.report.quick import FILE, QuickDrill, QuickGate, lines, read, said, write

HOSTILE = "<script>alert('&\"x')</script>\x1b[31mab\nline"


def record(*states: str, **changes: Any) -> QuickDrill:
    """A record with a state for each gate, in order; the others caught theirs."""
    known = [*states, *["caught"] * (len(GATES) - len(states))]
    gates = tuple(
        QuickGate(gate=gate, state=state, fault="" if state == "not drilled" else f"fault-{gate} spec:1", reason=f"{gate} says so")  # type: ignore[arg-type]
        for gate, state in zip(GATES, known, strict=True)
    )
    given: dict[str, Any] = {
        "model": "m", "made": "2026-11-25T10:00:00+00:00", "cached": False, "tasks": ("cup", "cat"), "folder": ".swapgate/runs/quick-drills/ab12",
        "page": "../quick-drills/ab12/matrix.html", "gates": gates,
    }  # fmt: skip
    return QuickDrill(**{**given, **changes})


@pytest.mark.parametrize(
    ("states", "dead", "red", "unproved"),
    [
        ((), (), False, ()),
        (("DEAD",), ("latency",), True, ()),
        (("caught", "DEAD", "DEAD"), ("memory", "usability"), True, ()),
        (("ERROR",), (), True, ()),
        (("not drilled",), (), False, ("latency",)),
    ],
)
def test_a_dead_or_unproven_gate_is_red_and_one_without_a_fault_is_said(states: Any, dead: Any, red: bool, unproved: Any) -> None:
    """Where no fault can be planted nothing is proved, but nothing failed either."""
    one = record(*states)
    assert (one.dead, one.red, one.unproved) == (dead, red, unproved)


def test_a_drill_that_could_not_be_made_is_red() -> None:
    """Of no gate anything is proved."""
    assert record(gates=(), error="no honest run").red


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """And the same bytes come of the same record."""
    both = (record("DEAD"), record("not drilled", model="n", cached=True))
    write(tmp_path, both)
    before = (tmp_path / FILE).read_bytes()
    assert read(tmp_path) == both
    write(tmp_path, read(tmp_path))
    assert (tmp_path / FILE).read_bytes() == before


def test_a_run_without_a_record_has_none(tmp_path: Path) -> None:
    """Most runs are not full ones."""
    assert read(tmp_path) == ()


@pytest.mark.parametrize(
    "damage",
    [
        "[broken",
        "[]",
        '{"schema": 1}',
        '{"schema": 2, "models": []}',
        '{"schema": 1, "models": [{}]}',
        '{"schema": 1, "models": 3}',
    ],
)
def test_a_damaged_record_is_never_taken_for_a_green_one(tmp_path: Path, damage: str) -> None:
    """The file and the remedy are named."""
    (tmp_path / FILE).write_text(damage, encoding="utf-8")
    with pytest.raises(RunBroken, match=FILE):
        read(tmp_path)


def test_an_unknown_state_is_damage(tmp_path: Path) -> None:
    """It could not be called red."""
    write(tmp_path, [record("DEAD")])
    data = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    data["models"][0]["gates"][0]["state"] = "fine"
    (tmp_path / FILE).write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RunBroken, match="fine"):
        read(tmp_path)


def test_a_green_drill_is_one_line() -> None:
    """Date, tasks and the fault that each gate caught."""
    (line,) = lines([record()])
    assert line.startswith("quick drill of m, made 2026-11-25 on cup, cat: latency caught (fault-latency spec:1), memory caught")


def test_a_kept_drill_says_that_it_is_one_and_how_old() -> None:
    """A date is its age."""
    assert said(record(cached=True)) == "made 2026-11-25 (read again from its folder) on cup, cat"
    assert said(record(made="")) == "made never on cup, cat"


def test_a_dead_gate_has_a_line_with_its_reason_and_what_to_do() -> None:
    """And one that was not drilled has its reason, too."""
    found = lines([record("DEAD", "not drilled")])
    assert "  DEAD         latency/m: latency says so" in found
    assert "  not drilled  memory/m: memory says so" in found
    assert "look at .swapgate/runs/quick-drills/ab12; to make it again, remove that folder" in found[-1]
    assert "swapgate drill --model=m" in found[-1]


def test_an_error_is_told() -> None:
    """With its reason, on one line."""
    assert lines([record(gates=(), error="it\nbroke")]) == ["quick drill of m: ERROR, nothing is proved of its gates: it broke"]


def test_lines_cannot_steer_a_terminal() -> None:
    """Other people's text is in names, faults and reasons."""
    gate = QuickGate(gate="latency", state="DEAD", fault=HOSTILE, reason=HOSTILE * 40)
    found = lines([record(model=HOSTILE, gates=(gate,), folder=HOSTILE), record(error=HOSTILE)])
    assert not [line for line in found if "\x1b" in line or "\n" in line or "\u202e" in line]
    assert max(map(len, found)) < 700


def test_the_page_shows_every_gate_and_links_to_the_drill(sample: Any, tmp_path: Path) -> None:
    """Escaped, with the date; without a record there is no such section."""
    images = sample.make(tmp_path)
    assert 'id="quick"' not in html.build(tmp_path, images).read_text(encoding="utf-8")
    gate = QuickGate(gate="latency", state="DEAD", fault="slow:3", reason=HOSTILE)
    write(
        tmp_path, [record("DEAD"), record("not drilled", model="n"), replace(record(), model="h", gates=(gate,)), record(model="e", error="no run")]
    )
    page = html.build(tmp_path, images).read_text(encoding="utf-8")
    assert 'id="quick"' in page
    assert 'href="#quick"' in page
    assert "made 2026-11-25" in page
    assert 'href="../../quick-drills/ab12/matrix.html"' in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert page.count("DEAD</span>") == 2
    assert re.search(r"nothing is proved of its gates: <span[^>]*>no run", page)
