"""Append-only JSON lines: nothing that was appended is lost, and damage is never read as data."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.errors import RunBroken
from swapgate.runs.lines import Lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for many small files."""
    return tmp_path_factory.mktemp("lines")


def fresh(folder: Path) -> Path:
    """A path without a file."""
    path = folder / "some.jsonl"
    path.unlink(missing_ok=True)
    return path


@given(items=ITEMS)
def test_what_was_appended_is_read_back(items: list[dict[str, Any]], folder: Path) -> None:
    """By the object that wrote it and by a new one; the file is plain JSON lines."""
    path = fresh(folder)
    lines = Lines(path)
    for item in items:
        lines.append(item)
    assert list(lines) == items
    assert list(Lines(path)) == items
    written = path.read_text(encoding="utf-8").split("\n")[:-1] if items else []
    assert [json.loads(line) for line in written] == items


@given(items=ITEMS.filter(bool), cut=st.integers(1, 200), later=st.dictionaries(st.text(max_size=5), st.integers(), max_size=2))
def test_a_crash_at_any_byte_loses_only_the_line_being_written(items: list[dict[str, Any]], cut: int, later: dict[str, int], folder: Path) -> None:
    """Whatever part of the last line is on the disk, the lines before it are whole and appending goes on."""
    path = fresh(folder)
    lines = Lines(path)
    for item in items:
        lines.append(item)
    lines.close()
    raw = path.read_bytes()
    last = len(raw) - len(raw.rstrip(b"\n").rsplit(b"\n", 1)[-1]) - 1
    end = max(last, len(raw) - cut)
    path.write_bytes(raw[:end])

    torn = Lines(path)
    complete = items if end == len(raw) - 1 else items[:-1]
    assert list(torn) == complete
    assert (torn.note is None) == (end in (last, len(raw) - 1))
    assert path.read_bytes() == raw[:end], "reading changes nothing"
    torn.append(later)
    torn.close()
    assert list(Lines(path)) == [*complete, later]


@given(items=ITEMS.filter(lambda items: len(items) > 1), data=st.data())
def test_damage_in_the_middle_names_its_line(items: list[dict[str, Any]], data: st.DataObject, folder: Path) -> None:
    """A line that a crash cannot explain is not skipped."""
    path = fresh(folder)
    number = data.draw(st.integers(0, len(items) - 1))
    written = [json.dumps(item) for item in items]
    written[number] = data.draw(st.sampled_from(["", "{", "[1]", "7", '{"a": }']))
    path.write_text("\n".join(written) + "\n", encoding="utf-8")
    with pytest.raises(RunBroken, match=rf"some\.jsonl:{number + 1}"):
        Lines(path)


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    """A disk that gave back rubbish."""
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'{"a":1}\n\xff\xfe\n{"b":2}\n')
    with pytest.raises(RunBroken, match=r"some\.jsonl:2"):
        Lines(path)


def test_what_is_no_number_is_refused_and_leaves_the_file_whole(tmp_path: Path) -> None:
    """NaN is not JSON; half a line must not stay behind."""
    lines = Lines(tmp_path / "some.jsonl")
    lines.append({"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        lines.append({"a": float("nan")})
    lines.append({"a": 2})
    assert list(Lines(tmp_path / "some.jsonl")) == [{"a": 1}, {"a": 2}]


def test_lines_survive_the_death_of_their_process(tmp_path: Path) -> None:
    """A process that kills itself right after `append` returned."""
    program = """
import os, signal, sys
from pathlib import Path
from swapgate.runs.lines import Lines
lines = Lines(Path(sys.argv[1]))
for number in range(50):
    lines.append({"number": number})
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "some.jsonl"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [line["number"] for line in Lines(path)] == list(range(50))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_figure_that_is_no_number_is_no_json(tmp_path: Path, word: str) -> None:
    """Python would read it, and a comparison with it would pass in silence."""
    file = tmp_path / "scores.jsonl"
    file.write_text(f'{{"key": "a", "value": {word}}}\n{{"key": "b", "value": 1}}\n', encoding="utf-8")
    with pytest.raises(RunBroken, match=r"scores\.jsonl:1"):
        Lines(file)
