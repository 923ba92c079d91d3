"""What a metric is: a number with a name, a unit, a direction and a range, and what it needs to be measured.

A metric is one file, one line in `registry.TABLE` and one test file. It looks at pictures (and at the prompt,
the reference or a judge, as it declares) and gives one number for each; it knows nothing of gates, baselines
or tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from swapgate.metrics.pixels import Image

if TYPE_CHECKING:
    from swapgate.metrics.clip import Judge


class Direction(StrEnum):
    """Which way a change of the number is good."""

    HIGHER = "higher is better"
    LOWER = "lower is better"


class Need(StrEnum):
    """What a metric needs besides the picture."""

    SIZE = "asked width and height"
    REFERENCE = "reference picture"
    PROMPT = "prompt"
    COUNTERFACTUALS = "statement and its counterfactuals"
    TEXT = "text that must be readable"
    JUDGE = "judge"


class Cost(StrEnum):
    """Order of the time for one picture of a million pixels on two processor cores."""

    CHEAP = "under 0.1 s"
    MODERATE = "under 2 s"
    MODEL = "a model's forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One picture and what is known of it; a metric reads the fields it declares in `needs`.

    Args:
        image: [H, W, 3] uint8, 0 to 255.
        width: asked width in pixels.
        height: asked height in pixels.
        reference: the picture to compare with, of the same size.
        prompt: the prompt the picture was made from.
        statement: a sentence that should hold of the picture.
        counterfactuals: the statement with one thing changed, each of which should not hold.
        text: what must stand in the picture, to be read.
        judge: what scores pictures against texts.
    """

    image: Image
    width: int | None = None
    height: int | None = None
    reference: Image | None = None
    prompt: str | None = None
    statement: str | None = None
    counterfactuals: tuple[str, ...] = ()
    text: str | None = None
    judge: Judge | None = None

    def picture(self) -> Image:
        """The picture itself."""
        return self.image

    def reference_picture(self) -> Image:
        """The reference picture; ValueError when none was given."""
        if self.reference is None:
            raise ValueError(f"this metric needs a {Need.REFERENCE}; none was given")
        return self.reference

    def asked_size(self) -> tuple[int, int]:
        """Asked (width, height) in pixels; ValueError when one was not given."""
        if self.width is None or self.height is None:
            raise ValueError(f"this metric needs the {Need.SIZE}; given {self.width} and {self.height}")
        return self.width, self.height

    def prompt_text(self) -> str:
        """The prompt; ValueError when none was given."""
        if self.prompt is None:
            raise ValueError(f"this metric needs the {Need.PROMPT}; none was given")
        return self.prompt

    def statements(self) -> tuple[str, tuple[str, ...]]:
        """The statement and its counterfactuals; ValueError when either is missing."""
        if self.statement is None or not self.counterfactuals:
            raise ValueError(f"needed: a {Need.COUNTERFACTUALS}; given {self.statement!r} and {self.counterfactuals}")
        return self.statement, self.counterfactuals

    def asked_text(self) -> str:
        """What must be readable; ValueError when none was given."""
        if self.text is None:
            raise ValueError(f"this metric needs a {Need.TEXT}; none was given")
        return self.text

    def the_judge(self) -> Judge:
        """The judge; ValueError when none was given."""
        if self.judge is None:
            raise ValueError(f"this metric needs a {Need.JUDGE}; none was given")
        return self.judge


Measure = Callable[[Sequence[Inputs]], list[float]]
"""From a batch of inputs to one number each, in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number of a picture.

    Args:
        name: unique, as it stands in reports and baselines.
        unit: of the number; "1" when it has none.
        direction: which way is good.
        low: least possible value.
        high: greatest possible value.
        version: raised whenever the same picture would get another number, so that old baselines are not
            compared.
        needs: what the inputs must hold besides the picture.
        cost: order of the time for one picture.
        measure: from a batch of inputs to the numbers.
    """

    name: str
    unit: str
    direction: Direction
    low: float
    high: float
    version: int
    needs: frozenset[Need]
    cost: Cost
    measure: Measure

    @property
    def key(self) -> str:
        """Name and version, for the keys of stored scores."""
        return f"{self.name}/{self.version}"


def each(one: Callable[[Inputs], float]) -> Measure:
    """A batch measure from a measure of one picture."""

    def measure(batch: Sequence[Inputs]) -> list[float]:
        return [one(inputs) for inputs in batch]

    return measure
