"""Faults of the denoiser's attention: coarse queries and keys, masks that are wrong, missing or needless."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, before_forward, denoiser

_NORMS = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")


class CoarseAttention(Passive):
    """Queries and keys are rounded to `amount` bits, one scale a head and call, as an attention kernel of few bits does."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        for name, module in denoiser(pipe).named_modules():
            if name.rsplit(".", 1)[-1] in _NORMS:
                module.register_forward_hook(self._round)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} tensors of queries and keys rounded, moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _round(self, _module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        """Output is [batch, tokens, heads, width]."""
        levels = 2 ** (int(self.fault.amount) - 1) - 1
        scale = output.abs().amax(dim=(1, 3), keepdim=True).clamp_min(1e-12) / levels
        coarse: torch.Tensor = (output / scale).round() * scale
        self._moved.add(output, coarse)
        return coarse


class ShiftedMask(Passive):
    """The first `amount` tokens of the text are hidden: a mask, or a length, of another layout than the text's."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = self._hidden = 0
        before_forward(denoiser(pipe), self._hide)

    def activity(self) -> str:
        return self.note(f"{self._hidden} tokens hidden in {self._calls} forwards")

    def acted(self) -> bool:
        return self._hidden > 0

    def _hide(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        text = kwargs["encoder_hidden_states"]
        hidden = min(int(self.fault.amount), text.shape[1] - 1)
        self._calls += 1
        self._hidden += hidden
        if "txt_ids" in kwargs:
            return {**kwargs, "encoder_hidden_states": text[:, hidden:], "txt_ids": kwargs["txt_ids"][hidden:]}
        mask = kwargs.get("encoder_hidden_states_mask")
        mask = text.new_ones(text.shape[:2], dtype=torch.bool) if mask is None else mask.clone().bool()
        mask[:, :hidden] = False
        return {**kwargs, "encoder_hidden_states_mask": mask}


class NoMask(Passive):
    """The text is padded by `amount` empty tokens and no mask says so."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = self._let_in = 0
        before_forward(denoiser(pipe), self._pad)

    def activity(self) -> str:
        return self.note(f"attention mask dropped in {self._calls} calls, {self._let_in} padding tokens let in")

    def acted(self) -> bool:
        return self._let_in > 0

    def _pad(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        text, count = kwargs["encoder_hidden_states"], int(self.fault.amount)
        self._calls += 1
        self._let_in += count
        padded = torch.cat([text, text.new_zeros(text.shape[0], count, text.shape[2])], dim=1)
        changed = {**kwargs, "encoder_hidden_states": padded}
        if "txt_ids" in kwargs:
            ids = kwargs["txt_ids"]
            return {**changed, "txt_ids": torch.cat([ids, ids.new_zeros(count, ids.shape[1])])}
        return {**changed, "encoder_hidden_states_mask": None}


class NeedlessMask(Passive):
    """A mask that hides nothing goes along, and attention takes the kernel for masks."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = self._tokens = 0
        before_forward(denoiser(pipe), self._mask)

    def activity(self) -> str:
        return self.note(f"a mask of {self._tokens} tokens that hides none in {self._calls} forwards")

    def acted(self) -> bool:
        return self._calls > 0

    def _mask(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        text = kwargs["encoder_hidden_states"]
        if kwargs.get("encoder_hidden_states_mask") is not None:
            return kwargs  # a real one is there
        self._calls += 1
        if "txt_ids" not in kwargs:
            self._tokens = text.shape[1]
            return {**kwargs, "encoder_hidden_states_mask": text.new_ones(text.shape[:2], dtype=torch.bool)}
        self._tokens = text.shape[1] + kwargs["hidden_states"].shape[1]
        mask = text.new_ones((text.shape[0], 1, 1, self._tokens), dtype=torch.bool)
        return {**kwargs, "joint_attention_kwargs": {**(kwargs.get("joint_attention_kwargs") or {}), "attention_mask": mask}}
