"""From an input to where its value stands: through primitives, reroutes and joined strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow
from swapgate.engines.comfyui.kinds import JOINS, PASSING, VALUES

SWITCHING = ("switch", "select", "index", "random", "wildcard")
PLAIN = {int: ("value", "int", "integer", "number"), float: ("value", "float", "number"), str: ("value", "string", "text", "prompt")}
"""What the input of a node that only holds a value is called."""
MOST_HOPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a value stands. problem: why that cannot be told, with what it might be; remarks: what was done on the way; said: why there is none."""

    places: tuple[Place, ...] = ()
    problem: str = ""
    candidates: tuple[Place, ...] = ()
    remarks: tuple[str, ...] = ()
    said: str = ""


def of_type(value: object, kind: type) -> bool:
    """Whether a value is of the type; a bool is no number."""
    return isinstance(value, kind) and not (kind is not bool and isinstance(value, bool))


def resolve(workflow: Workflow, place: Place, kind: type, like: tuple[str, ...] = (), hops: int = 0) -> Found:
    """Where the value of an input stands; kind: str, int or float; like: what it is called in nodes of no known class."""
    node = workflow.nodes[place.node]
    link = node.link(place.name)
    if link:
        return _of_node(workflow, workflow.nodes[link.node], kind, like, hops + 1)
    if place.name not in node.inputs:
        return Found(problem=f"{node} has no input {place.name}")
    value = node.inputs[place.name]
    if not of_type(value, kind):
        return Found(problem=f"{node} has {value!r} as {place.name}, which is no {kind.__name__}")
    return Found(places=(place,))


def _of_node(workflow: Workflow, node: Node, kind: type, like: tuple[str, ...], hops: int) -> Found:
    if hops > MOST_HOPS:
        return Found(problem=f"more than {MOST_HOPS} nodes stand between an input and its value, up to {node}")
    if node.kind in VALUES:
        return resolve(workflow, Place(node.id, VALUES[node.kind]), kind, like, hops)
    if node.kind in JOINS and kind is str:
        return _joined(workflow, node, like, hops)
    if node.kind in PASSING:
        name = PASSING[node.kind] or next((name for name, _ in node.links()), "")
        return resolve(workflow, Place(node.id, name), kind, like, hops) if name else Found(problem=f"nothing is linked to {node}")
    return _unknown(node, kind, like)


def _unknown(node: Node, kind: type, like: tuple[str, ...]) -> Found:
    """A class that nobody here knows: its only value of the type stands for it, where nothing else goes into it and nothing is drawn."""
    held = tuple(Place(node.id, name) for name, value in node.inputs.items() if of_type(value, kind))
    draws = any(word in node.kind.lower() for word in SWITCHING) or (kind is str and any(of_type(value, int) for value in node.inputs.values()))
    if len(held) == 1 and not any(node.links()) and not draws and held[0].name in (*like, *PLAIN[kind]):
        return Found(places=held, remarks=(f"{node} is of no known class: its only {kind.__name__}, {held[0].name}, is taken",))
    return Found(problem=f"{node} is of no known class, and what it gives cannot be told", candidates=held)


def _joined(workflow: Workflow, node: Node, like: tuple[str, ...], hops: int) -> Found:
    parts = [resolve(workflow, Place(node.id, name), str, like, hops) for name in JOINS[node.kind] if name in node.inputs]
    wrong = next((part for part in parts if part.problem), None)
    if wrong:
        return wrong
    found = unique(place for part in parts for place in part.places)
    full = tuple(place for place in found if workflow.value(place))
    if len(full) != 1:
        return Found(problem=f"{node} joins {len(full)} texts, and which of them is the prompt cannot be told", candidates=full or found)
    remarks = tuple(remark for part in parts for remark in part.remarks)
    return Found(places=full, remarks=(*remarks, f"{node} joins the text with nothing else"))


def same_text(workflow: Workflow, places: Sequence[Place], what: str) -> Found:
    """Several places of one text: all of them where they are alike, the only one that is not empty, or a problem."""
    found = unique(places)
    texts = {str(workflow.value(place)) for place in found}
    full = tuple(place for place in found if str(workflow.value(place)).strip())
    if len(texts) <= 1 or not found:
        return Found(places=found)
    if len(full) == 1:
        return Found(places=full, remarks=(f"{what}: only {full[0]} holds a text; the empty ones stay empty",))
    return Found(problem=f"{what} hold different texts", candidates=found)


def unique(places: Iterable[Place]) -> tuple[Place, ...]:
    """Every place once, in order."""
    return tuple(dict.fromkeys(places))


def together(parts: Iterable[Found]) -> Found:
    """All of them; the first problem, with every candidate, where there is one."""
    all_ = list(parts)
    wrong = next((part for part in all_ if part.problem), None)
    remarks = tuple(dict.fromkeys(remark for part in all_ for remark in part.remarks))
    said = "; ".join(dict.fromkeys(part.said for part in all_ if part.said))
    if wrong:
        candidates = unique(place for part in all_ for place in (*part.candidates, *part.places))
        return Found(problem=wrong.problem, candidates=candidates, remarks=remarks)
    return Found(places=unique(place for part in all_ for place in part.places), remarks=remarks, said=said)


def node_of(workflow: Workflow, link: Link | None) -> Node | None:
    """The node behind a link, reroutes left out."""
    for _ in range(MOST_HOPS):
        node = workflow.nodes[link.node] if link else None
        if node is None or not node.kind.startswith("Reroute"):
            return node
        link = next((other for _, other in node.links()), None)
    return None
