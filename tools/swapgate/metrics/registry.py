"""The table of metrics. One line here registers a metric; its file is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from swapgate.errors import UserError
from swapgate.metrics.kinds import Inputs, Metric

TABLE: dict[str, str] = {
    "alignment": "swapgate.metrics.clip:ALIGNMENT",
    "facet_margin": "swapgate.metrics.clip:FACET_MARGIN",
    "health": "swapgate.metrics.health:METRIC",
    "image_similarity": "swapgate.metrics.clip:IMAGE_SIMILARITY",
    "psnr": "swapgate.metrics.psnr:METRIC",
    "ssim": "swapgate.metrics.ssim:METRIC",
    "text_distance": "swapgate.metrics.text:METRIC",
}
"""Name to "module:attribute"; sorted by name."""

_ROUNDING = 1e-5
"""How far float32 arithmetic may carry a cosine beyond its range before that is a fault of the metric."""


def names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(TABLE))


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UserError: no metric has that name.
    """
    if name not in TABLE:
        raise UserError(
            where="metric",
            key="name",
            value=name,
            rule=f"one of: {', '.join(names())}",
            remedy="correct the name, or register a metric of your own in swapgate/metrics/registry.py",
        )
    module, _, attribute = TABLE[name].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, Metric) or found.name != name:
        raise TypeError(f"{TABLE[name]} is registered as {name!r} and is {found!r}")
    return found


def measure(name: str, batch: Sequence[Inputs]) -> list[float]:
    """The numbers of a batch, one for each, in order; each lies in the metric's declared range.

    Raises:
        UserError: no metric has that name.
        ValueError: an input lacks what the metric needs, or the metric gave a number that it must not give.
    """
    asked = metric(name)
    numbers = asked.measure(batch)
    if len(numbers) != len(batch):
        raise ValueError(f"{name} gave {len(numbers)} numbers for {len(batch)} pictures")
    return [_in_range(asked, number) for number in numbers]


def _in_range(asked: Metric, number: float) -> float:
    if not asked.low - _ROUNDING <= number <= asked.high + _ROUNDING:  # NaN fails this too
        raise ValueError(f"{asked.name} gave {number}, outside its range {asked.low} to {asked.high}")
    return min(max(number, asked.low), asked.high)
