"""verdicts.json: the facts that every view shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status
from swapgate.report import model as report
from swapgate.suite import results


def test_the_file_is_what_was_collected_and_the_report_reads_it(bench: Any) -> None:
    """One file for every view."""
    _, data = bench.whole()
    written = json.loads((bench.root / "here" / "verdicts.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(data))
    assert len(report.load(bench.root / "here").verdicts) == 15


def test_counts_add_up_to_the_cells(bench: Any) -> None:
    """Every status is named, also those that nobody got."""
    _, data = bench.whole()
    assert set(data["counts"]) == {status.value for status in Status}
    assert sum(data["counts"].values()) == len(data["verdicts"]) == data["planned"]["cells"] == data["measured"]["cells"]
    assert data["measured"]["decided"] == sum(data["counts"][status] for status in ("PASS", "REGRESSION", "IMPROVED", "CHANGED"))


def test_cells_that_were_not_judged_are_planned_and_not_measured(bench: Any) -> None:
    """An interrupted session must not look whole."""
    suite = bench.open()
    cells = suite.setup.cells()
    suite.verdict(cells[0])
    data = results.collect(suite, cells)
    assert (data["planned"]["cells"], data["measured"]["cells"]) == (15, 1)
    assert data["outcome"]["red"]
    assert data["outcome"]["reason"].endswith("1 of 15 planned cells were judged")


def test_a_run_in_which_nothing_was_decided_is_red(bench: Any) -> None:
    """Rule 1 of the design."""
    suite = bench.open(gates=("drift",))
    cells = suite.setup.cells()
    for cell in cells:
        suite.verdict(cell)
    outcome = results.collect(suite, cells)["outcome"]
    assert outcome["red"]
    assert "nothing was decided" in outcome["reason"]


@pytest.mark.parametrize("strict", [False, True])
def test_strict_makes_undecided_cells_red(bench: Any, strict: bool) -> None:
    """And only strict does."""
    bench.whole()
    bench.accept()
    _, data = bench.whole(run_dir=bench.root / "second", strict=strict)
    assert data["measured"]["decided"] < data["measured"]["cells"]
    assert data["outcome"]["red"] is strict
    assert data["strict"] is strict


def test_images_are_listed_as_written_with_both_sides_and_what_failed(bench: Any) -> None:
    """One row a request; rewordings have a list of their own."""
    bench.whole()
    bench.accept()
    bench.card("toy", black=1.0)
    _, data = bench.whole(run_dir=bench.root / "second")
    assert len(data["images"]) == 9
    row = data["images"][0]
    assert (row["usable"], row["baseline_usable"], row["identical"]) == (False, True, False)
    assert "health:not_black" in row["failed"]
    assert row["ssim"] is not None
    assert row["candidate"] != row["baseline"]
    assert row["original"] == row["prompt"]


def test_a_missing_image_says_why(bench: Any) -> None:
    """With kind, stage and message."""
    bench.card("toy", raise_at="3")
    _, data = bench.whole()
    (gone,) = [row for row in data["images"] if row["failure"]]
    assert gone["failure"] == "exception in stage denoise: scripted: this image raises"
    assert gone["candidate"] is None


def test_suspects_are_what_differs_from_the_baseline_and_nothing_else(bench: Any) -> None:
    """Weights and card changed here; versions and machine did not."""
    bench.whole()
    bench.accept()
    _, same = bench.whole(run_dir=bench.root / "second")
    assert same["suspects"] == []
    bench.card("toy", weights="changed", more='revision = "abc"')
    _, other = bench.whole(run_dir=bench.root / "third")
    assert {row["what"] for row in other["suspects"]} == {"weights", "card"}
    assert all(row["baseline"] != row["candidate"] for row in other["suspects"])


def test_wordings_are_listed_worst_first_with_their_change(bench: Any) -> None:
    """Change of normalised alignment against the prompt as written."""
    bench.card("toy", wrong_rewording=1.0)
    suite, data = bench.whole()
    rows = [row for row in data["wording"] if not row["smallest"]]
    assert len(rows) == 6
    assert [row["change"] for row in data["wording"]] == sorted(row["change"] for row in data["wording"])
    scores = {score.image: score for score in suite.recorded["toy"].scores if score.edits}
    originals = {score.original: score for score in suite.recorded["toy"].scores if not score.edits}
    for row in rows:
        after = scores[row["after"]]
        assert row["flip"]
        assert row["before"] in {score.image for score in originals.values()}
        assert row["kinds"]
        assert after.normalised < 0.5


def test_costs_hold_both_sides_by_task(bench: Any) -> None:
    """The samples of the charts."""
    bench.whole()
    bench.accept()
    _, data = bench.whole(run_dir=bench.root / "second")
    assert [row["task"] for row in data["costs"]] == ["cup", "cat"]
    for row in data["costs"]:
        assert sorted(row["candidate"]["seconds"]) == pytest.approx(sorted(row["baseline"]["seconds"]), rel=1e-5)


def test_an_ab_run_compares_row_by_row_who_is_better(bench: Any) -> None:
    """a is the other arm, b the judged model."""
    bench.card("weak", weights="weak", wrong_prompt=1.0)
    _, data = bench.whole(models=("weak",), against="toy", policy=Policy(draws=500, false_alarms=0.05))  # nine pairs show no more
    usable = next(row for row in data["comparison"] if row["gate"] == "usability" and row["task"] == "all" and row["claim"] == "difference")
    assert (usable["a"], usable["b"], usable["better"], usable["n"]) == (100.0, 0.0, "a", 9)
    assert data["against"] == "toy"
    assert [one["id"] for one in data["models"]] == ["weak", "toy"]


def test_without_another_arm_there_is_no_comparison_table(bench: Any) -> None:
    """A baseline is not a contender."""
    _, data = bench.whole()
    assert data["comparison"] == []


def test_models_say_how_often_they_were_usable_by_language(bench: Any) -> None:
    """Of counted pictures as written."""
    _, data = bench.whole()
    assert data["models"][0]["usable"] == {"en": [6, 6], "zh": [3, 3]}


def test_numbers_have_six_digits(bench: Any) -> None:
    """More would differ between machines and say nothing."""
    _, data = bench.whole()

    def floats(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [found for one in value.values() for found in floats(one)]
        if isinstance(value, (list, tuple)):
            return [found for one in value for found in floats(one)]
        return [value] if isinstance(value, float) else []

    assert all(float(f"{number:.6g}") == number for number in floats(data))


def test_a_model_that_did_not_load_has_no_facts_of_its_loading(bench: Any) -> None:
    """What is not known is left out, not made up."""
    bench.hosts.refuse["toy"] = bench.failed("toy")
    _, data = bench.whole()
    (model,) = data["models"]
    assert "weights" not in model
    assert model["usable"] == {}
    assert data["costs"][0]["candidate"] is None


def test_planted_faults_stand_beside_the_model(bench: Any) -> None:
    """A drill must never be mistaken for a run."""
    bench.card("toy", more='faults = ["slow:1.2"]')
    _, data = bench.whole()
    assert data["models"][0]["faults"] == ["slow:1.2"]


def test_tasks_are_listed_once_with_their_prompts(bench: Any) -> None:
    """Also when several models share them."""
    bench.card("other")
    _, data = bench.whole()
    assert [task["id"] for task in data["tasks"]] == ["cup", "cat"]
    assert set(data["tasks"][0]["prompts"]) == {"en", "zh"}
    assert (data["tasks"][0]["width"], data["tasks"][0]["family"]) == (32, "toys")


def test_what_a_host_warned_of_is_told_once_and_in_a_replay_too(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever process said it."""
    monkeypatch.setattr("tests.unit.suite.conftest._Host.warnings", ("DEVICE_MEMORY_NOT_BACK: 512 MiB",), raising=False)
    suite, data = bench.whole(null=1)
    assert data["warnings"] == ["toy: DEVICE_MEMORY_NOT_BACK: 512 MiB"]
    assert [event["text"] for event in suite.run.events() if event["event"] == "warning"] == ["DEVICE_MEMORY_NOT_BACK: 512 MiB"] * 2
    suite.run.close()
    _, again = bench.whole(replay=suite.run.path)
    assert again["warnings"] == data["warnings"]
