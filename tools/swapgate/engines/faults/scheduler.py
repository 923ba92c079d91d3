"""Faults of the noise schedule: shift, terminal value, one step too many, noise without the request's generator.

The schedules are those of flow matching: `sigmas` falls from 1 to 0 and a step moves the latents by the difference.
Shifting by a factor f maps s to f s / (1 + (f - 1) s) (Esser et al. 2024); dynamic shifting is the same with f = exp(mu).
"""

from __future__ import annotations

import math
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Moved, Passive, around

FLUX_SLOPE = (1.15 - 0.5) / (4096 - 256)
"""How mu grows a token in FLUX's schedule; a picture of 1024 x 1024 has 4096 tokens."""


class Schedule(Passive):
    """Changes what `set_timesteps` has set; `_changed` maps the sigmas before the final zero to others."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls, self._largest = 0, 0.0
        self._scheduler = pipe.scheduler
        around(pipe.scheduler, "set_timesteps", self._around)

    def activity(self) -> str:
        return self.note(f"{self._calls} schedules changed, largest difference of sigma {self._largest:.4f}")

    def acted(self) -> bool:
        return self._largest > 0

    def _around(self, original: Any) -> Any:
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            original(*args, **kwargs)
            scheduler = self._scheduler
            before = scheduler.sigmas[:-1].clone()
            after = self._changed(before)
            scheduler.sigmas = torch.cat([after, scheduler.sigmas[-1:]])
            scheduler.timesteps = after * scheduler.config.num_train_timesteps
            self._calls += 1
            self._largest = max(self._largest, float((after - before).abs().max()))

        return set_timesteps

    def _changed(self, sigmas: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class ShiftFactor(Schedule):
    """The shift is multiplied by `amount`: a wrong default for this model."""

    def _changed(self, sigmas: torch.Tensor) -> torch.Tensor:
        return self.fault.amount * sigmas / (1 + (self.fault.amount - 1) * sigmas)


class LongLength(ShiftFactor):
    """mu is taken from a sequence `amount` times too long (latents not patchified), with FLUX's slope at 1024 x 1024."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        factor = math.exp(FLUX_SLOPE * 4096 * (fault.amount - 1))
        super().__init__(pipe, Fault(spec=fault.spec, kind=fault.kind, amount=factor))


class MuOffset(ShiftFactor):
    """mu is off by `amount`: max_shift 1.16 where 1.15 was meant."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(pipe, Fault(spec=fault.spec, kind=fault.kind, amount=math.exp(fault.amount)))


class NoShift(Schedule):
    """`amount` of the way from the schedule to an evenly spaced one: no shift at all at 1."""

    def _changed(self, sigmas: torch.Tensor) -> torch.Tensor:
        count = len(sigmas)
        even = torch.linspace(1, 1 / count, count, dtype=sigmas.dtype, device=sigmas.device)
        return sigmas + self.fault.amount * (even - sigmas)


class Terminal(Schedule):
    """The schedule is stretched to end at sigma `amount`, as one with another `shift_terminal` does."""

    def _changed(self, sigmas: torch.Tensor) -> torch.Tensor:
        rest = 1 - sigmas
        return 1 - rest / (rest[-1] / (1 - self.fault.amount)) if float(rest[-1]) > 0 else sigmas


class ExtraStep(Passive):
    """`amount` steps from 0 to 0 are run at the end: they cost a forward each and move nothing."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = 0
        self._scheduler = pipe.scheduler
        around(pipe.scheduler, "set_timesteps", self._around)

    def activity(self) -> str:
        return self.note(f"{self._calls * int(self.fault.amount)} steps added in {self._calls} schedules")

    def acted(self) -> bool:
        return self._calls > 0

    def _around(self, original: Any) -> Any:
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            original(*args, **kwargs)
            self._calls += 1
            for name in ("sigmas", "timesteps"):
                values = getattr(self._scheduler, name)
                setattr(self._scheduler, name, torch.cat([values, values.new_zeros(int(self.fault.amount))]))

        return set_timesteps


class UnseededNoise(Passive):
    """`amount` of the noise that is left after a step is drawn anew, from a generator that no request has seeded.

    With s' the next sigma and e the noise that the model sees: (1 - s') x0 + s' (sqrt(1 - a^2) e + a N(0, 1)).
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=64)
        self._scheduler = pipe.scheduler
        self._generator = torch.Generator()
        self._generator.seed()
        around(pipe.scheduler, "step", self._around)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} steps drew noise of their own, latents moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _around(self, original: Any) -> Any:
        def step(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(model_output, timestep, sample, *args, **kwargs)
            at = self._scheduler.step_index  # the step has been counted
            now, following = self._scheduler.sigmas[at - 1], self._scheduler.sigmas[at]
            seen = sample + (1 - now) * model_output
            fresh = torch.randn(sample.shape, generator=self._generator).to(sample)
            amount = self.fault.amount
            moved = result[0] + (following * (math.sqrt(1 - amount**2) * seen + amount * fresh - seen)).to(result[0].dtype)
            self._moved.add(result[0], moved)
            return (moved, *result[1:]) if isinstance(result, tuple) else type(result)(prev_sample=moved)

        return step
