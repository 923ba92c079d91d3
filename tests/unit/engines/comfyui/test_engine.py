"""The engine against a small server of ours: what is asked, what comes back, and every way in which it can go wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.engines.base import OutOfMemoryError
from swapgate.engines.comfyui.binding import FRESH
from swapgate.engines.comfyui.engine import ComfyEngine, create
from swapgate.engines.comfyui.measuring import OTHERS
from swapgate.engines.comfyui.watch import WorkflowFailed
from swapgate.engines.registry import Setting
from swapgate.engines.servers.failed import ServerFailed
from swapgate.errors import UserError
from swapgate.hosts.process import Host
from swapgate.meters.clock import StageClock
from swapgate.plan import Call

Make = Callable[..., Card]
Calls = Callable[..., Call]
COMBO = {"required": {"ckpt_name": [["a.safetensors"], {}]}}


@contextmanager
def loaded(card: Card) -> Iterator[ComfyEngine]:
    engine = create(card, Setting())
    engine.load()
    try:
        yield engine
    finally:
        engine.close()


def test_makes_the_picture_of_a_request(comfy: Any, card_for: Make, call_of: Calls) -> None:
    clock = StageClock()
    with loaded(card_for(comfy.url)) as engine:
        (picture,) = engine.make(call_of(), clock)
        identity = engine.identity()
    times = clock.times(queue=0)
    assert times is not None
    assert picture.shape == (24, 16, 3)
    assert picture[0, 0].tolist() == [5, 0, 7]
    assert comfy.prompts[0]["pos"]["inputs"]["text"] == "a cat"
    assert clock.forwards == len(times.steps) == 4
    assert times.first_step is not None
    assert times.text is not None
    assert times.decode is not None
    assert identity.placement == "comfyui-cpu"
    assert identity.versions["comfyui"] == "0.3.64"
    assert identity.versions["server switches"] == "--cpu"
    assert "POST /free" in comfy.paths()


def test_nothing_of_a_request_is_taken_from_a_cache(comfy: Any, card_for: Make, call_of: Calls) -> None:
    """The same request twice differs in what marks it, and the loader is not marked."""
    with loaded(card_for(comfy.url)) as engine:
        engine.make(call_of(), StageClock())
        engine.make(call_of(), StageClock())
    marks = [prompt["k"]["inputs"][FRESH] for prompt in comfy.prompts]
    assert len(set(marks)) == 2
    assert FRESH not in comfy.prompts[0]["ck"]["inputs"]


def test_a_cached_sampler_voids_the_time_and_not_the_picture(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.cached = ("ck", "lora", "pos", "neg", "size", "k")
    clock = StageClock()
    with loaded(card_for(comfy.url)) as engine:
        assert len(engine.make(call_of(), clock)) == 1
        assert engine.notes() == ("time: void, because the server did not run node k (KSampler) (cached)",)
    assert clock.times(queue=0) is None


def test_cached_loaders_are_as_it_should_be(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.cached = ("ck", "lora")
    clock = StageClock()
    with loaded(card_for(comfy.url)) as engine:
        engine.make(call_of(), clock)
    assert clock.times(queue=0) is not None


def test_a_round_is_one_batch_where_the_workflow_has_one(comfy: Any, card_for: Make, call_of: Calls) -> None:
    with loaded(card_for(comfy.url)) as engine:
        pictures = engine.make(call_of(3), StageClock())
        assert engine.notes() == ("batch: 3 pictures of one seed, as the workflow draws them",)
    assert len(pictures) == 3
    assert comfy.prompts[0]["size"]["inputs"]["batch_size"] == 3
    assert len(comfy.prompts) == 1


def test_a_round_is_a_prompt_for_each_seed_where_it_has_none(comfy: Any, card_for: Make, call_of: Calls) -> None:
    clock = StageClock()
    with loaded(card_for(comfy.url, places={"batch": None})) as engine:
        pictures = engine.make(call_of(3), clock)
    assert [prompt["k"]["inputs"]["seed"] for prompt in comfy.prompts] == [5, 1_000_008, 2_000_011]
    assert len(pictures) == 3
    assert clock.forwards == 4  # of each: what the card expects is of one


def test_more_pictures_than_asked_are_handed_on_to_be_refused(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.pictures = 2
    with loaded(card_for(comfy.url)) as engine:
        assert len(engine.make(call_of(), StageClock())) == 2


def test_pictures_over_the_websocket(comfy: Any, card_for: Make, call_of: Calls, workflow: Any) -> None:
    comfy.conduct.over_socket = True
    workflow["save"]["class_type"] = "SaveImageWebsocket"
    with loaded(card_for(comfy.url, workflow=workflow)) as engine:
        (picture,) = engine.make(call_of(), StageClock())
    assert picture[0, 0].tolist() == [5, 0, 7]
    assert "GET /view" not in comfy.paths()


def test_the_history_is_asked_where_nothing_was_said(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.tells_pictures = False
    comfy.conduct.tells_success = False
    with loaded(card_for(comfy.url)) as engine:
        assert len(engine.make(call_of(), StageClock())) == 1
    assert "GET /history/prompt-1" in comfy.paths()


def test_a_picture_is_uploaded_once(comfy: Any, card_for: Make, call_of: Calls, workflow: Any, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(b"picture")
    workflow["load"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    workflow["size"]["inputs"]["like"] = ["load", 0]
    with loaded(card_for(comfy.url, workflow=workflow, comfyui={"uploads": {"load.image": "in.png"}})) as engine:
        engine.make(call_of(), StageClock())
        engine.make(call_of(), StageClock())
    assert comfy.paths().count("POST /upload/image") == 1
    names = {prompt["load"]["inputs"]["image"] for prompt in comfy.prompts}
    assert len(names) == 1
    assert names.pop().startswith("swapgate/")


def test_mistakes_of_a_workflow_name_node_and_input(comfy: Any, card_for: Make, call_of: Calls) -> None:
    mistakes = {"k": {"class_type": "KSampler", "errors": [{"message": "Value not in list", "details": "sampler_name: 'x' not in [...]"}]}}
    error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""}
    comfy.conduct.refuses = (400, {"error": error, "node_errors": mistakes})
    with (
        loaded(card_for(comfy.url)) as engine,
        pytest.raises(ServerFailed, match=r"failed validation: node k \(KSampler\): Value not in list: sampler_name"),
    ):
        engine.make(call_of(), StageClock())


def test_a_workflow_that_is_run_in_part_is_taken_back(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.mistakes = {"9": {"class_type": "SaveImage", "errors": [{"message": "Required input is missing", "details": "images"}]}}
    comfy.conduct.hangs = True
    with loaded(card_for(comfy.url)) as engine, pytest.raises(ServerFailed, match="only a part of the workflow"):
        engine.make(call_of(), StageClock())
    assert "POST /interrupt" in comfy.paths()


def test_an_error_of_a_node_is_that_of_the_call_and_the_next_goes_on(comfy: Any, card_for: Make, call_of: Calls) -> None:
    with loaded(card_for(comfy.url)) as engine:
        comfy.conduct.fails = {"exception_type": "ValueError", "exception_message": "shapes"}
        with pytest.raises(WorkflowFailed, match="ValueError: shapes"):
            engine.make(call_of(), StageClock())
        comfy.conduct.fails = {"exception_type": "torch.OutOfMemoryError", "exception_message": "2 GiB"}
        with pytest.raises(OutOfMemoryError):
            engine.make(call_of(), StageClock())
        comfy.conduct.fails = None
        assert len(engine.make(call_of(), StageClock())) == 1


def test_what_takes_too_long_is_interrupted(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.hangs = True
    begun = time.monotonic()
    with (
        loaded(card_for(comfy.url, top={"timeout_seconds": 1.0})) as engine,
        pytest.raises(ServerFailed, match=r"within 0\.9 of timeout_seconds = 1 s"),
    ):
        engine.make(call_of(), StageClock())
    assert time.monotonic() - begun < 30
    asked = [body for method, path, body in comfy.asked if path in ("/interrupt", "/queue") and method == "POST"]
    assert asked == [{"delete": ["prompt-1"]}, {"prompt_id": "prompt-1"}]


def test_a_prompt_that_only_waits_is_taken_out_of_the_queue_and_nobody_elses_is_interrupted(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.hangs = True
    with loaded(card_for(comfy.url, top={"timeout_seconds": 1.0})) as engine, pytest.raises(ServerFailed):
        _without_running(comfy, lambda: engine.make(call_of(), StageClock()))
    assert "POST /queue" in comfy.paths()
    assert "POST /interrupt" not in comfy.paths()


def _without_running(comfy: Any, act: Callable[[], object]) -> None:
    """The server says that another's prompt runs."""
    comfy.running = _Never(["somebody's"])
    act()


class _Never(list[str]):
    def append(self, _: str) -> None:
        """Ours waits."""


def test_a_broken_websocket_is_the_error_of_the_call_and_is_opened_again(comfy: Any, card_for: Make, call_of: Calls) -> None:
    with loaded(card_for(comfy.url)) as engine:
        comfy.conduct.breaks = True
        with pytest.raises(ServerFailed, match="the websocket broke"):
            engine.make(call_of(), StageClock())
        comfy.conduct.breaks = False
        assert len(engine.make(call_of(), StageClock())) == 1


def test_strange_messages_change_nothing(comfy: Any, card_for: Make, call_of: Calls) -> None:
    comfy.conduct.noise = (
        "{",
        "[]",
        "null",
        '{"type": "x"}',
        '{"type": "progress", "data": {"value": null}}',
        b"",
        b"\xff" * 20,
        b"\0\0\0\4\0\0\0\1{",
    )
    clock = StageClock()
    with loaded(card_for(comfy.url)) as engine:
        assert len(engine.make(call_of(), clock)) == 1
    assert clock.forwards == 4


@pytest.mark.parametrize("encoded", [b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_refused(comfy: Any, card_for: Make, call_of: Calls, encoded: bytes) -> None:
    comfy.conduct.encoded = encoded
    with loaded(card_for(comfy.url)) as engine, pytest.raises(ServerFailed, match="do not decode"):
        engine.make(call_of(), StageClock())


def test_a_picture_of_another_size_is_refused(comfy: Any, card_for: Make, call_of: Calls) -> None:
    with (
        loaded(card_for(comfy.url, places={"width": None, "height": None})) as engine,
        pytest.raises(ServerFailed, match="16 x 16; 16 x 24 was asked"),
    ):
        engine.make(call_of(), StageClock())


def test_a_class_that_the_server_does_not_have_is_named(comfy: Any, card_for: Make) -> None:
    comfy.conduct.missing = ("KSampler",)
    with pytest.raises(UserError, match=r"it does not have that of node k \(KSampler\)"):
        create(card_for(comfy.url), Setting()).load()


@pytest.mark.parametrize("choices", [[["b.safetensors"], {}], ["COMBO", {"options": ["b.safetensors"]}]])
def test_a_file_that_the_server_does_not_have_is_named(comfy: Any, card_for: Make, choices: list[Any]) -> None:
    comfy.conduct.choices = {"CheckpointLoaderSimple": {"required": {"ckpt_name": choices}}}
    with pytest.raises(UserError) as caught:
        create(card_for(comfy.url), Setting()).load()
    assert caught.value.key == "ck.ckpt_name"
    assert "b.safetensors" in caught.value.rule
    assert "folder of models" in caught.value.remedy


def test_no_server_is_the_users_mistake(card_for: Make) -> None:
    with pytest.raises(UserError, match="a ComfyUI server that answers"):
        create(card_for("http://127.0.0.1:9"), Setting()).load()


def test_faults_cannot_be_planted(card_for: Make) -> None:
    with pytest.raises(UserError, match="a server's pipeline cannot be reached"):
        create(card_for(top={"faults": ["black"]}), Setting())


def test_models_of_others_are_left_alone_while_they_work(comfy: Any, card_for: Make) -> None:
    comfy.conduct.queue = ("theirs",)
    engine = create(card_for(comfy.url), Setting())
    engine.load()
    assert "POST /free" not in comfy.paths()
    assert "1 prompts of others are in its queue" in engine.notes()[0]
    engine.close()


def test_in_a_host_a_call_is_measured_and_others_are_noticed(comfy: Any, card_for: Make, call_of: Calls) -> None:
    """Through the child process: memory, notes, foreign work, an error, and the next call."""
    with Host(card_for(comfy.url)) as host:
        said = host.start()
        assert "weights: a.safetensors, by its name alone" in said.notes
        ((alone, _),) = host.make(call_of())
        comfy.conduct.remaining = 3
        ((crowded, _),) = host.make(call_of(seed=6))
        comfy.conduct.remaining = 1
        comfy.conduct.fails = {"exception_type": "ValueError", "exception_message": "shapes"}
        ((failed, nothing),) = host.make(call_of(seed=7))
        comfy.conduct.fails = None
        comfy.conduct.cached = ("ck", "lora", "pos", "neg", "size", "k")
        ((cached, _),) = host.make(call_of(seed=8))
        comfy.conduct.cached = ()
        comfy.conduct.queue = ("theirs",)
        ((waiting, _),) = host.make(call_of(seed=9))
    assert alone.image
    assert alone.device.foreign == ()
    assert alone.forwards == 4
    assert alone.memory is not None
    assert alone.memory.resident > 10
    assert crowded.device.foreign == waiting.device.foreign == ((OTHERS, None),)
    assert nothing is None
    assert failed.failure is not None
    assert "shapes" in failed.failure.message
    assert cached.image
    assert cached.times is None
    assert "void" in cached.notes[0]
