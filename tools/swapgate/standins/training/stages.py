"""The stage runner that every stand-in's training goes through.

A stage is a name, the model folder it belongs to, and a function from a `StageContext` to a dictionary of figures.
The runner gives each stage a time budget in seconds, a checkpoint that survives a killed process, and a line in the
folder's `training.json`. Nothing here knows what is trained.

How a stage trains::

    def flow(context: StageContext) -> Figures:
        state = TrainState(modules={"transformer": model}, optimiser=optimiser, average=Average(model.parameters()))
        for tick in context.ticks(state):
            set_rate(optimiser, peak=1e-3, progress=tick.progress)
            loss = ...; loss.backward(); optimiser.step()
            state.average.update(tick.step)
        state.average.swap()          # the averaged weights are what is saved
        return {"loss": float(loss), "steps": state.step}

`ticks` restores the newest checkpoint before the first tick, saves one every `CHECKPOINT_SECONDS`, and stops when the
budget is spent, so a stage always ends in time. In a rehearsal (`tiny`) the budget is a few steps instead of seconds.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from swapgate.errors import UserError
from swapgate.standins import folders

Figure: TypeAlias = float | int | str | bool | list[float] | dict[str, float]
Figures: TypeAlias = dict[str, Figure]

CHECKPOINT_SECONDS = 45.0
LONGEST_STAGE_SECONDS = 540.0
"""On an accelerator, lent for ten minutes a command."""
LONGEST_CPU_STAGE_SECONDS = 7200.0
TINY_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One training step: `step` counts from 0 over all attempts, `progress` goes from 0 to 1 over the budget."""

    step: int
    progress: float


class Average:
    """Exponential moving average of parameters, kept in float32 beside them.

    The decay ramps up as (1 + step) / (10 + step), so that a short training is not dominated by its random start.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, decay: float = 0.999) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.shadow = [p.detach().float().clone() for p in self.parameters]
        self.decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters as they are after `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.shadow, [p.detach().float() for p in self.parameters], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange parameters and average; a second call undoes the first."""
        for parameter, shadow in zip(self.parameters, self.shadow, strict=True):
            kept = parameter.detach().float().clone()
            parameter.copy_(shadow)
            shadow.copy_(kept)


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Everything that a checkpoint must hold for a training to go on as if it had not been stopped."""

    modules: Mapping[str, nn.Module]
    optimiser: torch.optim.Optimizer | None = None
    average: Average | None = None
    generator: torch.Generator | None = None
    step: int = 0
    spent: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)

    def to_payload(self) -> dict[str, Any]:
        """Return tensors and plain numbers only, so that loading needs no unpickling of code."""
        payload: dict[str, Any] = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "step": self.step,
            "spent": self.spent,
            "extra": dict(self.extra),
            "cpu_rng": torch.get_rng_state(),
        }
        if self.optimiser is not None:
            payload["optimiser"] = self.optimiser.state_dict()
        if self.average is not None:
            payload["average"] = self.average.shadow
        if self.generator is not None:
            payload["generator"] = self.generator.get_state()
        return payload

    def restore(self, payload: dict[str, Any]) -> None:
        """Load what `to_payload` returned into the same objects."""
        saved = payload["modules"]
        for name, module in self.modules.items():
            module.load_state_dict(saved[name])
        if self.optimiser is not None and "optimiser" in payload:
            self.optimiser.load_state_dict(payload["optimiser"])
        if self.average is not None and "average" in payload:
            for shadow, kept in zip(self.average.shadow, payload["average"], strict=True):
                shadow.copy_(kept)
        if self.generator is not None and "generator" in payload:
            self.generator.set_state(payload["generator"].cpu())
        torch.set_rng_state(payload["cpu_rng"].cpu())
        self.step, self.spent, self.extra = payload["step"], payload["spent"], payload["extra"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """What a stage is given: where to write, on what to compute, how long, and from which seed."""

    stage: str
    out: Path
    checkpoints: Path
    device: torch.device
    seconds: float
    tiny: bool = False
    seed: int = 20251231
    extend: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the stage began, its preparation included."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds of the budget that are left; below zero when it is overdrawn."""
        return self.seconds - self.elapsed

    @property
    def checkpoint(self) -> Path:
        """The file that holds this stage's training state."""
        return self.checkpoints / f"{self.stage}.pt"

    def path(self, name: str) -> Path:
        """Return a scratch file for `name`, shared by the stages of one training (banks, tokenizers)."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        return self.checkpoints / name

    def log(self, message: str) -> None:
        """Write one line with the stage's name and clock to standard error."""
        sys.stderr.write(f"[{self.stage} {self.elapsed:6.1f}s] {message}\n")
        sys.stderr.flush()

    def seeded(self, offset: int = 0) -> torch.Generator:
        """Return a generator on the stage's device with the training's fixed seed plus `offset`."""
        return torch.Generator(device=self.device).manual_seed(self.seed + offset)

    def ticks(
        self,
        state: TrainState,
        *,
        reserve: float = 0.0,
        tiny_steps: int = TINY_STEPS,
        stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tick]:
        """Yield ticks until the budget, less `reserve` seconds kept for what follows, is spent or `stop` says so.

        Restores the stage's checkpoint first and saves a last one at the end. Time spent before an interruption
        counts, so a learning-rate schedule over `progress` goes on where it was; with `extend` it starts anew on
        the restored weights.
        """
        self._resume(state)
        earlier, begun = state.spent, time.monotonic()
        # An interrupted stage has its remaining budget, yet never more seconds than this call was given.
        total = max(self.seconds - reserve - (begun - self.started), 1e-3) if not self.tiny else float(tiny_steps)
        saved_at, first = begun, state.step
        while True:
            now = time.monotonic()
            state.spent = earlier + now - begun
            progress = (state.step - first) / total if self.tiny else state.spent / total
            if progress >= 1.0 or (stop is not None and stop()):
                break
            if now - saved_at >= CHECKPOINT_SECONDS:
                self.save(state)
                saved_at = now
            yield Tick(step=state.step, progress=progress)
            state.step += 1
        self.save(state)

    def save(self, state: TrainState) -> None:
        """Write the checkpoint so that a reader sees either the old or the new one, never a part."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state.to_payload(), partial)
        os.replace(partial, self.checkpoint)

    def _resume(self, state: TrainState) -> None:
        if not self.checkpoint.exists():
            return
        state.restore(load_payload(self.checkpoint, self.device))
        if self.extend:
            state.spent = 0.0
        self.log(f"goes on at step {state.step} after {state.spent:.0f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a training: `folder` is the model it belongs to, `share` its part of the folder's time budget."""

    name: str
    folder: str
    run: Callable[[StageContext], Figures]
    seconds: float


def run_stages(
    stages: Sequence[Stage],
    *,
    out: Path,
    checkpoints: Path,
    device: torch.device | str,
    seconds: Mapping[str, float] | None = None,
    tiny: bool = False,
    extend: bool = False,
    seed: int = 20251231,
    deadline: float | None = None,
) -> dict[str, Figures]:
    """Run `stages` in order and return their figures by name.

    A finished stage is skipped when called again unless `extend` is set. `seconds` overrides the stages' own budgets.
    With a `deadline` (seconds since the epoch) the budgets of the stages still to run shrink in proportion to fit.

    Raises:
        UserError: a budget is not above 0 or is above 540 s (7200 s on a CPU), or names a stage that is not there.
    """
    budgets = _budgets(stages, seconds or {}, torch.device(device))
    figures: dict[str, Figures] = {}
    for at, stage in enumerate(stages):
        budget = _within(deadline, [budgets[later.name] for later in stages[at:]])
        context = StageContext(
            stage=stage.name, out=out / stage.folder, checkpoints=checkpoints, device=torch.device(device),
            seconds=budget, tiny=tiny, extend=extend, seed=seed,
        )  # fmt: skip
        done = context.path(f"{stage.name}.done.json")
        if done.exists() and not extend:
            figures[stage.name] = json.loads(done.read_text(encoding="utf-8"))
            context.log("was finished before")
            continue
        figures[stage.name] = _run(stage, context)
        done.write_text(json.dumps(figures[stage.name]), encoding="utf-8")
    return figures


def set_rate(optimiser: torch.optim.Optimizer, *, peak: float, progress: float, warm: float = 0.03, hold: float = 0.6) -> None:
    """Set the learning rate for `progress` in 0..1: linear warm-up, constant, then a cosine down to 1 % of `peak`."""
    if progress < warm:
        factor = max(progress / warm, 0.02)
    elif progress < hold:
        factor = 1.0
    else:
        factor = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min((progress - hold) / (1 - hold), 1.0)))
    for group in optimiser.param_groups:
        group["lr"] = peak * factor * group.get("rate_scale", 1.0)


def load_payload(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Read a checkpoint of tensors and numbers; code in the file is refused."""
    return dict(torch.load(path, map_location=device, weights_only=True))


def record(out: Path, entry: Mapping[str, object]) -> Path:
    """Append `entry` to the folder's `training.json` (a list, oldest first) and return its path."""
    path = out / "training.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*entries, dict(entry)], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if (out / folders.DIGESTS).exists():
        folders.write_digests(out)
    return path


def _run(stage: Stage, context: StageContext) -> Figures:
    torch.manual_seed(context.seed)
    context.log(f"begins on {context.device} with {context.seconds:.0f} s")
    figures = stage.run(context)
    entry = {
        "stage": stage.name, "figures": figures, "seconds": round(context.elapsed, 1), "seed": context.seed,
        "budget_seconds": context.seconds, "rehearsal": context.tiny, "device": _device_name(context.device),
        "torch": torch.__version__,
    }  # fmt: skip
    record(context.out, entry)
    context.log(f"ends: {json.dumps(figures, ensure_ascii=False)}")
    return figures


def _budgets(stages: Sequence[Stage], seconds: Mapping[str, float], device: torch.device) -> dict[str, float]:
    longest = LONGEST_CPU_STAGE_SECONDS if device.type == "cpu" else LONGEST_STAGE_SECONDS
    names = {stage.name for stage in stages}
    budgets = {stage.name: stage.seconds for stage in stages} | {k: v for k, v in seconds.items() if k in names}
    for key, value in budgets.items():
        if not 0 < value <= longest:
            raise UserError(
                where="stand-in training", key=key, value=value,
                rule=f"a stage's budget lies between 0 and {longest:.0f} seconds on {device.type}",
                remedy=f"give --seconds {key}=300",
            )  # fmt: skip
    return budgets


def _within(deadline: float | None, budgets: Sequence[float]) -> float:
    """The first of `budgets`, shrunk if they do not all fit before the deadline; never below five seconds."""
    if deadline is None:
        return budgets[0]
    return max(5.0, budgets[0] * min(1.0, (deadline - time.time()) / sum(budgets)))


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
