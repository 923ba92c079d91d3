"""`swapgate doctor`: whether each card can run on this machine, and why not. Nothing is loaded, and nothing is fetched."""

from __future__ import annotations

import argparse
import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from swapgate.cli.common import FOUND, OK, add_json, config_of, show
from swapgate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swapgate.cards import Card
    from swapgate.cli.common import Groups


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("doctor", help="say of each card whether it can run here, and why not: weights, memory, driver, packages, licence")
    made.add_argument("cards", nargs="*", metavar="CARD", help="cards to look at (default: all)")
    made.add_argument("--dry-weights", action="store_true", help="as pytest --dry-weights would run them: with random weights, nothing fetched")
    add_json(made)
    made.set_defaults(handler=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    from swapgate.cards import DRY, read_cards
    from swapgate.engines.registry import ENGINES
    from swapgate.suite.doctor.examine import as_json, examine, lines
    from swapgate.suite.doctor.machine import look
    from swapgate.tasks import choose, read_tasks

    config = config_of(given)
    cards = read_cards(config.root / config.models, root=config.root, engines=ENGINES)
    chosen = [_card(cards, name) for name in given.cards or cards]
    if given.dry_weights:
        chosen = [replace(card, weights=DRY) if card.engine == "diffusers" else card for card in chosen]
    tasks, machine = read_tasks(config.root / config.tasks), look()
    examined = [examine(card, choose(tasks, card.tasks, (), where=str(card.path)), machine) for card in chosen]
    show(given, as_json(machine, examined), lines(examined))
    return OK if examined and all(one.runs for one in examined) else FOUND


def _card(cards: Mapping[str, Card], name: str) -> Card:
    if name in cards:
        return cards[name]
    near = difflib.get_close_matches(name, cards, n=1)
    raise UserError(
        where="swapgate doctor",
        value=name,
        rule=f"a model card; known: {_listed(cards)}",
        remedy=f"did you mean {near[0]!r}?" if near else "write a card in the models folder",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
