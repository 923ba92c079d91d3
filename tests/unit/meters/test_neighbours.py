"""How long other work kept a call waiting, read from a copy of /proc that a test writes."""

import os
from pathlib import Path

import pytest

from swapgate.meters import neighbours
from swapgate.meters.neighbours import Neighbours


class Machine:
    """A /proc of two processors, seconds in hundredths; only the first is this process's."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.own = root, 0.0
        monkeypatch.setattr(neighbours, "_TICKS", 100)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
        monkeypatch.setattr(neighbours.time, "process_time", lambda: self.own)
        self.at()

    def at(self, *, own: float = 0, delayed: float = 0, busy: float = 0, stolen: float = 0, parent: float = 0, elsewhere: float = 0) -> None:
        self.own = own
        self._write("self/task/1/schedstat", f"5 {int(delayed * 1e9)} 9\n")
        self._write(f"{os.getppid()}/stat", f"7 (a name) with ) S {'0 ' * 10}{int(parent * 100)} 0 0\n")
        columns = [
            f"{name} {int(user * 100)} 0 0 900 0 0 0 {int(steal * 100)} 0 0" for name, user, steal in (("cpu0", busy, stolen), ("cpu1", elsewhere, 0))
        ]
        self._write("stat", "cpu  1 2 3 4 5 6 7 8 9 10\n" + "\n".join(columns) + "\nintr 1\n")

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("during", "share"),
    [
        ({"own": 3, "busy": 3}, 0.0),
        ({"own": 3, "busy": 5, "delayed": 1}, 0.25),  # 1 s of waiting beside 3 s of work, and others used 2 s
        ({"own": 3, "busy": 3, "delayed": 9}, 0.0),  # more threads than processors: its own doing
        ({"own": 3, "busy": 4, "delayed": 9}, 0.25),  # partly its own doing: others used 1 s
        ({"own": 3, "busy": 4, "delayed": 9, "parent": 1}, 0.0),  # what the parent did is ours
        ({"own": 3, "busy": 3, "stolen": 1}, 0.25),
        ({"own": 1, "busy": 4, "stolen": 4}, 0.5),  # a quarter of the processor's use was ours, and so of what was stolen
        ({"own": 3, "busy": 3, "elsewhere": 50, "delayed": 2}, 0.0),  # other work on a processor that is not ours
        ({}, 0.0),
    ],
)
def test_no_more_is_put_down_to_others_than_they_used(machine: Machine, during: dict[str, float], share: float) -> None:
    meter = Neighbours(machine.root)
    meter.begin()
    machine.at(**during)
    assert meter.end() == pytest.approx(share)


def test_without_the_kernels_figures_nothing_is_said(tmp_path: Path) -> None:
    meter = Neighbours(tmp_path / "absent")
    meter.begin()
    assert meter.end() is None


def test_a_process_alone_hardly_waits() -> None:
    meter = Neighbours()
    meter.begin()
    found = meter.end()
    assert found is None or 0 <= found <= 1
