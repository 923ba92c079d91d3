"""What a card needs on a device, by estimate: the bytes of its weights, and what it works with; and the placements that would fit.

Weights are counted (from the files, else from the published architecture). What a picture is worked with was measured with full-size random
weights on an H200 (torch 2.11, 1024 x 1024, bfloat16): 2.7 GiB above the weights for FLUX.1-dev, 4.2 GiB for Qwen-Image, most of it while
decoding. It is taken to grow with pixels and pictures of a call. Only a run, or `swapgate probe`, knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from swapgate.card_parts import Quantisation
from swapgate.cards import Card

GIB = 2**30
CONTEXT = int(0.6 * GIB)
"""What a process holds of a device before it holds a tensor."""
STREAMED = 2 * GIB
"""The most that offloading by layers keeps on the device at a time."""
KEPT: Mapping[str, float] = {"fp8": 0.52, "int8": 0.53, "torchao": 0.53, "nf4": 0.29}
"""Bytes of quantised weights, scales and what stays as it was included, over those in bfloat16."""
_WORK: Mapping[str, float] = {"flux-1-dev": 2.7, "flux-1-schnell": 2.7}
_MOST_WORK = 4.2
ELEMENT: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
SMALLER = (Quantisation(method="fp8"), Quantisation(method="nf4"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A way to place a card. offload: as in [options]; smaller: its quantisation; spread: over all devices."""

    offload: str = ""
    smaller: Quantisation | None = None
    spread: bool = False

    def __str__(self) -> str:
        """As it stands in a card."""
        words = [f'options.offload = "{self.offload}"'] if self.offload else []
        words += [f'quantisation.method = "{self.smaller.method}"'] if self.smaller else []
        words += ['options.device_map = "balanced"'] if self.spread else []
        return " with ".join(words) or "all on the device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """weights: bytes of each component as loaded, before quantisation; work: bytes beside them."""

    weights: Mapping[str, int]
    work: int

    def on_device(self, placement: Placement) -> int:
        """Bytes of one device; of all together for a spread placement."""
        kept = list(self._kept(placement.smaller))
        held = {"": sum(kept), "model": max(kept, default=0)}.get(placement.offload, min(STREAMED, sum(kept)))
        return held + self.work

    def on_host(self, placement: Placement) -> int:
        """Bytes of the host's memory that stay taken."""
        return sum(self._kept(placement.smaller)) if placement.offload else 0

    def _kept(self, smaller: Quantisation | None) -> Iterator[int]:
        for name, size in self.weights.items():
            yield int(size * KEPT.get(smaller.method, 1.0)) if smaller and name in smaller.components else size


def size(of: int) -> str:
    """Bytes as a person reads them."""
    return f"{of / GIB:.1f} GiB" if of >= GIB // 10 else f"{of / 2**20:.0f} MiB"


def placement_of(card: Card) -> Placement:
    """How the card asks to be placed."""
    smaller = card.parts.quantisation
    return Placement(
        offload=str(card.options.get("offload", "")),
        smaller=smaller if smaller and smaller.method != "gguf" else None,  # what a GGUF file holds is counted as it lies
        spread=bool(card.options.get("device_map", "")),
    )


def work_of(architecture: str, megapixels: float, *, slicing: bool) -> int:
    """Bytes beside the weights. megapixels: of all pictures of a call, in units of 1024 x 1024; sliced, they are decoded one by one."""
    each = _WORK.get(architecture, _MOST_WORK)
    return CONTEXT + int(each * (min(megapixels, 1.0) + 0.25 * max(0.0, megapixels - 1.0) if slicing else megapixels) * GIB)


def fitting(need: Need, *, total: int, host: int, devices: Sequence[int] = ()) -> list[tuple[Placement, int]]:
    """Placements that would fit into `total` bytes of one device (or of all `devices` together) and the host's memory, the fastest first."""
    ways = [
        Placement(),
        *(Placement(smaller=one) for one in SMALLER[:1]),
        Placement(offload="model"),
        *(Placement(smaller=one) for one in SMALLER[1:]),
    ]
    ways += [*(Placement(offload="model", smaller=one) for one in SMALLER), Placement(offload="group")]
    found = [(way, need.on_device(way)) for way in ways if need.on_device(way) <= total and need.on_host(way) <= host]
    if len(devices) > 1 and need.on_device(Placement(spread=True)) <= sum(devices):
        found.insert(0, (Placement(spread=True), need.on_device(Placement(spread=True))))
    return found
