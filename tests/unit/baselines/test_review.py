"""Accept and reject: the only way into the store, and everything that bars it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines import draft, guards
from swapgate.baselines.compare import diff
from swapgate.baselines.review import accept, reject, target
from swapgate.baselines.store import Store
from swapgate.errors import UserError
from swapgate.gates import usability
from swapgate.gates.evidence import Evidence, Limits, Repeat
from swapgate.gates.policy import Policy
from swapgate.gates.processes import between
from swapgate.gates.verdict import GATES, Status


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "baselines")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_accelerator_keeps_quality_and_cost_in_its_cohort(tmp_path: Path, store: Store, made: Any) -> None:
    """The draft becomes the baseline, signed, without anything being generated."""
    run = made.run(tmp_path / "run", made.draft())
    done = accept(run, store=store, reason="new scheduler", by="ann")
    assert done.done == (f"standin/{made.COHORT}/cup",)
    assert done.complete
    (got,) = store.list()
    assert got.cost == made.draft().cost
    assert got.provenance.reason == "new scheduler"
    assert got.provenance.accepted_by == "ann"
    assert got.provenance.accepted_on
    assert got.provenance.run == made.draft().provenance.run
    assert len(list(store.images_of("standin", made.COHORT).iterdir())) == 2


def test_a_cpu_gives_quality_only_for_any_hardware_and_says_so(tmp_path: Path, store: Store, made: Any) -> None:
    """The cost of one developer's machine is nobody else's baseline."""
    run = made.run(tmp_path / "run", made.draft(cohort=made.CPU))
    done = accept(run, store=store)
    assert done.done == ("standin/any/cup",)
    assert any("quality only" in note and "--with-cost" in note for note in done.notes)
    assert [one.cost for one in store.list()] == [None]


def test_with_cost_a_cpu_keeps_its_own_cohort(tmp_path: Path, store: Store, made: Any) -> None:
    """And a later acceptance for any hardware says that this one still comes first."""
    run = made.run(tmp_path / "run", made.draft(cohort=made.CPU))
    assert accept(run, store=store, with_cost=True).done == (f"standin/{made.CPU}/cup",)
    assert next(store.list()).cost is not None
    assert any("comes before the one for any hardware" in note for note in accept(run, store=store).notes)


def test_the_cohort_any_can_be_asked_for_and_no_foreign_one(tmp_path: Path, store: Store, made: Any) -> None:
    """Cost of one cohort is never filed under another."""
    run = made.run(tmp_path / "run", made.draft())
    assert accept(run, store=store, cohort="any").done == ("standin/any/cup",)
    done = accept(run, store=store, cohort="nvidia-b200-00000000")
    assert done.done == ()
    assert "made in" in done.refused[0].reason
    with pytest.raises(UserError, match="quality only"):
        target(made.draft(), cohort="any", with_cost=True)


def test_a_partial_selection_leaves_everything_else_as_it_was(tmp_path: Path, store: Store, made: Any) -> None:
    """Only the named task changes; nothing is deleted."""
    store.put(made.baseline(task="mug"), made.load)
    store.put(made.baseline(model="other"), made.load)
    before = tree(store.root)
    run = made.run(tmp_path / "run", made.draft(shift=9), made.draft(task="mug", shift=9))
    assert accept(run, store=store, patterns=["usability/standin/cup"]).done == (f"standin/{made.COHORT}/cup",)
    after = tree(store.root)
    assert {name: after[name] for name in before} == before
    assert f"standin/{made.COHORT}/cup.json" in after


def test_an_unmatched_pattern_warns_and_lists_what_there_is(tmp_path: Path, store: Store, made: Any) -> None:
    """Beside one that matches it is a warning; alone it is an error."""
    run = made.run(tmp_path / "run", made.draft())
    done = accept(run, store=store, patterns=["*/cup", "*/jug"])
    assert done.done
    assert done.unmatched == ("*/jug",)
    assert not done.complete
    assert "standin/cup" in done.lines[0]
    with pytest.raises(UserError, match="there are: standin/cup"):
        accept(run, store=store, patterns=["*/jug"])


def test_xdist_workers_never_accept(tmp_path: Path, store: Store, made: Any) -> None:
    """Also not with every other permission."""
    run = made.run(tmp_path / "run", made.draft())
    with pytest.raises(UserError, match="parallel workers"):
        accept(run, store=store, allow_ci=True, environ={"PYTEST_XDIST_WORKER": "gw0"})
    assert not store.root.exists()


@pytest.mark.parametrize(("value", "barred"), [("true", True), ("1", True), ("yes", True), ("", False), ("false", False), ("0", False)])
def test_ci_accepts_only_when_told_to(tmp_path: Path, store: Store, made: Any, value: str, barred: bool) -> None:
    """`CI=false` is how people say that it is none."""
    run = made.run(tmp_path / "run", made.draft())
    if barred:
        with pytest.raises(UserError, match="--allow-ci"):
            accept(run, store=store, environ={"CI": value})
        assert not store.root.exists()
    assert accept(run, store=store, environ={"CI": value}, allow_ci=barred).done


def test_a_run_that_was_never_judged_is_no_baseline(tmp_path: Path, store: Store, made: Any) -> None:
    """Without verdicts nobody knows whether its absolute gates held."""
    run = made.run(tmp_path / "run", made.draft())
    (run / "verdicts.json").unlink()
    with pytest.raises(UserError, match="only a run that was judged"):
        accept(run, store=store)
    (run / "verdicts.json").write_text('{"verdicts": [{}]}', encoding="utf-8")
    with pytest.raises(UserError, match="a list of verdicts"):
        accept(run, store=store)


@pytest.mark.parametrize(
    ("status", "finding", "task", "refused"),
    [
        (Status.ERROR, "images", "cup", "is an ERROR"),
        (Status.ERROR, "images", "all", "is an ERROR"),
        (Status.REGRESSION, "floor", "cup", "fails an absolute gate, floor"),
        (Status.REGRESSION, "memory ceiling", "all", "fails an absolute gate, memory ceiling"),
        (Status.REGRESSION, "absolute:health", "cup", "fails an absolute gate, absolute:health"),
        (Status.REGRESSION, "peak", "cup", ""),
        (Status.PASS, "floor", "cup", ""),
        (Status.INCONCLUSIVE, "floor", "cup", ""),
        (Status.ERROR, "images", "mug", ""),
    ],
)  # fmt: skip
def test_a_failed_absolute_gate_bars_its_task(tmp_path: Path, store: Store, made: Any, status: Status, finding: str, task: str, refused: str) -> None:
    """The pooled cell bars every task of its model, another task's cell none; a comparison that got worse does not bar."""
    said = [made.verdict("usability", "standin", "cup"), made.verdict("memory", "standin", task, status, finding)]
    run = made.run(tmp_path / "run", made.draft(), verdicts=said)
    done = accept(run, store=store, reason="why")
    assert [one.reason for one in done.refused if refused in one.reason] if refused else done.done
    assert store.root.exists() is not bool(refused)


@pytest.mark.parametrize("status", list(Status))
def test_what_bars_a_run_is_one_rule_for_tests_and_commands(made: Any, status: Status) -> None:
    """Of a comparison only an ERROR bars; of an absolute finding a REGRESSION as well."""
    assert guards.bars(made.verdict("memory", "m", "t", status, "peak")) is (status is Status.ERROR)
    assert guards.bars(made.verdict("memory", "m", "t", status, "growth")) is (status in (Status.ERROR, Status.REGRESSION))


def test_a_failure_that_does_not_decide_the_verdict_bars_too(tmp_path: Path, store: Store, made: Any) -> None:
    """Every finding is looked at, not only the leading one."""
    verdict = made.verdict("usability", "standin", "cup", Status.PASS)
    broken = replace(verdict.findings[0], name="floor", status=Status.REGRESSION)
    run = made.run(tmp_path / "run", made.draft(), verdicts=[replace(verdict, findings=(*verdict.findings, broken))])
    assert "absolute gate" in accept(run, store=store, reason="why").refused[0].reason


def test_a_refused_task_does_not_keep_the_others_out(tmp_path: Path, store: Store, made: Any) -> None:
    """And the result is not complete, so the command fails."""
    said = [made.verdict("usability", "standin", "cup", Status.ERROR, "images"), made.verdict("usability", "standin", "mug")]
    run = made.run(tmp_path / "run", made.draft(), made.draft(task="mug"), verdicts=said)
    done = accept(run, store=store)
    assert done.done == (f"standin/{made.COHORT}/mug",)
    assert [one.id for one in done.refused] == [f"standin/{made.COHORT}/cup"]
    assert not done.complete


def test_pictures_that_nobody_judged_are_no_baseline(tmp_path: Path, store: Store, made: Any) -> None:
    """A run of the latency gate alone may have drawn black squares."""
    run = made.run(tmp_path / "run", made.draft(), verdicts=[made.verdict("latency", "standin", "cup")])
    assert "usability was not judged" in accept(run, store=store).refused[0].reason


def test_planted_faults_bar_by_the_draft_and_by_the_manifest(tmp_path: Path, store: Store, made: Any) -> None:
    """A drill can never become a baseline, whichever place remembers it."""
    planted = made.draft()
    planted = replace(planted, provenance=replace(planted.provenance, faults=("grey-vae",)))
    one = made.run(tmp_path / "one", planted)
    other = made.run(tmp_path / "other", made.draft(), cards={"standin": {"faults": ["grey-vae"]}})
    for run in (one, other):
        assert "grey-vae" in accept(run, store=store).refused[0].reason
    assert not store.root.exists()


def test_getting_worse_needs_a_reason(tmp_path: Path, store: Store, made: Any) -> None:
    """A regression against the baseline is accepted with a sentence, one against another model needs none."""
    cells = [made.verdict(gate, "standin", "cup", Status.REGRESSION, "rate") for gate in GATES]
    run = made.run(tmp_path / "run", made.draft(), verdicts=cells)
    assert "no reason was given" in accept(run, store=store).refused[0].reason
    assert accept(run, store=store, reason="smaller text encoder").done
    against = [replace(cell, against="other") for cell in cells]
    assert accept(made.run(tmp_path / "ab", made.draft(), verdicts=against), store=store).done


def test_a_first_baseline_gives_its_own_reason(tmp_path: Path, store: Store, made: Any) -> None:
    """Nothing has to be explained where nothing was there."""
    accept(made.run(tmp_path / "run", made.draft()), store=store)
    assert next(store.list()).provenance.reason == "first baseline"
    assert next(store.list()).provenance.accepted_by


def test_impossible_figures_and_lost_images_are_refused(tmp_path: Path, store: Store, made: Any) -> None:
    """Each with its own words, and the store stays empty."""
    zero = made.run(tmp_path / "zero", made.draft(cost=made.cost(1.0, 0.0)))
    assert "above 0" in accept(zero, store=store).refused[0].reason
    lost = made.run(tmp_path / "lost", made.draft())
    next((lost / "images").rglob("*.png")).unlink()
    next((lost / "images").rglob("*.png")).unlink()
    next((lost / "images").rglob("*.png")).unlink()
    assert "must be in the run" in accept(lost, store=store).refused[0].reason
    assert list(store.list()) == []


def test_impossible_cost_does_not_bar_quality_that_leaves_it_out(tmp_path: Path, store: Store, made: Any) -> None:
    """Only what is accepted has to be right."""
    run = made.run(tmp_path / "run", made.draft(cohort=made.CPU, cost=made.cost(1.0, 0.0)))
    assert accept(run, store=store).done
    assert accept(run, store=store, with_cost=True).refused


def test_a_rejected_draft_stays_rejected_until_said_otherwise(tmp_path: Path, store: Store, made: Any) -> None:
    """The reason and the name stand in the run's journal."""
    run = made.run(tmp_path / "run", made.draft(), made.draft(task="mug"))
    assert reject(run, store=store, patterns=["*/cup"], reason="wrong lamp", by="bo").done == (f"standin/{made.COHORT}/cup",)
    done = accept(run, store=store)
    assert done.done == (f"standin/{made.COHORT}/mug",)
    assert "rejected by bo: wrong lamp" in done.refused[0].reason
    assert accept(run, store=store, patterns=["*/cup"], include_rejected=True).done
    entries = [json.loads(line) for line in (run / "review.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["action"] for entry in entries] == ["reject", "accept", "accept"]
    assert entries[-1]["into"]


def test_a_rejection_says_why_and_what(tmp_path: Path, store: Store, made: Any) -> None:
    """Neither an empty reason nor a pattern without a match marks anything."""
    run = made.run(tmp_path / "run", made.draft())
    with pytest.raises(UserError, match="says why"):
        reject(run, store=store, patterns=["*"], reason=" ")
    with pytest.raises(UserError, match="matches a draft"):
        reject(run, store=store, patterns=["*/jug"], reason="x")
    assert not (run / "review.jsonl").exists()


def test_accepting_twice_changes_the_signature_only(tmp_path: Path, store: Store, made: Any) -> None:
    """Nothing depends on how often the command was typed."""
    run = made.run(tmp_path / "run", made.draft())
    accept(run, store=store, by="ann")
    first = next(store.list())
    accept(run, store=store, by="bo")
    second = next(store.list())
    assert replace(second, provenance=first.provenance) == first
    assert second.provenance.accepted_by == "bo"


def test_the_diff_says_what_would_change(tmp_path: Path, store: Store, made: Any) -> None:
    """New, changed and unchanged, with the figures of both sides."""
    store.put(made.baseline(), made.load)
    store.put(made.baseline(task="mug"), made.load)
    worse = made.draft(task="mug", cost=made.cost(2.0, 2.2, 2.4, peak=1500.0))
    worse = replace(worse, weights="cd" * 32, quality=replace(worse.quality, scores=(
        replace(worse.quality.scores[0], usable=False, bits={"a": False}, image=made.picture(77)), *worse.quality.scores[1:])))  # fmt: skip
    worse = replace(worse, quality=replace(worse.quality, references={one.pair: one.image for one in worse.quality.scores}))
    run = made.run(tmp_path / "run", made.draft(), worse, made.draft(task="new"))
    cup, mug, new = diff(run, store)
    assert (cup.kind, cup.parts, cup.identical, cup.shared) == ("unchanged", (), 3, 3)
    assert (mug.kind, mug.parts, mug.identical, mug.shared) == ("changed", ("weights", "images", "scores", "cost"), 2, 3)
    assert mug.before is not None
    assert (mug.before.usable, mug.before.seconds, mug.before.peak_mib) == (1.0, 1.1, 1000.0)
    assert (mug.after.usable, mug.after.seconds, mug.after.peak_mib) == (pytest.approx(2 / 3), 2.2, 1500.0)
    assert (new.kind, new.before, new.shared) == ("new", None, 0)
    assert [one.id for one in diff(run, store, patterns=["*/mug"])] == [mug.id]


def test_the_diff_knows_what_was_reviewed_and_where_it_would_go(tmp_path: Path, store: Store, made: Any) -> None:
    """After accepting, the draft is unchanged and marked; a CPU's draft is held against the one for any hardware."""
    run = made.run(tmp_path / "run", made.draft(cohort=made.CPU), made.draft(cohort=made.CPU, task="mug"))
    assert [one.state for one in diff(run, store)] == ["open", "open"]
    accept(run, store=store, patterns=["*/cup"])
    reject(run, store=store, patterns=["*/mug"], reason="no")
    cup, mug = diff(run, store)
    assert (cup.id, cup.kind, cup.state) == ("standin/any/cup", "unchanged", "accepted")
    assert (mug.kind, mug.state) == ("new", "rejected")


def test_the_diff_of_a_broken_draft_still_has_figures(tmp_path: Path, store: Store, made: Any) -> None:
    """A figure that was not finite is left out of the medians."""
    run = made.run(tmp_path / "run", made.draft(cost=made.cost(1.0, float("nan"), 3.0, peak=float("inf"))))
    (change,) = diff(run, store)
    assert change.after.seconds == 2.0
    assert change.after.peak_mib is None
    assert draft.read(run)[0].cost is not None


def test_black_pictures_judged_without_a_floor_are_no_baseline(tmp_path: Path, store: Store, made: Any) -> None:
    """From the gate's own verdict to the refusal: the name that the gate gives is the one that the guard knows."""
    limits = Limits(seconds_per_image=None, first_step_seconds=None, memory_mib=None, growth_mib=None, usability_floor=0.0)
    black = made.draft()
    scores = tuple(replace(one, bits={"health:not_black": False}, usable=False) for one in black.quality.scores)
    black = replace(black, quality=replace(black.quality, scores=scores))
    evidence = Evidence(model="standin", task="cup", candidate=black.arm(), baseline=None, drifts=(), null=None, limits=limits, accepted="nothing")
    verdict = usability.judge(evidence, Policy())
    assert guards.bars(verdict)
    run = made.run(tmp_path / "run", black, verdicts=[verdict])
    assert "fails an absolute gate, absolute:health" in accept(run, store=store, reason="why").refused[0].reason
    assert not store.root.exists()


@pytest.mark.parametrize("numbered", [False, True])
def test_a_measured_null_outlives_a_run_without_one_of_the_same_pictures(tmp_path: Path, store: Store, made: Any, numbered: bool) -> None:
    """Accepting for the cost or the versions alone must not make the drift gate unable to decide."""
    old, draft_ = made.baseline(), made.draft()
    null = made.null()
    if numbered:  # as a run writes it: the pair with the number of the repeat
        null = replace(null, drifts=tuple(replace(one, pair=f"{one.pair}#{n}") for n in (1, 2) for one in null.drifts))
    store.put(replace(old, quality=replace(old.quality, null=null)), made.load)
    run = made.run(tmp_path / "run", replace(draft_, quality=replace(draft_.quality, null=None), cost=made.cost(3.0, 3.1, 3.2)))
    done = accept(run, store=store, reason="new driver")
    assert done.done
    assert not any("no measured null" in note for note in done.notes)
    (got,) = store.list()
    assert got.quality.null == null
    assert got.cost is not None
    assert got.cost.seconds == (3.0, 3.1, 3.2)


@pytest.mark.parametrize("other", ["pictures", "weights", "pipeline"])
def test_a_null_of_something_else_is_neither_kept_nor_dropped(tmp_path: Path, store: Store, made: Any, other: str) -> None:
    """The draft is refused with the remedy, and the store stays as it was; a draft with a null of its own is accepted."""
    store.put(made.baseline(), made.load)
    before = tree(store.root)
    changes = {"pictures": {"shift": 9}, "weights": {"weights": "cd" * 32}, "pipeline": {"pipeline": "Other"}}[other]
    own = made.draft(**changes)
    run = made.run(tmp_path / "run", replace(own, quality=replace(own.quality, null=None)))
    done = accept(run, store=store, reason="why")
    assert done.refused[0].reason.endswith("run again with --null=4 (or --update-baselines)")
    assert tree(store.root) == before
    assert accept(made.run(tmp_path / "again", own), store=store, reason="why").done


def repeated(made: Any, run: str, *processes: int, pace: float = 0.05) -> tuple[Repeat, ...]:
    return tuple(Repeat(run=run, process=n, task="cup", cost=made.cost(*(1.0 + pace * n,) * 6)) for n in processes)


def test_what_processes_differ_by_outlives_a_run_that_measured_none(tmp_path: Path, store: Store, made: Any) -> None:
    """The null's pictures are the same, so its processes are kept, the old run's own with them; and again at the next run."""
    old = replace(made.baseline(), repeats=repeated(made, "20260101T000000Z-aaaa", 1, 3))
    store.put(old, made.load)
    for name in ("second", "third"):
        own = made.draft()
        own = replace(own, quality=replace(own.quality, null=None), provenance=replace(own.provenance, run=name), cost=made.cost(3.0, 3.1, 3.2))
        assert accept(made.run(tmp_path / name, own), store=store, reason="new driver").done
        (got,) = store.list()
        assert [(one.run, one.process) for one in got.repeats] == [("20260101T000000Z-aaaa", n) for n in (0, 1, 3)]
        found, before = (between(one.processes(), lambda cost: cost.seconds) for one in (got, old))
        assert found is not None
        assert before is not None
        assert (found.deviation, found.freedom) == (pytest.approx(before.deviation), before.freedom)


def test_quality_alone_keeps_no_processes(tmp_path: Path, store: Store, made: Any) -> None:
    """Time belongs to its cohort."""
    draft_ = replace(made.draft(cohort=made.CPU), repeats=repeated(made, "r", 1, 3))
    assert accept(made.run(tmp_path / "run", draft_), store=store, reason="x").done
    (got,) = store.list()
    assert (got.cohort, got.cost, got.repeats) == ("any", None, ())


def test_accepting_says_what_is_amiss_with_the_samples(tmp_path: Path, store: Store, made: Any) -> None:
    """Once a model, by name, with the remedy; nothing of time where only the quality was let in."""
    drafts = [made.draft(task=task) for task in ("cup", "cat")]
    done = accept(made.run(tmp_path / "run", *drafts), store=store, reason="x")
    said = [line for line in done.lines if "warning for" in line]
    assert [line.split(": ")[1] for line in said] == ["TOO_FEW_SAMPLES", "TOO_FEW_SAMPLES"]
    assert said[0].startswith(f"  warning for standin/{made.COHORT}: TOO_FEW_SAMPLES: time was measured in 1 process as the card says")
    assert "--null=8" in said[0]
    assert "2 repeated pictures" in said[1]
    quality = accept(made.run(tmp_path / "cpu", made.draft(cohort=made.CPU)), store=store, reason="x")
    assert ["repeated pictures" in line for line in quality.lines if "warning for" in line] == [True]


def test_a_line_says_how_many_processes_came_in(tmp_path: Path, store: Store, made: Any) -> None:
    """Beside images and cost samples."""
    draft_ = replace(made.draft(), repeats=repeated(made, "r", 1, 3))
    done = accept(made.run(tmp_path / "run", draft_), store=store, reason="x")
    assert done.lines[0].endswith("3 images, 3 cost samples and 2 more processes")


def test_repeats_that_hold_nan_are_refused_with_their_place(tmp_path: Path, store: Store, made: Any) -> None:
    """Nothing of the run is accepted, and nothing is raised."""
    broken = replace(made.draft(), repeats=(replace(repeated(made, "r", 1)[0], cost=made.cost(float("nan"))),))
    done = accept(made.run(tmp_path / "run", broken), store=store, reason="x")
    assert "repeats[0].cost.seconds holds None: a measurement is above 0" in done.refused[0].reason
    assert not store.root.exists()


def test_a_baseline_with_nan_in_its_null_is_an_error_with_file_key_and_remedy(store: Store, made: Any) -> None:
    """Found when it is read, by whoever reads it."""
    path = store.put(replace(made.baseline(), repeats=repeated(made, "r", 1, 2)), made.load)
    path.write_text(path.read_text(encoding="utf-8").replace('"ssim": 1.0', '"ssim": NaN').replace('"ssim":1.0', '"ssim":NaN'), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        store.get("standin", made.COHORT, "cup")
    assert caught.value.where == str(path)
    assert "quality.null.drifts of cup/en/1/0: ssim is nan, not finite" in caught.value.rule
    assert "swapgate baselines verify" in caught.value.remedy
