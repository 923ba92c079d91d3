"""A trial on tiny pipelines on the CPU, with a limit that counts what is allocated and raises as torch's allocator does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from swapgate.card_parts import Parts, Quantisation
from swapgate.cards import Card
from swapgate.engines import quantising, trial
from swapgate.engines.base import OutOfMemoryError
from swapgate.engines.floor import Inputs, matmul_rate
from swapgate.engines.placements import ERROR, FITS, HOST_MEMORY, OUT_OF_MEMORY, PLACEMENTS, UNKNOWN, Placement, Tried
from swapgate.engines.trial import HostMemoryError, Trial, said, verdict_of
from swapgate.errors import UserError
from swapgate.meters.bound import TooSmallError
from swapgate.plan import Call

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]
MIB = 1024 * 1024
PLAIN, FP8 = PLACEMENTS[0], PLACEMENTS[1]
PLENTY = 10_000.0


class Counting(TorchDispatchMode):
    """Raises torch.OutOfMemoryError once the results of all operations together are larger than `most` MiB."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most, self.taken = most, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.taken += sum(leaf.nbytes for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)) / MIB
        if self.taken > self.most:
            raise torch.OutOfMemoryError(f"CUDA out of memory. {self.most} MiB allowed. If reserved but unallocated memory is large try this")
        return result


class FakeBound:
    """A limit that is as hard as the real one: it counts what every operation gives."""

    reserve: float | None = 600.0
    note = "a limit of the tests"

    def __init__(self, *, total: float = 1e6, free: float = 1e6) -> None:
        self.total: float | None = total
        self._free, self._beside = free, 100.0
        self._stack = ExitStack()
        self.limits: list[float] = []

    def set(self, limit: float) -> float:
        self._stack.close()
        self.limits.append(limit)
        allowed = limit - self._beside
        if allowed <= 0:
            raise TooSmallError("too small")
        self._stack.enter_context(Counting(allowed))
        return allowed

    def lift(self) -> None:
        self._stack.close()

    def beside(self) -> float:
        return self._beside

    def free(self) -> float:
        return self._free


@pytest.fixture
def trial_of(card_of: CardOf, call_of: CallOf, flux_folder: Path) -> Callable[..., Trial]:
    """Makes a trial of the tiny FLUX pipeline, of random weights by default."""

    def make(placement: Placement = PLAIN, *, folder: Path = flux_folder, images: Any = None, changes: Any = None, **given: Any) -> Trial:
        steps = {"num_inference_steps": 8, "max_sequence_length": 32}
        card = card_of(folder, **{"weights": "dry", "call": steps if folder == flux_folder else {"num_inference_steps": 8}, **(changes or {})})
        return Trial(card, placement, call_of(card, **(images or {})).first, **given)

    return make


def test_what_fits_has_made_an_image_of_the_steps_asked(trial_of: Callable[..., Trial]) -> None:
    """With its stages, of as many steps as the card has in all; the limit was set and is gone afterwards."""
    bound = FakeBound()
    tried = trial_of(bound=bound)
    prepared = tried.prepare(rate=True)
    found = tried.attempt(PLENTY, steps=4, patience=60.0)
    assert found.verdict == FITS
    assert (found.made, found.steps, prepared.steps) == (4, 8, 8)
    assert found.total is not None
    assert found.total > sum(found.each_step) > 0
    assert found.text
    assert found.decode
    assert found.host
    assert found.seconds is not None
    assert found.seconds > found.total
    assert bound.limits == [PLENTY, PLENTY]  # again when the first image has loaded what it needs
    assert prepared.rate
    assert prepared.rate > 1e8
    assert prepared.reserve_mib == 600.0


def test_what_does_not_fit_says_where_memory_ran_out(trial_of: Callable[..., Trial]) -> None:
    """The error is torch's own, without its advice; a larger limit first, a smaller one in the same process."""
    tried = trial_of(bound=FakeBound())
    tried.prepare()
    assert tried.attempt(PLENTY, steps=2, patience=60.0).verdict == FITS
    found = tried.attempt(100.5, steps=2, patience=60.0)
    assert found.verdict == OUT_OF_MEMORY
    assert found.why.startswith("OutOfMemoryError: CUDA out of memory. 0.5 MiB allowed.")
    assert "unallocated" not in found.why
    assert found.stage in ("placing", "first image", "call", "text encoding")
    assert found.seconds is None
    torch.zeros(2 * MIB)  # nothing is counted any more


def test_a_limit_below_the_context_is_out_of_memory(trial_of: Callable[..., Trial]) -> None:
    """No card is that small."""
    tried = trial_of(bound=FakeBound())
    tried.prepare()
    assert tried.attempt(50.0, steps=2, patience=60.0).verdict == OUT_OF_MEMORY


@pytest.mark.parametrize(("given", "said_of"), [({"total": 90.0}, "the device itself"), ({"free": 0.1}, "others hold memory")])
def test_a_failure_that_is_not_the_limits_decides_nothing(given: dict[str, float], said_of: str, trial_of: Callable[..., Trial]) -> None:
    """A device that is smaller than what it emulates, or that others use."""
    tried = trial_of(bound=FakeBound(**given))
    tried.prepare()
    found = tried.attempt(100.5, steps=2, patience=60.0)
    assert found.verdict == UNKNOWN
    assert said_of in found.why


@pytest.mark.parametrize(("processes", "verdict", "left"), [([120.0, 99.0, 1.0], FITS, 1), ([120.0, 110.0, 101.0, 1.0], UNKNOWN, 1)])
def test_a_process_above_the_limit_is_tried_again_with_less(
    processes: list[float], verdict: str, left: int, trial_of: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libraries take meanwhile counts; when it never stops growing, nothing is claimed."""
    tried = trial_of(bound=FakeBound())
    monkeypatch.setattr(tried, "_attempt", lambda *_, **__: Tried(verdict=FITS, process=processes.pop(0)))
    found = tried.attempt(100.0, steps=2, patience=60.0)
    assert (found.verdict, len(processes)) == (verdict, left)
    assert (verdict == UNKNOWN) == ("101 MiB" in found.why)


def test_slow_steps_are_cut_short_after_two(trial_of: Callable[..., Trial]) -> None:
    """The pipeline is interrupted, and still decodes."""
    tried = trial_of(bound=FakeBound())
    tried.prepare()
    found = tried.attempt(PLENTY, steps=8, patience=0.0)
    assert (found.verdict, found.made, found.stopped) == (FITS, 2, True)
    assert found.decode
    assert tried.attempt(PLENTY, steps=8, patience=60.0).made == 8


def test_a_cache_makes_steps_unequal_so_all_are_made(trial_of: Callable[..., Trial]) -> None:
    """The median of four would not tell."""
    tried = trial_of(bound=FakeBound(), changes={"options": {"cache": "first-block", "cache_threshold": 1e9}})
    tried.prepare()
    assert tried.attempt(PLENTY, steps=2, patience=60.0).made == 8


def test_the_flops_of_a_step_are_those_of_its_forwards(trial_of: Callable[..., Trial], qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
    """Two forwards with guidance are about twice one without; fp8 computes the same products. They are counted only when asked for."""

    def flops(placement: Placement, **call: Any) -> float:
        tried = trial_of(
            placement, folder=qwen_folder, bound=FakeBound(), changes={"call": {"num_inference_steps": 3, **call}}, images={"negative": "no"}
        )
        tried.prepare()
        found = tried.attempt(PLENTY, steps=3, patience=60.0, count=True)
        assert tried.attempt(PLENTY, steps=3, patience=60.0).flops is None
        assert found.flops is not None
        return found.flops

    guided, plain = flops(PLAIN, true_cfg_scale=4.0), flops(PLAIN, true_cfg_scale=1.0)
    assert 1.5 < guided / plain < 2.1
    assert flops(FP8, true_cfg_scale=1.0) == plain


def test_the_count_is_that_of_the_products() -> None:
    """2 m n k of a linear layer, for every forward while it is wanted."""

    class Pipe:
        transformer = torch.nn.Linear(8, 16)

    wanted = [True, True, False]
    inputs = Inputs(Pipe(), lambda: wanted.pop(0))
    for _ in range(3):
        Pipe.transformer(torch.ones(4, 8))
    assert inputs.flops() == 2 * (2 * 4 * 8 * 16)
    assert inputs.flops() is None


def test_the_rate_of_products_is_a_rate() -> None:
    """Of the best size: more sizes never give less than about one of them."""
    rate = matmul_rate(torch.device("cpu"), torch.float32, sizes=(64, 256))
    assert 1e8 < rate < 1e15


def test_host_memory_is_asked_before_it_is_taken(trial_of: Callable[..., Trial], card_of: CardOf, flux_folder: Path) -> None:
    """By the size of files for real weights, by that of a drawn component otherwise; nf4 reads less."""
    real = trial_of(bound=FakeBound(), host_free=lambda: trial.SPARE_MIB + 0.001, changes={"weights": "real"})
    with pytest.raises(HostMemoryError, match="reading the weights needs"):
        real.prepare()
    drawn = trial_of(bound=FakeBound(), host_free=lambda: trial.SPARE_MIB + 0.5)
    drawn._device = torch.device("cuda")
    with pytest.raises(HostMemoryError, match=r"transformer needs 0\.0 GiB"):
        drawn._room_for("transformer", torch.nn.Linear(1024, 1024))
    drawn._room_for("transformer", torch.nn.Linear(16, 16))


def test_real_weights_are_those_of_the_files(trial_of: Callable[..., Trial], flux_folder: Path) -> None:
    """And they go through the same trial."""
    from diffusers import FluxTransformer2DModel

    tried = trial_of(bound=FakeBound(), changes={"weights": "real"})
    tried.prepare()
    real = FluxTransformer2DModel.from_pretrained(flux_folder / "transformer")
    assert torch.equal(tried._engine.pipe.transformer.x_embedder.weight, real.x_embedder.weight)
    assert tried.attempt(PLENTY, steps=2, patience=60.0).verdict == FITS


def test_fp8_is_there_when_it_is_asked_for(trial_of: Callable[..., Trial]) -> None:
    """Half the bytes of the denoiser's layers and more: of float32 a quarter."""
    sizes = {}
    for placement in (PLAIN, FP8):
        tried = trial_of(placement, bound=FakeBound())
        tried.prepare()
        assert tried.attempt(PLENTY, steps=2, patience=60.0).verdict == FITS
        sizes[placement.name] = sum(weight.nbytes for weight in tried._engine.pipe.transformer.parameters())
    assert sizes["fp8"] < 0.6 * sizes["all on the device"]


def test_an_offload_without_a_device_is_an_error_of_that_row(trial_of: Callable[..., Trial]) -> None:
    """Told by rule and remedy."""
    tried = trial_of(Placement(name="x", offload="model"), bound=FakeBound())
    tried.prepare()
    found = tried.attempt(PLENTY, steps=2, patience=60.0)
    assert (found.verdict, found.stage) == (ERROR, "placing")
    assert "CUDA device" in found.why
    assert "\n" not in found.why


def test_a_machine_without_a_gpu_is_told_so(trial_of: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="emulates smaller cards on a CUDA device"):
        trial_of(changes={"device": "cuda"})


def test_components_of_a_known_architecture_need_no_folder(card_of: CardOf, tmp_path: Path) -> None:
    """Those of a folder are read from its index."""
    card = card_of(tmp_path / "nowhere", weights="dry", architecture="flux-1-dev")
    assert "text_encoder_2" in trial._components(card)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OUT_OF_MEMORY),
        (TooSmallError("x"), OUT_OF_MEMORY),
        (HostMemoryError("x"), HOST_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), HOST_MEMORY),
        (OutOfMemoryError("x"), HOST_MEMORY),
        (RuntimeError("CUDA error: out of memory"), ERROR),
        (ValueError("x"), ERROR),
    ],
)
def test_only_torchs_own_error_is_the_limits(error: Exception, verdict: str) -> None:
    """Words of memory from elsewhere are the host's, and CUDA's own are not the allocator's."""
    assert verdict_of(error) == verdict
    assert said(error).startswith(type(error).__name__)


def test_what_the_libraries_leave_unquantised_is_left(flux_folder: Path) -> None:
    """T5 asks its `wo` for a dtype; a denoiser's layers are all taken."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(flux_folder)
    made: list[torch.nn.Linear] = []

    def replaced(layer: torch.nn.Linear) -> torch.nn.Module:
        made.append(layer)
        return torch.nn.Identity()

    linear = [name for name, module in pipe.text_encoder_2.named_modules() if type(module) is torch.nn.Linear]
    quantising._replace(pipe.text_encoder_2, replaced, torch.device("cpu"))
    left = [name for name, module in pipe.text_encoder_2.named_modules() if type(module) is torch.nn.Linear]
    assert left == [name for name in linear if name.endswith(".wo")]
    assert len(made) == len(linear) - len(left) > 0


def test_a_quantised_component_is_named_by_the_pipeline(trial_of: Callable[..., Trial], card_of: CardOf, flux_folder: Path) -> None:
    """A wrong name is an error also where weights are drawn."""
    from swapgate.engines.registry import Setting, create

    card = card_of(flux_folder, weights="dry", parts=Parts(quantisation=Quantisation(method="fp8", components=("unet",))))
    with pytest.raises(UserError, match="components of this pipeline"):
        create(card, Setting()).load()
