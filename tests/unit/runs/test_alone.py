"""One process at a time, and nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from swapgate.errors import UserError
from swapgate.runs.alone import alone


def test_the_folder_is_held_and_stays_empty(tmp_path: Path) -> None:
    """And may be held again once it was let go."""
    for _ in range(2):
        with alone(tmp_path) as held:
            assert held
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_told_who_to_ask(tmp_path: Path, elsewhere: Any) -> None:
    """It waits its time, changes nothing, and names the folder and the remedy."""

    def second() -> int:
        with pytest.raises(UserError, match="another one does not let go") as caught, alone(tmp_path, patience=0.1):
            pass
        print(caught.value)
        return 0

    with alone(tmp_path):
        code, said = elsewhere.call(second)
    assert code == 0, said
    assert f"fuser -v {tmp_path}" in said


def test_who_waits_gets_its_turn(tmp_path: Path, elsewhere: Any) -> None:
    """As soon as the other one lets go."""

    folder, held, turn = tmp_path / "folder", tmp_path / "held", tmp_path / "turn"
    folder.mkdir()

    def second() -> int:  # begun before the folder is held: a fork would hold it, too
        while not held.exists():
            time.sleep(0.01)
        with alone(folder, patience=20.0):
            turn.touch()
        return 0

    child = elsewhere.start(second)
    with alone(folder):
        held.touch()
        time.sleep(0.2)
        assert not turn.exists()
    assert elsewhere.end(child)[0] == 0
    assert turn.exists()


def test_a_dead_process_holds_nothing(tmp_path: Path, elsewhere: Any) -> None:
    """No lock file that somebody would have to remove by hand."""

    def first() -> int:
        with alone(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert elsewhere.call(first)[0] is None
    with alone(tmp_path, patience=0.0) as held:
        assert held


def test_where_there_is_no_lock_nothing_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network disks have none: the work goes on, and the caller knows."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone(tmp_path) as held:
        assert not held
