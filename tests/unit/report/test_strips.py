"""Every sample of both sides on one scale, the medians where they are, and the limit that the verdict was held to."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.verdict import Status
from swapgate.report import model, phrases, strips, view
from swapgate.report.pictures import Album

values = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=400)


def places(row):
    return [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.e+]+),(\d+)h0", row.path)]


@given(values, values, st.floats(min_value=-1e6, max_value=1e6) | st.none())
def test_dots_lie_inside_and_both_ends_are_always_drawn(before, after, limit):
    """As many dots as samples up to the most, on one scale; the scale reaches the limit, too."""
    plot = strips.strip("x", "s", (("baseline", before), ("candidate", after)), limit)
    every = [*before, *after, *([limit] if limit is not None else [])]
    for row, samples in zip(plot.rows, (before, after), strict=True):
        dots = places(row)
        assert len(dots) == min(len(samples), strips.MOST_DOTS)
        assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in dots)
        assert [x for x, _ in dots] == sorted(x for x, _ in dots)
        assert min(x for x, _ in dots) - 0.01 <= row.middle <= max(x for x, _ in dots) + 0.01
        assert row.n == len(samples)
        span = max(every) - min(every)
        if span > 1e-3:
            assert dots[0][0] == pytest.approx(3 + 94 * (min(samples) - min(every)) / span, abs=0.02)
            assert row.middle == pytest.approx(3 + 94 * (statistics.median(samples) - min(every)) / span, abs=0.02)
    assert (plot.limit is None) is (limit is None)


def test_nothing_to_draw_is_no_drawing():
    """Neither without samples nor with none that is a number."""
    assert strips.strip("x", "s", (("baseline", ()), ("candidate", ()))) is None
    assert strips.strip("x", "s", (("candidate", [float("nan"), float("inf")]),)) is None


def test_one_side_alone_is_drawn_alone(sample):
    """Time that no baseline holds is still shown."""
    plot = strips.strip("Seconds", "s", (("baseline", ()), ("candidate", [0.2, 0.4])), 1.0)
    assert [row.side for row in plot.rows] == ["candidate"]
    assert plot.limit > plot.rows[0].middle
    assert plot.text.replace("\u202f", " ") == "Seconds: candidate: median 0.300 s, n = 2; limit 1 s"


@pytest.fixture
def cells(report):
    page = view.page(report, Album(pictures={}, differences={}))
    return {(cell.verdict.gate, cell.verdict.task): cell for cell in page.cells}


def test_each_gate_draws_what_it_was_judged_on(cells, report):
    """Seconds, MiB, alignment, likeness and changes by wording, with the limit in the samples' own unit."""
    assert "Seconds" in cells["latency", "all"].strip.what
    before = next(pair.baseline for pair in report.costs if pair.task == "all")
    assert cells["latency", "all"].strip.limit_text == f"limit {phrases.number(1.05 * statistics.median(before.seconds), 's')}"
    assert cells["memory", "all"].strip.limit_text == f"limit {phrases.number(128 + max(before.peak_mib), 'MiB')}"
    assert [row.n for row in cells["usability", "orange-cat"].strip.rows] == [8, 8]
    assert cells["drift", "orange-cat"].strip.limit_text == "limit 0.980\u202fSSIM"
    assert [row.n for row in cells["stability", "butterfly"].strip.rows] == [1]


def test_repeats_of_the_accepted_model_stand_beside_its_successor(data):
    """What the drift gate holds a likeness against: how far the baseline is from itself."""
    data["nulls"] = [{"model": "standin-qwen", "task": "orange-cat", "processes": 4, "ssim": [1.0, 0.99, 1.0], "psnr": [], "clip": []}]
    page = view.page(model.parse(data), Album(pictures={}, differences={}))
    plot = next(cell.strip for cell in page.cells if (cell.verdict.gate, cell.verdict.task) == ("drift", "orange-cat"))
    assert [(row.side, row.n) for row in plot.rows] == [("null", 3), ("candidate", 8)]


def test_a_gate_of_ones_own_draws_nothing(sample, report):
    """The page shows its verdict all the same."""
    verdict = sample.verdict("colour", "orange-cat", Status.PASS, "fine")
    assert strips.strip_of(verdict, report, (None, None)) is None
    assert strips.strip_of(replace(verdict, gate="latency"), report, (None, None)) is None
