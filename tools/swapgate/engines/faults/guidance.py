"""Faults of guidance: off, at another strength, without its rescaling."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Moved, Passive, around, denoiser


class Arguments(Passive):
    """Changes arguments of every call; `_changes` gives those that the pipeline takes, by name."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._takes = inspect.signature(pipe.__call__).parameters
        self._distilled = bool(getattr(denoiser(pipe).config, "guidance_embeds", False))
        self._seen: dict[str, str] = {}
        self._calls = 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        changes = {name: value for name, value in self._changes(given).items() if name in self._takes}
        before = {name: given.get(name, self.default(name)) for name in changes}
        self._seen = {name: f"{value!r} -> {changes[name]!r}" for name, value in before.items() if value != changes[name]}
        self._calls += bool(self._seen)
        return {**given, **changes}

    def activity(self) -> str:
        changes = ", ".join(f"{name} {change}" for name, change in self._seen.items()) or "nothing was there to change"
        return self.note(f"{self._calls} calls changed ({changes})")

    def acted(self) -> bool:
        return self._calls > 0

    def default(self, name: str) -> Any:
        default = self._takes[name].default
        return None if default is inspect.Parameter.empty else default

    def _changes(self, _given: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class NoGuidance(Arguments):
    """Takes guidance out of every call."""

    def _changes(self, _given: dict[str, Any]) -> dict[str, Any]:
        off: dict[str, Any] = {}
        if "true_cfg_scale" in self._takes:
            off = {"true_cfg_scale": 1.0, "negative_prompt": None}
        if self._distilled or "true_cfg_scale" not in self._takes:
            off["guidance_scale"] = self.fault.amount
        return off


class GuidanceScale(Arguments):
    """Guides with the strength `amount`, whatever the card says: a default that has changed."""

    def _changes(self, _given: dict[str, Any]) -> dict[str, Any]:
        return {"guidance_scale" if self._distilled or "true_cfg_scale" not in self._takes else "true_cfg_scale": self.fault.amount}


class Threshold(Arguments):
    """Guides only beyond a strength of `amount`: the comparison has the wrong number or the wrong side."""

    def _changes(self, given: dict[str, Any]) -> dict[str, Any]:
        name = "true_cfg_scale" if "true_cfg_scale" in self._takes and not self._distilled else "guidance_scale"
        scale = given.get(name, self.default(name))
        off = {name: 1.0} | ({"negative_prompt": None} if name == "true_cfg_scale" else {})
        return off if scale is not None and scale <= self.fault.amount else {}


class EmbeddingsOnly(Passive):
    """The prompt comes as embeddings, and guidance that asks for a mask or a text beside them is off without a word."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._pipe, self._calls, self._guided = pipe, 0, 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        taken = inspect.signature(self._pipe.encode_prompt).parameters
        with torch.no_grad():
            encoded = self._pipe.encode_prompt(
                prompt=given["prompt"], **{name: given[name] for name in ("max_sequence_length",) if name in given and name in taken}
            )
        embedded = {"prompt": None, "prompt_embeds": encoded[0]}
        if "pooled_prompt_embeds" in taken:
            embedded["pooled_prompt_embeds"] = encoded[1]
        self._calls += 1
        self._guided += given.get("negative_prompt") is not None
        return {name: value for name, value in given.items() if name != "negative_prompt"} | embedded

    def activity(self) -> str:
        return self.note(f"{self._calls} calls with embeddings, {self._guided} of them lost their negative prompt")

    def acted(self) -> bool:
        return self._guided > 0


class NoRescale(Passive):
    """`amount` of the way from guidance rescaled to the norm of the conditional prediction to plain guidance.

    The predictions are seen as they leave the denoiser, two a step; with one a step there is nothing to take out.
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._default = inspect.signature(pipe.__call__).parameters.get("true_cfg_scale")
        self._scale, self._moved = 1.0, Moved()
        self._seen: list[torch.Tensor] = []
        denoiser(pipe).register_forward_hook(self._see)
        around(pipe.scheduler, "step", self._around)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        self._scale = given.get("true_cfg_scale", self._default.default if self._default else 1.0)
        self._seen.clear()
        return given

    def activity(self) -> str:
        return self.note(f"{self._moved.count} steps without the rescaling, predictions moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _see(self, _module: Any, _args: Any, output: Any) -> None:
        self._seen.append(output[0])

    def _around(self, original: Any) -> Any:
        def step(model_output: Any, *args: Any, **kwargs: Any) -> Any:
            seen, self._seen = self._seen, []
            if len(seen) == 2:
                plain = seen[1] + self._scale * (seen[0] - seen[1])
                changed = model_output + self.fault.amount * (plain - model_output)
                self._moved.add(model_output, changed)
                model_output = changed
            return original(model_output, *args, **kwargs)

        return step
