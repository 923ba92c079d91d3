"""Progress on a terminal and in CI."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.suite.progress import LineProgress, Progress, Silent, describe


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(*, live: bool, planned: int = 10, done: int = 0) -> tuple[LineProgress, list[str], Clock]:
    lines: list[str] = []
    clock = Clock()
    progress = LineProgress(write=lines.append, live=live, clock=clock)
    progress.begin("toy", planned, done)
    return progress, lines, clock


def test_in_ci_a_line_is_written_every_ten_seconds_and_at_the_end() -> None:
    """Ten images of four seconds each: a log of a few lines, not of ten."""
    progress, lines, clock = started(live=False)
    for _ in range(10):
        clock.now += 4.0
        progress.made("toy", 1, 4.0)
    assert lines == [
        "toy: 10 images planned\n",
        "toy: 3/10 images, 4.00 s an image, 28 s left\n",
        "toy: 6/10 images, 4.00 s an image, 16 s left\n",
        "toy: 9/10 images, 4.00 s an image, 4 s left\n",
        "toy: 10/10 images, 4.00 s an image\n",
    ]


def test_on_a_terminal_one_line_is_rewritten_and_kept_when_done() -> None:
    """Every image moves it; only the last one ends the line."""
    progress, lines, _ = started(live=True, planned=2)
    progress.made("toy", 1, 1.0)
    progress.made("toy", 1, 1.0)
    assert all(line.startswith("\r\x1b[2K") for line in lines)
    assert [line.endswith("\n") for line in lines] == [True, False, True]


@pytest.mark.parametrize("live", [False, True])
def test_what_steers_a_terminal_is_written_out(*, live: bool) -> None:
    """Names of models and what is noted are other people's text; what rewrites the line is our own."""
    lines: list[str] = []
    progress = LineProgress(write=lines.append, live=live)
    progress.loading("to\u202ey\x1b[2J")
    progress.begin("to\u202ey", 1, 0)
    progress.made("to\u202ey", 1, 1.0)
    progress.note("two\nlines\x1b]0;title\x07")
    assert [line.removeprefix("\r\x1b[2K") for line in lines] == [
        "to\\u202ey\\x1b[2J: loading\n",
        "to\\u202ey: 1 images planned\n",
        "to\\u202ey: 1/1 images, 1.00 s an image\n",
        "two\\nlines\\x1b]0;title\\x07\n",
    ]


def test_images_from_before_count_as_done_and_not_as_made_now() -> None:
    """Seconds an image are those of this process."""
    progress, lines, clock = started(live=False, planned=10, done=6)
    clock.now = 11.0
    progress.made("toy", 2, 5.0)
    assert lines == ["toy: 10 images planned, 6 from before\n", "toy: 8/10 images, 2.50 s an image, 5 s left\n"]


def test_arms_are_counted_apart() -> None:
    """Two models in turn."""
    progress, lines, _ = started(live=True, planned=3)
    progress.begin("other", 5, 0)
    progress.made("toy", 1, 1.0)
    progress.made("other", 1, 9.0)
    assert "toy: 1/3 images, 1.00 s" in lines[-2]
    assert "other: 1/5 images, 9.00 s" in lines[-1]


def test_loading_and_notes_are_lines_of_their_own() -> None:
    """Never rewritten by the next image."""
    progress, lines, _ = started(live=True)
    progress.loading("toy")
    progress.note("measuring the null")
    assert [line.replace("\r\x1b[2K", "") for line in lines[1:]] == ["toy: loading\n", "measuring the null\n"]


@given(done=st.integers(0, 50), more=st.integers(0, 50), seconds=st.floats(0, 1000))
def test_a_description_counts_to_the_plan_and_says_what_is_left(done: int, more: int, seconds: float) -> None:
    """No time left when there is nothing left."""
    text = describe("m", done, done + more, seconds)
    assert text.startswith(f"m: {done}/{done + more} images, {seconds:.2f} s an image")
    left = re.search(r", (\d+) s left$", text)
    assert (left is not None) == (more > 0)
    if left:
        assert float(left[1]) == pytest.approx(more * seconds, abs=0.51)


def test_silence_is_a_progress_too() -> None:
    """Library users need no terminal."""
    silent: Progress = Silent()
    silent.loading("m")
    silent.begin("m", 1, 0)
    silent.made("m", 1, 0.1)
    silent.note("n")
