"""A card and its workflow, held against each other before anything is asked of a server, and the workflow with a request written into it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swapgate.card_parts import Scalar
from swapgate.card_parts import Workflow as Given
from swapgate.cards import Card
from swapgate.engines.comfyui import kinds
from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow, as_link, read_workflow
from swapgate.engines.servers.address import Address, parse
from swapgate.errors import UserError
from swapgate.plan import REFINER_PROMPT, Request

OUTPUT, LORA = "output", "lora"
OWN = ("prompt", "negative_prompt", "second_prompt", "seed", "width", "height", "batch")
"""Roles that a request fills. Any other place is filled by the card's [call], and keeps what the workflow has without."""
TEXTS = ("prompt", "negative_prompt", "second_prompt")
FRESH = "swapgate"
"""An input that no node has, written beside those of a request: ComfyUI leaves out what did not change, and a new value makes it compute
again. Nodes are not given inputs that they do not declare (execution.py, `get_input_data`), and what loads a model is not marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The workflow of a card with the places of its roles; output: whose pictures count, samplers: whose progress is a step."""

    card: Card
    given: Given
    workflow: Workflow
    places: Mapping[str, tuple[Place, ...]]
    output: Node
    samplers: frozenset[str]

    @property
    def behind(self) -> list[Node]:
        """The output and every node that it is made from."""
        return self.workflow.behind(Link(self.output.id, 0))

    def filled(self, request: Request, pictures: int, mark: str, files: Mapping[str, str]) -> dict[str, Any]:
        """The workflow as it is sent for `pictures` of a request; mark: differs from one to the next; files: uploaded ones by input."""
        graph = self.workflow.as_json()
        for role, value in self._values(request, pictures).items():
            for place in self.places.get(role, ()):
                graph[place.node]["inputs"][place.name] = value
                if role in (*TEXTS, "seed"):
                    graph[place.node]["inputs"][FRESH] = mark
        for reference, name in files.items():
            place = self.place(reference, f"comfyui.uploads.{reference}")
            graph[place.node]["inputs"][place.name] = name
        return graph

    def _values(self, request: Request, pictures: int) -> dict[str, Scalar]:
        call = dict(request.call)
        found: dict[str, Scalar] = {"prompt": request.prompt, "seed": request.image_seed, "batch": pictures}
        found["second_prompt"] = call.pop(REFINER_PROMPT, request.prompt)
        if request.negative_prompt is not None:
            found["negative_prompt"] = request.negative_prompt
        found |= {side: self._side(side, size) for side, size in (("width", request.width), ("height", request.height))}
        return found | call

    def _side(self, side: str, size: int) -> int:
        made = round(size / self.given.scale)
        if round(made * self.given.scale) != size:
            rule = f"a size of which {side} / {self.given.scale:g} is a whole number; the task asks for {size}"
            raise _wrong(self.card, "comfyui.scale", self.given.scale, rule, "change the size of the task, or the workflow's factor")
        return made

    def check_size(self, request: Request) -> None:
        """UserError where width and height are one value of the workflow and the request has two."""
        both = set(self.places.get("width", ())) & set(self.places.get("height", ()))
        if both and request.width != request.height:
            rule = f"one place cannot be {request.width} and {request.height}"
            raise _wrong(self.card, "comfyui.places.width", str(next(iter(both))), rule, "give width and height places of their own")

    def place(self, reference: str, key: str) -> Place:
        """The input that "<id or title>.<input>" names."""
        named, dot, name = reference.rpartition(".")
        if not dot:
            raise _wrong(self.card, key, reference, "a node and its input, with a dot between them", f'write "{reference}.<input>"')
        node = find_node(self.card, self.workflow, named, key)
        if name not in node.inputs:
            near = difflib.get_close_matches(name, node.inputs, n=1)
            rule = f"an input of {node}: {', '.join(node.inputs)}"
            raise _wrong(self.card, key, reference, rule, f"did you mean {near[0]!r}?" if near else "choose one of them")
        return Place(node.id, name)


def check(card: Card) -> None:
    """UserError for the first mistake of a card of this engine that can be seen without its server."""
    bind(card)
    address_of(card)


def address_of(card: Card) -> Address | None:
    """The server's address; None for one that is to be started."""
    given = given_of(card)
    if not given.url:
        return None
    try:
        return parse(given.url)
    except ValueError as error:
        raise UserError(where=str(card.path), key="comfyui.url", rule=str(error), remedy='write url = "http://127.0.0.1:8188"') from None


def given_of(card: Card) -> Given:
    """The card's [comfyui], which every card of this engine has."""
    assert card.parts.workflow is not None
    return card.parts.workflow


def bind(card: Card) -> Binding:
    """The card's workflow with its places.

    Raises:
        UserError: no such workflow, a node, title or input that is not in it, a place whose value comes from another node, a role that
            is missing or that nothing fills, a LoRA that does not reach the output.
    """
    given, workflow = given_of(card), read_workflow(card.root / card.source)
    output = _output(card, given, workflow)
    bare = Binding(card=card, given=given, workflow=workflow, places={}, output=output, samplers=frozenset())
    places = {role: tuple(_place(bare, reference, role) for reference in references) for role, references in given.places.items() if role != OUTPUT}
    for reference in given.uploads:
        bare.place(reference, f"comfyui.uploads.{reference}")
    reached = {node.id for node in bare.behind}
    _check_roles(card, given, places)
    _check_reach(card, workflow, places, reached)
    known = {node.id for node in bare.behind if node.kind in kinds.SAMPLERS}
    samplers = known or {place.node for place in places["seed"]}
    return Binding(card=card, given=given, workflow=workflow, places=places, output=output, samplers=frozenset(samplers))


def find_node(card: Card, workflow: Workflow, named: str, key: str) -> Node:
    """The node of that id, or else of that title. UserError where there is none, or several have the title."""
    if named in workflow.nodes:
        return workflow.nodes[named]
    titled = [node for node in workflow.nodes.values() if node.title == named]
    if len(titled) == 1:
        return titled[0]
    if titled:
        rule = f"one node; {len(titled)} have this title: {', '.join(node.id for node in titled)}"
        raise _wrong(card, key, named, rule, "write the id instead")
    near = difflib.get_close_matches(named, [*workflow.nodes, *(node.title for node in workflow.nodes.values())], n=1)
    rule = f"the id or title of a node of {workflow.path.name}"
    raise _wrong(card, key, named, rule, f"did you mean {near[0]!r}?" if near else f"swapgate comfyui map {workflow.path}")


def _output(card: Card, given: Given, workflow: Workflow) -> Node:
    if len(given.places.get(OUTPUT, ())) != 1:
        raise _wrong(card, "comfyui.places.output", None, "one node whose pictures count", f"swapgate comfyui map {workflow.path}")
    return find_node(card, workflow, given.places[OUTPUT][0], "comfyui.places.output")


def _place(bare: Binding, reference: str, role: str) -> Place:
    key = f"comfyui.places.{role}"
    place = bare.place(reference, key)
    link = as_link(bare.workflow.value(place))
    if link:
        rule = f"an input with a value; this one is linked to {bare.workflow.nodes[link.node]}"
        raise _wrong(bare.card, key, reference, rule, "name the input there that holds the value")
    return place


def _check_roles(card: Card, given: Given, places: Mapping[str, Sequence[Place]]) -> None:
    for role, why in (("prompt", "every picture would be of the same prompt"), ("seed", "without a seed that is set a baseline is worth nothing")):
        if role not in places:
            raise _wrong(card, f"comfyui.places.{role}", None, f"required: {why}", f"swapgate comfyui map {card.source}")
    if ("width" in places) != ("height" in places):
        raise _wrong(card, "comfyui.places", sorted(places), "both width and height, or neither", "add the other")
    if card.negative_prompt and "negative_prompt" not in places:
        raise _wrong(card, "negative_prompt", dict(card.negative_prompt), "a place for it", "add comfyui.places.negative_prompt, or remove it")
    if bool(given.second_prompt) != ("second_prompt" in places):
        raise _wrong(card, "comfyui.second_prompt", given.second_prompt or None, "both a language and a place, or neither", "add the other")
    for name in card.call:
        if name in OWN or name not in places:
            rule = "comes from the task" if name in OWN else "a role that has a place"
            raise _wrong(card, f"call.{name}", card.call[name], rule, f"remove it, or add comfyui.places.{name}")
    if LORA in card.call and len(places[LORA]) != 1:
        raise _wrong(card, "call.lora", card.call[LORA], f"one place; lora has {len(places[LORA])}", "give each LoRA a role of its own")


def _check_reach(card: Card, workflow: Workflow, places: Mapping[str, Sequence[Place]], reached: set[str]) -> None:
    """A value that never gets to the output changes nothing, which would only be seen in the pictures."""
    for role, some in places.items():
        for place in some:
            node = workflow.nodes[place.node]
            if place.node not in reached:
                rule = f"a node that the output is made from; {node} is not"
                raise _wrong(card, f"comfyui.places.{role}", str(place), rule, "link it again, or remove the place")
            if role == LORA and node.inputs.get("strength_model") == 0 and not node.inputs.get("strength_clip"):
                raise _wrong(
                    card, "comfyui.places.lora", str(place), f"a LoRA that acts; {node} has the strength 0", "raise its strength, or remove the place"
                )


def _wrong(card: Card, key: str, value: object, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=key, value=value, rule=rule, remedy=remedy)
