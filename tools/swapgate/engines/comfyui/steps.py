"""Seeds and steps of the samplers, and whatever else draws at random before the output."""

from __future__ import annotations

from collections.abc import Sequence

from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow
from swapgate.engines.comfyui.kinds import NOISES, SAMPLERS, SCHEDULERS, SIGMAS, SPLIT, VALUES
from swapgate.engines.comfyui.values import MOST_HOPS, Found, node_of, resolve, together

SEEDS = ("seed", "noise_seed")
_KNOWN = {*SAMPLERS, *NOISES, *VALUES}


def seeds_of(workflow: Workflow, samplers: Sequence[Node], behind: Sequence[Node]) -> Found:
    """Where the seeds of all samplers stand. A problem where one cannot be found, none is drawn from, or a node of no known class draws, too."""
    parts = [_seed(workflow, node) for node in samplers]
    found = together(parts)
    if found.problem:
        return found
    if not found.places:
        return Found(problem="no sampler draws noise from a seed")
    taken = {place.node for place in found.places}
    others = [Place(node.id, name) for node in behind if node.kind not in _KNOWN and node.id not in taken for name in SEEDS if name in node.inputs]
    if others:
        said = f"{workflow.nodes[others[0].node]} draws from a seed of its own, and its class is not known"
        return Found(problem=said, candidates=(*found.places, *others))
    return found


def _seed(workflow: Workflow, node: Node) -> Found:
    kind = SAMPLERS[node.kind]
    if kind.seed:
        return resolve(workflow, Place(node.id, kind.seed), int, SEEDS)
    noise = node_of(workflow, node.link(kind.noise))
    if noise is None:
        return Found(problem=f"{node} has no noise")
    if noise.kind not in NOISES:
        held = tuple(Place(noise.id, name) for name in SEEDS if name in noise.inputs)
        return Found(problem=f"{noise} makes noise, and its class is not known", candidates=held)
    name = NOISES[noise.kind]
    return resolve(workflow, Place(noise.id, name), int, SEEDS) if name else Found(said=f"{node} adds no noise")


def steps_of(workflow: Workflow, samplers: Sequence[Node]) -> Found:
    """Where the number of steps stands; a problem where it cannot be changed alone, or samplers have different ones."""
    split = [node for node in samplers if node.kind in SPLIT and _partly(node)]
    parts = [_steps(workflow, node) for node in samplers]
    candidates = tuple(dict.fromkeys(place for part in parts for place in (*part.places, *part.candidates)))
    if split:
        return Found(problem=f"{split[0]} runs a part of the steps, by start_at_step and end_at_step", candidates=candidates)
    found = together(parts)
    if not found.problem and len({workflow.value(place) for place in found.places}) > 1:
        return Found(problem="the samplers run different numbers of steps", candidates=candidates)
    return found


def _partly(node: Node) -> bool:
    start, end, steps = (node.inputs.get(name) for name in ("start_at_step", "end_at_step", "steps"))
    return start != 0 or not isinstance(end, int) or not isinstance(steps, int) or end < steps


def _steps(workflow: Workflow, node: Node) -> Found:
    kind = SAMPLERS[node.kind]
    if kind.steps:
        return resolve(workflow, Place(node.id, kind.steps), int, ("steps",))
    return _of_sigmas(workflow, node.link(kind.sigmas), node)


def _of_sigmas(workflow: Workflow, link: Link | None, sampler: Node) -> Found:
    cut: Node | None = None
    for _ in range(MOST_HOPS):
        node = node_of(workflow, link)
        if node is None:
            return Found(problem=f"{sampler} has no sigmas")
        if node.kind in SCHEDULERS:
            found = resolve(workflow, Place(node.id, SCHEDULERS[node.kind]), int, ("steps",))
            return Found(problem=f"{cut} cuts the steps", candidates=found.places) if cut else found
        if node.kind not in SIGMAS:
            return Found(problem=f"{node} makes the steps, and its class is not known", candidates=_held(node))
        cut, link = (node if node.kind.startswith("Split") else cut), node.link("sigmas")
    return Found(problem=f"the steps of {sampler} come from too far away")


def _held(node: Node) -> tuple[Place, ...]:
    return tuple(Place(node.id, name) for name in node.inputs if "steps" in name)
