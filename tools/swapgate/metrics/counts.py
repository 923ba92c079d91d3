"""How often a check was right on pictures whose state is known, as counts; intervals belong to those who show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often a bit was right.

    Args:
        bit: name of the bit.
        fault: id of the planted fault; "" for healthy pictures.
        dose: its dose; "" for healthy pictures.
        right: pictures on which the bit said what is known of them.
        n: pictures in all.
    """

    bit: str
    fault: str = ""
    dose: str = ""
    right: int
    n: int

    @property
    def rate(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.right / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How often facet checks were right about an attribute in a language.

    Args:
        language: "en" or "zh".
        attribute: what the claims were about.
        held: true claims that held.
        refused: false claims that did not hold.
        n: claims of either kind.
    """

    language: str
    attribute: str
    held: int
    refused: int
    n: int
