"""All checks of a card, and what is said of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swapgate.cards import Card
from swapgate.engines.diffusers_options import read_options
from swapgate.errors import UserError
from swapgate.suite.doctor import equipment, files, sources
from swapgate.suite.doctor.checks import NO, Check, Examined
from swapgate.suite.doctor.machine import Machine
from swapgate.tasks import Task


def examine(card: Card, tasks: Sequence[Task], machine: Machine) -> Examined:
    """The checks of one card; `tasks` are those of its families."""
    return Examined(card=card.id, checks=tuple(_checks(card, tasks, machine)))


def as_json(machine: Machine, examined: Iterable[Examined]) -> dict[str, Any]:
    """All facts, for programs."""
    cards = [
        {
            "card": one.card,
            "runs": one.runs,
            "checks": [{"name": check.name, "state": check.state, "said": check.said, "remedy": check.remedy} for check in one.checks],
        }
        for one in examined
    ]
    return {"machine": machine.as_json(), "cards": cards}


def lines(examined: Sequence[Examined]) -> Iterator[str]:
    """The cards in turn, a line a check."""
    for one in examined:
        yield f"{one.card}: {'can run here' if one.runs else 'cannot run here'}"
        yield from (check.line() for check in one.checks)
    ready = sum(one.runs for one in examined)
    yield f"{ready} of {len(examined)} cards can run here"


def _checks(card: Card, tasks: Sequence[Task], machine: Machine) -> Iterator[Check]:
    if card.engine == "diffusers":
        try:
            read_options(card)
        except UserError as error:
            yield Check(name="options", state=NO, said=f"{error.key} = {error.value!r}: {error.rule}", remedy=error.remedy)
        found = [sources.find(card, one, machine.cache) for one in sources.wanted(card)]
        yield from files.of_weights(card, found, machine)
        yield from equipment.of_device(card, machine)
        yield from equipment.of_memory(card, found, tasks, machine)
    yield from equipment.of_packages(card)
    if not card.dry:
        yield from equipment.of_text(tasks)
    yield from files.of_judge(card, machine)
