"""Placements that a probe tries, and what a trial of one found. Nothing heavy is imported: both sides of a trial's process use this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from types import MappingProxyType
from typing import Any

from swapgate.card_parts import Quantisation
from swapgate.cards import Card

FITS, OUT_OF_MEMORY, HOST_MEMORY, UNKNOWN, ERROR, NOT_TRIED = "fits", "out of memory", "host memory", "unknown", "error", "not tried"
"""What a trial can say: an image was made under the limit; torch.OutOfMemoryError; the host's memory is too small; the device itself is smaller
than the limit; something else failed; it was left out, with the reason."""
DENOISERS = ("transformer", "unet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where weights lie and how: method of quantisation ("" for none), offload as in a card's options."""

    name: str
    method: str = ""
    offload: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything lies on the device at once."""
        return not self.offload


PLACEMENTS: tuple[Placement, ...] = (
    Placement(name="all on the device"),
    Placement(name="fp8", method="fp8"),
    Placement(name="nf4", method="nf4"),
    Placement(name="model offload", offload="model"),
    Placement(name="fp8 + model offload", method="fp8", offload="model"),
    Placement(name="nf4 + model offload", method="nf4", offload="model"),
    Placement(name="group offload", offload="group"),
)
"""In the order in which they are tried: the plain one first, since its FLOPs are counted whole."""


def placed(card: Card, placement: Placement, components: Iterable[str]) -> Card:
    """The card with this placement in place of its own; `components` are those of its pipeline, by name."""
    own = {name: value for name, value in card.options.items() if name not in ("offload", "device_map")}
    options = MappingProxyType({**own, **({"offload": placement.offload} if placement.offload else {})})
    return replace(card, options=options, parts=replace(card.parts, quantisation=_smaller(placement.method, sorted(components))))


def _smaller(method: str, components: list[str]) -> Quantisation | None:
    """fp8 is for the denoiser; nf4 for the largest text encoder, too, which is a pipeline's last."""
    if not method:
        return None
    denoisers = [name for name in components if name in DENOISERS]
    texts = [name for name in components if name.startswith("text_encoder")]
    return Quantisation(method=method, components=tuple(denoisers + (texts[-1:] if method == "nf4" else [])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A pipeline is on the host, ready to be placed.

    seconds: that took; host_mib: this process's resident size then; steps: of a whole image; device: its name; total_mib: its memory, reserve_mib:
    what its driver keeps of it (None where NVML does not tell); rate: FLOP/s of matrix products, None where it was not asked for.
    """

    seconds: float
    host_mib: float
    steps: int
    device: str
    dtype: str
    total_mib: float | None = None
    reserve_mib: float | None = None
    rate: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Prepared:
        return Prepared(**{**data, "notes": tuple(data["notes"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One image under one limit, or the failure to make it.

    verdict: see FITS and its kin; why: in words where it does not fit; stage: in which it failed. Peaks in MiB: allocated and reserved by torch,
    process as NVML sees it, host (resident); beside: what of the process is not torch's; allowed: what torch was allowed. Seconds: text, every
    step, decode, the whole image of `made` steps out of `steps`; forwards of the denoiser in it. flops: of all forwards of one step, None where
    they were not counted. stopped: the image was cut short, because steps take long.
    """

    verdict: str
    why: str = ""
    stage: str = ""
    steps: int = 0
    allowed: float | None = None
    allocated: float | None = None
    reserved: float | None = None
    process: float | None = None
    beside: float | None = None
    host: float | None = None
    text: float | None = None
    each_step: tuple[float, ...] = ()
    decode: float | None = None
    total: float | None = None
    offload: str = ""
    flops: float | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Tried:
        return Tried(**{**data, "each_step": tuple(data["each_step"]), "notes": tuple(data["notes"])})

    @property
    def made(self) -> int:
        """Steps that were made."""
        return len(self.each_step)

    @property
    def step(self) -> float | None:
        """Seconds of a step: the median without the first, which also waits for what runs once."""
        return median(self.each_step[1:]) if self.made > 1 else None

    @property
    def seconds(self) -> float | None:
        """Seconds of a whole image: measured, else text + steps x step + decode + what is moved once an image.

        Moved once are, beside the stages, what goes back to the host at the end, and in a model offload also the denoiser, in the first step.
        """
        if self.total is None or self.verdict != FITS:
            return None
        if self.made >= self.steps or self.step is None:
            return self.total
        moved = max(0.0, self.each_step[0] - self.step) if self.offload == "model" else 0.0
        stages = (self.text or 0.0) + (self.decode or 0.0)
        rest = max(0.0, self.total - stages - sum(self.each_step))
        return stages + self.steps * self.step + moved + rest
