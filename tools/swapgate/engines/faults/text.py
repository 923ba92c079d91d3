"""Faults between the prompt and its embeddings: template, length, tokens, positions and attention of the text encoders."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, around, text_encoders

_PROJECTIONS = ("o_proj", "out_proj", "o")
"""What text encoders call the layer behind their attention: Qwen, CLIP, T5."""


class Template(Passive):
    """`amount` tokens of the prompt's template are kept that should be dropped (QwenImage drops its first 34)."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._kept, self._encoded = 0, 0
        start = getattr(pipe, "prompt_template_encode_start_idx", None)
        if start is not None:
            self._kept = min(int(fault.amount), start)
            pipe.prompt_template_encode_start_idx = start - self._kept
            around(pipe, "encode_prompt", self._around)

    def activity(self) -> str:
        return self.note(f"{self._kept} tokens of the template let in, in {self._encoded} encodings")

    def acted(self) -> bool:
        return self._kept > 0 and self._encoded > 0

    def _around(self, original: Any) -> Any:
        def encode(*args: Any, **kwargs: Any) -> Any:
            self._encoded += 1
            return original(*args, **kwargs)

        return encode


class Truncated(Passive):
    """Prompts are cut after `amount` tokens."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._tokenizer = getattr(pipe, "tokenizer_2", None) or pipe.tokenizer
        self._template = getattr(pipe, "prompt_template_encode", "{}")
        self._dropped = getattr(pipe, "prompt_template_encode_start_idx", 0)
        self._cut = self._prompts = self._longest = 0
        around(pipe, "encode_prompt", self._around)

    def activity(self) -> str:
        return self.note(f"{self._cut} of {self._prompts} prompts cut, the longest by {max(0, self._longest - int(self.fault.amount))} tokens")

    def acted(self) -> bool:
        return self._cut > 0

    def _around(self, original: Any) -> Any:
        def encode(*args: Any, **kwargs: Any) -> Any:
            given = args[0] if args else kwargs.get("prompt")
            prompts = [given] if isinstance(given, str) else given or []
            lengths = [len(self._tokenizer(self._template.format(prompt)).input_ids) - self._dropped for prompt in prompts]
            self._prompts += len(lengths)
            self._cut += sum(length > self.fault.amount for length in lengths)
            self._longest = max([self._longest, *lengths])
            return original(*args, **{**kwargs, "max_sequence_length": int(self.fault.amount)})

        return encode


class WrongTokens(Passive):
    """`amount` of the vocabulary means other words: the tokenizer numbers them otherwise than the encoder learned."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._tokens = self._wrong = 0
        for encoder in text_encoders(pipe):
            table = encoder.get_input_embeddings()
            others = _shuffled(table.num_embeddings, fault.amount).to(table.weight.device)
            table.register_forward_pre_hook(self._renumber(others))

    def activity(self) -> str:
        return self.note(f"{self._wrong} of {self._tokens} tokens read as others")

    def acted(self) -> bool:
        return self._wrong > 0

    def _renumber(self, others: torch.Tensor) -> Any:
        def hook(_module: Any, args: Any) -> Any:
            ids = args[0]
            wrong = others[ids]
            self._tokens += ids.numel()
            self._wrong += int((wrong != ids).sum())
            return (wrong, *args[1:])

        return hook


class EncoderRope(Passive):
    """The text encoder's rotary frequencies are multiplied by `amount`: positions of another scale."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._tables, self._largest = 0, 0.0
        for encoder in text_encoders(pipe):
            for name, module in encoder.named_modules():
                if torch.is_tensor(getattr(module, "inv_freq", None)) and "visual" not in name:
                    before = module.inv_freq
                    module.inv_freq = before * fault.amount
                    self._tables += 1
                    self._largest = max(self._largest, float((module.inv_freq - before).abs().max()))

    def activity(self) -> str:
        return self.note(f"{self._tables} tables of frequencies changed, largest difference {self._largest:.4f}")

    def acted(self) -> bool:
        return self._largest > 0


class EncoderAttention(Passive):
    """`amount` of every text encoder's attention heads give their neighbour token's values: a kernel that fails without a word."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        for encoder in text_encoders(pipe):
            for name, module in encoder.named_modules():
                if name.rsplit(".", 1)[-1] in _PROJECTIONS and isinstance(module, torch.nn.Linear) and "visual" not in name:
                    module.register_forward_pre_hook(self._corrupt)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} attentions corrupted, values moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _corrupt(self, _module: Any, args: Any) -> Any:
        values = args[0]
        hit = round(self.fault.amount * values.shape[-1])
        wrong = torch.cat([values[..., :hit].roll(1, dims=-2), values[..., hit:]], dim=-1)
        self._moved.add(values, wrong)
        return (wrong, *args[1:])


def _shuffled(count: int, share: float) -> torch.Tensor:
    """Token numbers of which `share` were exchanged among themselves, the same ones in every load."""
    generator = torch.Generator().manual_seed(count)
    numbers, chosen = torch.arange(count), torch.randperm(count, generator=generator)[: round(count * share)]
    others = numbers.clone()
    others[chosen] = chosen.roll(1)
    return others
