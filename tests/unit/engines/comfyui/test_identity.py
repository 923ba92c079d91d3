"""What a server ran a workflow with: versions, commits of custom nodes, files of weights."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.engines.comfyui.binding import bind
from swapgate.engines.comfyui.identity import HASH_MODELS, check_classes, named_files, versions, weights
from swapgate.engines.comfyui.server import Server
from swapgate.engines.servers.address import parse
from swapgate.engines.servers.client import Client
from swapgate.errors import UserError

Make = Callable[..., Card]


@pytest.fixture
def server(comfy: Any) -> Iterator[Server]:
    with Client(parse(comfy.url)) as client:
        yield Server(client, parse(comfy.url))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder with one of the two files, and a custom node under git."""
    made = tmp_path / "ComfyUI"
    (made / "models" / "checkpoints").mkdir(parents=True)
    (made / "models" / "checkpoints" / "a.safetensors").write_bytes(b"weights")
    node = made / "custom_nodes" / "Fancy"
    node.mkdir(parents=True)
    (node / "x.py").write_text("", encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(node), *words], check=True)
    return made


def test_custom_nodes_are_known_by_their_commits(comfy: Any, server: Server, card_for: Make, folder: Path) -> None:
    comfy.conduct.modules = {"KSampler": "custom_nodes.Fancy", "SaveImage": "custom_nodes.Unknown", "CLIPTextEncode": "nodes"}
    binding = bind(card_for(comfy.url, comfyui={"folder": str(folder)}))
    found = versions(server, binding, check_classes(server, binding))
    assert len(found["custom node Fancy"]) == 40
    assert found["custom node Unknown"].startswith("commit not known")
    assert found["python"] == "3.12.1"
    (folder / "custom_nodes" / "Fancy" / "x.py").write_text("changed", encoding="utf-8")
    assert versions(server, binding, check_classes(server, binding))["custom node Fancy"].endswith(" with changes")
    bare = bind(card_for(comfy.url))
    assert "names no folder" in versions(server, bare, check_classes(server, bare))["custom node Fancy"]


def test_the_workflow_is_known_by_what_requests_do_not_write(comfy: Any, server: Server, card_for: Make, workflow: Any) -> None:
    def known(changed: Any) -> str:
        binding = bind(card_for(comfy.url, workflow=changed))
        return versions(server, binding, check_classes(server, binding))["workflow"]

    first = known(workflow)
    workflow["pos"]["inputs"]["text"] = "another"
    workflow["k"]["inputs"]["seed"] = 99
    assert known(workflow) == first
    workflow["k"]["inputs"]["cfg"] = 3
    assert known(workflow) != first


def test_weights_are_known_by_name_size_or_content(card_for: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = weights(bind(card_for()))
    assert names.notes == ("weights: a.safetensors, by its name alone", "weights: l.safetensors, by its name alone")
    sizes = weights(bind(card_for(comfyui={"folder": str(folder)})))
    assert sizes.notes == ("weights: a.safetensors, by name and size", "weights: l.safetensors, by its name alone")
    monkeypatch.setenv(HASH_MODELS, "1")
    with pytest.raises(UserError, match=r"models/loras/l\.safetensors"):
        weights(bind(card_for(comfyui={"folder": str(folder)})))
    (folder / "models" / "deep" / "er").mkdir(parents=True)
    (folder / "models" / "deep" / "er" / "l.safetensors").write_bytes(b"lora")
    hashes = weights(bind(card_for(comfyui={"folder": str(folder)})))
    assert hashes.notes[0] == f"weights: a.safetensors, by SHA-256 {sha256(b'weights').hexdigest()}"
    assert len({names.identity, sizes.identity, hashes.identity}) == 3
    (folder / "models" / "checkpoints" / "a.safetensors").write_bytes(b"WEIGHTS")
    assert weights(bind(card_for(comfyui={"folder": str(folder)}))).identity != hashes.identity
    with pytest.raises(UserError, match="the server's folder"):
        weights(bind(card_for()))


def test_files_are_those_before_the_output_and_of_the_call(card_for: Make, workflow: Any) -> None:
    workflow["off"] = {"class_type": "VAELoader", "inputs": {"vae_name": "unused.safetensors"}}
    workflow["stack"] = {
        "class_type": "Power Lora Loader (rgthree)",
        "inputs": {"lora_1": {"on": True, "lora": "on.safetensors"}, "lora_2": {"on": False, "lora": "off.safetensors"}, "model": ["lora", 0]},
    }
    workflow["k"]["inputs"]["model"] = ["stack", 0]
    found = dict(named_files(bind(card_for(workflow=workflow))))
    assert found == {"a.safetensors": "checkpoints", "l.safetensors": "loras", "on.safetensors": ""}
    called = dict(named_files(bind(card_for(workflow=workflow, top={"call": {"lora": "other.safetensors"}}))))
    assert "other.safetensors" in called
    assert "l.safetensors" not in called
