"""From a picture back to what it began as: where its size and its number are set, and what changes its size on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swapgate.engines.comfyui.graph import Link, Node, Place, Workflow
from swapgate.engines.comfyui.kinds import EMPTY, FACTORS, FIXED, LOADERS, MAIN, SAMPLERS, SIZED, UNKNOWN_SIZE
from swapgate.engines.comfyui.values import Found, node_of, resolve, together

SIDES = ("width", "height")
LATENT_BATCH = "RepeatLatentBatch"
LOADER_SIDES = {"Efficient Loader": ("empty_latent_width", "empty_latent_height"), "Eff. Loader SDXL": ("empty_latent_width", "empty_latent_height")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The nodes from an output back to where its picture begins, nearest first; lost: why it could not be followed to its beginning."""

    nodes: tuple[Node, ...]
    lost: str = ""

    @property
    def source(self) -> Node:
        return self.nodes[-1]


def way_of(workflow: Workflow, link: Link | None) -> Way:
    """The way of a picture or latent."""
    found: list[Node] = []
    while (node := node_of(workflow, link)) is not None:
        found.append(node)
        name = SAMPLERS[node.kind].latent if node.kind in SAMPLERS else MAIN.get(node.kind)
        if name is None:
            known = node.kind in EMPTY or node.kind in LOADERS
            return Way(nodes=tuple(found), lost="" if known else f"{node} is of no known class")
        if not name:
            return Way(nodes=tuple(found))
        link = node.link(name)
    return Way(nodes=tuple(found), lost="nothing is linked to it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Where width and height are set; scale: how many times that the picture is in the end."""

    width: Found
    height: Found
    scale: float = 1.0
    kept: str = ""


def size_of(workflow: Workflow, way: Way, behind: Sequence[Node]) -> Size:
    """Where the size of the picture at the end of `way` is set; behind: every node that it is made from."""
    if way.lost:
        return _refused(f"the picture's size cannot be followed: {way.lost}", ())
    fixed = [node for node in way.nodes if node.kind in FIXED]
    unknown = [node for node in way.nodes if node.kind in UNKNOWN_SIZE]
    begins = _sides(way.source)
    places = [Place(node.id, side) for node in fixed for side in SIDES]
    if begins and (fixed or unknown):
        said = f"{way.source} sets the size, and {(fixed or unknown)[0]} changes it to another"
        return _refused(said, [*places, *(Place(way.source.id, side) for side in begins)])
    if begins:
        return _scaled(workflow, way, begins, behind)
    if len(fixed) == 1 and not unknown and not any(node.kind in FACTORS for node in way.nodes):
        return _set_at(workflow, fixed[0])
    if fixed:
        return _refused("several nodes change the size", places)
    said = f"the size is that of what {way.source} loads" + (f", changed by {unknown[0]}" if unknown else "")
    return Size(width=Found(), height=Found(), kept=said)


def batch_of(workflow: Workflow, way: Way) -> Found:
    """Where the number of pictures is set."""
    repeats = [node for node in way.nodes if node.kind == LATENT_BATCH]
    begins = bool(_sides(way.source)) and not way.lost
    if len(repeats) > 1:
        return Found(problem="several nodes repeat the latent", candidates=tuple(Place(node.id, "amount") for node in repeats))
    if not begins:
        return resolve(workflow, Place(repeats[0].id, "amount"), int) if repeats else Found(said="a round is made as one prompt for each picture")
    own = Place(way.source.id, "batch_size")
    if repeats:
        return Found(problem=f"{way.source} and {repeats[0]} both set it", candidates=(own, Place(repeats[0].id, "amount")))
    return resolve(workflow, own, int, ("batch_size",)) if own.name in way.source.inputs else Found(said=f"{way.source} makes one picture")


def _sides(node: Node) -> tuple[str, ...]:
    return SIDES if node.kind in EMPTY else LOADER_SIDES.get(node.kind, ())


def _refused(why: str, candidates: Sequence[Place]) -> Size:
    names = {"width": [], "height": []}  # type: dict[str, list[Place]]
    for place in candidates:
        names["height" if place.name.endswith("height") else "width"].append(place)
    width, height = (Found(problem=why, candidates=tuple(names[side])) for side in SIDES)
    return Size(width=width, height=height)


def _scaled(workflow: Workflow, way: Way, begins: Sequence[str], behind: Sequence[Node]) -> Size:
    scale = 1.0
    for node in way.nodes:
        if node.kind in FACTORS:
            factor = resolve(workflow, Place(node.id, FACTORS[node.kind]), float)
            value = workflow.value(factor.places[0]) if factor.places else node.inputs.get(FACTORS[node.kind])
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                return _refused(f"by how much {node} changes the size cannot be told", [Place(way.source.id, side) for side in begins])
            scale *= value
    width, height = (_side(workflow, way.source, name, side, behind) for name, side in zip(begins, SIDES, strict=True))
    return Size(width=width, height=height, scale=scale)


def _side(workflow: Workflow, source: Node, name: str, side: str, behind: Sequence[Node]) -> Found:
    """Where a side is set, also of nodes that are told the picture's size beside the one that makes it."""
    own = resolve(workflow, Place(source.id, name), int, (side,))
    if own.problem:
        return own
    parts, remarks = [own], []
    for node in behind:
        if node.kind in SIZED and side in node.inputs:
            more = resolve(workflow, Place(node.id, side), int, (side,))
            same = bool(more.places) and workflow.value(more.places[0]) == workflow.value(own.places[0])
            parts += [more] if same else []
            remarks += [] if same else [f"{node} keeps its own {side}, which is not that of {source}"]
    found = together(parts)
    return Found(places=found.places, remarks=(*found.remarks, *remarks))


def _set_at(workflow: Workflow, node: Node) -> Size:
    found = [resolve(workflow, Place(node.id, side), int, (side,)) for side in SIDES]
    if any(one.places and not workflow.value(one.places[0]) for one in found):
        return _refused(f"{node} keeps the proportions of what is loaded (0)", [Place(node.id, side) for side in SIDES])
    return Size(width=found[0], height=found[1])
