"""A prompt as its messages tell it: stages, steps, previews, pictures, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.engines.base import OutOfMemoryError
from swapgate.engines.comfyui.binding import bind
from swapgate.engines.comfyui.events import Event, read
from swapgate.engines.comfyui.watch import Watch, WorkflowFailed
from swapgate.meters.clock import StageClock


@pytest.fixture
def told(card_for: Callable[..., Card]) -> Callable[..., tuple[Watch, StageClock]]:
    """Feeds messages to a watch, one second of the clock after the other."""

    def feed(*events: Event, **how: Any) -> tuple[Watch, StageClock]:
        clock = StageClock(now=seconds())
        watch = Watch(bind(card_for(**how)), "p1", clock)
        for event in events:
            watch.feed(event)
        clock.stop()
        return watch, clock

    return feed


def seconds() -> Callable[[], float]:
    def count() -> Iterator[float]:
        value = 0.0
        while True:
            yield value
            value += 1

    moments = count()
    return lambda: next(moments)


def says(kind: str, **data: Any) -> Event:
    return Event(kind=kind, data={"prompt_id": "p1", **data})


def at(node: str | None) -> Event:
    return says("executing", node=node)


def step(value: int, node: str = "k") -> Event:
    return says("progress", value=value, max=4, node=node)


def shown(node: str = "k") -> Event:
    return Event(kind="picture", data={"prompt_id": "p1", "node": node}, picture=b"x")


END = says("execution_success", timestamp=1250)


def test_stages_are_timed_from_message_to_message(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    watch, clock = told(
        says("execution_start", timestamp=1000), at("pos"), at("neg"), at("k"), *(step(value) for value in (1, 2, 3, 4)), at("vae"), at("save"), END
    )
    times = clock.times(queue=0)
    assert times is not None
    assert watch.done
    assert times.text == 2.0
    assert times.steps == (1.0, 1.0, 1.0, 1.0)
    assert times.first_step == 6.0
    assert times.decode == 1.0
    assert clock.forwards == watch.steps == 4
    assert (watch.started, watch.ended) == (1000, 1250)
    assert watch.cached == ()


def test_the_preview_of_a_step_may_come_before_its_number(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    """ComfyUI 0.3.64 sends the picture of a step and then its number: the step has ended once."""
    watch, clock = told(at("k"), shown(), step(1), shown(), step(2), step(3), shown(), step(4), END)
    times = clock.times(queue=0)
    assert times is not None
    assert len(times.steps) == 4
    assert clock.forwards == 4
    assert watch.previews == 3


def test_a_sampler_that_only_shows_pictures_has_a_first_step_and_no_forwards(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    watch, clock = told(at("k"), shown(), shown(), shown(), END)
    times = clock.times(queue=0)
    assert times is not None
    assert times.first_step is not None
    assert len(times.steps) == 1
    assert clock.forwards is None
    assert watch.previews == 3


def test_numbers_that_were_left_out_are_counted(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    watch, clock = told(at("k"), step(2), step(2), step(4), END)
    assert clock.forwards == watch.steps == 4


def test_progress_of_other_nodes_is_no_step(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    _, clock = told(at("ck"), step(1, "ck"), at("k"), step(1), at("vae"), step(1, "vae"), step(9, "vae"), END)
    assert clock.forwards == 1


def test_a_sampler_that_was_not_run_is_told(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    watch, _ = told(says("execution_cached", nodes=["ck", "k"]), at("save"), END)
    assert watch.cached == ("k",)


def test_messages_of_others_are_left_alone(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    other = [
        Event(kind=kind, data={"prompt_id": "p2", "node": "k", "value": 1})
        for kind in ("executing", "progress", "execution_success", "execution_error")
    ]
    watch, clock = told(
        *other, Event(kind="picture", data={"prompt_id": "p2"}), Event(kind=""), says("crystools.monitor"), says("progress", value="x", node="k")
    )
    assert not watch.done
    assert clock.forwards is None


def test_pictures_are_those_of_the_output_node(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    images = [{"filename": "a.png", "subfolder": "s", "type": "temp"}, {"nothing": 1}]
    watch, _ = told(says("executed", node="other", output={"images": images}), says("executed", node="save", output={"images": images}), END)
    assert [(one.filename, one.subfolder, one.kind) for one in watch.pictures] == [("a.png", "s", "temp")]


@pytest.mark.parametrize("output", [None, {}, {"images": None}, {"images": ["a"]}, {"images": {"a": 1}}, []])
def test_an_output_without_pictures(told: Callable[..., tuple[Watch, StageClock]], output: Any) -> None:
    watch, _ = told(says("executed", node="save", output=output), END)
    assert watch.pictures == []


def test_a_server_that_says_no_success_has_ended_when_no_node_runs(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    watch, _ = told(at("k"), step(1), at(None))
    assert watch.done
    assert watch.ended is None


def test_the_queue_of_others(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    def left(number: Any) -> Event:
        return Event(kind="status", data={"status": {"exec_info": {"queue_remaining": number}}})

    assert told(left(1), left(3), left(1))[0].others == 2
    assert told(left(0), left("x"), Event(kind="status", data={}), Event(kind="status", data={"status": None}))[0].others == 0


def test_errors_name_the_node(told: Callable[..., tuple[Watch, StageClock]]) -> None:
    with pytest.raises(WorkflowFailed, match=r"node k \(KSampler\) raised ValueError: too bad"):
        told(at("k"), says("execution_error", node_id="k", node_type="KSampler", exception_type="ValueError", exception_message="too\nbad"))
    with pytest.raises(OutOfMemoryError, match="Allocation"):
        told(
            at("k"),
            says("execution_error", node_id="k", node_type="KSampler", exception_type="torch.OutOfMemoryError", exception_message="Allocation"),
        )
    with pytest.raises(WorkflowFailed, match="interrupted at node k"):
        told(at("k"), says("execution_interrupted", node_id="k", node_type="KSampler"))


@pytest.mark.parametrize(
    "message",
    [b"", b"\0\0\0\1", b"\0\0\0\4\xff\xff\xff\xff", b"\0\0\0\3\0\0\0\1k", b"\0\0\0\x09\0\0\0\0", "", "[]", "{", '{"type": 3}', "[" * 100_000],
)
def test_a_message_that_is_none_is_left_alone(message: str | bytes) -> None:
    assert read(message).kind in ("", "picture")


def test_binary_messages() -> None:
    assert read(b"\0\0\0\1\0\0\0\1jpeg") == Event(kind="picture", picture=b"jpeg")
    found = read(b"\0\0\0\4\0\0\0\x10" + b'{"node_id": "3"}' + b"png")
    assert (found.kind, found.node, found.picture) == ("picture", "3", b"png")
    assert read(b"\0\0\0\4\0\0\0\2" + b"{x" + b"png").kind == "picture"
    assert read('{"type": "status", "data": []}') == Event(kind="status")
