"""Text that is read: once per picture and reader, kept in the run; without a reader nothing is claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.gates.verdict import Status
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.suite import lettering
from swapgate.suite.lettering import BIT, Lettering, known_reader
from swapgate.suite.planning import Cell
from swapgate.suite.scoring import Scale, Wanted, image_score
from swapgate.tasks import Protocol, Task

POSTER = Task(
    id="poster",
    family="toys",
    title={},
    prompts={"zh": "海报上写‘夏日限定’四个字"},
    facets=(),
    checks=("health", "text"),
    seeds=(1,),
    reworded_seeds=(),
    rewordings=0,
    width=32,
    height=32,
    protocol=Protocol(),
    usability_floor=None,
    text={"zh": "夏日限定"},
)
RAW: dict[str, Any] = {"health": {"size": True}, "alignment": 0.5, "margins": {}, "strangers": 0.1}
SCALE = {"zh": Scale(floor=0.0, matched=1.0)}


class FakeReader:
    """Reads what the first pixel says: 0 is the right text."""

    def __init__(self, identity: str = "fake/1") -> None:
        self.identity, self.pictures = identity, 0

    def read(self, images: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
        self.pictures += len(images)
        return [("夏日", "限定" if image[0, 0, 0] == 0 else "限制") for image in images]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"plan": []})


def wanted(run: RunFolder, first: int = 0, task: Task = POSTER) -> Wanted:
    picture = np.full((32, 32, 3), first, np.uint8)
    request = Request(model="toy", task=task.id, language="zh", seed=1, index=0, prompt="", negative_prompt=None, width=32, height=32, call=())
    return Wanted(request=request, image=run.save_image(picture), task=task)


def test_what_was_read_is_kept_with_its_distance(run: RunFolder) -> None:
    """The lines, for a person; the distance, for the bit."""
    found = Lettering(run, FakeReader).read([wanted(run), wanted(run, 9)])
    assert found == [{"lines": ["夏日", "限定"], "distance": 0.0}, {"lines": ["夏日", "限制"], "distance": 0.25}]


def test_a_picture_is_read_once_and_a_replay_needs_no_reader(run: RunFolder) -> None:
    """Also from the folder, by another process."""
    reader, one = FakeReader(), wanted(run)
    first = Lettering(run, lambda: reader).read([one, one])
    assert reader.pictures == 1
    run.close()
    again = RunFolder.open(run.path)
    assert known_reader(again) == "fake/1"
    assert Lettering(again, lambda: None).read([one]) == first[:1]


def test_another_required_text_or_another_reader_is_read_again(run: RunFolder) -> None:
    """The key holds the reader's identity, the picture and the text."""
    one = wanted(run)
    Lettering(run, FakeReader).read([one])
    other = replace(one, task=replace(POSTER, text={"zh": "夏日限制"}))
    assert Lettering(run, FakeReader).read([other]) == [{"lines": ["夏日", "限定"], "distance": 0.25}]
    newer = FakeReader("fake/2")
    Lettering(run, lambda: newer).read([one, wanted(run, 9)])
    assert (newer.pictures, known_reader(run)) == (2, "fake/2")


def test_without_a_reader_nothing_is_kept_and_a_later_one_judges_it(run: RunFolder) -> None:
    """As a replay after the extra was installed."""
    one = wanted(run)
    assert Lettering(run, lambda: None).read([one]) == [None]
    assert known_reader(run) is None
    assert Lettering(run, FakeReader).read([one]) == [{"lines": ["夏日", "限定"], "distance": 0.0}]


def test_a_task_without_text_loads_no_reader(run: RunFolder) -> None:
    """Nor one whose checks leave it out."""

    def never() -> FakeReader:
        raise AssertionError("the reader was loaded")

    plain, unchecked = replace(POSTER, text={}), replace(POSTER, checks=("health",))
    assert Lettering(run, never).read([wanted(run, task=plain), wanted(run, task=unchecked)]) == [None, None]


def test_the_bit_is_the_exact_match_and_belongs_to_usable(run: RunFolder) -> None:
    """Near is not readable."""
    one = wanted(run)
    good = image_score(one, {**RAW, "text": {"lines": [], "distance": 0.0}}, SCALE, 0.5)
    bad = image_score(one, {**RAW, "text": {"lines": [], "distance": 0.25}}, SCALE, 0.5)
    assert (good.bits[BIT], good.usable, good.unjudged) == (True, True, ())
    assert (bad.bits[BIT], bad.usable, bad.unjudged) == (False, False, ())


def test_what_was_not_judged_is_no_bit_and_is_named(run: RunFolder) -> None:
    """Never True, never False; and it survives the baseline's file."""
    score = image_score(wanted(run), RAW, SCALE, 0.5)
    assert BIT not in score.bits
    assert score.unjudged == (BIT,)
    assert type(score).from_json(score.as_json()) == score
    plain = image_score(wanted(run, task=replace(POSTER, text={})), RAW, SCALE, 0.5)
    assert plain.unjudged == ()
    assert "unjudged" not in plain.as_json()


class TestAWholeRun:
    """A scripted model whose task asks for a text."""

    CELL = Cell(gate="usability", model="toy", task="cat")

    @pytest.fixture(autouse=True)
    def asked(self, bench: Any) -> None:
        path = bench.root / "fixtures" / "tasks" / "toys.toml"
        text = path.read_text(encoding="utf-8")
        assert 'id = "cat"\n' in text
        path.write_text(text.replace('id = "cat"\n', 'id = "cat"\ntext = { en = "cat" }\n'), encoding="utf-8")

    def verdicts(self, bench: Any, reader: Any, monkeypatch: pytest.MonkeyPatch, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        monkeypatch.setattr(lettering, "installed", lambda: reader)
        _, data = bench.whole(gates=("usability",), **given)
        return {one["task"]: one for one in data["verdicts"]}, data

    def test_without_a_reader_it_is_undecided_says_so_and_a_replay_with_one_judges_it(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Equal pictures of an accepted baseline would be green otherwise."""
        bench.whole()
        bench.accept()
        found, data = self.verdicts(bench, None, monkeypatch, run_dir=bench.root / "second")
        assert found["cat"]["status"] == Status.INCONCLUSIVE
        assert "text:readable in 3" in found["cat"]["reason"]
        assert 'pip install "swapgate[text]"' in found["cat"]["reason"]
        assert any("text:readable was not judged in 3 of" in line for line in data["warnings"])
        cats = [image for image in data["images"] if image["task"] == "cat"]
        assert {image["usable"] for image in cats} <= {None, False}
        again, data = self.verdicts(bench, FakeReader(), monkeypatch, replay=bench.root / "second")
        assert not any("not judged" in line for line in data["warnings"])
        assert "here: pip" not in again["cat"]["reason"]
        cats = [image for image in data["images"] if image["task"] == "cat"]
        assert all(image["usable"] is False and BIT in image["failed"] for image in cats)
