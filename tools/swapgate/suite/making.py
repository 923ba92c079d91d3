"""Everything that is made of a model on one seat: its images, the changed meanings, the smallest rewordings that broke it, and its null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cards import Card
from swapgate.hosts.process import Host
from swapgate.suite import changed_meaning
from swapgate.suite.generate import generate, load_again, measure_null, pending
from swapgate.suite.readahead import weight_files
from swapgate.suite.seats import Seat
from swapgate.suite.witnesses import cut_off, search

if TYPE_CHECKING:
    from swapgate.suite.session import Suite


def make_images(suite: Suite, cards: Sequence[Card], seat: Seat) -> None:
    """Make what the run does not have yet of a model, and of the other arm of an A/B run: `cards`, the judged one first."""
    from swapgate.suite.session import null_calls

    if seat.devices:
        names = [[device.uuid, device.name] for device in seat.devices]
        suite.run.append({"event": "devices", "models": [card.id for card in cards], "devices": names})

    def searched(hosts: Mapping[str, Host]) -> None:
        _await_scale(suite, cards)
        loaded = [card for card in cards if card.id in hosts]
        changed_meaning.make(suite, loaded, hosts, check=seat.check)
        search(suite, loaded, hosts, check=seat.check)

    works = [pending(suite.run, card, suite.asked(card)) for card in cards]
    generate(suite.run, works, suite.progress, after=searched, look=lambda number, flush: suite.look(cards, number, flush), seat=seat)
    for work in works:
        if not work.calls and _cut_off(suite, work.card):
            load_again(suite.run, work.card, suite.progress, after=searched, seat=seat)
    options = suite.setup.options
    for card in cards:
        if options.null and card in suite.setup.models:
            measure_null(suite.run, card, null_calls(suite.plan.calls[card.id]), options.null, suite.progress, seat)


def following(suite: Suite, cards: Sequence[Card]) -> Sequence[Path]:
    """The weight files of the judged model that comes after these, where one is still to be made."""
    models = suite.setup.models
    last = max((number for number, card in enumerate(models) if card in cards), default=len(models))
    return next((weight_files(card) for card in models[last + 1 :] if card.id not in suite.recorded), ())


def _cut_off(suite: Suite, card: Card) -> bool:
    _await_scale(suite, [card])
    return cut_off(suite, card) or (card.id in suite.run.loaded() and changed_meaning.left(suite, card))


def _await_scale(suite: Suite, cards: Sequence[Card]) -> None:
    if suite.spread and "stability" in suite.setup.options.gates:
        for card in cards:
            suite.spread.await_scale(suite, card)
