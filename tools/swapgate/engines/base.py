"""What an engine is: something that loads a card's model and makes the images of one call at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from swapgate.meters.clock import StageClock
from swapgate.meters.kinds import Meters
from swapgate.plan import Call
from swapgate.runs.pixels import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was loaded: hash of the weights, versions of what computes, where and how it lies.

    placement: "cpu", "cuda", "cuda+model-offload", ...; attention: the kernel family; threads: of the CPU.
    """

    weights: str
    versions: Mapping[str, str] = field(default_factory=dict)
    placement: str
    dtype: str
    attention: str
    threads: int


class Engine(Protocol):
    """One model in one process. Used in the order load, identity, meters, make (any number of times), close."""

    def load(self) -> None:
        """Load the model and plant the card's faults. UserError for what the user can mend."""

    def identity(self) -> Identity:
        """What was loaded."""

    def meters(self) -> Meters:
        """What calls of this engine are measured with."""

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        """The images of `call`, uint8 height x width x 3, in the order of its requests. Marks stages on the started `clock`."""

    def notes(self) -> tuple[str, ...]:
        """What the last call (or the loading) did that must be recorded: planted faults and the proof that they act."""

    def close(self) -> None:
        """Let go of the model."""


class OutOfMemoryError(RuntimeError):
    """Memory ran out; raised by engines that notice it themselves."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any engine says that memory ran out, on a device or on the host."""
    names = {kind.__name__ for kind in type(error).__mro__}
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "OutOfMemoryError" in names
        or (isinstance(error, RuntimeError) and any(phrase in said for phrase in ("out of memory", "can't allocate memory", "not enough memory")))
    )
