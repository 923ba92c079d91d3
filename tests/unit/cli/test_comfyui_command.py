"""`swapgate comfyui map`: the table, the TOML, refusals and exit status."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from swapgate.cli.main import main

FIXTURES = Path(__file__).parents[3] / "fixtures" / "comfyui"


def test_prints_a_table_and_toml_that_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comfyui", "map", str(FIXTURES / "detail-enhancement.json")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("role")
    made = tomllib.loads(said[said.index("[comfyui]") :])["comfyui"]
    assert made["scale"] == 2
    assert made["places"] == {
        "prompt": "6.text",
        "negative_prompt": "7.text",
        "seed": ["78.seed", "3.seed"],
        "width": "58.width",
        "height": "58.height",
        "batch": "58.batch_size",
        "steps": ["78.steps", "3.steps"],
        "output": "60",
    }


def test_a_refusal_names_what_it_might_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comfyui", "map", str(FIXTURES / "qwen-flux-hybrid.json")]) == 1
    said = capsys.readouterr().out
    assert "prompt: might be 81.text of node 81 (CLIPTextEncode “Refiner prompt”)" in said
    assert "# prompt = …   # undecided: the positive texts of the samplers hold different texts" in said
    assert "REFUSED: prompt." in said


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comfyui", "map", "--json", str(FIXTURES / "product-enhancement.json")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["roles"]["seed"] == {"state": "mapped", "places": ["3.seed"], "why": "", "candidates": []}
    assert found["roles"]["batch"]["state"] == "absent"
    assert found["uploads"] == ["70.image"]


def test_the_format_of_the_page_is_refused_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ui.json"
    path.write_text('{"nodes": [{"id": 3, "type": "KSampler"}], "links": [], "version": 0.4}', encoding="utf-8")
    assert main(["comfyui", "map", str(path)]) == 2
    assert "Export (API)" in capsys.readouterr().err


def test_an_output_is_chosen_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = json.loads((FIXTURES / "direct-chinese.json").read_text(encoding="utf-8"))
    graph["61"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "b"}}
    path = tmp_path / "two.json"
    path.write_text(json.dumps(graph), encoding="utf-8")
    assert main(["comfyui", "map", str(path)]) == 1
    assert "output: might be 60 of node 60 (SaveImage “Save”)" in capsys.readouterr().out
    assert main(["comfyui", "map", str(path), "--output=61"]) == 0
    said = capsys.readouterr().out
    assert 'output = "61"' in said
    assert "pictures of node 60 (SaveImage “Save”) are made, and not looked at" in said
