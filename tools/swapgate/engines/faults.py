"""Planted faults for drills: real damage to a loaded diffusers pipeline, each with a proof that it acts.

    noise:<dose>        Gaussian noise on the denoiser's weights: w += dose * std(w) * N(0, 1), tensor by tensor, seeded
    no-guidance[:<g>]   guidance off: no negative prompt and true_cfg_scale 1 where the pipeline guides by two forwards,
                        guidance_scale g (0 to 1, default 1) where the denoiser was distilled to take it as an input
    slow:<factor>       every denoising step takes that many times as long (2 doubles it): real time inside the step
    leak:<MiB>          every image leaves that many MiB on the model's device
    black-decoder       decoding gives black

A drill whose fault did nothing would prove nothing: `activity` says what was done, in numbers that were measured.
"""

from __future__ import annotations

import inspect
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from swapgate.errors import UserError

_FORMS: Mapping[str, tuple[float, float, float | None]] = {
    "noise": (0.0, 10.0, None),
    "no-guidance": (0.0, 1.0, 1.0),
    "slow": (1.0, 1000.0, None),
    "leak": (0.0, 1e6, None),
    "black-decoder": (0.0, 0.0, 0.0),
}
"""Lowest and highest amount of each kind, and the amount when none is written (None: it must be)."""
EXAMPLES = ("noise:0.02", "no-guidance", "slow:1.5", "leak:8", "black-decoder")


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


def parse(spec: str, *, where: str) -> Fault:
    """The fault that `spec` names. UserError (with `where`, the card) when it does not parse or its amount is out of range."""
    kind, colon, written = spec.partition(":")
    if kind not in _FORMS:
        raise _wrong(where, spec, f"a fault: {', '.join(_FORMS)}")
    low, high, default = _FORMS[kind]
    if not colon:
        if default is None:
            raise _wrong(where, spec, f"{kind} needs an amount from {low:g} to {high:g}")
        return Fault(spec=spec, kind=kind, amount=default)
    try:
        amount = float(written)
    except ValueError:
        raise _wrong(where, spec, f"the amount of {kind} is a number from {low:g} to {high:g}") from None
    if low == high or not low <= amount <= high:
        allowed = "takes no amount" if low == high else f"takes an amount from {low:g} to {high:g}"
        raise _wrong(where, spec, f"{kind} {allowed}")
    return Fault(spec=spec, kind=kind, amount=amount)


def apply(pipe: Any, spec: str, *, where: str = "fault") -> Planted:
    """Plant the fault in a loaded diffusers pipeline; it stays until the pipeline is thrown away."""
    fault = parse(spec, where=where)
    plant: Mapping[str, Callable[[Any, Fault], Planted]] = {
        "noise": _Noise,
        "no-guidance": _NoGuidance,
        "slow": _Slow,
        "leak": _Leak,
        "black-decoder": _BlackDecoder,
    }
    return plant[fault.kind](pipe, fault)


def denoiser(pipe: Any) -> Any:
    """The part of a pipeline that runs at every step."""
    return getattr(pipe, "transformer", None) or pipe.unet


class _Noise:
    """Weight noise, relative to each tensor's own spread; seeded by the tensor's name, so every load on one kind of device gets the same."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        import torch

        self._spec, self._tensors = fault.spec, 0
        changed = total = 0.0
        with torch.no_grad():
            for name, weight in denoiser(pipe).named_parameters():
                if not weight.is_floating_point() or weight.numel() < 2:
                    continue
                generator = torch.Generator(weight.device).manual_seed(zlib.crc32(name.encode()))
                noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32, device=weight.device)
                before = weight.float().clone()  # float() of float32 is the weight itself
                weight.copy_(before + fault.amount * before.std() * noise)
                self._tensors += 1
                changed += float((weight.float() - before).square().sum())
                total += float((before - before.mean()).square().sum())
        self._share = (changed / total) ** 0.5 if total else 0.0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, images: int) -> None:
        """The damage was done at once."""

    def activity(self) -> str:
        return f"{self._spec}: {self._tensors} tensors changed by {self._share:.4f} of their spread"


class _NoGuidance:
    """Takes guidance out of every call."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        self._spec, self._amount = fault.spec, fault.amount
        self._takes = inspect.signature(pipe.__call__).parameters
        self._distilled = bool(getattr(denoiser(pipe).config, "guidance_embeds", False))
        self._changes: dict[str, str] = {}
        self._calls = 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        off: dict[str, Any] = {}
        if "true_cfg_scale" in self._takes:
            off = {"true_cfg_scale": 1.0, "negative_prompt": None}
        if self._distilled or "true_cfg_scale" not in self._takes:
            off["guidance_scale"] = self._amount
        before = {name: given.get(name, self._default(name)) for name in off if name in self._takes}
        self._changes = {name: f"{value!r} -> {off[name]!r}" for name, value in before.items() if value != off[name]}
        self._calls += bool(self._changes)
        return {**given, **{name: off[name] for name in before}}

    def after(self, images: int) -> None:
        """Everything happens before the call."""

    def activity(self) -> str:
        changes = ", ".join(f"{name} {change}" for name, change in self._changes.items()) or "nothing was there to change"
        return f"{self._spec}: {self._calls} calls changed ({changes})"

    def _default(self, name: str) -> Any:
        default = self._takes[name].default
        return None if default is inspect.Parameter.empty else default


class _Slow:
    """Waits after every forward of the denoiser for factor - 1 times what it took, measured with the device idle."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        self._spec, self._factor = fault.spec, fault.amount
        self._begin = self._own = self._added = 0.0
        module = denoiser(pipe)
        self._wait = _waiting_for(module)
        module.register_forward_pre_hook(self._before)
        module.register_forward_hook(self._after)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, images: int) -> None:
        """Everything happens inside the call."""

    def activity(self) -> str:
        return f"{self._spec}: {self._added:.4f} s added to {self._own:.4f} s of forwards"

    def _before(self, _module: Any, _args: Any) -> None:
        self._wait()
        self._begin = time.perf_counter()

    def _after(self, _module: Any, _args: Any, _output: Any) -> None:
        self._wait()
        end = time.perf_counter()
        self._own += end - self._begin
        # What is owed in all, less what was waited: a busy machine wakes a sleeper late, and that must not add up.
        owed = max(0.0, self._own * (self._factor - 1) - self._added)
        time.sleep(max(0.0, owed - 0.002))
        while time.perf_counter() < end + owed:
            pass
        self._added += time.perf_counter() - end


class _Leak:
    """Keeps memory on the denoiser's device for every image."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        self._spec, self._mib = fault.spec, fault.amount
        self._module = denoiser(pipe)
        self._kept: list[Any] = []

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, images: int) -> None:
        import torch

        device = next(self._module.parameters()).device
        # Ones and not zeros: untouched zero pages need no memory.
        self._kept += [torch.ones(round(self._mib * 2**20), dtype=torch.uint8, device=device) for _ in range(images)]

    def activity(self) -> str:
        held = sum(block.numel() for block in self._kept) / 2**20
        return f"{self._spec}: {held:.1f} MiB held in {len(self._kept)} blocks"


class _BlackDecoder:
    """Replaces what the VAE decodes by its darkest value."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        self._spec, self._decoded = fault.spec, 0
        original = pipe.vae.decode

        def black(*args: Any, **kwargs: Any) -> Any:
            import torch

            result = original(*args, **kwargs)
            self._decoded += 1
            if isinstance(result, tuple):
                return (torch.full_like(result[0], -1.0), *result[1:])
            result.sample = torch.full_like(result.sample, -1.0)
            return result

        black.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        pipe.vae.decode = black

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, images: int) -> None:
        """Everything happens inside the call."""

    def activity(self) -> str:
        return f"{self._spec}: {self._decoded} decodings made black"


def _waiting_for(module: Any) -> Callable[[], None]:
    """Waits until the device that `module` is on has done its work."""

    def wait() -> None:
        import torch

        device = next(module.parameters()).device
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return wait


def _wrong(where: str, spec: str, rule: str) -> UserError:
    return UserError(where=where, key="faults", value=spec, rule=rule, remedy=f"write one of the kind of {', '.join(EXAMPLES)}")
