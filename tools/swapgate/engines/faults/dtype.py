"""Arithmetic in a type that is too small: overflow in half precision, and a cast that stays after the first call."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Passive, around, blocks, denoiser
from swapgate.engines.faults.weights import few_bits


class Overflow(Passive):
    """What blocks give passes through float16 without a clip, at the scale of a model whose values are `amount` times larger."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._values = self._lost = 0
        for block in self._places(pipe):
            block.register_forward_hook(self._through_half)

    def activity(self) -> str:
        return self.note(f"{self._lost} of {self._values} values overflowed float16 at {self.fault.amount:g} times their size")

    def acted(self) -> bool:
        return self._values > 0  # without an overflow it still rounds

    def _places(self, pipe: Any) -> list[Any]:
        return blocks(denoiser(pipe))

    def _through_half(self, _module: Any, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return tuple(self._half(one) if torch.is_tensor(one) else one for one in output)
        return self._half(output) if torch.is_tensor(output) else output

    def _half(self, values: torch.Tensor) -> torch.Tensor:
        half = (values.float() * self.fault.amount).half()
        self._values += values.numel()
        self._lost += int(half.isinf().sum())
        return (half.float() / self.fault.amount).to(values.dtype)


class DecoderOverflow(Overflow):
    """The same in the VAE's decoder, whose upcast to float32 was lost."""

    def _places(self, pipe: Any) -> list[Any]:
        return _parts(pipe.vae.decoder)


class SecondCall(Passive):
    """The first decoding casts the VAE down in place: every later one has `amount` bits of mantissa.

    That goes for its weights, for the latents that it is given and for what its blocks pass on.
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._vae, self._calls, self._tensors = pipe.vae, 0, 0
        around(pipe.vae, "decode", self._around)

    def activity(self) -> str:
        return self.note(f"{self._tensors} tensors left with {self.fault.amount:g} bits since decoding 2 of {self._calls}")

    def acted(self) -> bool:
        return self._tensors > 0 and self._calls > 1

    def _around(self, original: Any) -> Any:
        def decode(z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self._calls += 1
            if self._calls == 2:
                self._cast()
            return original(few_bits(z, int(self.fault.amount)) if self._calls > 1 else z, *args, **kwargs)

        return decode

    def _cast(self) -> None:
        with torch.no_grad():
            for weight in self._vae.parameters():
                weight.copy_(few_bits(weight, int(self.fault.amount)))
                self._tensors += 1
        for part in _parts(self._vae.decoder):
            part.register_forward_hook(self._shorten)

    def _shorten(self, _module: Any, _args: Any, output: Any) -> Any:
        return few_bits(output, int(self.fault.amount)) if torch.is_tensor(output) else output


def _parts(decoder: Any) -> list[Any]:
    """The residual blocks of a decoder, or its children where it has none of that name."""
    return [child for name, child in decoder.named_modules() if "resnets" in name and name.count(".") <= 3] or list(decoder.children())
