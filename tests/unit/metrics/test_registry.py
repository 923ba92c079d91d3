"""The table of metrics and what a metric must declare."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from swapgate.errors import UserError
from swapgate.metrics import registry
from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need, each

IMAGE = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize("name", registry.names())
def test_every_registered_metric_declares_itself(name):
    """Name, unit, direction, a range with room in it, a version, and one line in the table."""
    metric = registry.metric(name)
    assert metric.name == name
    assert metric.unit
    assert isinstance(metric.direction, Direction)
    assert isinstance(metric.cost, Cost)
    assert metric.low < metric.high
    assert all(math.isfinite(bound) for bound in (metric.low, metric.high))
    assert metric.version >= 1
    assert metric.key == f"{name}/{metric.version}"


@pytest.mark.parametrize("name", registry.names())
def test_every_metric_says_what_it_lacks(name):
    """With the picture alone, each names the first thing it needs instead of guessing it."""
    metric = registry.metric(name)
    with pytest.raises(ValueError, match=r"needs|needed"):
        metric.measure([Inputs(image=IMAGE)])


@pytest.mark.parametrize("name", registry.names())
def test_every_metric_gives_nothing_for_nothing(name):
    """An empty batch is not an error."""
    assert registry.measure(name, []) == []


def test_the_table_is_sorted_and_has_no_duplicates():
    """A new line has one place."""
    assert list(registry.TABLE) == sorted(set(registry.TABLE)) == list(registry.names())


def test_an_unknown_name_is_the_users_error_and_lists_the_known_ones():
    """What was given, what is allowed, what to do."""
    with pytest.raises(UserError, match=r"lpips(.|\n)*one of: alignment, .*ssim(.|\n)*remedy"):
        registry.metric("lpips")


def _registered(monkeypatch, measure, **changes):
    fields = {
        "name": "toy",
        "unit": "1",
        "direction": Direction.HIGHER,
        "low": 0.0,
        "high": 1.0,
        "version": 1,
        "needs": frozenset[Need](),
        "cost": Cost.CHEAP,
        "measure": measure,
    }
    monkeypatch.setattr(registry, "toy", Metric(**(fields | changes)), raising=False)
    monkeypatch.setitem(registry.TABLE, "toy", "swapgate.metrics.registry:toy")


def test_one_line_registers_a_metric(monkeypatch):
    """The table and an object are all there is to it; a batch keeps its order."""
    _registered(monkeypatch, each(lambda inputs: float(inputs.image.mean()) / 255))
    batch = [Inputs(image=np.full((2, 2, 3), level, np.uint8)) for level in (255, 0, 51)]
    assert registry.measure("toy", batch) == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize("number", [1.5, -0.1, math.nan, math.inf])
def test_a_number_outside_the_declared_range_is_an_error(monkeypatch, number):
    """A gate never sees it."""
    _registered(monkeypatch, each(lambda _: number))
    with pytest.raises(ValueError, match=r"outside its range 0\.0 to 1\.0"):
        registry.measure("toy", [Inputs(image=IMAGE)])


def test_rounding_of_single_precision_is_brought_back_into_the_range(monkeypatch):
    """A cosine of 1.0000002 is 1."""
    _registered(monkeypatch, each(lambda _: 1.0000002))
    assert registry.measure("toy", [Inputs(image=IMAGE)]) == [1.0]


def test_a_metric_that_loses_a_picture_is_an_error(monkeypatch):
    """One number for each picture, or nothing is believed."""
    _registered(monkeypatch, lambda batch: [0.5] * (len(batch) - 1))
    with pytest.raises(ValueError, match="1 numbers for 2 pictures"):
        registry.measure("toy", [Inputs(image=IMAGE)] * 2)


def test_a_line_that_points_at_the_wrong_object_is_an_error(monkeypatch):
    """The name in the table and the name of the metric must agree."""
    _registered(monkeypatch, each(lambda _: 0.5), name="other")
    with pytest.raises(TypeError, match="registered as 'toy'"):
        registry.metric("toy")


def test_nothing_heavy_is_imported_before_a_metric_is_used():
    """Importing every metric and the judge's module loads neither torch nor open_clip, scikit-image or scipy."""
    code = (
        "import sys\n"
        "from swapgate.metrics import registry, clip, health, open_clip_judge, pixels\n"
        "[registry.metric(name) for name in registry.names()]\n"
        "print([m for m in ('torch', 'open_clip', 'skimage', 'scipy', 'transformers', 'pytest') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert found.stdout.strip() == "[]"
