"""The stage runner: stages keep their budget, go on where they stopped and leave their figures behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from swapgate.errors import UserError
from swapgate.standins.training import stages as module
from swapgate.standins.training.stages import (
    Average,
    Figures,
    Stage,
    StageContext,
    TrainState,
    record,
    run_stages,
    set_rate,
)


def context(path: Path, **changes: Any) -> StageContext:
    """A stage's context on the CPU, in a rehearsal unless changed."""
    given = {
        "stage": "s",
        "out": path / "out",
        "checkpoints": path / "kept",
        "device": torch.device("cpu"),
        "tiny": True,
    }
    return StageContext(**({"seconds": 60.0} | given | changes))


@dataclass
class Clock:
    """Stands for `time` in the runner; moved by hand."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the runner sees."""
    hand = Clock()
    monkeypatch.setattr(module, "time", hand)
    return hand


def trained(ctx: StageContext, steps: int, *, broken_at: int | None = None) -> TrainState:
    """A small regression trained for `steps`, with everything a checkpoint has to keep; may break off."""
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.05)
    state = TrainState(modules={"m": model}, optimiser=optimiser, average=Average(model.parameters()), generator=ctx.seeded(1))
    for tick in ctx.ticks(state, tiny_steps=steps):
        if tick.step == broken_at:
            ctx.save(state)
            raise RuntimeError("the machine went away")
        x = torch.randn(4, 3, generator=state.generator)
        optimiser.zero_grad()
        (model(x) - x[:, :2]).square().mean().backward()
        optimiser.step()
        assert state.average is not None
        state.average.update(tick.step)
    return state


def numbers(state: TrainState) -> list[torch.Tensor]:
    """Weights and averaged weights of a state."""
    assert state.average is not None
    return [p.detach() for p in state.modules["m"].parameters()] + state.average.shadow


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    """Optimiser, average, chance and step are all restored: the weights come out bit for bit the same."""
    whole = trained(context(tmp_path / "a"), 10)
    with pytest.raises(RuntimeError, match="went away"):
        trained(context(tmp_path / "b"), 10, broken_at=6)
    resumed = trained(context(tmp_path / "b"), 4)
    assert resumed.step == whole.step == 10
    for ours, theirs in zip(numbers(resumed), numbers(whole), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_holds_no_code(tmp_path: Path) -> None:
    """It loads with code refused."""
    ctx = context(tmp_path)
    trained(ctx, 2)
    assert set(torch.load(ctx.checkpoint, weights_only=True)) >= {
        "modules",
        "optimiser",
        "average",
        "generator",
        "step",
    }


def test_a_stage_ends_within_its_seconds(tmp_path: Path, clock: Clock) -> None:
    """Ticks stop when the budget less the reserve is spent, and progress never reaches 1."""
    ctx = context(tmp_path, tiny=False, seconds=60.0, started=clock.now)
    state = TrainState(modules={"m": nn.Linear(1, 1)})
    begun, seen = clock.now, []
    for tick in ctx.ticks(state, reserve=20.0):
        seen.append(tick.progress)
        clock.now += 2.0
    assert clock.now - begun == 40.0
    assert seen == sorted(seen)
    assert seen[0] >= 0
    assert 0.8 < seen[-1] < 1


def test_time_spent_before_an_interruption_counts(tmp_path: Path) -> None:
    """A resumed stage goes on with the progress it had; an extended one starts its schedule anew on the same weights."""
    state = TrainState(modules={"m": nn.Linear(1, 1)}, spent=0.5, step=7)
    context(tmp_path, tiny=False, seconds=1.0).save(state)
    for extend, expected in ((False, 0.5), (True, 0.0)):
        fresh = TrainState(modules={"m": nn.Linear(1, 1)})
        tick = next(iter(context(tmp_path, tiny=False, seconds=1.0, extend=extend).ticks(fresh)))
        assert tick.step == 7
        assert tick.progress == pytest.approx(expected, abs=0.1)


def test_a_stop_rule_ends_a_stage_early(tmp_path: Path) -> None:
    """The rule is asked before every tick."""
    state = TrainState(modules={"m": nn.Linear(1, 1)})
    steps = [tick.step for tick in context(tmp_path).ticks(state, tiny_steps=9, stop=lambda: state.step >= 3)]
    assert steps == [0, 1, 2]


def test_stages_run_once_and_their_figures_are_appended(tmp_path: Path) -> None:
    """A finished stage is not run again; each run adds a line to training.json and keeps the digests true."""
    calls: list[str] = []

    def body(ctx: StageContext) -> Figures:
        calls.append(ctx.stage)
        (ctx.out).mkdir(parents=True, exist_ok=True)
        (ctx.out / "SHA256SUMS").touch()
        return {"loss": 0.25}

    stages = [
        Stage(name="a-one", folder="a", run=body, seconds=5),
        Stage(name="a-two", folder="a", run=body, seconds=5),
    ]
    arguments: dict[str, Any] = {"out": tmp_path, "checkpoints": tmp_path / "kept", "device": "cpu"}
    assert run_stages(stages[:1], **arguments) == {"a-one": {"loss": 0.25}}
    assert run_stages(stages, **arguments) == {"a-one": {"loss": 0.25}, "a-two": {"loss": 0.25}}
    assert calls == ["a-one", "a-two"]
    run_stages(stages[1:], extend=True, **arguments)
    entries = json.loads((tmp_path / "a" / "training.json").read_text(encoding="utf-8"))
    assert [entry["stage"] for entry in entries] == ["a-one", "a-two", "a-two"]
    assert entries[0]["figures"] == {"loss": 0.25}
    assert entries[0]["rehearsal"] is False
    from swapgate.standins import folders

    assert folders.faults(tmp_path / "a") == []


@pytest.mark.parametrize(("device", "longest"), [("cuda", 540), ("cpu", 7200)])
@pytest.mark.parametrize("too_long", [False, True])
def test_an_impossible_budget_is_refused(tmp_path: Path, device: str, longest: int, too_long: bool) -> None:
    """Budgets lie above 0 and at 540 s at most on an accelerator, at two hours on a CPU."""
    stage = Stage(name="a", folder="a", run=lambda ctx: {}, seconds=5)
    for seconds in [longest + 1.0] if too_long else [0.0, -1.0]:
        with pytest.raises(UserError, match=str(longest)):
            run_stages([stage], out=tmp_path, checkpoints=tmp_path, device=device, seconds={"a": seconds})
    assert run_stages([stage], out=tmp_path, checkpoints=tmp_path, device="cpu", seconds={"a": 540.0}) == {"a": {}}


def test_a_deadline_shrinks_the_budgets_in_proportion(tmp_path: Path, clock: Clock) -> None:
    """Two stages of 100 s before a deadline 50 s away get 25 s; the second, begun 5 s early, has what is left."""
    seen: list[float] = []

    def body(ctx: StageContext) -> Figures:
        seen.append(ctx.seconds)
        clock.now += 20.0
        return {}

    stages = [Stage(name=name, folder="f", run=body, seconds=100) for name in ("a", "b")]
    run_stages(stages, out=tmp_path, checkpoints=tmp_path, device="cpu", deadline=clock.now + 50)
    assert seen == [25.0, 30.0]


@given(progress=st.floats(0, 1))
def test_the_rate_warms_up_holds_and_falls(progress: float) -> None:
    """It never exceeds its peak, is the peak in the middle and a hundredth at the end."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    set_rate(optimiser, peak=2.0, progress=progress)
    rate = optimiser.param_groups[0]["lr"]
    assert 0 < rate <= 2.0
    if 0.03 <= progress < 0.6:
        assert rate == 2.0
    set_rate(optimiser, peak=2.0, progress=1.0)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.02)


def test_the_average_follows_and_swaps_back() -> None:
    """A constant parameter is its own average; two swaps are none."""
    parameter = nn.Parameter(torch.ones(2))
    average = Average([parameter], decay=0.9)
    with torch.no_grad():
        parameter.fill_(3.0)
    for step in range(200):
        average.update(step)
    assert torch.allclose(average.shadow[0], torch.full((2,), 3.0), atol=1e-3)
    average.shadow[0].fill_(5.0)
    average.swap()
    assert parameter.tolist() == [5.0, 5.0]
    average.swap()
    assert parameter.tolist() == [3.0, 3.0]


def test_records_are_kept_in_order(tmp_path: Path) -> None:
    """Each record is one more entry of a JSON list."""
    for k in range(3):
        record(tmp_path, {"k": k})
    assert [entry["k"] for entry in json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))] == [0, 1, 2]
