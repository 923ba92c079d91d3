"""Legal variations: other ways of computing the same thing that nobody would call another model.

Every second process of a null runs under one of them, in turn. What pictures do under them is part of how much a model differs
from itself; what they do to time and memory is not, since each is another recipe for the same work. None needs another package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from swapgate.cards import Card

PLAIN_NAME = "fresh process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How a process differs from one that runs as the card says.

    threads: of the CPU, None for the library's choice; numerics: what the engine sets, by name (`engines.registry.Setting`);
    environment: variables of the process.
    """

    name: str
    threads: int | None = None
    numerics: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether the process runs as the card says, so that its cost counts."""
        return self.name == PLAIN_NAME


PLAIN = Variation(name=PLAIN_NAME)
ONE_THREAD = Variation(name="1 thread", threads=1)
MATH_ATTENTION = Variation(name="math attention", numerics=MappingProxyType({"attention": "math"}))
FULL_ACCUMULATION = Variation(name="full-precision accumulation", numerics=MappingProxyType({"accumulation": "full"}))


def at_hand(card: Card, accelerator: str, devices: Sequence[str], visible: str | None = None) -> tuple[Variation, ...]:
    """The variations that this model can run under here, in the order in which they are tried.

    Args:
        card: whose engine may compute elsewhere than with torch in its own process, or by an attention of its own choice.
        accelerator: slug of where the model was loaded.
        devices: names of the machine's NVIDIA devices.
        visible: CUDA_VISIBLE_DEVICES, None where it is not set.
    """
    if card.engine != "diffusers" or accelerator.startswith("cpu"):
        return (ONE_THREAD,)
    attention = [MATH_ATTENTION] if card.options.get("attention", "") in ("", "native") else []
    other = _other_device(devices, visible)
    return (*attention, FULL_ACCUMULATION, ONE_THREAD, *([other] if other else []))


def numbered(number: int, variations: Sequence[Variation]) -> Variation:
    """The variation of process `number` (from 1): odd ones run as the card says, even ones under one variation after the other."""
    return PLAIN if number % 2 or not variations else variations[(number // 2 - 1) % len(variations)]


def _other_device(devices: Sequence[str], visible: str | None) -> Variation | None:
    """The second device where all are of one kind: which of several kinds CUDA counts first is not known here."""
    names = [name.strip() for name in visible.split(",") if name.strip()] if visible is not None else [str(n) for n in range(len(devices))]
    if len(names) < 2 or len(set(devices)) != 1:
        return None
    order = MappingProxyType({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": names[1]})
    return Variation(name="another device of the same kind", environment=order)
