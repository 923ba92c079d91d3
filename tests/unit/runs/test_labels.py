"""What people said: kept line by line, corrected by later lines, merged as a set, damage named."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.errors import RunBroken, UserError
from swapgate.runs.labels import FILE, LONGEST, Label, Labels, checked_person, read_file

A, B = "a" * 64, "b" * 64
PAIR = "cup/zh/11/0"


def label(**changes: Any) -> Label:
    made = Label(person="ann", image=A, pair=PAIR, usable=True, look=0, seconds=1.5, date="2026-01-01T00:00:00.000001+00:00")
    return replace(made, **changes)


LABELS = st.lists(
    st.builds(
        label,
        person=st.sampled_from(["ann", "博"]),
        image=st.sampled_from([A, B]),
        usable=st.sampled_from([True, False, None]),
        look=st.integers(0, 1),
        date=st.integers(0, 5).map(lambda second: f"2026-01-01T00:00:0{second}.000000+00:00"),
    ),
    max_size=12,
)


def test_an_answer_is_on_file_when_add_returns(tmp_path: Path) -> None:
    """As one JSON line with who, what, how long and when."""
    made = Labels(tmp_path).add(person=" ann ", image=A, pair=PAIR, usable=None, seconds=2.34567)
    (line,) = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "person": "ann", "image": A, "pair": PAIR, "usable": None, "look": 0, "seconds": 2.346, "date": made.date,
    }  # fmt: skip
    assert list(Labels(tmp_path)) == [made]


def test_the_latest_line_of_a_look_counts_and_both_are_kept(tmp_path: Path) -> None:
    """A correction takes nothing back from the file; another look is another answer."""
    labels = Labels(tmp_path)
    for usable, look in ((True, 0), (False, 0), (True, 1)):
        labels.add(person="ann", image=A, pair=PAIR, usable=usable, look=look)
    assert len(Labels(tmp_path)) == 3
    assert [(one.look, one.usable) for one in Labels(tmp_path).current()] == [(0, False), (1, True)]


def test_a_correction_counts_though_the_clock_went_back(tmp_path: Path) -> None:
    """The new line is dated after the one that it corrects."""
    Labels(tmp_path).merge([label(usable=True, date="2999-01-01T00:00:00.000000+00:00")])
    labels = Labels(tmp_path)
    labels.add(person="ann", image=A, pair=PAIR, usable=False)
    assert [one.usable for one in labels.current()] == [False]
    assert labels.current()[0].date == "2999-01-01T00:00:00.000001+00:00"


def test_a_line_that_a_crash_cut_off_is_left_out_and_written_over(tmp_path: Path) -> None:
    """At every byte of the last line the answers before it are whole, and the next one is added behind them."""
    labels = Labels(tmp_path)
    first = labels.add(person="ann", image=A, pair=PAIR, usable=True)
    labels.add(person="ann", image=B, pair=PAIR, usable=False)
    raw = (tmp_path / FILE).read_bytes()
    start = raw.index(b"\n") + 1
    for end in range(start + 1, len(raw) - 1):
        (tmp_path / FILE).write_bytes(raw[:end])
        torn = Labels(tmp_path)
        assert list(torn) == [first]
        assert torn.note is not None
        assert "cut off by a crash" in torn.note
        third = torn.add(person="bo", image=B, pair=PAIR, usable=None)
        assert list(Labels(tmp_path)) == [first, third]


@pytest.mark.parametrize(
    "change",
    [
        {"usable": 1},
        {"usable": "yes"},
        {"person": ""},
        {"person": "a\nb"},
        {"image": "../secret"},
        {"look": True},
        {"look": -1},
        {"seconds": -1},
        {"seconds": LONGEST + 1},
        {"date": "yesterday"},
        {"date": "2026-01-01T00:00:00"},
        {"extra": 1},
    ],
)
def test_a_line_that_is_no_label_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    """Neither read as an answer nor passed over in silence; the message names the line."""
    lines = [json.dumps(label().as_json()), json.dumps({**label().as_json(), **change})]
    (tmp_path / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(RunBroken, match=rf"{FILE}:2"):
        Labels(tmp_path)


def test_a_line_without_a_key_is_damage(tmp_path: Path) -> None:
    """What is missing has no default."""
    data = label().as_json()
    del data["pair"]
    (tmp_path / FILE).write_text(json.dumps(data) + "\n", encoding="utf-8")
    with pytest.raises(RunBroken, match=rf"{FILE}:1"):
        Labels(tmp_path)


@given(ours=LABELS, theirs=LABELS)
def test_merging_ends_the_same_whichever_way_and_however_often(ours: list[Label], theirs: list[Label], tmp_path_factory: Any) -> None:
    """The answers that count are those of the set of lines, whatever its order."""
    folders = [tmp_path_factory.mktemp("merge") for _ in range(2)]
    for folder, batches in zip(folders, ([ours, theirs, ours, theirs], [theirs, ours]), strict=True):
        for batch in batches:
            Labels(folder).merge(batch)
    one, other = (Labels(folder) for folder in folders)
    assert one.current() == other.current()
    assert set(one) == set(other) == {*ours, *theirs}
    assert one.merge(other) == 0
    assert len(one) == len({*ours, *theirs})


def test_two_people_on_one_folder_lose_nothing(tmp_path: Path) -> None:
    """Each holds a view of its own that grows stale; no line is cut off or written into another."""

    def work(name: str) -> None:
        mine = Labels(tmp_path)
        for number in range(40):
            mine.add(person=name, image=A, pair=f"cup/en/{number}/0", usable=True)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bo", "cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(Labels(tmp_path))
    assert {(one.person, one.pair) for one in found} == {(name, f"cup/en/{n}/0") for name in ("ann", "bo", "cy") for n in range(40)}


def test_labels_are_read_from_a_folder_or_a_file_of_any_name(tmp_path: Path) -> None:
    """Whoever labelled sends a file, whatever it is called."""
    made = Labels(tmp_path).add(person="ann", image=A, pair=PAIR, usable=True)
    other = tmp_path / "from ann.jsonl"
    other.write_bytes((tmp_path / FILE).read_bytes())
    assert read_file(tmp_path) == read_file(other) == [made]
    for missing in (tmp_path / "none.jsonl", tmp_path.parent):
        with pytest.raises(UserError, match="rule"):
            read_file(missing)


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "a\tb", "a\u202eb"])
def test_a_name_can_be_printed(name: str) -> None:
    """It stands in a terminal and on a page."""
    with pytest.raises(UserError, match="printable"):
        checked_person(name)
