"""The look ahead: counts and times against the run that follows, and reaches against the gates themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.baselines.store import Store
from swapgate.canonical import dumps
from swapgate.gates import power
from swapgate.gates.budget import CLAIMS
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import GATES
from swapgate.suite.earlier import earlier
from swapgate.suite.outlook import Outlook, foresee, shares_of
from swapgate.suite.outlook_lines import lines
from swapgate.suite.planning import prepare
from swapgate.suite.prospect import ClaimAhead, GateAhead


def runs(bench: Any, name: str = "r") -> Path:
    return bench.root / ".swapgate" / "runs" / name


def seen(bench: Any, **given: Any) -> Outlook:
    return foresee(bench.config, bench.options(**given))


def gate(found: Outlook, name: str, model: str = "toy") -> GateAhead:
    return next(one for one in found.gates if (one.gate, one.model) == (name, model))


def named(found: GateAhead, name: str) -> ClaimAhead:
    return next(one for one in found.claims if one.name == name)


def test_the_counts_are_those_of_the_plan_and_of_its_null(bench: Any) -> None:
    """Nine first images, six rewordings, and three requests made twice in each process of the null, which makes six calls at least."""
    work = seen(bench, null=2).works[0]
    assert (work.first, work.reworded, work.others, work.calls) == (9, 6, 0, 15)
    assert (work.repeats, work.processes, work.images) == (12, 2, 15)


def test_images_that_do_not_stand_for_their_round_are_counted_apart(bench: Any) -> None:
    """Two images a round: one of them stands for it, as written and reworded alike."""
    bench.tasks(more="images_per_round = 2")
    work = seen(bench).works[0]
    assert (work.first, work.others, work.reworded, work.calls) == (9, 9, 12, 15)


def test_a_gate_that_nobody_asked_makes_nothing(bench: Any) -> None:
    """Rewordings belong to stability alone."""
    found = seen(bench, gates=("usability",))
    assert found.works[0].reworded == 0
    assert [one.gate for one in found.gates] == ["usability"]


def test_before_the_first_run_no_time_is_invented(bench: Any) -> None:
    """Unknown an image, unknown the load, unknown the whole; and the lines say so."""
    found = seen(bench)
    assert (found.works[0].seconds_per_image, found.works[0].load_seconds, found.seconds) == (None, None, None)
    assert any("unknown" in line and "no earlier run of this recipe" in line for line in lines(found))


def test_times_are_those_of_the_newest_run(bench: Any) -> None:
    """The median of its calls after the first, for as many images as are planned now, and its load."""
    bench.whole(run_dir=runs(bench, "old"))
    suite, _ = bench.whole(run_dir=runs(bench, "new"))
    made = [one.times.total for one in suite.run.generations().values() if not one.first_call]
    work = seen(bench, null=1).works[0]
    assert work.timed == "run new"
    assert work.seconds_per_image == pytest.approx(median(made))
    assert work.load_seconds == 1.5
    assert work.seconds == pytest.approx(1.5 + 15 * median(made) + 1.5 + 6 * median(made))


def test_a_run_that_was_judged_comes_before_one_that_goes_on(bench: Any) -> None:
    """A part of the calls says less; where nothing else is there it is taken."""
    bench.whole(run_dir=runs(bench, "judged"))
    bench.hosts.interrupt_after = len(bench.hosts.asked) + 6
    suite = bench.open(run_dir=runs(bench, "cut"))
    with pytest.raises(KeyboardInterrupt):
        suite.ensure("toy")
    assert seen(bench).works[0].timed == "run judged"
    shutil.rmtree(runs(bench, "judged"))
    assert seen(bench).works[0].timed == "run cut"


@pytest.mark.parametrize(("device", "found", "kind"), [("cpu", True, "cpu"), ("cuda", False, "cuda"), ("auto", True, "cuda"), ("auto", False, "cpu")])
def test_a_model_that_never_ran_is_planned_for_the_device_of_this_machine(
    bench: Any, device: str, found: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ceilings and floors of memory belong to a kind of device; the card may name it."""
    monkeypatch.setattr("swapgate.suite.earlier.accelerators", lambda: {"devices": []} if found else None)
    bench.card()
    path = bench.root / "fixtures" / "models" / "toy.toml"
    path.write_text(f'device = "{device}"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    setup = prepare(bench.config, bench.options())
    known = earlier(setup.models[0], setup.tasks["toy"], Store(bench.root / "baselines"), bench.root / "none")
    assert known.accelerator == kind


def test_a_size_that_was_never_made_has_no_time(bench: Any) -> None:
    """A larger picture takes longer, and nobody knows how much."""
    bench.whole(run_dir=runs(bench))
    path = bench.root / "fixtures" / "tasks" / "toys.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("width = 32", "width = 64"), encoding="utf-8")
    assert seen(bench).works[0].seconds is None


@pytest.mark.parametrize("change", ["recipe", "options", "faults", "journal", "manifest"])
def test_a_run_of_another_recipe_and_a_broken_one_say_nothing(bench: Any, change: str) -> None:
    """Another call, other options, planted faults, a damaged file: passed over, not refused."""
    bench.whole(run_dir=runs(bench))
    if change == "recipe":
        bench.card(more="device = 'cpu'")
    elif change == "options":
        bench.card(latency_noise=0.5)
    elif change == "faults":
        bench.card(more='faults = ["guidance-off"]')
    else:
        (runs(bench) / ("journal.jsonl" if change == "journal" else "manifest.json")).write_text("{]\n{}\n", encoding="utf-8")
    assert seen(bench).works[0].timed == ""


def test_an_accepted_cost_tells_the_time_where_the_runs_are_gone(bench: Any) -> None:
    """A fresh checkout has baselines and no runs."""
    bench.whole(run_dir=runs(bench))
    bench.accept(runs(bench))
    with_run = seen(bench)
    shutil.rmtree(bench.root / ".swapgate")
    found = seen(bench)
    assert found.works[0].timed.startswith("accepted cost of cohort cpu-scripted-")
    assert found.works[0].seconds == pytest.approx(with_run.works[0].seconds, rel=0.05)
    assert named(gate(found, "latency"), "total").n == named(gate(with_run, "latency"), "total").n


def test_spreads_come_from_the_accepted_baseline_first(bench: Any) -> None:
    """Then from the newest run, then from an assumption that says so."""
    bare = seen(bench, gates=("latency",), against=None)
    assert gate(bare, "latency").undecided.startswith("no cost figures were accepted")
    bench.whole(run_dir=runs(bench))
    bench.accept(runs(bench))
    assert "of accepted cost of cohort" in named(gate(seen(bench), "latency"), "total").basis


def test_an_arm_without_samples_is_planned_with_the_typical_spread(bench: Any) -> None:
    """Marked as an assumption, in the data and in the line."""
    bench.card("other")
    total = named(gate(seen(bench, models=("toy",), against="other"), "latency"), "total")
    assert total.assumed
    assert total.basis == "no earlier samples: assumed 3 % (typical)"
    policy = Policy().at_most(0.01 / 5 / 7)
    expected = power.time_harm(14, alpha=policy.harm, floor=0.05, cv=0.03).smallest
    assert total.smallest == pytest.approx(expected)
    assert total.n == 14


def test_without_a_baseline_quality_cannot_be_decided(bench: Any) -> None:
    """NEW is no verdict; the next step is named."""
    for name in ("usability", "drift", "stability"):
        assert "nothing was accepted" in gate(seen(bench), name).undecided


def test_a_changed_request_is_said_before_the_run(bench: Any) -> None:
    """Another size asks for something else than at the baseline."""
    bench.whole(run_dir=runs(bench))
    bench.accept(runs(bench))
    path = bench.root / "fixtures" / "tasks" / "toys.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("height = 32", "height = 64"), encoding="utf-8")
    assert "ask for something else" in gate(seen(bench), "usability").undecided


def test_nine_images_are_too_few_and_the_line_says_how_many_are_not(bench: Any) -> None:
    """The bench's three prompts with three seeds, against its own baseline."""
    bench.whole(run_dir=runs(bench))
    bench.accept(runs(bench))
    found = gate(seen(bench), "usability")
    assert found.undecided.startswith("9 images cannot show that nothing got worse (limit 5 points); 59 would: 20 for each of 3 prompts")


@given(st.sampled_from([1e-5, 0.01, 0.05, 0.25]), st.sets(st.sampled_from(GATES), min_size=1), st.integers(1, 3))
def test_the_shares_add_up_to_the_budget(share: float, gates: set[str], models: int) -> None:
    """Models times gates times claims: nothing is spent twice and nothing is lost."""
    found = shares_of(share, models, [one for one in GATES if one in gates])
    assert [one.gate for one in found] == [one for one in GATES if one in gates]
    assert sum(one.part for one in found) * models == pytest.approx(share)
    for one in found:
        assert one.each * CLAIMS[one.gate] == pytest.approx(one.part)


def test_an_ab_run_is_planned_for_both_arms(bench: Any) -> None:
    """Other pictures are expected there, so drift asks for alignment alone; one model shares the budget."""
    bench.card("other")
    found = seen(bench, models=("toy",), against="other", null=1)
    assert [(work.model, work.judged, work.repeats) for work in found.works] == [("toy", True, 6), ("other", False, 0)]
    assert found.models == 1
    assert [one.name for one in gate(found, "drift").claims] == ["alignment"]
    assert "assumed 16 %" in named(gate(found, "usability"), "difference").basis


def test_what_is_known_needs_no_run_and_no_baseline(bench: Any) -> None:
    """An empty project gives an empty record, not an error."""
    setup = prepare(bench.config, bench.options())
    found = earlier(setup.models[0], setup.tasks["toy"], Store(bench.root / "baselines"), bench.root / "none")
    assert (found.run, found.cohort, found.cost, found.scores, found.null) == ("", "", None, (), None)


def test_two_runs_of_the_same_weights_are_compared(bench: Any) -> None:
    """The accepted one and the newest: their requests are paired, and a run is not a repeat of itself."""
    bench.whole(run_dir=runs(bench, "one"))
    bench.accept(runs(bench, "one"))
    setup = prepare(bench.config, bench.options())
    store = Store(bench.root / "baselines")
    assert earlier(setup.models[0], setup.tasks["toy"], store, bench.root / ".swapgate" / "runs").repeated == ()
    bench.whole(run_dir=runs(bench, "two"))
    found = earlier(setup.models[0], setup.tasks["toy"], store, bench.root / ".swapgate" / "runs")
    assert len(found.repeated) == 15
    assert all(old.pair == new.pair for old, new in found.repeated)


def test_the_data_are_plain(bench: Any) -> None:
    """JSON without NaN, with every gate and what cannot be decided."""
    found = seen(bench)
    data = found.as_json()
    dumps(data)
    assert data["undecided"] == [f"{one.gate}/toy" for one in found.undecided]
    assert [one["gate"] for one in data["gates"]] == list(GATES)
    assert data["images"] == 15


def test_nothing_is_written_and_nothing_is_started(bench: Any) -> None:
    """No run folder, no host."""
    before = sorted(path for path in bench.root.rglob("*"))
    lines(seen(bench, null=2))
    assert sorted(path for path in bench.root.rglob("*")) == before
    assert bench.hosts.started == []
