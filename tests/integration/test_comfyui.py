"""A real ComfyUI: the stand-in in a workflow draws what it draws in this process, every change of the workflow is seen, and so is all that goes wrong.

Skipped where there is none; see comfy.py for how it is found. One server is used by all tests but the last, which starts its own and kills it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.baselines.review import accept
from swapgate.baselines.store import Store
from swapgate.cards import Card, read_card
from swapgate.engines.comfyui.engine import ComfyEngine, create
from swapgate.engines.comfyui.server import Server
from swapgate.engines.comfyui.watch import Watch
from swapgate.engines.registry import ENGINES, Setting
from swapgate.engines.servers.address import parse
from swapgate.engines.servers.client import Client
from swapgate.engines.servers.failed import ServerFailed
from swapgate.errors import UserError
from swapgate.hosts.process import Host
from swapgate.meters.clock import StageClock
from swapgate.plan import Call, Request
from swapgate.runs.folder import RunFolder

_spec = importlib.util.spec_from_file_location("swapgate_real_comfyui", Path(__file__).with_name("comfy.py"))
assert _spec is not None
assert _spec.loader is not None
comfy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(comfy)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(bool(comfy.missing()), reason=comfy.missing())

STYLE = "style.safetensors"
STRENGTH = 0.75  # PSNR between 20 and 28 dB: other pictures, and as usable
HEAD = """
engine = "comfyui"
source = "fixtures/comfyui/{name}.json"
tasks = ["standin"]
timeout_seconds = {timeout}
{more}
"""
SMALL = 'judge = { source = "scripted" }\n'
GATED = """
judge = { source = "fixtures/weights/standin-clip" }
usability_floor = 0.70
expected_forwards = 8
negative_prompt = { en = " ", zh = " " }
"""
PLACES = {"prompt": "2.prompt", "negative_prompt": "2.negative_prompt", "seed": "2.seed", "width": "2.width", "height": "2.height", "output": "3"}
SAME_CALL = {"num_inference_steps": "2.steps", "true_cfg_scale": "2.guidance"}
PLAIN = {
    "prompt": "5.text",
    "negative_prompt": "6.text",
    "seed": "1.seed",
    "width": "4.width",
    "height": "4.height",
    "batch": "4.batch_size",
    "output": "9",
}
BUILT_IN: dict[str, Any] = {
    "1": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "positive": ["5", 0], "negative": ["6", 0], "latent_image": ["4", 0], "seed": 1,
          "steps": 5, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}},
    "2": {"class_type": "UNETLoader", "inputs": {"unet_name": "random.safetensors", "weight_dtype": "default"}},
    "3": {"class_type": "CLIPLoader", "inputs": {"clip_name": "random.safetensors", "type": "stable_diffusion"}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["3", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["3", 0]}},
    "7": {"class_type": "VAELoader", "inputs": {"vae_name": "random.safetensors"}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["7", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "plain"}},
}  # fmt: skip


def stand_in(**changed: Any) -> dict[str, Any]:
    """The bundled workflow with other values of its sampler's."""
    found: dict[str, Any] = json.loads((ROOT / "fixtures" / "comfyui" / "standin-qwen.json").read_text(encoding="utf-8"))
    found["2"]["inputs"] |= changed
    return found


def styled(strength: float = STRENGTH, **changed: Any) -> dict[str, Any]:
    """With a LoRA between loader and sampler."""
    lora = {"class_type": "SwapgateStandinLora", "inputs": {"pipeline": ["1", 0], "lora_name": STYLE, "strength_model": strength}}
    return {**stand_in(**{"pipeline": ["4", 0], **changed}), "4": {**lora, "_meta": {"title": "Style"}}}


def write(root: Path, name: str, workflow: Any, where: str, *, places: dict[str, str] = PLACES, more: str = GATED, timeout: float = 1800.0) -> Path:
    """A card and its workflow; where: the lines that say which server."""
    (root / "fixtures" / "comfyui").mkdir(parents=True, exist_ok=True)
    (root / "fixtures" / "models").mkdir(parents=True, exist_ok=True)
    (root / "fixtures" / "comfyui" / f"{name}.json").write_text(json.dumps(workflow), encoding="utf-8")
    lines = [HEAD.format(name=name, timeout=timeout, more=more), "[comfyui]", where, "[comfyui.places]"]
    path = root / "fixtures" / "models" / f"{name}.toml"
    path.write_text("\n".join([*lines, *(f"{role} = {json.dumps(place)}" for role, place in places.items())]), encoding="utf-8")
    return path


def twin(root: Path, of: str, name: str) -> None:
    """The accepted baseline of one model under another's name."""
    shutil.copytree(root / "baselines" / of, root / "baselines" / name)
    for path in (root / "baselines" / name).rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert f'"model": "{of}"' in text
        path.write_text(text.replace(f'"model": "{of}"', f'"model": "{name}"'), encoding="utf-8")


def call_of(seed: int = 5, prompt: str = "A red cup.", side: int = 64) -> Call:
    given: dict[str, Any] = {"model": "m", "task": "t", "language": "en", "index": 0, "negative_prompt": " ", "call": ()}
    return Call(requests=(Request(**given, seed=seed, prompt=prompt, width=side, height=side),))


@contextmanager
def loaded(card: Card) -> Iterator[ComfyEngine]:
    engine = create(card, Setting())
    engine.load()
    try:
        yield engine
    finally:
        engine.close()


def card_of(path: Path) -> Card:
    return read_card(path, root=path.parents[2], engines=ENGINES)


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of the stand-in, of random weights."""
    import torch
    from diffusers import QwenImagePipeline, QwenImageTransformer2DModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    folder = tmp_path_factory.mktemp("style")
    torch.manual_seed(1)
    transformer: Any = QwenImageTransformer2DModel.from_pretrained(ROOT / "fixtures" / "weights" / "standin-qwen" / "transformer")
    transformer.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False))
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(transformer))
    QwenImagePipeline.save_lora_weights(folder, transformer_lora_layers=state, weight_name=STYLE)
    return folder / STYLE


@pytest.fixture(scope="module")
def base(style: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = comfy.folder(tmp_path_factory.mktemp("comfyui"))
    shutil.copy(style, made / "models" / "loras" / STYLE)
    comfy.write_random_models(made)
    return made


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Any]:
    with comfy.serving(base) as running:
        yield running


@pytest.fixture(scope="module")
def where(server: Any, base: Path) -> str:
    return f'url = "http://127.0.0.1:{server.address.port}"\nfolder = {json.dumps(str(base))}'


@pytest.fixture(scope="module")
def project(real_project: Any, style: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A user's repository with the real model, and the LoRA; three seeds."""
    made = real_project(tmp_path_factory.mktemp("project"))
    (made.path / "fixtures" / "weights" / "style").mkdir()
    shutil.copy(style, made.path / "fixtures" / "weights" / "style" / STYLE)
    made.seeds(3)
    return made


def images_of(run: Path, model: str) -> dict[str, str]:
    """The hash of the pixels of every first picture, by what it is of."""
    folder = RunFolder.open(run)
    made = folder.generations()
    found = {request.pair: made[request.key].image for request in folder.requests() if request.model == model}
    folder.close()
    return found


def test_the_stand_in_in_a_workflow_draws_what_it_draws_here(project: Any, where: str) -> None:
    """Both engines in turn, the same seeds: every picture is the same to the last pixel, and no gate of quality is anything but green."""
    same = f"{GATED}[call]\nnum_inference_steps = 8\ntrue_cfg_scale = 4.0\n"
    write(project.path, "workflow", stand_in(), where, places=PLACES | SAME_CALL, more=same)
    run = project.run("engines", "--model=workflow", "--against=standin-qwen")
    ours, theirs = images_of(run.path, "workflow"), images_of(run.path, "standin-qwen")
    assert len(ours) == 20, run.output
    assert ours == theirs
    assert all(ours.values())
    assert "pixel for pixel" in run.verdict("drift", "workflow")["reason"]
    assert {run.verdict(gate, "workflow")["status"] for gate in ("usability", "drift", "stability")} == {"PASS"}, run.output


@pytest.fixture(scope="module")
def changed(project: Any, where: str) -> Any:
    """A workflow with a LoRA is accepted; then it is judged again beside its changes, each with that baseline under its own name."""
    write(project.path, "accepted", styled(), where)
    first = project.run("first", "--model=accepted", "--null=2")
    assert accept(first.path, store=Store(project.path / "baselines"), reason="first", with_cost=True, allow_ci=True, environ={}).lines, first.output
    changes = {
        "halved": styled(steps=4),
        "resampled": styled(sampler_name="euler_stochastic"),
        "unstyled": styled(strength=0.0),
        "bare": stand_in(),
    }
    for name, workflow in changes.items():
        write(project.path, name, workflow, where)
        twin(project.path, "accepted", name)
    return project.run("changed", f"--model=accepted,{','.join(changes)}")


def test_an_unchanged_workflow_passes_all_gates(changed: Any) -> None:
    found = {gate: changed.verdict(gate, "accepted") for gate in ("usability", "drift", "stability", "memory", "latency")}
    assert {gate: found[gate]["status"] for gate in ("usability", "drift", "stability")} == dict.fromkeys(("usability", "drift", "stability"), "PASS")
    assert "pixel for pixel" in found["drift"]["reason"]
    assert changed.red("accepted") <= {"latency"}, changed.output  # the only one that the machine's other work can turn


def test_half_the_steps_are_drift_and_counted(changed: Any) -> None:
    assert changed.status == pytest.ExitCode.TESTS_FAILED, changed.output
    assert changed.verdict("drift", "halved")["status"] == "REGRESSION", changed.output
    steps = changed.finding("drift", "halved", "forwards")
    assert (steps["status"], steps["candidate"], steps["limit"]) == ("REGRESSION", 4.0, 8.0)
    assert "4 steps where the card expects 8" in steps["reason"]


@pytest.mark.parametrize("name", ["resampled", "unstyled"])
def test_another_sampler_and_a_lora_without_strength_are_drift(changed: Any, name: str) -> None:
    """The same files of weights, the same number of steps, other pictures."""
    assert changed.verdict("drift", name)["status"] == "REGRESSION", changed.output
    assert changed.finding("drift", name, "forwards")["status"] == "PASS"


def test_a_lora_taken_out_is_other_weights_and_a_card_that_names_its_place_is_refused(changed: Any, project: Any, where: str) -> None:
    assert changed.verdict("drift", "bare")["status"] == "CHANGED", changed.output
    named = PLACES | {"lora": "Style.lora_name"}
    assert create(card_of(write(project.path, "named", styled(), where, places=named)), Setting())
    left = styled(pipeline=["1", 0])
    for workflow, said in ((stand_in(), "Style"), (left, "the output is made from; node 4"), (styled(strength=0.0), "has the strength 0")):
        with pytest.raises(UserError, match=said):
            create(card_of(write(project.path, "named", workflow, where, places=named)), Setting())
    (project.path / "fixtures" / "models" / "named.toml").unlink()


def test_a_lora_draws_what_it_draws_here(changed: Any, project: Any) -> None:
    """One picture of the accepted workflow, by the diffusers engine."""
    card = (project.path / "fixtures" / "models" / "standin-qwen.toml").read_text(encoding="utf-8")
    lora = f'[[lora]]\nsource = "fixtures/weights/style"\nweight_name = "{STYLE}"\nadapter = "style"\nscale = {STRENGTH}\n'
    path = project.path / "fixtures" / "models" / "here.toml"
    path.write_text(f"{card}\n{lora}", encoding="utf-8")
    folder = RunFolder.open(changed.path)
    asked = next(one for one in folder.requests() if one.model == "accepted")
    image = folder.load_image(folder.generations()[asked.key].image)
    folder.close()
    with Host(card_of(path), threads=1) as host:
        host.start()
        arguments = (("num_inference_steps", 8), ("true_cfg_scale", 4.0))
        ((_, pixels),) = host.make(Call(requests=(replace(asked, model="here", call=arguments),)))
    path.unlink()
    assert np.array_equal(pixels, image)


def built_in(where: str, root: Path, **more: Any) -> Card:
    return card_of(write(root, "plain", BUILT_IN, where, places=PLAIN, more=SMALL, **more))


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """Every prompt's, as they are made."""
    made: list[Watch] = []
    begun = Watch.__init__

    def begin(self: Watch, *given: Any, **named: Any) -> None:
        begun(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(Watch, "__init__", begin)
    return made


def test_built_in_nodes_show_previews_and_stages_and_keep_their_seeds(where: str, tmp_path: Path, watches: list[Watch]) -> None:
    clock = StageClock()
    with loaded(built_in(where, tmp_path)) as engine:
        (first,) = engine.make(call_of(seed=1), clock)
        (other,) = engine.make(call_of(seed=2), StageClock())
        (again,) = engine.make(call_of(seed=1), StageClock())
        (text,) = engine.make(call_of(seed=1, prompt="Two lamps."), StageClock())
        versions = engine.identity().versions
    times = clock.times(queue=0)
    assert times is not None
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, text)
    assert clock.forwards == 5
    assert times.text
    assert times.decode
    assert times.first_step
    assert 0 < times.first_step < times.total
    assert all(watch.previews >= 4 for watch in watches), [watch.previews for watch in watches]
    assert "--cpu" in versions["server switches"]


def test_what_the_server_leaves_out_has_no_time(where: str, tmp_path: Path) -> None:
    """Without our mark the second of two equal prompts is taken from the server's cache; with it nothing is."""
    with loaded(built_in(where, tmp_path)) as engine:
        fresh = [StageClock(), StageClock()]
        pictures = [engine.make(call_of(seed=3), clock)[0] for clock in fresh]
        assert all(clock.times(queue=0) is not None for clock in fresh)
        engine._number -= 1  # the mark of the prompt before
        clock = StageClock()
        pictures += engine.make(call_of(seed=3), clock)
        assert clock.times(queue=0) is None
        assert engine.notes() == ("time: void, because the server did not run node 1 (KSampler) (cached)",)
    assert all(np.array_equal(one, pictures[0]) for one in pictures)


def test_what_takes_too_long_is_interrupted_and_the_next_goes_on(server: Any, where: str, tmp_path: Path) -> None:
    slow = write(tmp_path, "slow", stand_in(steps=100), where, more=SMALL, timeout=4.0)
    quick = write(tmp_path, "quick", stand_in(steps=2), where, more=SMALL)
    with loaded(card_of(quick)) as engine:
        engine.make(call_of(), StageClock())  # the model is loaded
    begun = time.monotonic()
    with loaded(card_of(slow)) as engine, pytest.raises(ServerFailed, match="the prompt was interrupted") as caught:
        engine.make(call_of(side=512), StageClock())
    assert caught.value.kind == "time-out"
    until(lambda: server.queue() == ([], []), 60)
    assert time.monotonic() - begun < 60
    with loaded(card_of(quick)) as engine:
        assert len(engine.make(call_of(), StageClock())) == 1


def test_a_server_killed_in_the_middle_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that it died in fails, and the one after it is made, by a new server."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    own = comfy.folder(tmp_path / "own")
    words = f"start = {json.dumps(comfy.command(own))}\nfolder = {json.dumps(str(own))}"
    path = write(tmp_path, "killed", stand_in(steps=50), words, more=SMALL)
    killed: list[int] = []
    with Host(card_of(path)) as host:
        host.start()
        killer = threading.Thread(target=lambda: killed.append(kill_at_work(own)))
        killer.start()
        ((failed, nothing),) = host.make(call_of(side=512), timeout=300)
        killer.join()
        ((made, picture),) = host.make(call_of(side=64), timeout=300)
        loads = len(host.loads)
    assert len(killed) == 1
    assert nothing is None
    assert failed.failure is not None
    assert "the server ended with status" in failed.failure.message
    assert made.failure is None
    assert picture is not None
    assert loads == 2


def kill_at_work(own: Path) -> int:
    """Kill the server that runs in `own`, once it works on a prompt; its number."""
    import psutil

    words = {one.pid: one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])}
    ((number, port),) = [(pid, said[said.index("--port") + 1]) for pid, said in words.items() if str(own) in said and said[1].endswith("main.py")]
    address = parse(f"http://127.0.0.1:{port}")
    with Client(address) as client:
        until(lambda: bool(Server(client, address).queue()[0]), 60)
    os.kill(number, signal.SIGKILL)
    return number


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
