"""The reader of rendered text, where a card's tasks ask for text."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.suite.doctor import equipment

CARD = """\
engine = "scripted"
source = "scripted"
tasks = ["f"]
judge = { source = "scripted" }
"""


@pytest.fixture
def asking(run: Any) -> Any:
    """The command in a project whose task asks for a text."""
    path = run.root / "fixtures" / "tasks" / "f.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("prompts", 'text = { en = "SALE" }\nprompts', 1), encoding="utf-8")
    return run


def test_a_missing_reader_is_a_note_and_the_card_runs(asking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is generated, with the remedy."""
    monkeypatch.setattr(equipment, "installed", lambda module: module != "onnxruntime")
    status, out = asking(CARD)
    (line,) = asking.checks(out, "text")
    assert status == 0
    assert line.startswith("note ")
    assert "onnxruntime not installed" in line
    assert line.endswith('-> pip install "swapgate[text]"')


def test_a_reader_that_is_there_is_named(asking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both packages."""
    monkeypatch.setattr(equipment, "installed", lambda module: True)
    (line,) = asking.checks(asking(CARD)[1], "text")
    assert line.startswith("ok ")
    assert "rapidocr, onnxruntime" in line


def test_nothing_is_said_where_no_task_asks_for_text(run: Any) -> None:
    """As of the stand-ins."""
    assert run.checks(run(CARD)[1], "text") == []
