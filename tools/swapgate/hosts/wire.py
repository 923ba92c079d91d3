"""What host and child say to each other: JSON messages and raw pixels, so that nothing is ever unpickled.

A message is one frame of JSON; images follow as one frame of bytes each, whose size the message states.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from swapgate.card_parts import Control, Lora, Parts, Quantisation, Refiner, Workflow
from swapgate.cards import Card, Ceilings, Judge
from swapgate.errors import UserError
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels, checked_pixels

_MAPPINGS = ("dtype", "call", "negative_prompt", "options")


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """Send one JSON message."""
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> dict[str, Any]:
    """The next JSON message. EOFError or OSError when the other side is gone."""
    message: dict[str, Any] = json.loads(connection.recv_bytes())
    return message


def send_images(connection: Connection, images: list[Pixels]) -> None:
    """Send pictures; their sizes must have been in the message before (`sizes`)."""
    for image in images:
        connection.send_bytes(np.ascontiguousarray(image).data.cast("B"))


def receive_images(connection: Connection, sizes: list[tuple[int, int]]) -> list[Pixels]:
    """Pictures of the stated (height, width)."""
    return [np.frombuffer(connection.recv_bytes(), dtype=np.uint8).reshape(height, width, 3) for height, width in sizes]


def sizes(images: list[Pixels]) -> list[tuple[int, int]]:
    """The (height, width) of every picture."""
    return [(int(image.shape[0]), int(image.shape[1])) for image in map(checked_pixels, images)]


def card_to_json(card: Card) -> dict[str, Any]:
    """A card as JSON data."""
    data = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    data |= {name: dict(data[name]) for name in _MAPPINGS}
    data["judge"] = dataclasses.asdict(card.judge)
    data["ceilings"] = {name: dataclasses.asdict(limits) for name, limits in card.ceilings.items()}
    data["parts"] = _parts_to_json(card.parts)
    return data | {"path": str(card.path), "root": str(card.root), "tasks": list(card.tasks), "faults": list(card.faults)}


def card_from_json(data: Mapping[str, Any]) -> Card:
    """The card that `card_to_json` wrote."""
    made = dict(data) | {name: MappingProxyType(dict(data[name])) for name in _MAPPINGS}
    made["judge"] = Judge(**data["judge"])
    made["ceilings"] = MappingProxyType({name: Ceilings(**limits) for name, limits in data["ceilings"].items()})
    made["parts"] = _parts_from_json(data["parts"])
    made["sizes"] = tuple((width, height) for width, height in data["sizes"])
    made |= {"path": Path(data["path"]), "root": Path(data["root"])}
    made |= {name: tuple(data[name]) for name in ("tasks", "faults", "references")}
    return Card(**made)


def _parts_to_json(parts: Parts) -> dict[str, Any]:
    refiner = parts.refiner
    return {
        "loras": [dataclasses.asdict(one) for one in parts.loras],
        "control": dataclasses.asdict(parts.control) if parts.control else None,
        "refiner": {field.name: getattr(refiner, field.name) for field in dataclasses.fields(refiner)} | {"call": dict(refiner.call)}
        if refiner
        else None,
        "quantisation": dataclasses.asdict(parts.quantisation) if parts.quantisation else None,
        "scheduler": dict(parts.scheduler),
        "workflow": _workflow_to_json(parts.workflow) if parts.workflow else None,
    }


def _workflow_to_json(workflow: Workflow) -> dict[str, Any]:
    found = {field.name: getattr(workflow, field.name) for field in dataclasses.fields(workflow)}
    return found | {"places": dict(workflow.places), "uploads": dict(workflow.uploads)}


def _workflow_from_json(data: Mapping[str, Any]) -> Workflow:
    places = MappingProxyType({name: tuple(found) for name, found in data["places"].items()})
    return Workflow(**{**data, "start": tuple(data["start"]), "places": places, "uploads": MappingProxyType(data["uploads"])})


def _parts_from_json(data: Mapping[str, Any]) -> Parts:
    control, refiner, smaller = data["control"], data["refiner"], data["quantisation"]
    return Parts(
        loras=tuple(Lora(**one) for one in data["loras"]),
        control=Control(**control) if control else None,
        refiner=Refiner(**{**refiner, "call": MappingProxyType(refiner["call"]), "region": tuple(refiner["region"])}) if refiner else None,
        quantisation=Quantisation(**{**smaller, "components": tuple(smaller["components"])}) if smaller else None,
        scheduler=MappingProxyType(dict(data["scheduler"])),
        workflow=_workflow_from_json(data["workflow"]) if data["workflow"] else None,
    )


def call_to_json(call: Call) -> list[dict[str, Any]]:
    """A call as JSON data."""
    return [request.as_json() for request in call.requests]


def call_from_json(data: list[dict[str, Any]]) -> Call:
    """The call that `call_to_json` wrote; request keys are the same."""
    return Call(requests=tuple(Request.from_json(item) for item in data))


def error_to_json(error: UserError) -> dict[str, Any]:
    """A user's error as JSON data."""
    value = None if error.value is None else str(error.value)
    return {"where": error.where, "key": error.key, "value": value, "rule": error.rule, "remedy": error.remedy}
