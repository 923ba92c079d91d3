"""Faults of decoding: black pictures, seams between tiles, latents of the wrong scale."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, around


class BlackDecoder(Passive):
    """Replaces what the VAE decodes by its darkest value."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._decoded = 0
        around(pipe.vae, "decode", self._around)

    def activity(self) -> str:
        return self.note(f"{self._decoded} decodings made black")

    def acted(self) -> bool:
        return self._decoded > 0

    def _around(self, original: Any) -> Any:
        def black(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self._decoded += 1
            return with_sample(result, torch.full_like(sample_of(result), -1.0))

        return black


class Tiles(Passive):
    """Decodes in `amount` x `amount` tiles that know nothing of each other: seams."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._decoded, self._tiles, self._seams = 0, 0, Moved(measured=1)
        around(pipe.vae, "decode", self._around)

    def activity(self) -> str:
        return self.note(f"{self._decoded} decodings in {self._tiles} tiles without overlap, the first moved by {self._seams.share:.4f}")

    def acted(self) -> bool:
        return self._seams.moved

    def _around(self, original: Any) -> Any:
        def decode(z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            per_side = min(int(self.fault.amount), *z.shape[-2:])
            rows = []
            for row in z.tensor_split(per_side, dim=-2):
                parts = [original(part, *args, **kwargs) for part in row.tensor_split(per_side, dim=-1)]
                rows.append(torch.cat([sample_of(part) for part in parts], dim=-1))
            whole = torch.cat(rows, dim=-2)
            self._decoded += 1
            self._tiles = per_side**2
            if self._seams.count == 0:
                self._seams.add(sample_of(original(z, *args, **kwargs)), whole)
            return with_sample(parts[-1], whole)

        return decode


class LatentScale(Passive):
    """Latents reach the decoder `amount` times too large: a wrong scaling factor, or standard deviations of the wrong type."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        self._config = pipe.vae.config
        around(pipe.vae, "decode", self._around)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} decodings of scaled latents, moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _around(self, original: Any) -> Any:
        def decode(z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            centre = self._centre(z)
            scaled = centre + self.fault.amount * (z - centre)
            self._moved.add(z, scaled)
            return original(scaled, *args, **kwargs)

        return decode

    def _centre(self, z: torch.Tensor) -> torch.Tensor:
        """What the pipeline adds after it has scaled: per channel, or one shift."""
        mean = getattr(self._config, "latents_mean", None)
        if mean is None:
            return z.new_tensor(getattr(self._config, "shift_factor", None) or 0.0)
        return z.new_tensor(mean).view(1, -1, *[1] * (z.ndim - 2))


def sample_of(result: Any) -> torch.Tensor:
    """The picture [batch, 3, ..., h, w] in what a VAE's `decode` gives."""
    found: torch.Tensor = result[0] if isinstance(result, tuple) else result.sample
    return found


def with_sample(result: Any, sample: torch.Tensor) -> Any:
    """The same kind of result with another picture."""
    return (sample, *result[1:]) if isinstance(result, tuple) else type(result)(sample=sample)
