"""What every fault has in common: its spec, what a pipeline sees of it, and how its effect is measured."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

MEASURED = 16
"""How many times a fault that acts at every step measures itself; after that it only counts, so that proof costs no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planted fault as the card writes it: `spec` is "kind" or "kind:amount"."""

    spec: str
    kind: str
    amount: float


class Planted(Protocol):
    """A fault that sits in a pipeline."""

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments of a pipeline call as the fault changes them."""

    def after(self, images: int) -> None:
        """A call has made that many images."""

    def activity(self) -> str:
        """What the fault has really done so far, in one line with measured numbers."""

    def acted(self) -> bool:
        """Whether it has done anything at all; a drill whose fault did nothing is an error."""


class Passive:
    """What most faults leave alone; the private ancestor of the faults of this package."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, images: int) -> None:
        """Nothing is left to do when the images are made."""

    def note(self, done: str) -> str:
        return f"{self.fault.spec}: {done}"


class Moved:
    """How far tensors were moved from what they were: `share` is the root of changed energy over the original's."""

    def __init__(self, *, measured: int | None = None) -> None:
        self.count, self.largest = 0, 0.0
        self._limit = measured
        self._changed = self._whole = 0.0

    def add(self, before: Any, after: Any) -> None:
        """Count one tensor, and measure it unless enough were."""
        self.count += 1
        if self._limit is not None and self.count > self._limit:
            return
        before, after = before.detach(), after.detach()
        changed = (after - before).abs().float()
        self._changed += float(changed.square().sum())
        self._whole += float(before.abs().float().square().sum())
        self.largest = max(self.largest, float(changed.max()))

    @property
    def share(self) -> float:
        """0 when nothing moved; NaN when something became no number."""
        return (self._changed / self._whole) ** 0.5 if self._whole else 0.0

    @property
    def moved(self) -> bool:
        """Whether anything did; what is no number any more did."""
        return self.count > 0 and self._changed != 0.0


def denoiser(pipe: Any) -> Any:
    """The part of a pipeline that runs at every step."""
    return getattr(pipe, "transformer", None) or pipe.unet


def text_encoders(pipe: Any) -> list[Any]:
    """The text encoders of a pipeline, in its own order."""
    found = (getattr(pipe, name, None) for name in ("text_encoder", "text_encoder_2", "text_encoder_3"))
    return [encoder for encoder in found if encoder is not None]


def blocks(module: Any) -> list[Any]:
    """The blocks of a transformer: every module list's members, or its direct children where it has none."""
    import torch

    lists = [child for child in module.children() if isinstance(child, torch.nn.ModuleList)]
    return [block for one in lists for block in one] or list(module.children())


def attention_layers(module: Any) -> list[tuple[str, Any]]:
    """The linear layers of its attentions, by name; these are what a LoRA is trained on."""
    import torch

    return [(name, layer) for name, layer in module.named_modules() if "attn" in name and isinstance(layer, torch.nn.Linear)]


def around(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method of one object by what `make` builds from it; pipelines look at signatures, so it keeps its own."""
    original = getattr(owner, name)
    changed = make(original)
    changed.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    setattr(owner, name, changed)


def before_forward(module: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the keyword arguments of every call of a module."""

    def hook(_module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, change(kwargs)

    module.register_forward_pre_hook(hook, with_kwargs=True)


def waiting_for(module: Any) -> Callable[[], None]:
    """Waits until the device that `module` is on has done its work."""

    def wait() -> None:
        import torch

        device = next(module.parameters()).device
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return wait
