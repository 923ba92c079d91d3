"""Arms: what gates read of a model, from what a run recorded of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Ceilings
from swapgate.gates.evidence import Arm, Cost
from swapgate.gates.memory import judge as judge_memory
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status
from swapgate.plan import Request
from swapgate.runs.records import NO_SEED, DeviceHealth, Failure, Generation, Loaded, Memory, Times, read_waited, waited_note
from swapgate.suite.arms import Recorded, arm, changed_requests, cohort_of, cost, limits, pooled
from swapgate.suite.judging import evidence


def generation(number: int, *, call: str = "", images: int = 1, seconds: float = 2.0, first: bool = False, **given: Any) -> Generation:
    times = Times(queue=0.0, text=0.1, first_step=0.4, steps=(0.5, 0.6), decode=0.2, total=seconds)
    memory = Memory(allocated=None, reserved=None, process=None, resident=1000.0 + number, held=500.0 + number)
    made: dict[str, Any] = {
        "request": f"r{call}{number}",
        "image": "a" * 64,
        "width": 32,
        "height": 32,
        "mode": "RGB",
        "call": call or f"c{number}",
        "images_in_call": images,
        "number": number,
        "first_call": first,
        "times": times,
        "memory": memory,
        "forwards": 8,
        **given,
    }
    return Generation(**made)


def loaded(**given: Any) -> Loaded:
    memory = Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0)
    made: dict[str, Any] = {
        "model": "toy",
        "seconds": 3.0,
        "accelerator": "nvidia-h200",
        "device_name": "H200",
        "weights": "ab",
        "placement": "cuda",
        "dtype": "bfloat16",
        "attention": "sdpa",
        "threads": 4,
        "versions": {},
        "memory": memory,
        **given,
    }
    return Loaded(**made)


def test_the_first_call_after_loading_is_kept_apart() -> None:
    """It pays for warming up; its seconds stand beside the samples."""
    found = cost([generation(0, first=True, seconds=9.0), generation(1), generation(2)], loaded())
    assert found is not None
    assert found.seconds == (2.0, 2.0)
    assert (found.first_call_seconds, found.load_seconds) == (9.0, 3.0)


def test_a_call_of_several_images_is_one_sample_of_seconds_an_image() -> None:
    """Cost belongs to the call."""
    made = [replace(generation(4, call="x", images=3, seconds=6.0), request=f"x{index}") for index in range(3)]
    found = cost(made, loaded())
    assert found is not None
    assert (found.seconds, found.images, found.numbers, found.calls) == ((2.0,), (3,), (4,), 1)
    assert found.denoise == (1.1,)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_calls_stay_in_the_order_made_and_each_process_counts_from_its_start(lengths: list[int]) -> None:
    """Resumption and restarts make several processes: their samples follow each other and never mix."""
    made = [generation(number, call=f"{process}.{number}", first=number == 0) for process, length in enumerate(lengths) for number in range(length)]
    found = cost(made, loaded())
    assert found is not None
    assert found.numbers == tuple(number for length in lengths for number in range(1, length))


def test_allocated_memory_counts_on_a_device_and_resident_memory_on_a_cpu() -> None:
    """Rule 7 of the design."""
    device = Memory(allocated=70.0, reserved=80.0, process=90.0, resident=5.0, held=60.0)
    on_device, on_cpu = cost([generation(1, memory=device)], loaded()), cost([generation(1)], loaded())
    assert on_device is not None
    assert on_cpu is not None
    assert (on_device.peak_mib, on_device.held_mib) == ((70.0,), (60.0,))
    assert (on_cpu.peak_mib, on_cpu.held_mib) == ((1001.0,), (501.0,))


def test_reasons_of_throttling_are_collected_once() -> None:
    """From every call but the first."""
    hot = DeviceHealth(throttle=("power", "heat"))
    found = cost([generation(0, first=True, device=DeviceHealth(throttle=("boot",))), generation(1, device=hot), generation(2, device=hot)], loaded())
    assert found is not None
    assert found.throttled == ("heat", "power")


def test_nothing_measured_is_no_cost() -> None:
    """Failures carry no times."""
    assert cost([generation(1, times=None, memory=None)], loaded()) is None
    assert cost([], None) is None


def test_an_arm_orders_its_calls_by_the_journal_and_not_by_the_plan(bench: Any) -> None:
    """A request that failed and was made again later belongs where it was made."""
    bench.card("toy", raise_at="2")
    bench.whole()
    bench.card("toy")
    suite, _ = bench.whole(resume=bench.root / "here")
    suite.ensure("toy")
    found = arm(suite.recorded["toy"], suite.setup.tasks["toy"], "").cost
    assert found is not None
    # Images 0 to 12 of the first process (its first call left out), and nothing of the second: that made one call, its first.
    assert found.numbers == tuple(range(1, 14))


def test_an_arm_holds_only_its_tasks_and_says_what_is_missing(bench: Any) -> None:
    """With kind, stage and message of the failure."""
    bench.card("toy", raise_at="3")
    suite, _ = bench.whole()
    cup, cat = suite.setup.tasks["toy"]
    recorded = suite.recorded["toy"]
    assert arm(recorded, [cup], "").missing == ()
    assert {score.task for score in arm(recorded, [cup], "").scores} == {"cup"}
    (gone,) = arm(recorded, [cat], "").missing
    assert (gone.pair, gone.kind) == ("cat/en/1/0", "exception")
    assert gone.reason == "exception in stage denoise: scripted: this image raises"


def test_a_request_that_was_never_made_is_missing(bench: Any) -> None:
    """A smaller sample must not pass for a whole one."""
    bench.open()
    replayed = bench.open(replay=bench.root / "here")
    replayed.ensure("toy")
    found = arm(replayed.recorded["toy"], replayed.setup.tasks["toy"], "")
    assert len(found.missing) == 15
    assert {gone.kind for gone in found.missing} == {"not made"}
    assert (found.weights, found.cohort, found.cost) == ("", "", None)


@pytest.mark.parametrize(("expected", "seen"), [(4, ((4, 8), (4, 8))), (None, ())])
def test_forwards_are_counted_of_calls_that_made_a_picture(bench: Any, expected: int | None, seen: tuple[tuple[int, int], ...]) -> None:
    """A call that failed half-way ran fewer, and says nothing of guidance."""
    card = replace(bench.open().setup.models[0], expected_forwards=expected)
    asked = [
        Request(model="toy", task="cup", language="en", seed=seed, index=0, prompt="p", negative_prompt=None, width=32, height=32, call=())
        for seed in range(3)
    ]
    failure = Failure(kind="exception", message="x", stage="denoise")
    made = [generation(0), generation(1), generation(2, image=None, forwards=1, failure=failure)]
    task = bench.open(run_dir=bench.root / "two").setup.tasks["toy"][0]
    recorded = Recorded(card=card, loaded=None, generations=tuple(zip(asked, made, strict=True)), scores=(), places={})
    assert arm(recorded, [task], "").forwards == seen


def test_the_cohort_is_hardware_placement_and_recipe_and_neither_weights_nor_versions(bench: Any) -> None:
    """Versions and weights are what is under test."""
    card = bench.open().setup.models[0]
    base = cohort_of(card, loaded())
    assert base.startswith("nvidia-h200-")
    assert cohort_of(replace(card, revision="new", title="x"), loaded(weights="other", versions={"torch": "3"})) == base
    assert cohort_of(card, loaded(placement="cuda+model-offload")) != base
    assert cohort_of(replace(card, call={"steps": 9}), loaded()) != base
    assert cohort_of(card, loaded(accelerator="nvidia-l4")) != base


def simple(task: str, seconds: tuple[float, ...] | None) -> Arm:
    n = len(seconds or ())
    made = (
        None
        if seconds is None
        else Cost(
            seconds=seconds,
            first_step=seconds,
            text=(),
            denoise=seconds,
            decode=(),
            peak_mib=seconds,
            held_mib=seconds,
            images=(1,) * n,
            numbers=tuple(range(n)),
            first_call_seconds=None,
            load_seconds=None,
        )
    )
    return Arm(model="toy", weights="w", accelerator="cpu", cohort="c", pipeline="p", scores=(), cost=made, source=task)


def test_baselines_are_pooled_with_all_their_samples_or_without_cost() -> None:
    """Cost of a part of the tasks would be held against the cost of all."""
    whole = pooled([simple("a", (1.0, 2.0)), simple("b", (3.0,))])
    assert whole is not None
    assert whole.cost is not None
    assert (whole.cost.seconds, whole.cost.images) == ((1.0, 2.0, 3.0), (1, 1, 1))
    part = pooled([simple("a", (1.0,)), simple("b", None)])
    assert part is not None
    assert part.cost is None
    assert pooled([]) is None


def test_limits_are_the_cards_for_its_accelerator_and_a_tasks_own_floor_comes_first(bench: Any) -> None:
    """A floor of zero is a floor, too."""
    suite = bench.open()
    card = replace(suite.setup.models[0], usability_floor=0.6, ceilings={"cuda": Ceilings(memory_mib=5.0), "nvidia-h200": Ceilings(memory_mib=7.0)})
    task = suite.setup.tasks["toy"][0]
    assert limits(card, loaded(), None).memory_mib == 7.0
    assert limits(card, loaded(accelerator="nvidia-l4"), None).memory_mib == 5.0
    assert limits(card, None, None).memory_mib is None
    assert limits(card, None, task).usability_floor == 0.6
    assert limits(card, None, replace(task, usability_floor=0.0)).usability_floor == 0.0


def test_pairs_that_were_asked_differently_are_named(made: Any) -> None:
    """Prompt, size or call changed; a pair that only one side has is no change."""
    old = [made.score(seed=1), made.score(seed=2), made.score(seed=3, recipe="zz")]
    new = [made.score(seed=1), made.score(seed=2, recipe="bb"), made.score(seed=4)]
    assert changed_requests(new, old) == ["cup/en/2/0"]


@pytest.mark.parametrize(("leak", "wanted"), [(0.0, Status.PASS), (5.0, Status.REGRESSION)])
def test_growth_is_read_within_one_process_of_a_resumed_run(bench: Any, leak: float, wanted: Status) -> None:
    """The second process holds 300 MiB less or more from its start: neither hides a leak nor looks like one."""
    suite, _ = bench.whole()
    whole = evidence(suite, "toy", "all")
    for shift in (-300.0, 300.0):
        numbers = (*range(1, 40), *range(1, 60))
        held = tuple(1000.0 + leak * n + 0.01 * (n % 7) + (shift if place >= 39 else 0.0) for place, n in enumerate(numbers))
        n = len(numbers)
        samples = Cost(
            seconds=(1.0,) * n,
            first_step=(),
            text=(),
            denoise=(),
            decode=(),
            peak_mib=(2000.0,) * n,
            held_mib=held,
            images=(1,) * n,
            numbers=numbers,
            first_call_seconds=None,
            load_seconds=None,
        )
        verdict = judge_memory(replace(whole, candidate=replace(whole.candidate, cost=samples)), Policy(draws=500))
        growth = next(one for one in verdict.findings if one.name == "growth")
        assert growth.status is wanted
        assert growth.effect == pytest.approx(leak, abs=0.05)


FOREIGN = (("python3 (4242)", 512.0), ("Xorg (7)", None))


def test_processes_beside_a_call_are_in_its_cost_by_name_and_pooled_once() -> None:
    """Also when they held another amount in another call; the first call after loading is no sample."""
    made = [generation(0, first=True, device=DeviceHealth(foreign=(("early (1)", 1.0),))), generation(1, device=DeviceHealth(foreign=FOREIGN))]
    found = cost([*made, generation(2, device=DeviceHealth(foreign=(("python3 (4242)", 900.0),)))], None)
    assert found is not None
    assert found.foreign == ("Xorg (7)", "python3 (4242)")
    alone = cost([generation(1)], None)
    assert alone is not None
    assert alone.foreign == ()
    both = pooled([plain_arm(found), plain_arm(alone), plain_arm(found)])
    assert both is not None
    assert both.cost is not None
    assert both.cost.foreign == ("Xorg (7)", "python3 (4242)")


def test_memory_that_ran_out_beside_another_process_names_it(bench: Any) -> None:
    """It may be the whole reason."""
    suite, _ = bench.whole()
    recorded = suite.recorded["toy"]
    request, one = recorded.generations[0]
    failure = Failure(kind="out-of-memory", message="CUDA out of memory; peak 900 MiB", stage="step 3", peak=900.0)
    lost = replace(one, image=None, failure=failure, device=DeviceHealth(foreign=FOREIGN))
    found = arm(replace(recorded, generations=((request, lost),)), suite.setup.tasks["toy"], "run")
    (missing,) = found.missing
    said = "out-of-memory in stage step 3: CUDA out of memory; peak 900 MiB; on the device was also python3 (4242) with 512 MiB, Xorg (7)"
    assert missing.reason == said


def plain_arm(found: Cost) -> Arm:
    return Arm(model="m", weights="w", accelerator="nvidia-h200", cohort="c", pipeline="P", scores=(), cost=found)


def test_times_without_memory_are_times() -> None:
    """Of a server whose memory is out of reach; a figure of some calls only is none."""
    calls = [generation(0, first=True, memory=None), generation(1, memory=None), generation(2, memory=None)]
    found = cost(calls, loaded())
    assert found is not None
    assert (found.seconds, found.peak_mib, found.held_mib) == ((2.0, 2.0), (), ())
    some = cost([*calls, generation(3)], loaded())
    assert some is not None
    assert (some.calls, some.peak_mib) == (3, ())


@pytest.mark.parametrize(("allocated", "process", "peak"), [(5.0, 7.0, 5.0), (None, 7.0, 7.0), (None, None, 9.0), (0.0, 7.0, 0.0)])
def test_the_gated_peak_is_the_nearest_to_the_device(allocated: float | None, process: float | None, peak: float) -> None:
    assert Memory(allocated=allocated, reserved=None, process=process, resident=9.0, held=1.0).peak == peak


def test_what_a_server_cannot_tell_reaches_the_arm(bench: Any) -> None:
    """Also through the journal, which older runs wrote without it."""
    known = loaded(memory=None, no_memory="far away")
    assert Loaded.from_json(json.loads(json.dumps(known.as_json()))) == known
    assert "no_memory" not in loaded().as_json()
    setup = bench.open().setup
    card, task = setup.models[0], setup.tasks["toy"][0]
    asked = Request(model="toy", task=task.id, language="en", seed=1, index=0, prompt="p", negative_prompt=None, width=32, height=32, call=())
    cases: list[tuple[Loaded, tuple[str, ...], str]] = [
        (known, (), ""), (loaded(notes=(f"{NO_SEED}by card",)), (), "by card"), (known, (f"{NO_SEED}tried",), "tried")
    ]  # fmt: skip
    for loads, notes, said in cases:
        found = arm(Recorded(card=card, loaded=loads, generations=((asked, generation(1, notes=notes)),), scores=(), places={}), [task], "toy")
        assert (found.no_memory, found.no_seed) == (loads.no_memory, said)


def test_waits_for_a_rate_limit_are_written_and_read() -> None:
    assert read_waited(waited_note(1.23456, 3)) == (1.235, 3)
    assert read_waited("something else") is None
