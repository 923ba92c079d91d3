"""Charts place what was measured where it belongs, inside the drawing, on one scale for both sides."""

from __future__ import annotations

import re
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import Status
from swapgate.report import charts

number = st.floats(min_value=-1e6, max_value=1e6) | st.none()
seconds = st.lists(st.floats(min_value=1e-4, max_value=1e3), min_size=1, max_size=300)


def made(sample, values, **more):
    """Cost whose calls took `values` seconds, with stages that are shares of them."""
    n = len(values)
    raw = {
        **sample.cost(calls=1),
        "seconds": values,
        "text": [0.1 * v for v in values],
        "denoise": [0.6 * v for v in values],
        "decode": [0.2 * v for v in values],
        "peak_mib": [100.0 + i for i in range(n)],
        "held_mib": [50.0] * n,
        "images": [1] * n,
        "numbers": list(range(n)),
        **more,
    }
    return Cost(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


@given(number, number, number, number, st.sampled_from(["%", "ratio", "SSIM", "s", "furlong"]), st.sampled_from(list(Status)))
def test_everything_drawn_lies_inside_the_drawing(sample, effect, low, high, limit, unit, status):
    """Any figures give positions from 0 to 100, or no drawing where there is nothing to compare."""
    chart = charts.interval_chart(sample.finding("x", status, effect=effect, low=low, high=high, limit=limit, unit=unit))
    if chart is None:
        return
    placed = [chart.effect, chart.low, chart.high, chart.limit, chart.reference]
    assert all(0 <= x <= 100 for x in placed if x is not None)
    assert (chart.effect is None, chart.limit is None) == (effect is None, limit is None)
    if chart.worse:
        assert chart.worse[0] >= 0
        assert chart.worse[0] + chart.worse[1] <= 100.01


def test_order_on_the_axis_is_the_order_of_the_figures(sample):
    """An interval beyond its limit is drawn beyond it."""
    chart = charts.interval_chart(sample.finding("x", Status.REGRESSION, effect=18.0, low=15.0, high=21.0, limit=5.0, unit="%"))
    assert chart.reference < chart.limit < chart.low < chart.effect < chart.high
    assert chart.text == "x: 18\u202f%, interval 15\u202f% to 21\u202f%, limit 5\u202f%"


@pytest.mark.parametrize(
    ("name", "unit", "limit", "below"),
    [
        ("total", "%", 5.0, False),
        ("peak", "MiB", 128.0, False),
        ("difference", "points", -5.0, True),
        ("ssim", "SSIM", 0.98, True),
        ("psnr", "dB", 30.0, True),
        ("floor", "%", 80.0, True),
        ("change", "points", 5.0, False),
    ],
)
def test_the_worse_side_of_the_limit_is_the_tinted_one(sample, name, unit, limit, below):
    """Slower and larger is to the right of a limit; less usable and less alike to its left, whatever the verdict."""
    for status in (Status.PASS, Status.REGRESSION, Status.INCONCLUSIVE):
        chart = charts.interval_chart(sample.finding(name, status, effect=limit * 1.1, low=limit * 0.9, high=limit * 1.2, limit=limit, unit=unit))
        assert (chart.worse[0] == 0) is below
        assert (chart.worse[1] == chart.limit) is below


@pytest.mark.parametrize(
    ("figures", "room"),
    [
        ({"name": "total", "unit": "%", "effect": 1.0, "low": -1.0, "high": 3.0, "limit": 5.0}, 2.0),
        ({"name": "difference", "unit": "points", "effect": 0.0, "low": -3.5, "high": 3.0, "limit": -5.0}, 1.5),
        ({"name": "peak", "unit": "MiB", "effect": 6.0, "limit": 128.0}, 122.0),
        ({"name": "floor", "unit": "%", "effect": 90.0, "low": 85.0, "limit": 80.0}, 5.0),
        ({"name": "total", "unit": "%", "effect": 9.0, "low": 6.0, "high": 12.0, "limit": 5.0}, None),
        ({"name": "x", "unit": "furlong", "effect": 1.0, "limit": 5.0}, None),
        ({"name": "total", "unit": "%", "effect": 1.0}, None),
    ],
)
def test_the_margin_is_what_the_worse_end_leaves_to_the_limit(sample, figures, room):
    """Of the interval where there is one; nothing where the limit is passed or its direction is not known."""
    found = charts.margin(sample.finding(figures.pop("name"), Status.PASS, **figures))
    assert found == (None if room is None else pytest.approx(room))


def test_a_unit_whose_direction_is_not_known_is_not_tinted(sample):
    """Better no tint than a wrong one."""
    assert charts.interval_chart(sample.finding("x", Status.PASS, effect=1.0, limit=2.0, unit="furlong")).worse is None


@pytest.mark.parametrize(
    "figures", [{}, {"effect": 1.0}, {"limit": 3.0}, {"effect": float("nan"), "limit": 3.0}, {"effect": 1.0, "low": 1.0, "high": 1.0}]
)
def test_where_nothing_can_be_compared_nothing_is_drawn(sample, figures):
    """A single figure needs no axis."""
    assert charts.interval_chart(sample.finding("x", Status.PASS, **figures)) is None


def test_no_change_is_marked_only_when_it_is_near(sample):
    """Zero far from the figures would squeeze them into a corner."""
    near = charts.interval_chart(sample.finding("x", Status.PASS, effect=1.0, low=-1.0, high=3.0, limit=5.0, unit="%"))
    far = charts.interval_chart(sample.finding("x", Status.PASS, effect=1186.0, limit=1200.0, unit="MiB"))
    ratio = charts.interval_chart(sample.finding("x", Status.PASS, effect=1.02, low=0.99, high=1.05, limit=1.05, unit="ratio"))
    assert (near.reference_label, far.reference, ratio.reference_label) == ("0\u202f%", None, "×1")


@given(seconds, seconds)
def test_bars_share_one_scale_and_their_stages_add_up(sample, before, after):
    """Widths are proportional to seconds, stages follow each other without gaps."""
    bars = charts.latency_bars(made(sample, before), made(sample, after))
    longest = max(statistics.median(before), statistics.median(after))
    for bar, values in zip(bars, (before, after), strict=True):
        assert bar.total == statistics.median(values)
        end = 0.0
        for part in bar.segments:
            assert part.start == pytest.approx(end, abs=0.01)
            end = part.start + part.width
        assert end == pytest.approx(100 * bar.total / longest, rel=0.01, abs=0.05)


def test_stages_that_an_engine_cannot_see_are_other_time(sample):
    """Without stage times the whole bar is `other`, not nothing."""
    bars = charts.latency_bars(None, made(sample, [2.0, 2.0], text=[], denoise=[], decode=[]))
    assert [(part.stage, part.seconds) for part in bars[0].segments] == [("other", 2.0)]
    assert bars[0].side == "candidate"


def test_stages_longer_than_the_total_leave_no_negative_time(sample):
    """Medians of parts can exceed the median of the whole by rounding."""
    bars = charts.latency_bars(None, made(sample, [1.0], text=[0.5], denoise=[0.5], decode=[0.1]))
    assert "other" not in [part.stage for part in bars[0].segments]


def test_without_a_call_there_is_no_bar_and_no_trace(sample):
    """Cost that holds no call is not drawn as zero."""
    empty = made(sample, [], text=[], denoise=[], decode=[])
    assert charts.latency_bars(empty, None) == ()
    assert charts.memory_chart(None, empty) is None
    assert charts.memory_chart(None, None) is None


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=60))
def test_a_trace_stays_in_its_box_and_names_its_highest(sample, peaks):
    """All points lie in 100 × 100, one a call, and the figure beside the chart is the real maximum."""
    n = len(peaks)
    chart = charts.memory_chart(None, made(sample, [1.0] * n, peak_mib=peaks, held_mib=[]))
    (trace,) = chart.traces
    points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", trace.path)]
    assert len(points) == max(n, 2)
    assert all(0 <= x <= 100 and -0.01 <= y <= 100.01 for x, y in points)
    assert trace.highest == max(peaks)
    assert trace.last == peaks[-1]
    assert chart.lowest <= min(peaks) <= max(peaks) <= chart.highest


def test_growth_rises_on_the_drawing(sample):
    """More memory is higher up: y runs downwards in SVG."""
    chart = charts.memory_chart(made(sample, [1.0] * 5), made(sample, [1.0] * 5, held_mib=[10.0, 20.0, 30.0, 40.0, 50.0]))
    held = next(trace for trace in chart.traces if trace.side == "candidate" and trace.kind == "held")
    heights = [float(y) for _, y in re.findall(r"([\d.]+),([\d.]+)", held.path)]
    assert heights == sorted(heights, reverse=True)
    assert [(trace.side, trace.kind) for trace in chart.traces] == [
        ("baseline", "peak"),
        ("baseline", "held"),
        ("candidate", "peak"),
        ("candidate", "held"),
    ]
