"""Flow matching (Lipman et al., arXiv 2210.02747) of both pipelines: transformer and text encoders together.

A noisy latent is (1 - sigma) x + sigma e, the target e - x, as `FlowMatchEulerDiscreteScheduler` integrates it. Sigma is
logit-normal (Esser et al., arXiv 2403.03206) with its mean at the scheduler's time shift, because at that shift the
few steps of a call are where the loss should be small.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from swapgate.standins import evaluate
from swapgate.standins.training.stages import Average, Figures, StageContext, TrainState, set_rate

UNIFORM_SHARE = 0.1


class FlowModel(Protocol):
    """What is trained: its parts, its prediction for chosen rows of its bank, and the pipeline it makes."""

    modules: dict[str, nn.Module]
    rows: int

    def predict(self, noisy: Tensor, sigma: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Velocity [n, 64, 64] for packed noisy latents of these rows, with captions chosen by `generator`."""
        ...

    def latents(self, rows: Tensor) -> Tensor:
        """Clean packed latents [n, 64, 64] of these rows, normalised, float32."""
        ...

    def weights(self, rows: Tensor) -> Tensor:
        """What errors in each token of these rows count [n, 64, 1]; see `bank.object_weights`."""
        ...

    def pipeline(self, mu: float) -> Any:
        """The diffusers pipeline of the parts as they are now, with time shift `mu`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """How large the steps are, how often it is looked at, and at which share of followed attributes it stops."""

    batch: int = 512
    peak: float = 1e-3
    decay: float = 0.999
    mu: float = 0.7
    log_every: int = 100
    look_seconds: float = 40.0
    look_images: int = 128
    look_languages: tuple[str, ...] = ("en", "zh")
    stop_at: float | None = None
    reserve: float = 25.0

    def rehearsal(self) -> FlowSettings:
        """The same for a rehearsal: a few images, looked at at once."""
        return FlowSettings(
            batch=4, peak=self.peak, mu=self.mu, log_every=1, look_seconds=0.0, look_images=2,
            look_languages=self.look_languages, stop_at=self.stop_at, reserve=0.0,
        )  # fmt: skip


def train_flow(context: StageContext, model: FlowModel, settings: FlowSettings) -> Figures:
    """Train until the budget is spent or the stop rule holds; the averaged weights are left in the model."""
    parameters = [p for module in model.modules.values() for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(_groups(parameters), lr=settings.peak, betas=(0.9, 0.99), fused=context.device.type == "cuda")
    average = Average(parameters, decay=settings.decay)
    state = TrainState(modules=model.modules, optimiser=optimiser, average=average, generator=context.seeded(5))
    watch = _Watch(context=context, model=model, settings=settings, average=average)
    loss = torch.zeros(())
    for tick in context.ticks(state, reserve=settings.reserve, stop=watch.reached):
        set_rate(optimiser, peak=settings.peak, progress=tick.progress)
        loss = flow_step(model, optimiser, parameters, state, settings)
        average.update(tick.step)
        if tick.step % settings.log_every == 0:
            context.log(f"step {tick.step} progress {tick.progress:.2f} loss {float(loss):.4f}")
        watch.look(tick.step)
    average.swap()
    return {"steps": state.step, "loss": round(float(loss), 4), "looks": watch.seen}


def flow_step(
    model: FlowModel,
    optimiser: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    state: TrainState,
    settings: FlowSettings,
) -> Tensor:
    """One step of gradient descent on the weighted mean squared error of the velocity; returns the loss."""
    generator = state.generator
    assert generator is not None
    device = generator.device
    rows = torch.randint(model.rows, (settings.batch,), generator=generator, device=device)
    clean = model.latents(rows)
    noise = torch.randn(clean.shape, generator=generator, device=device)
    sigma = sample_sigma(settings.batch, settings.mu, generator)
    at = sigma.view(-1, 1, 1)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        predicted = model.predict((1 - at) * clean + at * noise, sigma, rows, generator)
    weights = model.weights(rows)
    loss = ((predicted.float() - (noise - clean)).square() * weights).mean() / weights.mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    length = nn.utils.clip_grad_norm_(parameters, 1.0)
    if bool(length.isfinite()):  # one bad step would spoil every weight and the average with it
        optimiser.step()
    return loss.detach()


def sample_sigma(n: int, mu: float, generator: torch.Generator) -> Tensor:
    """Noise levels [n] in 0..1: logit-normal with mean `mu` and deviation 1, a tenth of them uniform."""
    device = generator.device
    peaked = torch.sigmoid(mu + torch.randn(n, generator=generator, device=device))
    even = torch.rand(n, generator=generator, device=device)
    which = torch.rand(n, generator=generator, device=device) < UNIFORM_SHARE
    return torch.where(which, even, peaked)


def choose_call(
    context: StageContext, model: FlowModel, settings: FlowSettings, mus: tuple[float, ...], calls: dict[str, dict[str, Any]]
) -> tuple[float, str, dict[str, float]]:
    """Try every time shift with every call on a validation sample; return the best pair and all shares.

    Call this after training, with the averaged weights in place. The validation sample has its own seed, so that the
    figures reported for the folder are not the ones that were chosen by.
    """
    shares: dict[str, float] = {}
    best: tuple[float, float, str] = (-1.0, mus[0], next(iter(calls)))
    for mu in mus:
        for name, call in calls.items():
            if shares and (len(shares) == 2 if context.tiny else context.remaining < 6.0):
                break
            share = _share(model, settings, mu=mu, call=call)
            shares[f"mu {mu} {name}"] = share
            best = max(best, (share, mu, name))
    context.log(f"calls: {shares}")
    return best[1], best[2], shares


def measure_folder(context: StageContext, n: int | None = None) -> Figures:
    """Figures of the folder as saved, loaded anew in float32: free and canonical wording, English and Chinese."""
    n = n or (2 if context.tiny else 512)
    figures: Figures = {"measured": n}
    for worded in ("free", "canonical"):
        made = evaluate.evaluate(context.out, n=n, device=str(context.device), seed=1, worded=worded)
        context.log(f"folder, {worded} wording: {made}")
        for language in ("en", "zh"):
            figures[f"{language}_{worded}"] = made[language]["followed"]
            figures[f"{language}_{worded}_usable"] = made[language]["usable"]
            figures[f"{language}_{worded}_attributes"] = made[language]["attributes"]
    return figures


def _share(model: FlowModel, settings: FlowSettings, *, mu: float, call: dict[str, Any]) -> float:
    figures = _looked(model, settings, mu=mu, call=call)
    return round(float(sum(part["followed"] for part in figures.values())) / len(figures), 4)


def _looked(model: FlowModel, settings: FlowSettings, *, mu: float, call: dict[str, Any]) -> dict[str, Any]:
    pipeline = model.pipeline(mu)
    pipeline.set_progress_bar_config(disable=True)
    languages: Any = settings.look_languages
    for module in model.modules.values():
        module.eval()
    figures = evaluate.evaluate_pipeline(pipeline, n=settings.look_images, languages=languages, seed=7777, **call)
    for module in model.modules.values():
        module.train()
    return figures


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Looks at the averaged weights every so often and remembers what it saw."""

    context: StageContext
    model: FlowModel
    settings: FlowSettings
    average: Average
    seen: dict[str, float] = None  # type: ignore[assignment]
    last: float = 0.0

    def __post_init__(self) -> None:
        self.seen, self.last = {}, time.monotonic()

    def look(self, step: int) -> None:
        """Measure the averaged weights if it is time."""
        if time.monotonic() - self.last < self.settings.look_seconds:
            return
        self.average.swap()
        try:
            figures = _looked(self.model, self.settings, mu=self.settings.mu, call={})
        finally:
            self.average.swap()
        for language, part in figures.items():
            self.seen[f"{language}@{step}"] = part["followed"]
            self.context.log(f"step {step} {language} follows {part['followed']:.3f} usable {part['usable']:.3f} {part['attributes']}")
        self.last = time.monotonic()

    def reached(self) -> bool:
        """Whether the newest English share has reached the stop rule."""
        if self.settings.stop_at is None:
            return False
        english = [share for key, share in self.seen.items() if key.startswith("en@")]
        return bool(english) and english[-1] >= self.settings.stop_at


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
