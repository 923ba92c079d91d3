"""From a sampler's conditioning to the texts that it was encoded from."""

from __future__ import annotations

from collections.abc import Sequence

from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow
from swapgate.engines.comfyui.kinds import ANY, CONDITIONINGS, ENCODERS, GUIDERS, ZEROED, Slots
from swapgate.engines.comfyui.values import MOST_HOPS, Found, node_of, of_type, resolve, same_text, together, unique

WANTED, UNWANTED = "positive", "negative"
_NAMES = ("text", "prompt", "text_positive", "text_negative", "positive_prompt", "negative_prompt", "positive", "negative", "string")
_CONDITIONING = ("conditioning", "cond", "positive", "negative")


def texts_of_link(workflow: Workflow, link: Link | None, what: str, hops: int = 0) -> Found:
    """The texts behind a conditioning; what: what it is, for messages."""
    node = node_of(workflow, link)
    if link is None or node is None:
        return Found(said=f"{what}: nothing is linked")
    if hops > MOST_HOPS:
        return Found(problem=f"more than {MOST_HOPS} nodes stand between {what} and its text")
    if node.kind in ZEROED:
        return Found(said=f"{what} is set to zero by {node}")
    if node.kind in ENCODERS:
        return _encoded(workflow, node, _inputs(ENCODERS[node.kind], link.slot))
    if node.kind in CONDITIONINGS:
        names = _inputs(CONDITIONINGS[node.kind], link.slot)
        parts = [texts_of_link(workflow, node.link(name), what, hops + 1) for name in names if node.link(name)]
        return _several(workflow, node, parts)
    return _unknown(workflow, node, link, what, hops)


def texts_of_guider(workflow: Workflow, link: Link | None, side: str) -> Found:
    """The texts of one side (WANTED, UNWANTED) of a guider."""
    node = node_of(workflow, link)
    if node is None:
        return Found(problem="the sampler has no guider")
    if node.kind not in GUIDERS:
        named = tuple(Place(node.id, name) for name, _ in node.links())
        return Found(problem=f"{node} is a guider of no known class", candidates=named)
    names = GUIDERS[node.kind][side == UNWANTED]
    if not names:
        return Found(said=f"{node} takes no {side} conditioning")
    return _several(workflow, node, [texts_of_link(workflow, node.link(name), f"the {side} conditioning of {node}") for name in names])


def _inputs(slots: Slots, slot: int) -> tuple[str, ...]:
    return slots.get(slot, slots.get(ANY, ()))


def _encoded(workflow: Workflow, node: Node, names: Sequence[str]) -> Found:
    if not names:
        return Found(problem=f"{node} gives no conditioning there")
    found = together(resolve(workflow, Place(node.id, name), str, _NAMES) for name in names if name in node.inputs)
    if found.problem or not found.places:
        return found if found.problem else Found(problem=f"{node} holds no text")
    alike = same_text(workflow, found.places, f"the texts of {node}")
    return Found(places=alike.places, problem=alike.problem, candidates=alike.candidates, remarks=(*found.remarks, *alike.remarks))


def _several(workflow: Workflow, node: Node, parts: Sequence[Found]) -> Found:
    """Conditionings that a node puts together: one text may be among them."""
    found = together(parts)
    if found.problem or len(unique(found.places)) <= 1 or len([part for part in parts if part.places]) <= 1:
        return found
    alike = same_text(workflow, found.places, f"the conditionings that {node} puts together")
    if alike.problem:
        return Found(problem=alike.problem, candidates=alike.candidates, remarks=found.remarks)
    return Found(places=alike.places, remarks=(*found.remarks, *alike.remarks))


def _unknown(workflow: Workflow, node: Node, link: Link, what: str, hops: int) -> Found:
    """A class that nobody here knows: an encoder by the name of its only text, else what hands on its only conditioning."""
    held = [name for name in _NAMES if name in node.inputs and of_type(node.inputs[name], str)]
    ways = [name for name, _ in node.links() if name.startswith(_CONDITIONING)]
    if len(held) == 1 and not ways and link.slot == 0 and not any("seed" in name for name in node.inputs):
        place = Place(node.id, held[0])
        return Found(places=(place,), remarks=(f"{node} is of no known class: {held[0]} is taken for the text that it encodes",))
    if len(ways) == 1 and not held and link.slot == 0:
        found = texts_of_link(workflow, node.link(ways[0]), what, hops + 1)
        remark = f"{node} is of no known class: it is taken to hand on {ways[0]}"
        return Found(places=found.places, problem=found.problem, candidates=found.candidates, remarks=(*found.remarks, remark), said=found.said)
    candidates = tuple(Place(node.id, name) for name, value in node.inputs.items() if of_type(value, str))
    return Found(problem=f"{node} is of no known class, and which text {what} is encoded from cannot be told", candidates=candidates)
