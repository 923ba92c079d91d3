"""The data of a baseline: its JSON, and what must hold of it before anything is compared with it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapgate.baselines.layout import pretty
from swapgate.baselines.record import ANY, Baseline, from_json, problems, without_cost
from swapgate.errors import UserError
from swapgate.gates.evidence import Cost, Drift, ImageScore, Null, Repeat

FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
seconds = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=5)


@st.composite
def scores(draw: st.DrawFn) -> tuple[ImageScore, ...]:
    """Scores of different pairs, with any finite figures."""
    made = []
    for seed in draw(st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=4)):
        bits = draw(st.dictionaries(st.text(min_size=1, max_size=5), st.booleans(), max_size=3))
        made.append(
            ImageScore(
                pair=f"cup/zh/{seed}/0",
                recipe="r",
                task="cup",
                language="zh",
                seed=seed,
                index=0,
                edits=draw(st.text(max_size=4)),
                image=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
                bits=bits,
                usable=all(bits.values()),
                alignment=draw(st.floats(-1, 1)),
                normalised=draw(finite),
                margins={"杯": draw(finite)},
                counted=draw(st.booleans()),
            )
        )
    return tuple(made)


def cost_of(values: list[float]) -> Cost:
    whole = tuple(range(1, len(values) + 1))
    return Cost(
        seconds=tuple(values),
        first_step=(),
        text=(),
        denoise=(),
        decode=(),
        peak_mib=tuple(values),
        held_mib=(),
        images=whole,
        numbers=whole,
        first_call_seconds=None,
        load_seconds=values[0],
        throttled=("thermal",),
    )


@FIXTURE
@given(drawn=scores(), times=seconds, drift=finite)
def test_reading_gives_back_what_was_written(made: Any, drawn: tuple[ImageScore, ...], times: list[float], drift: float) -> None:
    """Through the text of the file and back: nothing is lost but digits beyond the sixth, and writing again changes nothing."""
    null = Null(drifts=(Drift(pair="p", identical=False, ssim=drift, psnr=drift, clip=drift),), processes=2, variations=("x",))
    quality = replace(made.baseline().quality, scores=drawn, references={one.pair: one.image for one in drawn}, null=null)
    again = tuple(Repeat(run="r", process=n, task="cup", cost=cost_of(times)) for n in (1, 3))
    baseline = replace(made.baseline(), quality=quality, cost=cost_of(times), repeats=again)
    text = pretty(baseline.as_json())
    back = from_json(json.loads(text), where="x")
    assert pretty(back.as_json()) == text
    assert problems(back) == []
    assert [one.pair for one in back.quality.scores] == sorted(one.pair for one in drawn)
    by_pair = {one.pair: one for one in drawn}
    for one in back.quality.scores:
        assert replace(one, normalised=0, alignment=0, margins={}) == replace(by_pair[one.pair], normalised=0, alignment=0, margins={})
        assert one.normalised == pytest.approx(by_pair[one.pair].normalised, rel=1e-5)
    assert back.cost is not None
    assert back.cost.seconds == pytest.approx(times, rel=1e-5)
    assert [(one.process, one.cost) for one in back.repeats] == [(1, back.cost), (3, back.cost)]


def test_the_text_has_sorted_keys_and_ends_in_a_newline(made: Any) -> None:
    """Two people who accept the same run get the same bytes."""
    text = pretty(made.baseline().as_json())
    assert text.endswith("}\n")
    assert json.loads(text, object_pairs_hook=lambda pairs: [key for key, _ in pairs]) == sorted(json.loads(text))


def test_one_more_sample_is_a_small_diff(made: Any) -> None:
    """Reviewable: a changed score touches its own lines only, and samples stand on one line."""
    before = made.baseline()
    changed = (replace(before.quality.scores[0], alignment=0.2), *before.quality.scores[1:])
    after = replace(before, quality=replace(before.quality, scores=changed), cost=made.cost(1.0, 1.3, 1.1))
    one, other = (pretty(value.as_json()).splitlines() for value in (before, after))
    assert sum(left != right for left, right in zip(one, other, strict=True)) == 3  # alignment, seconds, denoise


def test_quality_counts_only_what_stands_for_a_round(made: Any) -> None:
    """The usable rate is over counted images; files are kept for those as written."""
    quality = made.baseline().quality
    uncounted = made.score("cup", 7, usable=False, bits={"a": False}, counted=False)
    broken = made.score("cup", 8, usable=False, bits={"a": False})
    wider = replace(quality, scores=(*quality.scores, uncounted, broken))
    assert wider.usable_rate() == pytest.approx(3 / 4)
    assert set(wider.kept()) == {"cup/en/1/0", "cup/en/2/0", "cup/en/8/0"}
    assert replace(quality, scores=()).usable_rate() is None


def test_an_arm_carries_the_samples(made: Any) -> None:
    """Gates read arms; the arm says which baseline it is."""
    baseline = made.baseline()
    arm = baseline.arm()
    assert (arm.scores, arm.cost, arm.weights) == (baseline.quality.scores, baseline.cost, baseline.weights)
    assert baseline.id in arm.source


def test_a_file_of_before_there_were_repeats_reads_as_it_was_written(made: Any) -> None:
    """No key, no repeats, the same bytes; nor has a drift of before a variation."""
    data = made.baseline().as_json()
    assert "repeats" not in data
    for drift in data["quality"]["null"]["drifts"]:
        del drift["variation"]
    back = from_json(json.loads(json.dumps(data)), where="x")
    assert back.repeats == ()
    assert back.arm().processes == ()
    assert [drift.variation for drift in back.quality.null.drifts] == [""]


def test_the_arm_has_every_process_and_the_runs_own_first(made: Any) -> None:
    """As process 0, under the name of its run."""
    baseline = with_repeats(made)
    processes = baseline.arm().processes
    assert [(one.run, one.process, one.task) for one in processes] == [(baseline.provenance.run, 0, "cup"), ("r", 1, "cup"), ("r", 2, "cup")]
    assert processes[0].cost == baseline.cost
    assert problems(baseline) == []
    assert without_cost(baseline).repeats == ()
    assert problems(without_cost(baseline)) == []


def with_repeats(made: Any) -> Baseline:
    baseline: Baseline = made.baseline()
    return replace(baseline, repeats=tuple(Repeat(run="r", process=n, task="cup", cost=made.cost(1.0, 1.1)) for n in (1, 2)))


def last_repeat(**changes: Any) -> Callable[[Baseline], Baseline]:
    return lambda one: replace(one, repeats=(*one.repeats[:-1], replace(one.repeats[-1], **changes)))


def last_cost(**changes: Any) -> Callable[[Baseline], Baseline]:
    return lambda one: last_repeat(cost=replace(one.repeats[-1].cost, **changes))(one)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (last_cost(seconds=(1.0, math.nan)), "repeats[1].cost.seconds holds nan: a measurement is above 0"),
        (last_cost(seconds=(1.0, None)), "repeats[1].cost.seconds holds None"),
        (last_cost(seconds=(), first_step=(), denoise=(), peak_mib=(), held_mib=(), images=(), numbers=()), "repeats[1].cost without a single call"),
        (last_cost(peak_mib=(1.0,)), "repeats[1].cost.peak_mib has 1 entries for 2 calls"),
        (last_repeat(process=1), "repeats name a process twice"),
        (last_repeat(task="cat"), "repeats[1].task is 'cat' in a baseline of cup"),
        (lambda one: replace(one, cost=None), "repeats without a cost that they repeat"),
    ],
)  # fmt: skip
def test_impossible_repeats_are_named(made: Any, break_it: Callable[[Any], Any], said: str) -> None:
    """Which, what it holds and the rule."""
    assert any(said in problem for problem in problems(break_it(with_repeats(made))))


@pytest.mark.parametrize(
    ("null", "said"),
    [
        (Null(drifts=(), processes=2, variations=()), "a null without a single repeat says nothing"),
        (
            Null(drifts=(Drift(pair="p", identical=False, ssim=math.nan, psnr=1.0, clip=1.0),), processes=2, variations=()),
            "of p: ssim is nan, not finite",
        ),
        (Null(drifts=(Drift(pair="p", identical=False, ssim=1.0, psnr=1.0, clip=1.0),), processes=0, variations=()), "processes is 0"),
    ],
)
def test_a_null_that_says_nothing_is_named(made: Any, null: Null, said: str) -> None:
    """No samples, NaN, no process; constant ones are a null as any."""
    quality = made.baseline().quality
    assert any(said in problem for problem in problems(replace(made.baseline(), quality=replace(quality, null=null))))
    constant = Null(drifts=(Drift(pair="p", identical=True, ssim=1.0, psnr=130.0, clip=1.0),) * 9, processes=3, variations=())
    assert problems(replace(made.baseline(), quality=replace(quality, null=constant))) == []


def test_without_cost_is_a_valid_baseline_for_any_hardware(made: Any) -> None:
    """The cohort "any" never holds cost."""
    general = without_cost(made.baseline())
    assert general.cohort == ANY
    assert general.cost is None
    assert not problems(general)


def quality_with(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda one: replace(one, quality=change(one.quality))


def first_score(**changes: Any) -> Callable[[Any], Any]:
    return quality_with(lambda q: replace(q, scores=(replace(q.scores[0], **changes), *q.scores[1:])))


def cost_with(**changes: Any) -> Callable[[Any], Any]:
    return lambda one: replace(one, cost=replace(one.cost, **changes))


def environment_with(**values: Any) -> Callable[[Any], Any]:
    return lambda one: replace(one, provenance=replace(one.provenance, environment=values))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda one: replace(one, cohort="any"), "cost figures in the cohort"),
        (lambda one: replace(one, task="../up"), "not usable as a file name"),
        (lambda one: replace(one, model=".hidden"), "not usable as a file name"),
        (lambda one: replace(one, weights=""), "no hash of the weights"),
        (lambda one: replace(one, provenance=replace(one.provenance, faults=("vae-shift",))), "planted faults: vae-shift"),
        (quality_with(lambda q: replace(q, scores=())), "no scored image"),
        (quality_with(lambda q: replace(q, scores=(*q.scores, q.scores[0]))), "counted twice"),
        (quality_with(lambda q: replace(q, references={})), "name different images"),
        (quality_with(lambda q: replace(q, null=replace(q.null, drifts=(replace(q.null.drifts[0], clip=math.inf),)))), "not finite"),
        (first_score(alignment=math.nan), "not a finite number"),
        (first_score(alignment=None), "not a finite number"),
        (first_score(alignment=1.5), "no cosine"),
        (first_score(margins={"m": math.inf}), "not a finite number"),
        (first_score(usable=False), "contradicts its checks"),
        (first_score(image="zz"), "no SHA-256"),
        (cost_with(seconds=(1.0, 0.0, 1.0)), "a measurement is above 0"),
        (cost_with(seconds=(1.0, True, 1.0)), "a measurement is above 0"),
        (cost_with(seconds=(1.0, math.inf, 1.0)), "a measurement is above 0"),
        (cost_with(peak_mib=(1.0, -1.0, 1.0)), "a measurement is above 0"),
        (cost_with(held_mib=(1.0, -1.0, 1.0)), "not below 0"),
        (cost_with(seconds=()), "without a single call"),
        (cost_with(peak_mib=(1.0,)), "1 entries for 3 calls"),
        (environment_with(device_memory_mib=999.0), "above the 999 MiB"),
    ],
)  # fmt: skip
def test_impossible_content_is_named(made: Any, break_it: Callable[[Any], Any], said: str) -> None:
    """Each rule is tripped by the one thing that breaks it."""
    assert problems(made.baseline()) == []
    assert any(said in problem for problem in problems(break_it(made.baseline())))


def test_host_memory_bounds_a_cpu_and_not_a_device(made: Any) -> None:
    """The peak is resident memory on a CPU, allocated device memory elsewhere."""
    small = environment_with(host_memory_mib=10.0)
    assert any("above the 10 MiB" in one for one in problems(small(made.baseline(cohort=made.CPU))))
    assert problems(small(made.baseline())) == []


def test_a_figure_that_is_not_finite_is_written_as_null(made: Any) -> None:
    """A broken run still gives a draft that can be read, and is refused for its reason."""
    broken: Baseline = first_score(alignment=math.nan)(made.baseline())
    back = from_json(json.loads(pretty(broken.as_json())), where="x")
    assert any("alignment is None" in problem for problem in problems(back))


@pytest.mark.parametrize(
    ("damage", "key"),
    [({"schema": 2}, "schema"), ({"schema": None}, "schema"), ({"quality": None}, ""), ({"cost": {"seconds": []}}, ""), ({"surprise": 1}, ""),
     ({"provenance": {}}, ""), ({"repeats": [{"process": 1}]}, ""), ({"repeats": 3}, ""), ({"quality": {"scores": [1], "references": {}, "null": None}}, "")],
)  # fmt: skip
def test_a_damaged_file_is_an_error_with_its_place(made: Any, damage: dict[str, Any], key: str) -> None:
    """Whatever is missing or unknown, the error names the file and what to do."""
    with pytest.raises(UserError) as caught:
        from_json({**made.baseline().as_json(), **damage}, where="some/file.json")
    assert caught.value.where == "some/file.json"
    assert caught.value.key == key
    assert "accept" in caught.value.remedy


def test_a_file_of_another_kind_is_an_error() -> None:
    """A list is no baseline."""
    with pytest.raises(UserError, match="one JSON object"):
        from_json([], where="x")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | finite | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_the_layout_is_json_whatever_it_holds(data: Any) -> None:
    """Only the spacing is ours."""
    assert json.loads(pretty(data)) == data
