"""What a project asks for, from its cards and tasks; what it no longer asks for is listed with the command that deletes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines.store import Store
from swapgate.config import Config
from swapgate.errors import UserError
from swapgate.suite.known import known, unused_lines

CARD = 'engine = "scripted"\nsource = "scripted"\ntasks = ["{family}"]\njudge = {{ source = "scripted" }}\nusability_floor = 0.3\n'
TASK = '[[task]]\nid = "{name}"\nseeds = [1, 2]\nwidth = 64\nheight = 64\nprompts = {{ en = "a cup", zh = "杯子" }}\n'


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two families, a card of the first, and one that cannot be read."""
    made = Config(root=tmp_path)
    for folder in (made.models, made.tasks):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / made.models / "standin.toml").write_text(CARD.format(family="f"), encoding="utf-8")
    (tmp_path / made.models / "broken.toml").write_text("engine = ", encoding="utf-8")
    for family, name in (("f", "cup"), ("g", "mug")):
        (tmp_path / made.tasks / f"{family}.toml").write_text(TASK.format(name=name), encoding="utf-8")
    return made


def test_cards_tasks_and_requests_are_known(config: Config) -> None:
    """A card that cannot be read is known by its name, and may ask for anything."""
    found = known(config)
    assert set(found.models) == {"standin", "broken"}
    assert set(found.tasks) == {"cup", "mug"}
    assert found.of_card == {"standin": ["cup"]}
    assert found.pairs["cup"] == ["cup/en/1/0", "cup/en/2/0", "cup/zh/1/0", "cup/zh/2/0"]
    assert found.why_unused("broken", "mug") == ""


def test_unused_baselines_are_lines_with_the_next_command(config: Config, made: Any) -> None:
    """None where everything is asked for."""
    store = Store(config.root / "baselines")
    store.put(made.baseline(), made.load)
    assert unused_lines(config, store) == []
    store.put(made.baseline(task="mug"), made.load)
    store.put(made.baseline(model="old"), made.load)
    lines = unused_lines(config, store)
    assert lines == [
        f"unused baseline: old/{made.COHORT}/cup.json: no card old",
        f"unused baseline: standin/{made.COHORT}/mug.json: the card standin does not ask for the task mug",
        "next: swapgate baselines prune --unused --yes, or add what they are of again",
    ]


def test_tasks_that_cannot_be_read_are_an_error(config: Config) -> None:
    """Nothing is called unused by a project that does not know what it asks for."""
    (config.root / config.tasks / "f.toml").write_text("[[task", encoding="utf-8")
    with pytest.raises(UserError, match="valid TOML"):
        known(config)
