"""A run held against itself: every figure is that of its samples, and what was not measured says so."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest

from swapgate.errors import UserError
from swapgate.gates import power
from swapgate.gates.policy import Policy
from swapgate.gates.warning import Name
from swapgate.suite.calibration import FILE, Calibrated, calibrate
from swapgate.suite.calibration_lines import lines

POLICY = Policy(draws=500)


def made(bench: Any, null: int = 5, **given: Any) -> Calibrated:
    return calibrate(bench.config, bench.options(null=null, **given), POLICY)


def drafts(bench: Any) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((bench.root / "here" / "drafts").rglob("*.json"))]


def test_a_calibration_is_a_judged_run_with_drafts_and_a_report(bench: Any) -> None:
    """As one that pytest makes, so it can be accepted; the next command does."""
    found = made(bench)
    run = bench.root / "here"
    assert (run / "verdicts.json").is_file()
    assert (run / "report" / "index.html").is_file()
    assert found.next == "swapgate baselines accept --run=here --with-cost 'toy/*'"
    assert found.whole
    bench.accept()
    assert json.loads((run / FILE).read_text(encoding="utf-8"))["models"][0]["model"] == "toy"


def test_times_are_those_of_the_samples(bench: Any) -> None:
    """Medians, spread between processes and the smallest slowdown, worked out again from the drafts."""
    (model,) = made(bench, null=7).models
    total = next(one for one in model.times if one.name == "total")
    held = drafts(bench)
    seconds = [value for one in held for value in one["cost"]["seconds"]]
    assert (total.calls, total.median) == (len(seconds), pytest.approx(median(seconds), rel=1e-5))
    effects: dict[int, list[float]] = {}
    for one in held:
        last = max(max(repeat["cost"]["numbers"]) for repeat in one["repeats"])
        own = [value for value, number in zip(one["cost"]["seconds"], one["cost"]["numbers"], strict=True) if number <= last]
        rows = {0: math.log(median(own)), **{repeat["process"]: math.log(median(repeat["cost"]["seconds"])) for repeat in one["repeats"]}}
        for process, value in rows.items():
            effects.setdefault(process, []).append(value - sum(rows.values()) / len(rows))
    assert sorted(effects) == [0, 1, 3, 5, 7]
    expected = float(np.std([np.mean(values) for values in effects.values()], ddof=1))
    assert total.between is not None
    assert (total.between.deviation, total.between.freedom) == (pytest.approx(expected, rel=1e-4), 4)
    assert total.neighbours is not None
    noise: dict[str, Any] = {"cv": total.within, "correlation": max(0.0, total.neighbours), "between": (total.between.apart, 4)}
    reach = power.time_harm(total.calls, alpha=0.01 / 5 / 7, floor=0.05, **noise)
    assert total.smallest == pytest.approx(reach.smallest)
    assert total.passes is power.time_pass(total.calls, alpha=0.01, floor=0.05, **noise).enough


def test_the_null_stays_a_set_of_samples(bench: Any) -> None:
    """Every repeat with its variation and three metrics, in the object and in the file; the limit is one of them."""
    bench.card("toy", noise=0.1)
    found = made(bench)
    (model,) = found.models
    assert model.null is not None
    assert len(model.null.drifts) == 5 * 3
    ssim = next(one for one in model.pictures if one.metric == "ssim")
    assert ssim.values == tuple(sorted(drift.ssim for drift in model.null.drifts))
    assert ssim.limit == ssim.values[ssim.rank - 1] == ssim.values[0]
    assert dict(model.variations) == {"fresh process": 3, "1 thread": 2}
    stored = json.loads((bench.root / "here" / FILE).read_text(encoding="utf-8"))["models"][0]
    assert len(stored["null"]["drifts"]) == 15
    assert {one["variation"] for one in stored["null"]["drifts"]} == {"fresh process", "1 thread"}
    assert [one["process"] for one in stored["repeats"]] == [0, 0, 1, 3, 5, 1, 3, 5]


def test_alignment_is_measured_between_seeds_and_inside_rounds(bench: Any) -> None:
    """One image a round has no inside."""
    bench.card("toy", wrong_prompt=0.3)
    (single,) = made(bench).models
    scores = [score for one in drafts(bench) for score in one["quality"]["scores"] if not score["edits"]]
    prompts = {(score["task"], score["language"]) for score in scores}
    squares = [np.var([s["alignment"] for s in scores if (s["task"], s["language"]) == p], ddof=1) for p in prompts]
    assert single.alignment.seeds == pytest.approx(float(np.sqrt(np.mean(squares))), rel=1e-3)
    assert (single.alignment.images, single.alignment.prompts, single.alignment.rounds) == (9, 3, None)
    bench.tasks("images_per_round = 2")
    (double,) = made(bench, run_dir=bench.root / "two").models
    assert double.alignment.images_per_round == 2
    assert double.alignment.rounds is not None
    assert -1 <= double.alignment.rounds <= 1
    assert any("inside a round: not measured: one image a round" in line for line in lines(Calibrated(run="r", models=(single,), page="p", next="n")))
    alike = replace(double.alignment, seeds=0.0, rounds=None)
    assert any(
        "all images score alike" in line for line in lines(Calibrated(run="r", models=(replace(double, alignment=alike),), page="p", next="n"))
    )
    assert any("inside a round: ICC(1)" in line for line in lines(Calibrated(run="r", models=(double,), page="p", next="n")))


def test_a_run_is_gone_on_with_and_only_read_where_it_has_enough(bench: Any) -> None:
    """Three processes more; then nothing is made, and the same is said."""
    made(bench, null=2)
    before = len(bench.hosts.started)
    more = made(bench, null=5, resume=bench.root / "here")
    assert len(bench.hosts.started) == before + 3
    again = made(bench, null=5, resume=bench.root / "here")
    fewer = made(bench, null=1, resume=bench.root / "here")
    assert len(bench.hosts.started) == before + 3
    assert more.models == again.models == fewer.models


def test_what_is_missing_is_said_and_never_a_number(bench: Any) -> None:
    """One process more: too few for time, and for a limit of pictures."""
    found = made(bench, null=1)
    (model,) = found.models
    assert [one.name for one in model.warnings] == [Name.TOO_FEW_SAMPLES] * 2
    assert all(one.between is None and one.smallest is None and one.passes is None for one in model.times)
    text = "\n".join(lines(found))
    assert "not measured" in text
    assert "warning TOO_FEW_SAMPLES: time was measured in 2 processes as the card says, 3 are needed" in text
    assert "nan" not in text.lower()


def test_a_model_that_does_not_load_is_a_calibration_of_nothing(bench: Any) -> None:
    """No traceback, and not whole."""
    bench.hosts.refuse["toy"] = bench.failed("toy")
    found = made(bench)
    assert not found.whole
    (model,) = found.models
    assert (model.null, model.times, model.peaks) == (None, (), None)
    text = "\n".join(lines(found))
    assert "nothing was repeated, so nothing is known of how much this model differs from itself" in text
    assert "it was not loaded" in text


def test_constant_times_are_no_spread(bench: Any) -> None:
    """A clock that says the same everywhere: no smallest change, nothing passes."""
    bench.card("toy", latency_noise=0.0)
    (model,) = made(bench).models
    assert all(one.smallest is None and one.passes is None for one in model.times)


def test_an_ab_run_cannot_be_calibrated(bench: Any) -> None:
    """Its arms share the machine."""
    bench.card("other", weights="other")
    bench.whole(models=("other",), against="toy")
    with pytest.raises(UserError, match="one model against itself"):
        made(bench, resume=bench.root / "here")


def test_times_below_the_compute_floor_are_warned_of_and_void_the_verdict(bench: Any) -> None:
    """The card says what the arithmetic takes."""
    bench.card("toy", more="[ceilings.cpu]\ncompute_floor_seconds = 50.0\n")
    found = made(bench)
    assert found.models[0].warnings[0].name is Name.BELOW_COMPUTE_FLOOR
    data = json.loads((bench.root / "here" / "verdicts.json").read_text(encoding="utf-8"))
    latency = [one for one in data["verdicts"] if one["gate"] == "latency"]
    assert latency
    assert {one["status"] for one in latency} == {"ERROR"}


def test_the_lines_name_every_figure(bench: Any) -> None:
    """Null, times, memory, alignment, run and next command; a device keeps its cost without being asked."""
    found = made(bench)
    text = "\n".join(lines(found))
    for said in ("== toy on cpu-scripted", "15 repeated pictures in 5 more processes (2 x 1 thread, 3 x fresh process); 15 equal pixel for pixel",
                 "ssim: 1, 1, 1, 1, 1, 1 and 9 up to 1; one mode; conformal limit 1 (value 1 of 15)", "between processes", "(4 of them)", "memory: peak",
                 "peaks of 4 processes range over", "alignment: deviation", "run: here", "next: swapgate baselines accept --run=here"):  # fmt: skip
        assert said in text, said
    assert replace(found, models=()).whole


def test_a_null_that_lets_nothing_pass_says_what_to_do(bench: Any) -> None:
    """Three processes that differ by thirty per cent; a slowdown of thousands of per cent is written out."""
    bench.card("toy", latency_noise=0.5)
    found = made(bench, null=3)
    total = found.models[0].times[0]
    assert total.passes is False
    assert any("an unchanged run would not pass on time: more processes narrow this" in line for line in lines(found))
    wide = replace(found.models[0], times=(replace(total, smallest=2034.4), replace(total, smallest=12.34)))
    text = "\n".join(lines(replace(found, models=(wide,))))
    assert "+2034 %" in text
    assert "+12.3 %" in text
