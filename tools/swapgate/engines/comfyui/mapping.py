"""Where a workflow takes prompt, seed, size and the rest, found by following its graph back from its output; nothing is guessed in silence.

A role is mapped to the inputs that hold it, kept as the workflow has it (with the reason), absent from the workflow, or refused with what it
might be. A workflow can be used when its output, prompt, seed and size are not refused: without a seed that is set, every picture of it is
the same one, or another every time, and a baseline is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from swapgate.engines.comfyui import kinds
from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow
from swapgate.engines.comfyui.sizes import Way, batch_of, size_of, way_of
from swapgate.engines.comfyui.steps import seeds_of, steps_of
from swapgate.engines.comfyui.texts import UNWANTED, WANTED, texts_of_guider, texts_of_link
from swapgate.engines.comfyui.values import Found, of_type, resolve, same_text, together

State = Literal["mapped", "kept", "absent", "refused"]
ROLES = ("prompt", "negative_prompt", "seed", "width", "height", "batch", "steps", "lora", "output")
_PROMPTS = ("prompt", "positive", "positive_prompt", "text", "text_positive")
_NEGATIVES = ("negative", "negative_prompt", "text_negative")
_STEPS = ("steps", "num_inference_steps")
_SEEDS = ("seed", "noise_seed")
_BATCHES = ("batch_size", "num_images")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One role: where it is set, or why not and what it might be."""

    name: str
    state: State
    places: tuple[Place, ...] = ()
    why: str = ""
    candidates: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What was found; output: the node whose pictures count; scale: how many times the size asked for the picture is in the end."""

    workflow: Workflow
    roles: tuple[Role, ...]
    scale: float = 1.0
    uploads: tuple[Place, ...] = ()
    remarks: tuple[str, ...] = ()

    def role(self, name: str) -> Role:
        """The role of that name; of a workflow that could not be followed far enough, an absent one."""
        return next((role for role in self.roles if role.name == name), Role(name=name, state="absent", why="not looked for"))

    @property
    def ok(self) -> bool:
        """Whether the workflow can be used so: no role is refused."""
        return all(role.state != "refused" for role in self.roles)


def map_workflow(workflow: Workflow, output: str = "") -> Mapping:
    """The mapping of a workflow; output: the id of the node whose pictures count, where there are several."""
    chosen = _output(workflow, output)
    if isinstance(chosen, Role):
        return Mapping(workflow=workflow, roles=(chosen,))
    node, why = chosen
    made_from = [link for _, link in node.links()]
    link = node.link(kinds.OUTPUTS.get(node.kind, "")) or (made_from[0] if len(made_from) == 1 else None)
    behind = workflow.behind(link)
    samplers = [one for one in behind if one.kind in kinds.SAMPLERS]
    found = _of_samplers(workflow, samplers, behind, link) if samplers else _of_one_node(workflow, behind)
    loads = tuple(Place(one.id, kinds.LOADERS[one.kind]) for one in behind if one.kind in kinds.LOADERS)
    remarks = (*found.remarks, *_other_outputs(workflow, node))
    return replace(
        found, roles=(*found.roles, Role(name="output", state="mapped", places=(Place(node.id, ""),), why=why)), uploads=loads, remarks=remarks
    )


def _output(workflow: Workflow, wanted: str) -> Role | tuple[Node, str]:
    saves = [node for node in workflow.nodes.values() if node.kind in kinds.SAVES]
    previews = [node for node in workflow.nodes.values() if node.kind in kinds.PREVIEWS]
    if wanted:
        if wanted in workflow.nodes:
            return workflow.nodes[wanted], "as asked"
        return Role(name="output", state="refused", why=f"there is no node {wanted}", candidates=_ids(saves + previews))
    for nodes, what in ((saves, "save"), (previews, "show")):
        if len(nodes) == 1:
            return nodes[0], f"the only node that {what}s pictures"
        if nodes:
            return Role(name="output", state="refused", why=f"{len(nodes)} nodes {what} pictures: choose with --output", candidates=_ids(nodes))
    return Role(name="output", state="refused", why="no node that is known to save or show pictures: choose one with --output")


def _ids(nodes: Iterable[Node]) -> tuple[Place, ...]:
    return tuple(Place(node.id, "") for node in nodes)


def _other_outputs(workflow: Workflow, chosen: Node) -> list[str]:
    """Other outputs are made, too, and take their time."""
    others = [str(node) for node in workflow.nodes.values() if node.kind in kinds.OUTPUTS and node.id != chosen.id]
    return [f"pictures of {', '.join(others)} are made, and not looked at"] if others else []


def _of_samplers(workflow: Workflow, samplers: Sequence[Node], behind: Sequence[Node], link: Link | None) -> Mapping:
    way = way_of(workflow, link)
    prompt = _texts(workflow, samplers, WANTED)
    size = size_of(workflow, way, behind)
    batch = batch_of(workflow, way)
    steps = steps_of(workflow, samplers)
    roles = (
        _required("prompt", prompt),
        _negative(_texts(workflow, samplers, UNWANTED), prompt),
        _required("seed", seeds_of(workflow, samplers, behind)),
        *(_side(name, found, size.kept) for name, found in (("width", size.width), ("height", size.height))),
        _optional("batch", batch),
        _optional("steps", steps),
        _loras(behind),
    )
    remarks = [*_guidance(samplers), *_told(prompt, size.width, size.height, steps, batch), *_off_way(samplers, way)]
    return Mapping(workflow=workflow, roles=roles, scale=size.scale, remarks=tuple(dict.fromkeys(remarks)))


def _texts(workflow: Workflow, samplers: Sequence[Node], side: str) -> Found:
    """The texts of all samplers; those of a chain have to be one text."""
    parts = []
    for node in samplers:
        kind = kinds.SAMPLERS[node.kind]
        if kind.guider:
            parts.append(texts_of_guider(workflow, node.link(kind.guider), side))
        else:
            parts.append(texts_of_link(workflow, node.link(kind.positive if side == WANTED else kind.negative), f"the {side} conditioning of {node}"))
    found = together(parts)
    if found.problem:
        return found
    alike = same_text(workflow, found.places, f"the {side} texts of the samplers")
    return replace(found, places=alike.places, problem=alike.problem, candidates=alike.candidates, remarks=(*found.remarks, *alike.remarks))


def _negative(found: Found, prompt: Found) -> Role:
    if found.places and set(found.places) & set(prompt.places):
        return Role(name="negative_prompt", state="absent", why="the negative conditioning is that of the prompt")
    return _optional("negative_prompt", found, refuse=True)


def _required(name: str, found: Found) -> Role:
    """A role without which a workflow cannot be used."""
    if found.places and not found.problem:
        return Role(name=name, state="mapped", places=found.places, why="; ".join(found.remarks))
    return Role(name=name, state="refused", why=found.problem or found.said or f"nothing sets the {name}", candidates=found.candidates)


def _optional(name: str, found: Found, *, refuse: bool = False) -> Role:
    if found.problem:
        return Role(name=name, state="refused" if refuse else "kept", why=found.problem, candidates=found.candidates)
    if found.places:
        return Role(name=name, state="mapped", places=found.places, why="; ".join(found.remarks))
    return Role(name=name, state="absent", why=found.said)


def _side(name: str, found: Found, kept: str) -> Role:
    return Role(name=name, state="kept", why=kept) if kept else _required(name, found)


def _loras(behind: Sequence[Node]) -> Role:
    places = [Place(node.id, kinds.LORAS[node.kind]) for node in behind if node.kind in kinds.LORAS and of_type(node.inputs.get("lora_name"), str)]
    for node in behind:
        if node.kind == "Power Lora Loader (rgthree)":
            places += [Place(node.id, name) for name, value in node.inputs.items() if isinstance(value, dict) and value.get("on")]
    return Role(name="lora", state="mapped", places=tuple(places)) if places else Role(name="lora", state="absent", why="no node loads a LoRA")


def _guidance(samplers: Sequence[Node]) -> list[str]:
    return [
        f"{node} has cfg = 1, so its negative prompt does nothing" for node in samplers if node.inputs.get(kinds.SAMPLERS[node.kind].cfg) in (1, 1.0)
    ]


def _told(*found: Found) -> list[str]:
    return [remark for one in found for remark in one.remarks]


def _off_way(samplers: Sequence[Node], way: Way) -> list[str]:
    """Samplers whose pictures only go into another one's conditioning."""
    on_way = {node.id for node in way.nodes}
    return [f"{node} makes no picture of the output itself" for node in samplers if node.id not in on_way and not way.lost]


def _of_one_node(workflow: Workflow, behind: Sequence[Node]) -> Mapping:
    """No known sampler: a single node that takes prompt and seed, by the names of its inputs."""
    able = [node for node in behind if any(name in node.inputs for name in _SEEDS)]
    if len(able) != 1:
        why = f"no sampler of a known class, and {len(able)} nodes with a seed, stand before the output"
        seeds = tuple(Place(node.id, name) for node in able for name in _SEEDS if name in node.inputs)
        return Mapping(workflow=workflow, roles=(Role(name="seed", state="refused", why=why, candidates=seeds),))
    node = able[0]
    if any(node.link(name) for name in ("positive", "negative", "conditioning", "guider")):
        why = f"{node} samples, and its class is not known"
        seeds = tuple(Place(node.id, name) for name in _SEEDS if name in node.inputs)
        return Mapping(workflow=workflow, roles=(Role(name="seed", state="refused", why=why, candidates=seeds),))
    roles = (
        _required("prompt", _named(workflow, node, _PROMPTS, str)),
        _optional("negative_prompt", _named(workflow, node, _NEGATIVES, str), refuse=True),
        _required("seed", _named(workflow, node, _SEEDS, int)),
        *(_side(side, found, "" if found.places or found.problem else f"{node} is told no {side}") for side, found in _sides(workflow, node)),
        _optional("batch", _named(workflow, node, _BATCHES, int)),
        _optional("steps", _named(workflow, node, _STEPS, int)),
        _loras(behind),
    )
    return Mapping(workflow=workflow, roles=roles, remarks=(f"{node} is of no known class: roles are taken by the names of its inputs",))


def _sides(workflow: Workflow, node: Node) -> list[tuple[str, Found]]:
    return [(side, _named(workflow, node, (side,), int)) for side in ("width", "height")]


def _named(workflow: Workflow, node: Node, names: Sequence[str], kind: type) -> Found:
    there = [name for name in names if name in node.inputs]
    if len(there) > 1:
        return Found(problem=f"{node} has {' and '.join(there)}", candidates=tuple(Place(node.id, name) for name in there))
    return resolve(workflow, Place(node.id, there[0]), kind, tuple(names)) if there else Found(said=f"{node} has no input for it")
