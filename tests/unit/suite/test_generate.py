"""What is made, in which order, in which processes; what a crash, a mistake or a resumption leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card
from swapgate.hosts.variations import MATH_ATTENTION, ONE_THREAD
from swapgate.plan import Call, Request
from swapgate.runs.folder import RunFolder
from swapgate.runs.pixels import pixel_hash
from swapgate.runs.records import Generation
from swapgate.suite import generate as module
from swapgate.suite.generate import NULL_CALLS, Work, again, both_fit, generate, interleave, measure_null, null_turns, pending, record
from swapgate.suite.progress import Silent
from swapgate.suite.session import null_calls


def call(model: str, seed: int, images: int = 1) -> Call:
    return Call(
        requests=tuple(
            Request(
                model=model, task="cup", language="en", seed=seed, index=index, prompt="a cup", negative_prompt=None, width=32, height=32, call=()
            )
            for index in range(images)
        )
    )


def work(card: Any, calls: int) -> Work:
    return Work(card=card, rounds=tuple((call(card.id, seed),) for seed in range(calls)), planned=calls, done=0)


def done(request: Request, image: str | None = "a" * 64) -> Generation:
    return Generation(
        request=request.key,
        image=image,
        width=32,
        height=32,
        mode="RGB",
        call=request.key,
        images_in_call=1,
        number=0,
        first_call=False,
        times=None,
        memory=None,
        forwards=None,
    )


@pytest.fixture
def cards(bench: Any) -> dict[str, Card]:
    bench.card("a")
    bench.card("b")
    return {card.id: card for card in bench.open(models=("a", "b")).setup.models}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"plan": []})


def test_one_model_keeps_the_order_of_its_plan(cards: dict[str, Card]) -> None:
    """Nothing to take turns with."""
    only = work(cards["a"], 4)
    assert [made for _, made in interleave({"a": only.calls})] == list(only.calls)
    assert list(interleave({})) == []


@given(ours=st.integers(0, 9), theirs=st.integers(0, 9))
def test_arms_take_turns_and_the_one_that_goes_first_changes(ours: int, theirs: int) -> None:
    """Both are asked for request n before request n + 1, every call exactly once, whatever is left of each."""
    works = {name: [call(name, seed) for seed in range(calls)] for name, calls in (("a", ours), ("b", theirs))}
    order = [(model, made.first.seed) for model, made in interleave(works)]
    assert sorted(order) == sorted([("a", n) for n in range(ours)] + [("b", n) for n in range(theirs)])
    assert [seed for _, seed in order] == sorted(seed for _, seed in order)
    both = min(ours, theirs)
    assert [model for model, _ in order[: 2 * both]] == (["a", "b", "b", "a"] * both)[: 2 * both]


def test_what_has_an_image_is_not_pending_and_what_failed_is(run: RunFolder, cards: dict[str, Card]) -> None:
    """A failure was never measured."""
    calls = [call("a", seed) for seed in range(3)]
    run.add_generation(done(calls[0].first))
    run.add_generation(done(calls[1].first, None))
    left = pending(run, cards["a"], [calls[:2], calls[2:]])
    assert left.calls == tuple(calls[1:])
    assert left.rounds == ((calls[1],), (calls[2],))
    assert (left.planned, left.done) == (3, 1)


def test_a_round_of_which_an_image_is_missing_is_made_again_whole(run: RunFolder, cards: dict[str, Card]) -> None:
    """A call cannot be made in part."""
    two = call("a", 1, images=2)
    run.add_generation(done(two.requests[0]))
    left = pending(run, cards["a"], [[two]])
    assert left.calls == (two,)
    assert (left.planned, left.done) == (2, 0)


def test_an_image_is_on_disk_before_the_journal_names_it(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line in the journal means that its image is safely there."""
    pixels = np.full((32, 32, 3), 7, np.uint8)
    seen = []

    def add(self: RunFolder, generation: Generation) -> None:
        seen.append(generation.image is not None and self.image_path(generation.image).is_file())

    monkeypatch.setattr(RunFolder, "add_generation", add)
    record(run, [(done(call("a", 1).first, None), pixels)])
    assert seen == [True]
    assert np.array_equal(run.load_image(pixel_hash(pixels)), pixels)


def test_a_failure_is_journalled_without_an_image(run: RunFolder) -> None:
    """What a host said of an image that never came is not believed."""
    request = call("a", 1).first
    record(run, [(done(request), None)])
    assert run.generations()[request.key].image is None


def test_two_arms_are_made_in_turn_and_the_journal_says_so_first(bench: Any, run: RunFolder, cards: dict[str, Card]) -> None:
    """A run that is cut off still says how it was made."""
    generate(run, [work(cards["a"], 3), work(cards["b"], 3)], Silent(), after=lambda hosts: None)
    assert [model for model, _ in bench.hosts.asked] == ["a", "b", "b", "a", "a", "b"]
    assert run.events()[0] == {"event": "interleaved", "models": ["a", "b"]}


def test_arms_that_do_not_fit_are_made_one_after_the_other(
    bench: Any, run: RunFolder, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the journal says that, too; each host is asked for witnesses while it is the one that is loaded."""
    monkeypatch.setattr(module, "both_fit", lambda cards, devices=(): False)
    loaded: list[list[str]] = []
    generate(run, [work(cards["a"], 2), work(cards["b"], 2)], Silent(), after=lambda hosts: loaded.append(list(hosts)))
    assert [model for model, _ in bench.hosts.asked] == ["a", "a", "b", "b"]
    assert run.events()[0]["event"] == "one-after-other"
    assert loaded == [["a"], ["b"]]


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (0, 2), (2, 0)])
def test_an_arm_without_calls_is_not_loaded_and_nothing_is_said_of_turns(
    bench: Any, run: RunFolder, cards: dict[str, Card], ours: int, theirs: int
) -> None:
    """On resumption an arm may be done."""
    generate(run, [work(cards["a"], ours), work(cards["b"], theirs)], Silent(), after=lambda hosts: None)
    assert len(bench.hosts.asked) == ours + theirs
    assert len(bench.hosts.started) == (ours > 0) + (theirs > 0)
    assert not {"interleaved", "one-after-other"} & {event["event"] for event in run.events()}


def test_a_model_that_does_not_load_fails_all_its_calls_and_not_the_other_arm(bench: Any, run: RunFolder, cards: dict[str, Card]) -> None:
    """Every request gets the reason."""
    bench.hosts.refuse["a"] = bench.failed("a")
    works = [work(cards["a"], 2), work(cards["b"], 2)]
    generate(run, works, Silent(), after=lambda hosts: None)
    made = run.generations()
    for one in works[0].calls:
        failure = made[one.first.key].failure
        assert failure is not None
        assert (failure.kind, failure.message) == ("out-of-memory", "no room")
    assert all(made[one.first.key].image for one in works[1].calls)
    assert [event["model"] for event in run.events() if event["event"] == "load-failed"] == ["a"]


def test_a_mistake_found_while_loading_is_said_with_its_rule_and_remedy(bench: Any, run: RunFolder, cards: dict[str, Card]) -> None:
    """It is the reason of every verdict of this model."""
    bench.hosts.refuse["a"] = bench.mistake()
    generate(run, [work(cards["a"], 1)], Silent(), after=lambda hosts: None)
    (made,) = run.generations().values()
    assert made.failure is not None
    assert "options.x = 1" in made.failure.message
    assert "remove it" in made.failure.message


def test_the_null_is_measured_in_fresh_processes_every_second_with_one_thread(bench: Any) -> None:
    """A process of its own each time; one thread is a legal variation of the same thing."""
    suite = bench.open(null=3)
    suite.ensure("toy")
    assert bench.hosts.started == [("toy", None), ("toy", None), ("toy", 1), ("toy", None)]
    told = [(event["repeat"], event["threads"]) for event in suite.run.events() if event["event"] == "null"]
    assert told == [(1, None), (2, 1), (3, None)]
    assert len(suite.run.loads()) == 1, "the null's processes are no second loading of the model under test"


def test_a_null_that_was_cut_off_is_completed_and_not_repeated(bench: Any) -> None:
    """On resumption only the missing repeats are made."""
    suite = bench.open()
    card, calls = suite.setup.models[0], null_calls(suite.plan.calls["toy"])
    bench.hosts.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        measure_null(suite.run, card, calls, 1, Silent())
    bench.hosts.interrupt_after = None
    measure_null(suite.run, card, calls, 2, Silent())
    made = [key for _, key in bench.hosts.asked]
    assert len(made) == len(set(made)) == 2 * 2 * len(calls)
    assert set(made) == {again(one.first, repeat, turn).key for one in calls for repeat in (1, 2) for turn in (0, 1)}


@pytest.mark.parametrize(("calls", "turns"), [(0, 0), (1, 6), (2, 3), (3, 2), (5, 2), (6, 1), (12, 1)])
def test_a_process_of_the_null_makes_six_calls_at_least(calls: int, turns: int) -> None:
    """One is left out, and five are the fewest that time is judged by."""
    assert null_turns(calls) == turns
    assert calls * turns >= NULL_CALLS or not calls


def test_a_process_makes_its_calls_in_the_order_of_the_run_and_then_again(bench: Any) -> None:
    """So that its first calls stand where those of the run stood; every one under a key of its own."""
    suite = bench.open()
    calls = null_calls(suite.plan.calls["toy"])
    measure_null(suite.run, suite.setup.models[0], calls, 1, Silent())
    assert [key for _, key in bench.hosts.asked] == [again(one.first, 1, turn).key for turn in (0, 1) for one in calls]
    assert again(calls[0].first, 1, 0) == replace(calls[0].first, repeat=1)
    assert len({again(calls[0].first, number, turn).key for number in range(1, 50) for turn in range(6)}) == 49 * 6


def test_the_journal_names_the_variation_of_every_process(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the host is told what to set, where there is more to it than threads."""
    given = []

    def host(card: Card, threads: int | None = None, **more: Any) -> Any:
        given.append((threads, {name: dict(values) for name, values in more.items()}))
        return bench.hosts(card, threads)

    monkeypatch.setattr(module, "Host", host)
    monkeypatch.setattr(module, "at_hand", lambda *told: (MATH_ATTENTION, ONE_THREAD))
    suite = bench.open(null=4)
    suite.ensure("toy")
    assert given == [(None, {}), (None, {}), (None, {"numerics": {"attention": "math"}, "environment": {}}), (None, {}), (1, {})]
    told = [event["variation"] for event in suite.run.events() if event["event"] == "null"]
    assert told == ["fresh process", "math attention", "fresh process", "1 thread"]


def test_both_fit_when_the_weights_and_their_activations_fit_into_what_is_free(
    cards: dict[str, Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 bytes of weights need 1,600; a fifth of what is free stays free."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    (folder / "notes.txt").write_bytes(b"x" * 10_000)
    card = replace(cards["a"], engine="diffusers", source="weights", root=tmp_path)
    for free, fits in ((4001, True), (3999, False)):
        monkeypatch.setattr(module, "_free_bytes", lambda devices=(), free=free: free)
        assert both_fit([card, card]) is fits


def test_a_scripted_model_takes_no_memory(cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no weights anywhere."""
    monkeypatch.setattr(module, "_free_bytes", lambda devices=(): 1)
    assert both_fit(list(cards.values()))


@pytest.mark.parametrize("folder", [False, True])
def test_models_of_unknown_size_are_not_loaded_side_by_side(cards: dict[str, Card], tmp_path: Path, folder: bool) -> None:
    """A Hub id without a local folder, or a folder without weight files, may be of any size."""
    if folder:
        (tmp_path / "Qwen" / "Qwen-Image-2512").mkdir(parents=True)
    unknown = replace(cards["b"], engine="diffusers", source="Qwen/Qwen-Image-2512", root=tmp_path)
    assert not both_fit([cards["a"], unknown])


def test_free_memory_is_measured_somewhere() -> None:
    """Of the device where there is one, else of the machine."""
    assert module._free_bytes() > 0
