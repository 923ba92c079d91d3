"""A workflow in ComfyUI's API format: nodes by id, each with its class and its inputs, which are values or links.

The format is what POST /prompt takes (ComfyUI's execution.py, `validate_prompt`): {"<id>": {"class_type", "inputs", "_meta"}}. A link is a
list of the other node's id and the number of its output (`comfy_execution/graph_utils.py`, `is_link`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swapgate.errors import UserError

MOST_BYTES = 16 * 1024 * 1024
MOST_NODES = 10_000
EXPORT = "in ComfyUI, choose Workflow > Export (API), and give that file"


@dataclass(frozen=True, slots=True)
class Link:
    """Output `slot` of node `node`."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Place:
    """An input of a node: where a value of the request is written."""

    node: str
    name: str

    def __str__(self) -> str:
        return f"{self.node}.{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """One node; kind: its class, title: as its user named it ("" without one), inputs: values and links by name."""

    id: str
    kind: str
    title: str
    inputs: Mapping[str, Any]

    def link(self, name: str) -> Link | None:
        """Where input `name` is linked to; None for a value, and for an input that is not there."""
        return as_link(self.inputs.get(name))

    def links(self) -> Iterator[tuple[str, Link]]:
        """Every linked input, in the order of the file."""
        for name, value in self.inputs.items():
            link = as_link(value)
            if link:
                yield name, link

    def __str__(self) -> str:
        named = f" “{self.title}”" if self.title and self.title != self.kind else ""
        return f"node {self.id} ({self.kind}{named})"


@dataclass(frozen=True, slots=True)
class Workflow:
    """All nodes by id; every link leads to one of them, and no way leads back to where it began."""

    path: Path
    nodes: Mapping[str, Node]

    def behind(self, link: Link | None) -> list[Node]:
        """The node of a link and everything that it is made from, nearest first."""
        found: dict[str, Node] = {}
        waiting = [link.node] if link else []
        while waiting:
            here = waiting.pop(0)
            if here not in found:
                found[here] = self.nodes[here]
                waiting += [other.node for _, other in self.nodes[here].links()]
        return list(found.values())

    def value(self, place: Place) -> Any:
        """What stands there now."""
        return self.nodes[place.node].inputs.get(place.name)

    def as_json(self) -> dict[str, Any]:
        """A copy of its own, as the server takes it."""
        return {
            node.id: {"class_type": node.kind, "inputs": copy.deepcopy(dict(node.inputs)), **({"_meta": {"title": node.title}} if node.title else {})}
            for node in self.nodes.values()
        }


def as_link(value: Any) -> Link | None:
    """`value` as a link; None when it is none."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (int, float)):
        return Link(value[0], int(value[1]))
    return None


def read_workflow(path: Path) -> Workflow:
    """The workflow in a file.

    Raises:
        UserError: no such file, no JSON, the format of the page instead of that of the API, a link to a node that is not there, a circle.
    """
    if not path.is_file():
        raise UserError(where=str(path), rule="a workflow in ComfyUI's API format, as a file", remedy=f"correct the path; {EXPORT}")
    if path.stat().st_size > MOST_BYTES:
        raise UserError(where=str(path), rule=f"a workflow of at most {MOST_BYTES // 1024**2} MiB", remedy="export it without embedded pictures")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(where=str(path), rule=f"a file of JSON: {error}", remedy=EXPORT) from error
    return workflow_of(data, path)


def workflow_of(data: Any, path: Path) -> Workflow:
    """The workflow of JSON data; see `read_workflow`."""
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        raise UserError(where=str(path), key="nodes", rule="the API format; this is the format of ComfyUI's page", remedy=EXPORT)
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"]:
        data = data["prompt"]  # what a client sends, with the workflow inside
    if not isinstance(data, dict) or not data or len(data) > MOST_NODES:
        raise UserError(where=str(path), rule=f"an object of 1 to {MOST_NODES} nodes by id", remedy=EXPORT)
    found = Workflow(path, {identity: _node(identity, node, path) for identity, node in data.items()})
    _check_links(found)
    return found


def _node(identity: str, data: Any, path: Path) -> Node:
    if not isinstance(data, dict) or not isinstance(data.get("class_type"), str) or not isinstance(data.get("inputs", {}), dict):
        raise UserError(where=str(path), key=identity, rule="a node: an object with class_type and inputs", remedy=EXPORT)
    meta = data.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return Node(identity, data["class_type"], title if isinstance(title, str) else "", data.get("inputs", {}))


def _check_links(workflow: Workflow) -> None:
    for node in workflow.nodes.values():
        for name, link in node.links():
            if link.node not in workflow.nodes:
                rule = "a link to a node of this workflow"
                raise UserError(
                    where=str(workflow.path), key=f"{node.id}.{name}", value=link.node, rule=rule, remedy=f"the node was removed; {EXPORT}"
                )
    done: set[str] = set()
    for begin in workflow.nodes:
        _walk(workflow, begin, done)


def _walk(workflow: Workflow, begin: str, done: set[str]) -> None:
    """Depth first without recursion: a node that is met while its own inputs are still being followed closes a circle."""
    open_: list[tuple[str, Iterator[tuple[str, Link]]]] = [(begin, workflow.nodes[begin].links())]
    way = {begin}
    while open_:
        here, links = open_[-1]
        _, link = next(links, ("", None))
        if link is None:
            open_.pop()
            way.discard(here)
            done.add(here)
        elif link.node in way:
            where = f"{here} and {link.node}"
            raise UserError(where=str(workflow.path), key=here, rule=f"no node is made from itself; {where} stand in a circle", remedy=EXPORT)
        elif link.node not in done:
            way.add(link.node)
            open_.append((link.node, workflow.nodes[link.node].links()))
