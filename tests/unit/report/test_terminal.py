"""The last lines of a terminal: the answer, what to look at, what to type, where the page is."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlparse

from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.verdict import Status
from swapgate.report import answer, model, phrases, terminal

PAGE = Path("/runs/x/report/index.html")


def test_counts_stand_in_one_line_and_the_page_in_the_last(report):
    """What a person looks for first is at fixed places."""
    lines = terminal.summary_lines(report, PAGE)
    assert lines[0] == f"swapgate: {phrases.tidy(str(answer.headline(report)))}"
    assert lines[1] == "verdicts: 1 ERROR · 2 REGRESSION · 2 INCONCLUSIVE · 1 INCOMPARABLE · 1 NEW · 1 CHANGED · 1 IMPROVED · 5 PASS"
    assert lines[-2] == "measured: 14 of 17 cells measured, 9 decided; 24 of 26 images"
    assert lines[-1] == "report: file:///runs/x/report/index.html"


def test_the_worst_cells_come_first_with_their_reasons(report):
    """The error, then the regressions; passed cells are not listed."""
    shown = [line for line in terminal.summary_lines(report, PAGE) if line.startswith("  ")]
    assert shown[0].split()[0] == "ERROR"
    assert shown[1].split()[0] == "REGRESSION"
    assert "412 ms became 487 ms" in shown[1]
    assert len(shown) == 8
    assert not any(line.split()[0] == "PASS" for line in shown)


def test_a_long_list_is_cut_and_counted(sample, data):
    """Eight cells, then how many more there are."""
    data["verdicts"] = [sample.verdict("drift", f"t{n}", Status.NEW, "new", next_=f"accept t{n}").as_json() for n in range(20)]
    lines = terminal.summary_lines(data, PAGE)
    assert sum(line.startswith("  NEW") for line in lines) == terminal.MOST_CELLS
    assert "  and 12 more to look at, in the report" in lines
    assert [line for line in lines if line.startswith("next:")] == [
        "next: accept t0",
        "next: accept t1",
        "next: accept t2",
        "next: 17 more, each with its cell in the report",
    ]


def test_a_run_that_held_is_told_in_four_lines(sample, data):
    """Nothing to look at, nothing to type."""
    data.update(
        wording=[],
        verdicts=[sample.verdict("drift", "t", Status.PASS, "same").as_json()],
        counts={"PASS": 1},
        planned={"cells": 1, "images": 1},
        measured={"cells": 1, "images": 1, "decided": 1},
        outcome={"red": False, "reason": ""},
    )
    assert terminal.summary_lines(data, PAGE) == [
        "swapgate: Safe to upgrade: the only cell held",
        "verdicts: 1 PASS",
        "measured: 1 of 1 cells measured, 1 decided; 1 of 1 images",
        "report: file:///runs/x/report/index.html",
    ]


def test_a_run_without_verdicts_is_told_too():
    """Interrupted before anything was judged."""
    report = model.parse(
        {
            "schema": 1,
            "run": "r",
            "planned": {"cells": 2, "images": 2},
            "measured": {"cells": 0, "images": 0},
            "outcome": {"red": True, "reason": "no cell was judged"},
        }
    )
    assert terminal.summary_lines(report, PAGE)[:2] == ["swapgate: Not decided: no cell was judged", "verdicts: no verdicts"]


@given(st.text(max_size=400), st.text(max_size=40))
def test_no_text_can_steer_the_terminal(sample, reason, command):
    """Escape sequences and line breaks of other people's text do not reach the screen, and reasons are short."""
    one = sample.verdict("drift", "t", Status.ERROR, "\x1b[2J" + reason, next_=command + "\x07")
    report = model.parse(
        {
            "schema": 1,
            "run": "r",
            "planned": {"cells": 1, "images": 1},
            "measured": {"cells": 1, "images": 1},
            "outcome": {"red": True, "reason": reason},
            "verdicts": [one.as_json()],
        }
    )
    for line in terminal.summary_lines(report, PAGE):
        assert not {unicodedata.category(char) for char in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert len(line) < terminal.LONGEST_REASON + 60


@given(st.text(alphabet="a b#?%猫", min_size=1, max_size=12))
def test_the_address_leads_to_the_file(report_name):
    """Spaces and Chinese in a path make an address that a browser understands."""
    path = Path("/runs") / report_name / "index.html"
    address = terminal.summary_lines(
        {"schema": 1, "run": "r", "planned": {"cells": 0, "images": 0}, "measured": {"cells": 0, "images": 0}, "outcome": {"red": True}}, path
    )[-1].removeprefix("report: ")
    assert unquote(urlparse(address).path) == str(path.resolve())


def test_warnings_are_said_before_the_commands(data):
    """One line each."""
    data["warnings"] = ["m: DEVICE_MEMORY_NOT_BACK: 512 MiB\x1b[2J", "n: other"]
    lines = terminal.summary_lines(data, PAGE)
    places = [number for number, line in enumerate(lines) if line.startswith("warning: ")]
    assert [lines[number] for number in places] == ["warning: m: DEVICE_MEMORY_NOT_BACK: 512 MiB[2J", "warning: n: other"]
    assert all(number < place for number in places for place, line in enumerate(lines) if line.startswith("next: "))
