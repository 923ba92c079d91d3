"""A mapping as a person reads it: a table of the roles, what is to be decided, and the TOML to paste into a card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from swapgate.engines.comfyui.graph import Place, Workflow
from swapgate.engines.comfyui.mapping import Mapping, Role

LONGEST = 48


def lines(found: Mapping) -> Iterator[str]:
    """The table, remarks, and either the TOML or what stands in its way."""
    rows = [("role", "state", "where", "value now", "why"), *(_row(found.workflow, role) for role in found.roles)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    yield from ("  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])).rstrip() for row in rows)
    for role in found.roles:
        yield from (f"{role.name}: might be {_at(found.workflow, place)}" for place in role.candidates)
    yield from (f"note: {remark}" for remark in found.remarks)
    yield from (
        f"note: {_at(found.workflow, place)} is a file of the server's; name one of the project under [comfyui.uploads]" for place in found.uploads
    )
    yield ""
    yield from toml(found)
    if not found.ok:
        refused = ", ".join(role.name for role in found.roles if role.state == "refused")
        yield ""
        yield f"REFUSED: {refused}. What it might be stands above; write what you mean into the card, or mend the workflow."


def toml(found: Mapping) -> Iterator[str]:
    """The card's table. Numbers of the call (steps) stay those of the workflow unless the card's [call] gives others."""
    yield "[comfyui]"
    yield 'url = "http://127.0.0.1:8188"'
    if found.scale != 1.0:
        yield f"scale = {found.scale:g}"
    yield ""
    yield "[comfyui.places]"
    for role in found.roles:
        if role.state == "mapped":
            titles = "; ".join(str(found.workflow.nodes[place.node]) for place in role.places)
            yield f"{role.name} = {_written(role)}   # {titles}"
        elif role.state == "refused":
            yield f"# {role.name} = …   # undecided: {role.why}"
    if found.uploads:
        yield ""
        yield "[comfyui.uploads]"
        yield from (f'# {json.dumps(str(place))} = "fixtures/…"' for place in found.uploads)


def as_json(found: Mapping) -> dict[str, Any]:
    """The same facts for --json."""
    return {
        "ok": found.ok,
        "scale": found.scale,
        "roles": {
            role.name: {
                "state": role.state,
                "places": [_reference(place) for place in role.places],
                "why": role.why,
                "candidates": [_reference(place) for place in role.candidates],
            }
            for role in found.roles
        },
        "uploads": [str(place) for place in found.uploads],
        "remarks": list(found.remarks),
    }


def _row(workflow: Workflow, role: Role) -> tuple[str, str, str, str, str]:
    values = [workflow.value(place) for place in role.places if place.name]
    shown = ", ".join(dict.fromkeys(json.dumps(value, ensure_ascii=False) for value in values))
    where = ", ".join(map(_reference, role.places)) or "-"
    return role.name, role.state, where, shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…", role.why


def _at(workflow: Workflow, place: Place) -> str:
    node = workflow.nodes[place.node]
    return f"{_reference(place)} of {node}" + (f" = {json.dumps(workflow.value(place), ensure_ascii=False)[:LONGEST]}" if place.name else "")


def _reference(place: Place) -> str:
    return str(place) if place.name else place.node


def _written(role: Role) -> str:
    found = [json.dumps(_reference(place), ensure_ascii=False) for place in role.places]
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"
