"""`swapgate check`: read every card, task and wording file, and say what is wrong, without loading a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from swapgate.cli.common import MISTAKE, OK, add_json, config_of, show
from swapgate.config import Config
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cards import Card
    from swapgate.cli.common import Groups
    from swapgate.tasks import Task

T = TypeVar("T")


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("check", help="read all cards, tasks, edits and limits, and say what is wrong with them")
    add_json(made)
    made.set_defaults(handler=_check)


def _check(given: argparse.Namespace) -> int:
    config = config_of(given)
    errors: list[UserError] = []
    cards = list(_cards(config, errors))
    tasks = _try(lambda: _tasks(config), errors) or {}
    for card in cards:
        _try(lambda card=card: _families(card, tasks), errors)  # type: ignore[misc]
    if any(task.rewordings and task.reworded_seeds for task in tasks.values()) or (config.root / config.wording).is_dir():
        _try(lambda: _wording(config), errors)
    _try(lambda: _policy(config), errors)
    unknown = [name for name in config.default_models if name not in {path.stem for path in (config.root / config.models).glob("*.toml")}]
    errors += [
        UserError(
            where="pyproject.toml",
            key="tool.swapgate.default_models",
            value=name,
            rule="the name of a card",
            remedy=f"write {config.models}/{name}.toml, or remove the name",
        )
        for name in unknown
    ]
    for error in errors:
        sys.stderr.write(f"{error}\n")
    data = {"ok": not errors, "cards": [card.id for card in cards], "tasks": list(tasks), "errors": [_as_json(error) for error in errors]}
    show(given, data, [f"OK: {len(cards)} cards, {len(tasks)} tasks"] if not errors else [f"{len(errors)} mistakes"])
    return MISTAKE if errors else OK


def _cards(config: Config, errors: list[UserError]) -> Iterator[Card]:
    from swapgate.cards import read_card, read_cards
    from swapgate.engines.registry import ENGINES
    from swapgate.engines.registry import check as engine_check

    folder = config.root / config.models
    paths = sorted(folder.glob("*.toml"))
    if not folder.is_dir():
        _try(lambda: read_cards(folder, root=config.root, engines=ENGINES), errors)
    elif not paths:
        errors.append(UserError(where=str(folder), rule="at least one model card", remedy="write one, or let `swapgate init` begin one"))
    for path in paths:
        card = _try(lambda path=path: read_card(path, root=config.root, engines=ENGINES), errors)  # type: ignore[misc]
        if card:
            _try(lambda card=card: engine_check(card), errors)  # type: ignore[misc]
            yield card


def _tasks(config: Config) -> dict[str, Task]:
    from swapgate.tasks import read_tasks

    return read_tasks(config.root / config.tasks)


def _families(card: Card, tasks: dict[str, Task]) -> list[Task]:
    from swapgate.tasks import choose

    return choose(tasks, card.tasks, (), where=str(card.path)) if tasks else []


def _wording(config: Config) -> object:
    from swapgate import wording

    return wording.load(config.wording_folder)


def _policy(config: Config) -> object:
    from swapgate.gates.policy import read_policy

    return read_policy(config.policy_table())


def _try(read: Callable[[], T], errors: list[UserError]) -> T | None:
    try:
        return read()
    except UserError as error:
        errors.append(error)
        return None


def _as_json(error: UserError) -> dict[str, Any]:
    return {
        "where": error.where,
        "key": error.key,
        "value": None if error.value is None else repr(error.value),
        "rule": error.rule,
        "remedy": error.remedy,
    }
