"""From options to a checked setup and a plan: nothing is loaded, every mistake is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.gates.verdict import GATES
from swapgate.suite.planning import ITSELF, Cell, build_plan, prepare, restored, serialised, wording_book
from swapgate.tasks import Task


def reworded(plan: Any, model: str, task: str = "cup", language: str = "en") -> list[str]:
    return [r.edits for r in plan.requests(model) if r.edits and r.task == task and r.language == language]


def test_cells_are_every_gate_and_task_of_the_judged_models_pool_first(bench: Any) -> None:
    """The other arm of an A/B run is not judged."""
    bench.card("other")
    setup = prepare(bench.config, bench.options(models=("toy",), against="other", gates=("latency", "drift")))
    assert setup.cells() == [Cell(gate=gate, model="toy", task=task) for gate in ("latency", "drift") for task in ("all", "cup", "cat")]
    assert [card.id for card in setup.cards] == ["toy", "other"]


def test_without_a_choice_all_cards_run_and_default_models_come_before_that(bench: Any) -> None:
    """[tool.swapgate] default_models says which."""
    bench.card("other")
    assert [card.id for card in prepare(bench.config, bench.options()).models] == ["other", "toy"]
    (bench.root / "pyproject.toml").write_text('[tool.swapgate]\ndefault_models = ["toy"]\n', encoding="utf-8")
    assert [card.id for card in prepare(bench.config, bench.options()).models] == ["toy"]
    assert [card.id for card in prepare(bench.config, bench.options(models=("other",))).models] == ["other"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("toyy",)}, "did you mean 'toy'"),
        ({"tasks": ("cupp",)}, "did you mean 'cup'"),
        ({"against": "zzz"}, "a model card; known: toy"),
        ({"against": "toy"}, "another model than the one judged"),
    ],
)
def test_a_wrong_name_is_an_error_with_a_suggestion(bench: Any, options: dict[str, Any], message: str) -> None:
    """Before anything is loaded or written."""
    with pytest.raises(UserError, match=message):
        prepare(bench.config, bench.options(**options))
    assert not (bench.root / "here").exists()


def test_a_task_of_another_family_than_the_cards_is_an_error(bench: Any) -> None:
    """The card would have nothing to do."""
    text = (bench.root / "fixtures" / "tasks" / "toys.toml").read_text(encoding="utf-8")
    (bench.root / "fixtures" / "tasks" / "more.toml").write_text(text.replace('"cup"', '"jug"').replace('"cat"', '"dog"'), encoding="utf-8")
    with pytest.raises(UserError, match="a task that toy has"):
        prepare(bench.config, bench.options(tasks=("jug",)))


def test_a_project_without_cards_says_what_to_write(bench: Any) -> None:
    """The first thing a newcomer forgets."""
    (bench.root / "fixtures" / "models" / "toy.toml").unlink()
    with pytest.raises(UserError, match="at least one model card"):
        prepare(bench.config, bench.options())


def test_strangers_prompts_do_not_depend_on_the_tasks_chosen(bench: Any) -> None:
    """A picture is told apart from the same prompts in every run of the card."""
    one, all_of_them = (prepare(bench.config, bench.options(tasks=tasks)).prompts for tasks in (("cup",), ()))
    assert one == all_of_them
    assert len(one["en"]) == 2


def test_rewordings_are_drawn_only_where_stability_is_asked_for(bench: Any) -> None:
    """Nothing is generated for a gate that nobody asked."""
    without = build_plan(prepare(bench.config, bench.options(gates=("usability",))))
    assert not reworded(without, "toy")
    assert len(reworded(build_plan(prepare(bench.config, bench.options())), "toy")) == 2


@pytest.mark.parametrize(("k", "seeds"), [(0, "[1]"), (5, "[1]"), (4, "[1, 2]"), (3, "[]")])
def test_the_run_may_ask_for_other_rewordings_than_its_tasks(bench: Any, k: int, seeds: str) -> None:
    """K of every prompt, for each of its reworded seeds; the first seed where a task names none."""
    path = bench.root / "fixtures" / "tasks" / "toys.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("reworded_seeds = [1]", f"reworded_seeds = {seeds}"), encoding="utf-8")
    found = [edits for task, language in (("cup", "en"), ("cup", "zh"), ("cat", "en"))
             for edits in [reworded(build_plan(prepare(bench.config, bench.options(wordings=k))), "toy", task, language)]]  # fmt: skip
    assert [len(set(edits)) for edits in found] == [k] * 3
    assert {len(edits) for edits in found} == {k * max(1, seeds.count(",") + 1)}


def test_more_rewordings_than_there_are_is_said_with_how_many_there_are(bench: Any) -> None:
    """Nothing is made of half of them."""
    bench.tasks('reword_by = ["punctuation"]')
    with pytest.raises(UserError, match="64 different rewordings; its approved edits yield") as caught:
        build_plan(prepare(bench.config, bench.options(wordings=64)))
    assert "ask for at most" in caught.value.remedy


def test_the_same_project_gives_the_same_plan_and_both_arms_the_same_rewordings(bench: Any) -> None:
    """Deterministic, and comparable one by one."""
    bench.card("other")
    setup = prepare(bench.config, bench.options(models=("toy",), against="other"))
    plan = build_plan(setup)
    assert plan == build_plan(setup)
    assert reworded(plan, "toy") == reworded(plan, "other")


def drawn_for(bench: Any, n: int) -> list[str]:
    """Rewordings of the cup prompt that the suite itself would draw under another name."""
    from swapgate import wording

    setup = prepare(bench.config, bench.options())
    prompt = setup.tasks["toy"][0].prompts["en"]
    return [serialised(one) for one in wording.draw(prompt, "en", wording_book(bench.config), n=n, seed_text="another version")]


def test_rewordings_of_a_baseline_come_first_each_model_with_its_own(bench: Any) -> None:
    """Two models may have been accepted with different ones."""
    bench.card("other")
    known = drawn_for(bench, 4)

    def recorded(card: Card, task: Task, language: str) -> Sequence[str]:
        return (known[:2] if card.id == "toy" else known[2:]) if (task.id, language) == ("cup", "en") else ()

    plan = build_plan(prepare(bench.config, bench.options()), recorded)
    assert reworded(plan, "toy") == known[:2]
    assert reworded(plan, "other") == known[2:]


def test_too_few_recorded_rewordings_are_kept_and_filled_up(bench: Any) -> None:
    """What can be compared is compared; the others are new."""
    known = drawn_for(bench, 1)
    found = reworded(
        build_plan(prepare(bench.config, bench.options()), lambda card, task, language: known if language == "en" and task.id == "cup" else ()), "toy"
    )
    assert found[0] == known[0]
    assert len(set(found)) == 2


def test_more_recorded_rewordings_than_the_task_asks_for_are_cut(bench: Any) -> None:
    """The task says how many."""
    known = drawn_for(bench, 4)
    plan = build_plan(prepare(bench.config, bench.options()), lambda card, task, language: known if (task.id, language) == ("cup", "en") else ())
    assert reworded(plan, "toy") == known[:2]


def test_a_recorded_rewording_that_the_book_no_longer_has_is_replaced(bench: Any) -> None:
    """Else a changed book could never be run again, and so never be accepted."""
    plan = build_plan(prepare(bench.config, bench.options()), lambda card, task, language: ["synonym: nothing→naught @1"])
    found = reworded(plan, "toy")
    assert len(found) == 2
    assert not any("naught" in edits for edits in found)


def test_a_serialised_rewording_is_restored_to_its_text(bench: Any) -> None:
    """What a baseline keeps of a rewording is enough to make it again."""
    plan = build_plan(prepare(bench.config, bench.options()))
    book = wording_book(bench.config)
    setup = prepare(bench.config, bench.options())
    prompts = {task.id: task.prompts for task in setup.tasks["toy"]}
    asked = [request for request in plan.requests("toy") if request.edits]
    assert asked
    for request in asked:
        again = restored(book, prompts[request.task][request.language], request.language, request.edits)
        assert (again.text, serialised(again)) == (request.prompt, request.edits)


def test_a_recorded_run_fills_in_what_the_options_leave_open_in_its_own_order(bench: Any) -> None:
    """And what they say comes first."""
    bench.card("another")
    bench.card("third", weights="third")
    bench.open(models=("toy", "another"), against="third", tasks=("cat",))
    found = prepare(bench.config, bench.options(replay=bench.root / "here")).options
    assert (found.models, found.against, found.tasks) == (("toy", "another"), "third", ("cat",))
    narrowed = prepare(bench.config, bench.options(replay=bench.root / "here", models=("another",))).options
    assert narrowed.models == ("another",)


def test_the_gates_are_those_of_the_design() -> None:
    """One test file each."""
    assert set(GATES) == {"latency", "memory", "usability", "drift", "stability"}


def test_a_task_that_asks_for_no_rewordings_has_none(bench: Any) -> None:
    """Neither a number without seeds nor seeds without a number."""
    tasks = bench.root / "fixtures" / "tasks" / "toys.toml"
    text = tasks.read_text(encoding="utf-8")
    for old, new in (("rewordings = 2", "rewordings = 0"), ("reworded_seeds = [1]", "reworded_seeds = []")):
        tasks.write_text(text.replace(old, new), encoding="utf-8")
        assert not reworded(build_plan(prepare(bench.config, bench.options())), "toy")


def test_rewordings_of_one_prompt_are_drawn_once_for_all_models(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw is the dearest part of a plan."""
    from swapgate import wording

    bench.card("other")
    real, drawn = wording.draw, []

    def counted(prompt: str, *given: Any, **more: Any) -> Any:
        drawn.append(prompt)
        return real(prompt, *given, **more)

    monkeypatch.setattr(wording, "draw", counted)
    build_plan(prepare(bench.config, bench.options()))
    assert len(drawn) == len(set(drawn)) == 3


def test_a_folder_without_a_run_leaves_the_options_as_they_are(bench: Any) -> None:
    """Opening it is what says that there is no run."""
    assert prepare(bench.config, bench.options(resume=bench.root / "nowhere")).options.models == ()
    with pytest.raises(UserError, match=r"manifest\.json"):
        bench.open(resume=bench.root / "nowhere")


def test_faults_of_a_run_are_planted_into_the_judged_models_alone(bench: Any) -> None:
    """Beside those of the card, in the manifest, and again when the run is taken up without naming them."""
    bench.card("other")
    setup = prepare(bench.config, bench.options(models=("toy",), against="other", faults=("noise:0.4", "leak:8")))
    assert setup.models[0].faults == ("noise:0.4", "leak:8")
    assert setup.against is not None
    assert setup.against.faults == ()
    suite = bench.open(models=("toy",), faults=("noise:0.4",))
    assert suite.run.manifest["faults"] == ["noise:0.4"]
    assert suite.run.manifest["cards"]["toy"]["faults"] == ["noise:0.4"]
    assert prepare(bench.config, bench.options(resume=suite.run.path)).models[0].faults == ("noise:0.4",)


def test_a_fault_of_a_run_that_does_not_parse_is_a_mistake(bench: Any) -> None:
    """Found before anything is loaded; and the same model is no other arm because a fault sits in it."""
    with pytest.raises(UserError, match="did you mean 'noise'"):
        prepare(bench.config, bench.options(models=("toy",), faults=("nose:0.4",)))
    with pytest.raises(UserError, match="another model than the one judged"):
        prepare(bench.config, bench.options(models=("toy",), against="toy", faults=("noise:0.4",)))


def test_a_model_can_be_held_against_itself_in_turn(bench: Any) -> None:
    """The other arm is the card as written, under a name of its own; the faults of the run are planted into the judged one alone."""
    setup = prepare(bench.config, bench.options(models=("toy",), against=ITSELF, faults=("slow:2",)))
    assert setup.against is not None
    assert (setup.against.id, setup.against.faults) == ("toy.itself", ())
    assert setup.models[0].faults == ("slow:2",)
    assert setup.tasks["toy.itself"] == setup.tasks["toy"]
    bench.card("other")
    with pytest.raises(UserError, match="one model is held against itself"):
        prepare(bench.config, bench.options(models=("toy", "other"), against=ITSELF))


def test_a_run_against_itself_can_be_replayed_and_gone_on_with(bench: Any) -> None:
    """The twin is no model of its own."""
    suite, data = bench.whole(models=("toy",), against=ITSELF, faults=("slow:2",))
    latency = next(one for one in data["verdicts"] if one["id"] == "latency/toy/all")
    assert latency["status"] == "REGRESSION", latency["reason"]
    assert data["against"] == ITSELF
    before = (suite.run.path / "verdicts.json").read_bytes()
    bench.whole(replay=suite.run.path)
    assert (suite.run.path / "verdicts.json").read_bytes() == before
    assert bench.whole(resume=suite.run.path)[1]["counts"] == data["counts"]
