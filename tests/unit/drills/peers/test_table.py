"""The table: what is counted once, what is a false alarm and what a miss, with its interval."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.drills.peers.policies import CostRule, Policy, Rule
from swapgate.drills.peers.table import Row, Table, tabulate
from swapgate.gates.statistics import clopper_pearson

FACTS = {"model": "m", "tasks": ("cup",), "hardware": "a CPU", "created": "2026-01-01", "false_alarms": 0.01, "command": "swapgate drill"}


def psnr(limit: float = 35.0, **changes: Any) -> Policy:
    rule = Rule(metric="psnr", op=">=", limit=limit)
    return Policy(**{"id": "psnr", "peer": "P", "kind": "drift", "scope": "image", "source": "a/b: c.py", "images": 1, "rules": (rule,), **changes})


def row(table: Table, name: str) -> Row:
    return next(one for one in table.rows if one.id == name)


def counts(found: Row, where: Any) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """((wrong, n) of cases, the same of runs)."""
    cell = found.cells[where]
    return tuple((one.wrong, one.n) if one else None for one in (cell.cases, cell.runs))  # type: ignore[return-value]


def test_alarms_on_a_and_b_are_wrong_and_silence_on_c_is(trials: Any, a_trial: Any) -> None:
    """One of each, for a peer and for this suite."""
    table = tabulate(
        [psnr()],
        trials(
            a_trial("far0", "h1", of="nothing", name="nothing/moderate-1", red=frozenset({"drift"})),
            a_trial("near0", "near1", of="max-shift-rounded", name="max-shift-rounded/moderate-1"),
            a_trial("near0", "far1", of="weight-noise", name="weight-noise/moderate-1", red=frozenset({"drift"})),
            a_trial("near0", "near1", of="wrong-shift", name="wrong-shift/moderate-1", unsure=frozenset({"drift"})),
        ),
        **FACTS,
    )
    peer, ours = row(table, "psnr"), row(table, "swapgate-drift")
    assert counts(peer, "A") == ((1, 2), (1, 1))
    assert counts(peer, "B") == ((0, 2), (0, 1))
    assert counts(peer, "C") == ((3, 4), (1, 2))
    assert [counts(ours, where) for where in ("A", "B", "C")] == [(None, (1, 1)), (None, (0, 1)), (None, (1, 2))]
    assert peer.cells["C"].runs.which == ours.cells["C"].runs.which == ("wrong-shift/moderate-1",)  # type: ignore[union-attr]
    assert ours.cells["C"].runs.unsure == 1  # type: ignore[union-attr]
    assert counts(peer, "mild") == (None, None)


def test_shares_have_their_exact_interval(trials: Any, a_trial: Any) -> None:
    """Clopper and Pearson, 95 %."""
    table = tabulate([psnr()], trials(a_trial("far0", "h1", "h2", of="nothing")), **FACTS)
    found = row(table, "psnr").cells["A"].cases
    assert found is not None
    assert (found.low, found.high) == clopper_pearson(1, 3, 0.025)
    assert found.same == 2


def test_the_same_two_pictures_are_one_sample(trials: Any, a_trial: Any) -> None:
    """Twenty repeats of a model that repeats itself to the pixel prove no more than one."""
    repeats = [a_trial("h0", "h1", of="nothing", name=f"nothing/moderate-{n}") for n in range(20)]
    null = a_trial("h0", name="null process 1", red=None)
    found = row(tabulate([psnr()], trials(*repeats, null), **FACTS), "psnr")
    assert counts(found, "A") == ((0, 2), (0, 1))
    assert row(tabulate([psnr()], trials(*repeats), **FACTS), "swapgate-drift").cells["A"].runs.n == 1  # type: ignore[union-attr]


def test_two_faults_with_the_same_pictures_are_two_faults(trials: Any, a_trial: Any) -> None:
    """And a repeat of one with the same pictures is none."""
    made = [a_trial("black", "black", of=of, name=f"{of}/moderate-{n}") for of in ("black", "fp16-overflow") for n in (1, 2)]
    found = row(tabulate([psnr()], trials(*made), **FACTS), "psnr")
    assert counts(found, "C") == ((0, 4), (0, 2))


def test_requests_without_a_picture_are_samples_of_their_own(trials: Any, a_trial: Any) -> None:
    """In every run that lacks one."""
    made = [a_trial(None, "h1", of="nothing", name=f"nothing/moderate-{n}") for n in (1, 2)]
    assert counts(row(tabulate([psnr()], trials(*made), **FACTS), "psnr"), "A")[0] == (2, 3)


def test_a_null_process_gives_cases_and_no_run(trials: Any, a_trial: Any) -> None:
    """This suite gives it no verdict, so it is in no rate that is compared with one."""
    found = row(tabulate([psnr()], trials(a_trial("near0", red=None)), **FACTS), "psnr")
    assert counts(found, "A") == ((0, 1), None)


def test_a_picture_that_a_fault_left_alone_is_no_case_of_c(trials: Any, a_trial: Any) -> None:
    """A cache that gives an old picture at every second call is to be seen at every second one."""
    found = row(tabulate([psnr()], trials(a_trial("h0", "far1", "h2", "near3", of="stale-image")), **FACTS), "psnr")
    assert counts(found, "C") == ((1, 2), (0, 1))


def test_costs_are_samples_every_time(trials: Any, a_trial: Any, calls: Any) -> None:
    """Times of two runs with the same pictures are two measurements."""
    slow = Policy(
        id="t", peer="T", kind="latency", scope="image", source="a/b: c.py", images=1,
        cost=CostRule(stat="single", samples=1, attempts=1, ratio=1.2, pad=0.0),
    )  # fmt: skip
    made = trials(
        *(a_trial("h0", of="nothing", name=f"nothing/moderate-{n}", calls=calls(1.0, 1.0 + n)) for n in range(3)),
        a_trial("h0", of="slow-steps", calls=calls(1.0, 2.0)),
        honest_calls=calls(1.0, 1.0),
    )
    table = tabulate([slow], made, **FACTS)
    assert counts(row(table, "t"), "A") == ((2, 6), (2, 3))
    assert counts(row(table, "t"), "C") == ((1, 2), (0, 1))
    assert row(table, "t").cells["A"].runs.same == 0  # type: ignore[union-attr]
    assert row(table, "swapgate-latency").cells["A"].runs.n == 3  # type: ignore[union-attr]


def test_what_is_not_run_has_a_reason_and_no_figure(trials: Any, a_trial: Any) -> None:
    """Weights that are not at hand, pictures too small, calls too few."""
    lpips = psnr(id="lpips", rules=(Rule(metric="lpips_alex", op="<", limit=0.05),))
    multi = psnr(id="multi", rules=(Rule(metric="ms_ssim", op=">=", limit=0.98),))
    five = psnr(id="five", kind="latency", rules=(), cost=CostRule(stat="mean", samples=5, attempts=1, ratio=1.1, pad=0.0))
    table = tabulate([lpips, multi, five], trials(a_trial("near0", of="nothing")), **FACTS)
    reasons = {one.id: one.reason for one in table.not_run}
    assert "AlexNet" in reasons["lpips"]
    assert "160 pixels" in reasons["multi"]
    assert reasons["five"] == "it needs 5 timed calls of one size in a run, and the honest run has 0"
    assert all(not one.cells for one in table.not_run)
    assert "lpips" not in {one.id for one in table.run}


def test_without_any_whole_run_this_suite_has_no_row_of_figures(trials: Any, a_trial: Any) -> None:
    """It says so instead of showing 0 of 0."""
    table = tabulate([psnr()], trials(a_trial("near0", red=None)), **FACTS)
    assert row(table, "swapgate-drift").reason == "no whole run was judged"


def test_a_policy_without_any_sample_is_not_run(trials: Any) -> None:
    """An empty folder proves nothing of anybody."""
    table = tabulate([psnr()], trials(), **FACTS)
    assert row(table, "psnr").reason == "no run has pictures to judge"
    assert table.run == ()


def test_rows_are_by_kind_with_this_suite_first(trials: Any, a_trial: Any) -> None:
    """So that a reader compares down a column."""
    absolute = psnr(id="abs", kind="absolute", rules=(Rule(metric="any_nonzero", op=">", limit=0.0),))
    table = tabulate([absolute, psnr()], trials(a_trial("near0", of="nothing")), **FACTS)
    assert [one.id for one in table.rows] == ["swapgate-drift", "psnr", "swapgate-absolute", "abs", "swapgate-latency", "swapgate-memory"]


def test_the_sets_name_their_runs(trials: Any, a_trial: Any) -> None:
    """By kind, since what is harmless to time may be a fault of pictures."""
    table = tabulate([], trials(a_trial("black", of="black", name="black/moderate-1")), **FACTS)
    assert table.sets["drift"]["C"] == ("black/moderate-1",)
    assert table.sets["latency"] == {"A": (), "B": ("black/moderate-1",), "C": (), "mild": ()}


@pytest.mark.parametrize("kind", ["drift", "absolute", "latency", "memory"])
def test_the_table_is_plain_data(trials: Any, a_trial: Any, kind: str) -> None:
    """For peers.json."""
    from swapgate.canonical import dumps

    data = tabulate([psnr()], trials(a_trial("near0", of="nothing")), **FACTS).as_json()
    assert data["schema"] == 1
    assert kind in dumps(data)
