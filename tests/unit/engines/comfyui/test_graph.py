"""Workflow files: what is read, and what is refused with the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.engines.comfyui.graph import MOST_NODES, Link, Place, as_link, read_workflow, workflow_of
from swapgate.engines.comfyui.mapping import map_workflow
from swapgate.errors import UserError

HERE = Path("w.json")
GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}, "_meta": {"title": "Result"}},
}


def test_reads_nodes_links_and_titles(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(GRAPH), encoding="utf-8")
    found = read_workflow(path)
    assert list(found.nodes) == ["1", "2"]
    assert found.nodes["2"].title == "Result"
    assert found.nodes["2"].link("images") == Link("1", 0)
    assert found.nodes["2"].link("filename_prefix") is None
    assert found.value(Place("1", "width")) == 64
    assert [node.id for node in found.behind(Link("2", 0))] == ["2", "1"]
    assert str(found.nodes["2"]) == "node 2 (SaveImage “Result”)"


def test_what_is_sent_is_what_was_read_and_its_own() -> None:
    found = workflow_of(GRAPH, HERE)
    sent = found.as_json()
    assert sent == GRAPH
    sent["1"]["inputs"]["width"] = 1
    assert found.value(Place("1", "width")) == 64


def test_a_request_of_a_client_holds_the_workflow() -> None:
    assert workflow_of({"prompt": GRAPH, "client_id": "x"}, HERE).nodes.keys() == GRAPH.keys()


@pytest.mark.parametrize(
    ("data", "rule", "remedy"),
    [
        ({"nodes": [], "links": [], "version": 0.4}, "the format of ComfyUI's page", "Export (API)"),
        ([], "an object", "Export (API)"),
        ({}, "an object", "Export (API)"),
        ("text", "an object", "Export (API)"),
        ({"1": {"inputs": {}}}, "class_type and inputs", "Export (API)"),
        ({"1": {"class_type": "A", "inputs": []}}, "class_type and inputs", "Export (API)"),
        ({"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}}, "a link to a node of this workflow", "removed"),
        ({"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}, "in a circle", "Export (API)"),
        ({"1": {"class_type": "A", "inputs": {"x": ["2", 0]}}, "2": {"class_type": "A", "inputs": {"x": ["1", 0]}}}, "in a circle", "Export (API)"),
        ({str(i): {"class_type": "A", "inputs": {}} for i in range(MOST_NODES + 1)}, "nodes by id", "Export (API)"),
    ],
)
def test_refuses(data: Any, rule: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        workflow_of(data, HERE)
    assert rule in caught.value.rule
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_refuses_what_is_no_json(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(text)
    with pytest.raises(UserError, match="a file of JSON"):
        read_workflow(path)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="as a file"):
        read_workflow(tmp_path / "none.json")


def test_a_long_row_of_nodes_is_followed_without_recursion() -> None:
    data: dict[str, Any] = {"0": {"class_type": "EmptyImage", "inputs": {}}}
    data |= {str(i): {"class_type": "ImageInvert", "inputs": {"image": [str(i - 1), 0]}} for i in range(1, 5000)}
    data["save"] = {"class_type": "SaveImage", "inputs": {"images": ["4999", 0]}}
    found = workflow_of(data, HERE)
    assert len(found.behind(Link("save", 0))) == 5001
    assert not map_workflow(found).ok


@pytest.mark.parametrize("value", [None, 3, "1", ["1"], ["1", 0, 0], [1, 0], ["1", "0"], {"1": 0}, []])
def test_values_are_no_links(value: Any) -> None:
    assert as_link(value) is None


KINDS = ("KSampler", "CLIPTextEncode", "SaveImage", "VAEDecode", "EmptyLatentImage", "Reroute", "StringConcatenate", "SamplerCustomAdvanced", "Odd")
NAMES = ("seed", "text", "positive", "negative", "latent_image", "samples", "images", "string_a", "noise", "guider", "sigmas", "width", "")
VALUES = st.one_of(
    st.integers(), st.text(max_size=5), st.booleans(), st.none(), st.floats(), st.tuples(st.sampled_from("0123456"), st.integers(0, 2)).map(list)
)


@given(st.dictionaries(st.sampled_from("0123456"), st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), VALUES)), max_size=7))
def test_any_graph_is_mapped_or_refused_and_never_fails(nodes: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """What is mapped exists, holds a value of its type, and is no link."""
    data = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    try:
        found = map_workflow(workflow_of(data, HERE))
    except UserError:
        return
    for role in found.roles:
        for place in role.places if role.state == "mapped" and role.name != "output" else ():
            kind = str if role.name in ("prompt", "negative_prompt", "lora") else int
            value = found.workflow.value(place)
            assert isinstance(value, kind)
            assert not isinstance(value, bool)
    assert all(role.why for role in found.roles if role.state in ("refused", "kept", "absent"))
