"""A card held against its workflow before anything is asked of a server, and the workflow with a request in it."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card, read_card
from swapgate.cli.main import main
from swapgate.engines.comfyui.binding import FRESH, bind, check
from swapgate.engines.comfyui.identity import named_files
from swapgate.engines.registry import ENGINES
from swapgate.engines.registry import check as check_by_engine
from swapgate.errors import UserError
from swapgate.hosts.wire import card_from_json, card_to_json
from swapgate.plan import REFINER_PROMPT, Call, round_call
from swapgate.tasks import read_tasks

ROOT = Path(__file__).parents[4]
Make = Callable[..., Card]


def changed(workflow: dict[str, Any], node: str, **inputs: Any) -> dict[str, Any]:
    made = copy.deepcopy(workflow)
    made[node]["inputs"] |= inputs
    return made


def test_a_request_is_written_into_its_places(card_for: Make, call_of: Callable[..., Call]) -> None:
    binding = bind(card_for(top={"call": {"steps": 9}}))
    graph = binding.filled(call_of(call=(("steps", 9),)).first, 2, "m1", {})
    assert graph["pos"]["inputs"]["text"] == "a cat"
    assert graph["neg"]["inputs"]["text"] == "bad"
    assert graph["k"]["inputs"]["seed"] == 5
    assert graph["k"]["inputs"]["steps"] == 9
    assert graph["size"]["inputs"] == {"width": 16, "height": 24, "batch_size": 2}
    assert graph["lora"]["inputs"]["lora_name"] == "l.safetensors"
    assert {node for node, one in graph.items() if one["inputs"].get(FRESH) == "m1"} == {"pos", "neg", "k"}


def test_without_a_negative_prompt_the_workflow_keeps_its_own(card_for: Make, call_of: Callable[..., Call]) -> None:
    binding = bind(card_for())
    assert binding.filled(call_of(negative_prompt=None).first, 1, "m", {})["neg"]["inputs"]["text"] == "n"


def test_the_image_seed_of_a_round_is_sent(card_for: Make, call_of: Callable[..., Call]) -> None:
    last = call_of(3).requests[2]
    assert bind(card_for()).filled(last, 1, "m", {})["k"]["inputs"]["seed"] == last.image_seed == 5 + 2 * 1_000_003


def test_the_second_prompt_is_that_of_its_language(card_for: Make, call_of: Callable[..., Call], workflow: dict[str, Any]) -> None:
    workflow["second"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["ck", 1]}}
    workflow["neg"]["inputs"]["more"] = ["second", 0]
    binding = bind(card_for(workflow=workflow, places={"second_prompt": "second.text"}, comfyui={"second_prompt": "en"}))
    asked = call_of(language="zh", prompt="猫", call=((REFINER_PROMPT, "a cat"),)).first
    graph = binding.filled(asked, 1, "m", {})
    assert (graph["pos"]["inputs"]["text"], graph["second"]["inputs"]["text"]) == ("猫", "a cat")
    assert binding.filled(call_of().first, 1, "m", {})["second"]["inputs"]["text"] == "a cat"


def test_a_scaled_workflow_begins_smaller(card_for: Make, call_of: Callable[..., Call]) -> None:
    binding = bind(card_for(comfyui={"scale": 2.0}))
    assert binding.filled(call_of().first, 1, "m", {})["size"]["inputs"] == {"width": 8, "height": 12, "batch_size": 1}
    with pytest.raises(UserError, match="a whole number; the task asks for 17"):
        binding.filled(call_of(width=17).first, 1, "m", {})


def test_one_value_for_both_sides_makes_squares_only(card_for: Make, call_of: Callable[..., Call], workflow: dict[str, Any]) -> None:
    workflow["side"] = {"class_type": "PrimitiveInt", "inputs": {"value": 8}}
    workflow["size"]["inputs"] |= {"width": ["side", 0], "height": ["side", 0]}
    binding = bind(card_for(workflow=workflow, places={"width": "side.value", "height": "side.value"}))
    binding.check_size(call_of(height=16).first)
    with pytest.raises(UserError, match="cannot be 16 and 24"):
        binding.check_size(call_of().first)


@pytest.mark.parametrize(
    ("how", "key", "rule", "remedy"),
    [
        ({"places": {"seed": None}}, "comfyui.places.seed", "without a seed", "swapgate comfyui map"),
        ({"places": {"prompt": None}}, "comfyui.places.prompt", "same prompt", "swapgate comfyui map"),
        ({"places": {"output": None}}, "comfyui.places.output", "one node", "swapgate comfyui map"),
        ({"places": {"output": ["save", "vae"]}}, "comfyui.places.output", "one node", "swapgate comfyui map"),
        ({"places": {"seed": "99.seed"}}, "comfyui.places.seed", "id or title", "swapgate comfyui map"),
        ({"places": {"seed": "Positiv.text"}}, "comfyui.places.seed", "id or title", "did you mean 'Positive'?"),
        ({"places": {"seed": "k.sed"}}, "comfyui.places.seed", "an input of node k", "did you mean 'seed'?"),
        ({"places": {"seed": "seed"}}, "comfyui.places.seed", "with a dot", ".<input>"),
        ({"places": {"prompt": "k.positive"}}, "comfyui.places.prompt", "linked to node pos", "holds the value"),
        ({"places": {"height": None}}, "comfyui.places", "both width and height", "add the other"),
        ({"places": {"negative_prompt": None}}, "negative_prompt", "a place for it", "negative_prompt"),
        ({"places": {"second_prompt": "neg.text"}}, "comfyui.second_prompt", "both a language and a place", "add the other"),
        ({"top": {"call": {"guidance": 3.0}}}, "call.guidance", "a role that has a place", "comfyui.places.guidance"),
        ({"top": {"call": {"seed": 3}}}, "call.seed", "comes from the task", "remove it"),
        ({"comfyui": {"uploads": {"9.image": "w.json"}}}, "comfyui.uploads.9.image", "id or title", "map"),
        ({"top": {"source": "none.json"}}, "", "as a file", "Export (API)"),
        ({"url": "ftp://h"}, "comfyui.url", "http", "127.0.0.1"),
        ({"url": "http://u:p@h"}, "comfyui.url", "without a user", "127.0.0.1"),
    ],
)  # fmt: skip
def test_refuses(card_for: Make, how: dict[str, Any], key: str, rule: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        check(card_for(**how))
    assert caught.value.key == key
    assert rule in caught.value.rule
    assert remedy in caught.value.remedy
    assert "u:p" not in str(caught.value)


def test_a_lora_that_does_not_reach_the_output_is_refused(card_for: Make, workflow: dict[str, Any]) -> None:
    """It was taken out: everything still runs, and only the pictures would tell."""
    with pytest.raises(UserError, match="a node that the output is made from; node lora"):
        bind(card_for(workflow=changed(workflow, "k", model=["ck", 0])))
    with pytest.raises(UserError, match="has the strength 0"):
        bind(card_for(workflow=changed(workflow, "lora", strength_model=0)))
    del workflow["lora"]
    workflow["k"]["inputs"]["model"] = ["ck", 0]
    with pytest.raises(UserError, match="the id or title of a node"):
        bind(card_for(workflow=workflow))


def test_a_title_that_two_nodes_have_is_refused(card_for: Make, workflow: dict[str, Any]) -> None:
    workflow["neg"]["_meta"] = {"title": "Positive"}
    with pytest.raises(UserError, match="2 have this title: pos, neg"):
        bind(card_for(workflow=workflow))


def test_several_loras_cannot_be_given_one_name(card_for: Make, workflow: dict[str, Any]) -> None:
    workflow["l2"] = {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "b.safetensors", "model": ["lora", 0]}}
    workflow["k"]["inputs"]["model"] = ["l2", 0]
    both = {"lora": ["lora.lora_name", "l2.lora_name"]}
    assert len(bind(card_for(workflow=workflow, places=both)).places["lora"]) == 2
    with pytest.raises(UserError, match="one place; lora has 2"):
        bind(card_for(workflow=workflow, places=both, top={"call": {"lora": "c.safetensors"}}))


@pytest.mark.parametrize(
    ("comfyui", "rule"),
    [
        ({"start": ["python", "main.py", "--port", "{port}"]}, "either url"),
        ({"url": None}, "either url"),
        ({"url": None, "start": ["python"]}, "{port} somewhere"),
        ({"uploads": {"pos.text": "nothing.png"}}, "a file of the project"),
        ({"uploads": {"pos.text": "../w.json"}}, "a file of the project"),
        ({"scale": 0}, "between"),
        ({"second_prompt": "fr"}, "one of en, zh"),
        ({"sever": "x"}, "unknown key"),
    ],
)
def test_the_table_is_checked(card_for: Make, comfyui: dict[str, Any], rule: str) -> None:
    with pytest.raises(UserError) as caught:
        card_for(comfyui=comfyui)
    assert rule in caught.value.rule


def test_the_table_belongs_to_this_engine_alone(card_for: Make) -> None:
    with pytest.raises(UserError, match="with no other"):
        card_for(top={"engine": "scripted"})


def test_a_card_is_the_same_at_the_other_end_of_the_wire(card_for: Make) -> None:
    card = card_for(comfyui={"uploads": {"pos.text": "w.json"}, "scale": 2.0})
    assert card_from_json(card_to_json(card)) == card


def test_where_the_server_is_and_what_the_workflow_does_are_no_part_of_the_recipe(card_for: Make, workflow: dict[str, Any]) -> None:
    """Both are under test, or say nothing: figures of time stay comparable."""
    recipe = card_for().recipe()
    assert card_for("http://other:1").recipe() == recipe
    assert card_for(workflow=changed(workflow, "k", steps=99)).recipe() == recipe
    assert card_for(comfyui={"scale": 2.0}).recipe() != recipe
    assert card_for(places={"steps": None}).recipe() != recipe


def test_check_looks_into_the_workflow(card_for: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = card_for(places={"seed": "k.sed"})
    with pytest.raises(UserError, match="did you mean 'seed'"):
        check_by_engine(card)
    (tmp_path / "fixtures" / "models").mkdir(parents=True)
    (tmp_path / "m.toml").rename(tmp_path / "fixtures" / "models" / "m.toml")
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    assert main(["--project", str(tmp_path), "check"]) == 2
    assert "did you mean 'seed'?" in capsys.readouterr().err


def test_the_bundled_cards_fit_their_workflows_and_are_not_run_by_default() -> None:
    """Each of them, with what the article's tasks ask for written into it."""
    tasks = [task for task in read_tasks(ROOT / "fixtures" / "tasks").values() if task.family == "article"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["swapgate"]
    paths = sorted((ROOT / "fixtures" / "models").glob("comfyui-*.toml"))
    assert len(paths) == 6
    for path in paths:
        card = read_card(path, root=ROOT, engines=ENGINES)
        assert card.id not in settings["default_models"]
        check(card)
        binding = bind(card)
        for task in tasks[:2]:
            for language in task.prompts:
                request = round_call(card, task, language, 2512).first
                graph = binding.filled(request, 1, "m", {})
                texts = [value for node in graph.values() for value in node["inputs"].values() if value == task.prompts[language]]
                assert texts
        named = {name for name, _ in named_files(binding)}
        said = path.read_text(encoding="utf-8").partition("title =")[0]
        assert named
        assert all(name in said for name in named), "the files that it needs are listed"


def test_the_hybrids_refiner_is_always_given_english() -> None:
    card = read_card(ROOT / "fixtures" / "models" / "comfyui-qwen-flux-hybrid.toml", root=ROOT, engines=ENGINES)
    task = read_tasks(ROOT / "fixtures" / "tasks")["article-product"]
    graph = bind(card).filled(round_call(card, task, "zh", 2512).first, 1, "m", {})
    assert graph["6"]["inputs"]["text"] == task.prompts["zh"]
    assert graph["81"]["inputs"]["text"] == task.prompts["en"]
