"""A run from options to verdicts: made once, resumed, replayed, held against baselines or another arm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import Status
from swapgate.suite.planning import Cell
from swapgate.suite.session import journal_places, null_calls, planned_calls

IMAGES = 3 * (3 + 2)  # three prompts, three seeds each, and two rewordings of one seed


def statuses(data: dict[str, Any]) -> dict[str, str]:
    return {verdict["id"]: verdict["status"] for verdict in data["verdicts"]}


def cut(run: Path, kept: int) -> None:
    """What a kill leaves: so many whole lines of the journal and half of the next."""
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "journal.jsonl").write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2], encoding="utf-8")


def test_a_model_is_loaded_once_for_all_its_cells(bench: Any) -> None:
    """Generate once, assert many."""
    _, data = bench.whole()
    assert bench.hosts.started == [("toy", None)]
    assert len(bench.hosts.asked) == len(set(bench.hosts.asked)) == IMAGES
    assert (data["measured"]["cells"], data["measured"]["images"]) == (15, IMAGES)
    assert data["measured"]["seconds"] == data["planned"]["seconds"] > 0


def test_a_run_without_a_baseline_is_new_and_offers_drafts(bench: Any) -> None:
    """Quality is NEW everywhere; a draft of each task waits for review."""
    _, data = bench.whole()
    assert {status for cell, status in statuses(data).items() if cell.split("/")[0] in ("usability", "drift")} == {"NEW"}
    assert sorted(path.stem for path in (bench.root / "here" / "drafts").rglob("*.json")) == ["cat", "cup"]


def test_an_unchanged_model_equals_its_baseline_by_identity(bench: Any) -> None:
    """The same pictures pass drift, usability and stability, whatever their number."""
    bench.whole(null=2)
    bench.accept()
    suite, data = bench.whole(run_dir=bench.root / "again")
    assert statuses(data)["drift/toy/all"] == "PASS"
    assert "by identity" in suite.verdicts[Cell(gate="drift", model="toy", task="all")].reason
    assert statuses(data)["stability/toy/all"] == "PASS"
    assert all(image["identical"] for image in data["images"])


def test_a_replay_gives_the_same_bytes_makes_nothing_and_writes_nothing_else(bench: Any) -> None:
    """verdicts.json is a pure function of the run folder and the baselines."""
    bench.whole(null=1)
    bench.accept()
    bench.whole(run_dir=bench.root / "second")
    run = bench.root / "second"
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    made = len(bench.hosts.asked)
    bench.whole(replay=run)
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before
    assert len(bench.hosts.asked) == made


def test_a_replay_never_loads_the_judge(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every score is in the run; a laptop without the judge's weights says the same."""
    bench.whole()

    def no_judge(card: object) -> None:
        raise AssertionError("the judge was loaded")

    monkeypatch.setattr("swapgate.suite.session.judge_of", no_judge)
    bench.whole(replay=bench.root / "here")


@pytest.mark.parametrize("kept", [1, 2, 7, IMAGES])
def test_a_resumed_run_makes_only_what_is_missing_and_says_the_same(bench: Any, kept: int) -> None:
    """Cut after loading, after one image, in the middle, and before the last."""
    bench.whole()
    bench.accept()
    _, undisturbed = bench.whole(run_dir=bench.root / "second")
    cut(bench.root / "second", kept)
    bench.hosts.asked.clear()
    _, resumed = bench.whole(resume=bench.root / "second")
    assert len(bench.hosts.asked) == IMAGES - (kept - 1)
    same = ("images", "wording", "suspects", "models", "tasks")  # one more first call is left out of so few cost samples
    quality = [[v for v in data["verdicts"] if v["gate"] in ("usability", "drift", "stability")] for data in (undisturbed, resumed)]
    assert quality[0] == quality[1]
    assert {name: undisturbed[name] for name in same} == {name: resumed[name] for name in same}


def test_a_resumed_runs_cost_keeps_journal_order_and_both_processes_apart(bench: Any) -> None:
    """Numbers rise within a process and start anew with the next; the first call of each is left out."""
    bench.whole()
    cut(bench.root / "here", 7)
    _, data = bench.whole(resume=bench.root / "here")
    suite = bench.open(replay=bench.root / "here")
    suite.ensure("toy")
    from swapgate.suite.arms import arm

    cost = arm(suite.recorded["toy"], suite.setup.tasks["toy"], "").cost
    assert cost is not None
    assert cost.numbers == (1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8)
    assert data["measured"]["images"] == IMAGES


def test_a_recorded_run_is_taken_up_with_its_own_choices(bench: Any) -> None:
    """Models, tasks and the other arm come from the manifest where the options name none."""
    bench.card("other", weights="other")
    _, data = bench.whole(models=("toy",), tasks=("cat",), against="other")
    suite, again = bench.whole(replay=bench.root / "here")
    assert suite.setup.against is not None
    assert suite.setup.against.id == "other"
    assert again == data


@pytest.mark.parametrize("change", ["seeds", "card"])
def test_a_run_whose_card_or_tasks_changed_is_refused(bench: Any, change: str) -> None:
    """Half of it made by another recipe would be a picture of neither."""
    bench.whole()
    if change == "card":
        bench.card("toy", more="[call]\nsteps = 9\n")
    else:
        tasks = bench.root / "fixtures" / "tasks" / "toys.toml"
        tasks.write_text(tasks.read_text(encoding="utf-8").replace("[1, 2, 3]", "[1, 2, 4]"), encoding="utf-8")
    with pytest.raises(UserError, match="is not in its plan"):
        bench.open(resume=bench.root / "here")


def test_a_replay_may_judge_fewer_tasks_than_were_made(bench: Any) -> None:
    """The recorded plan is narrowed to the tasks asked for."""
    bench.whole()
    suite, data = bench.whole(replay=bench.root / "here", tasks=("cat",))
    assert {verdict["task"] for verdict in data["verdicts"]} == {"all", "cat"}
    assert suite.plan.images() == 5


def test_a_replay_of_some_cells_keeps_the_verdicts_of_the_whole_run(bench: Any) -> None:
    """They are written beside; a replay of all cells writes the file itself again."""
    bench.whole()
    file = bench.root / "here" / "verdicts.json"
    before = file.read_bytes()
    part, data = bench.whole(replay=bench.root / "here", tasks=("cat",))
    assert file.read_bytes() == before
    assert part.written == bench.root / "here" / "verdicts.partial.json"
    assert json.loads(part.written.read_text(encoding="utf-8"))["verdicts"] == data["verdicts"]
    file.write_text("{", encoding="utf-8")
    whole, _ = bench.whole(replay=bench.root / "here")
    assert whole.written == file
    assert file.read_bytes() == before


@pytest.mark.parametrize("how", ["replay", "resume"])
@pytest.mark.parametrize("damaged", ["[]", '{"plan": [{}]}', '{"plan": 3}', '{"schema": 1}', "{"])
def test_a_damaged_manifest_is_a_broken_run(bench: Any, how: str, damaged: str) -> None:
    """Said with its file, whatever is wrong with it."""
    bench.whole()
    (bench.root / "here" / "manifest.json").write_text(damaged, encoding="utf-8")
    with pytest.raises(RunBroken, match=r"manifest\.json"):
        bench.open(**{how: bench.root / "here"})


def test_a_new_run_never_lands_in_a_used_folder(bench: Any) -> None:
    """What was recorded is never written over."""
    bench.whole()
    with pytest.raises(UserError, match="holds no run"):
        bench.open()


def test_arms_share_one_scale_and_are_said_to_be_measured_in_turn(bench: Any) -> None:
    """Numbers on two scales could not be compared; how the arms were made is in the evidence."""
    bench.card("weak", weights="weak", wrong_prompt=1.0)
    suite, data = bench.whole(models=("weak",), against="toy")
    assert len(suite.scales) == 1
    assert suite.interleaved("weak")
    assert data["models"][0]["baseline"] == "toy in this run, measured in turn"
    assert not (bench.root / "here" / "drafts").exists()


def test_arms_that_do_not_fit_together_are_made_one_after_the_other_and_both_are_scored(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second arm must not be scored while it has no picture yet."""
    monkeypatch.setattr("swapgate.suite.generate.both_fit", lambda cards, devices=(): False)
    bench.card("weak", weights="weak", wrong_prompt=1.0)
    suite, data = bench.whole(models=("weak",), against="toy")
    assert not suite.interleaved("weak")
    assert [model for model, _ in bench.hosts.asked[:IMAGES]] == ["weak"] * IMAGES
    assert len(suite.recorded["toy"].scores) == len(suite.recorded["weak"].scores) == IMAGES
    assert "one after the other" in data["models"][0]["baseline"]


def test_only_the_model_that_took_turns_with_the_other_arm_is_called_interleaved(bench: Any) -> None:
    """A second judged model comes when the other arm is done already."""
    bench.card("a", weights="a")
    bench.card("b", weights="b")
    suite, _ = bench.whole(models=("a", "b"), against="toy")
    assert suite.interleaved("a")
    assert not suite.interleaved("b")


def test_a_resumption_that_finds_both_arms_done_changes_nothing_about_their_order(bench: Any) -> None:
    """How the arms were made is journalled before they are made, and only then."""
    bench.card("other", weights="other")
    bench.whole(models=("other",), against="toy")
    suite, _ = bench.whole(resume=bench.root / "here")
    assert suite.interleaved("other")
    assert [event["event"] for event in suite.run.events()].count("interleaved") == 1


@pytest.mark.parametrize("kind", ["host", "user"])
def test_a_model_that_does_not_load_is_an_error_once_and_leaves_the_others_right(bench: Any, kind: str) -> None:
    """Also the scale of alignment is then the next model's, not that of no picture at all."""
    bench.card("bad")
    bench.hosts.refuse["bad"] = bench.failed("bad") if kind == "host" else bench.mistake()
    suite, data = bench.whole(models=("bad", "toy"))
    assert bench.hosts.started == [("bad", None), ("toy", None)]
    found = statuses(data)
    assert {status for cell, status in found.items() if "/bad/" in cell} == {"ERROR"}
    assert "ERROR" not in {status for cell, status in found.items() if "/toy/" in cell}
    assert all(score.usable for score in suite.recorded["toy"].scores if not score.edits)
    assert data["outcome"]["red"]


def test_a_failed_image_is_an_error_of_the_cells_that_needed_it_only(bench: Any) -> None:
    """The third image belongs to the cat task."""
    bench.card("toy", raise_at="3")
    _, data = bench.whole()
    assert {cell for cell, status in statuses(data).items() if status == Status.ERROR} == {
        f"{gate}/toy/{task}" for gate in ("latency", "memory", "usability", "drift", "stability") for task in ("all", "cat")
    }
    assert [path.stem for path in (bench.root / "here" / "drafts").rglob("*.json")] == ["cup"]


def test_a_failed_image_is_made_again_on_resumption(bench: Any) -> None:
    """It was never measured; the later generation takes its place, and its place in time."""
    bench.card("toy", raise_at="3")
    bench.whole()
    bench.card("toy")
    bench.hosts.asked.clear()
    suite, data = bench.whole(resume=bench.root / "here")
    assert len(bench.hosts.asked) == 1
    assert "ERROR" not in statuses(data).values()
    places = journal_places(suite.run)
    assert max(places, key=lambda key: places[key]) == bench.hosts.asked[0][1]


def test_an_interrupt_leaves_a_run_that_can_be_finished(bench: Any) -> None:
    """Ctrl-C ends the generation; what was made stays made, and verdicts of unjudged cells are not invented."""
    bench.hosts.interrupt_after = 5
    suite = bench.open()
    with pytest.raises(KeyboardInterrupt):
        suite.ensure("toy")
    data = suite.finish(suite.setup.cells())
    assert data["measured"]["cells"] == 0
    assert data["outcome"]["red"]
    bench.hosts.interrupt_after = None
    _, whole = bench.whole(resume=bench.root / "here")
    assert whole["measured"]["images"] == IMAGES == len(bench.hosts.asked)


def test_the_plan_of_a_run_is_read_back_call_by_call(bench: Any) -> None:
    """Requests of one round are one call again, whatever their number."""
    bench.tasks("images_per_round = 2")
    suite = bench.open()
    assert planned_calls(suite.run) == dict(suite.plan.calls)
    assert {len(call.requests) for call in suite.plan.calls["toy"]} == {2}


def test_the_null_is_measured_on_the_first_round_of_every_task_and_language(bench: Any) -> None:
    """As written: a rewording's picture is no repeat of another's."""
    suite = bench.open()
    found = null_calls(suite.plan.calls["toy"])
    assert [(call.first.task, call.first.language, call.first.seed, call.first.edits) for call in found] == [
        ("cup", "en", 1, ""),
        ("cup", "zh", 1, ""),
        ("cat", "en", 1, ""),
    ]


def test_a_picture_is_found_in_the_run_or_among_the_baselines(bench: Any) -> None:
    """The report shows both sides; a hash that nobody has is None."""
    bench.whole()
    bench.accept()
    bench.card("toy", weights="changed", noise=0.3)
    suite, data = bench.whole(run_dir=bench.root / "second")
    image = data["images"][0]
    ours, theirs = suite.image_path(image["candidate"]), suite.image_path(image["baseline"])
    assert ours is not None
    assert theirs is not None
    assert ours.is_relative_to(bench.root / "second")
    assert theirs.is_relative_to(bench.root / "baselines")
    assert suite.image_path("0" * 64) is None


def test_commands_name_a_run_inside_the_project_by_its_relative_path(bench: Any) -> None:
    """So that the line can be pasted where pytest was called."""
    suite, data = bench.whole(run_dir=bench.root / "runs" / "one")
    assert suite.run_name == "runs/one"
    assert any("--run=runs/one" in verdict["next"] for verdict in data["verdicts"])


def test_commands_name_a_run_outside_the_project_by_its_whole_path(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The folder's name alone would be looked for in the project; a replay writes the same."""
    outside = tmp_path_factory.mktemp("elsewhere") / "one"
    suite, data = bench.whole(run_dir=outside)
    assert suite.run_name == str(outside)
    assert any(f"--run={outside}" in verdict["next"] for verdict in data["verdicts"])
    before = (outside / "verdicts.json").read_bytes()
    bench.whole(replay=outside)
    assert (outside / "verdicts.json").read_bytes() == before


def test_the_manifest_keeps_no_absolute_path(bench: Any) -> None:
    """A run is judged on another machine; its paths mean nothing there."""
    bench.open()
    manifest = (bench.root / "here" / "manifest.json").read_text(encoding="utf-8")
    assert str(bench.root) not in manifest
    assert {"environment", "command", "against", "cards", "tasks", "plan"} <= set(json.loads(manifest))


def test_questions_to_the_journal_read_no_file(bench: Any) -> None:
    """It is held in memory: many questions to a long journal cost no reading."""
    suite, _ = bench.whole()
    journal = bench.root / "here" / "journal.jsonl"
    events = list(suite.run.events())
    suite.run.close()
    journal.unlink()
    assert not suite.interleaved("toy")
    assert list(suite.run.events()) == events
