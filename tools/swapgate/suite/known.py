"""What a project asks for, so that baselines which nothing is held against any more can be told from the others."""

from __future__ import annotations

from contextlib import suppress

from swapgate.baselines.store import Store
from swapgate.baselines.upkeep import Known, unused
from swapgate.cards import read_card
from swapgate.config import Config
from swapgate.engines.registry import ENGINES
from swapgate.errors import UserError
from swapgate.tasks import Task, choose, read_tasks


def known(config: Config) -> Known:
    """The cards and tasks there are. A card that cannot be read is the matter of `swapgate check`: it may ask for any task.

    UserError for tasks that cannot be read, because nothing is known of what they ask for.
    """
    tasks = read_tasks(config.root / config.tasks)
    of_card: dict[str, list[str]] = {}
    files = sorted((config.root / config.models).glob("*.toml"))
    for path in files:
        with suppress(UserError):
            card = read_card(path, root=config.root, engines=ENGINES)
            of_card[card.id] = [task.id for task in choose(tasks, card.tasks, (), where=str(path))]
    return Known(models=[path.stem for path in files], tasks=list(tasks), of_card=of_card, pairs={task.id: _pairs(task) for task in tasks.values()})


def unused_lines(config: Config, store: Store) -> list[str]:
    """A line for each baseline that no card, task or request names any more, and the command that deletes them; none where there is none."""
    found = unused(store, known(config))
    if not found:
        return []
    lines = [f"unused baseline: {path.relative_to(store.root).as_posix()}: {why}" for path, why in found.items()]
    return [*lines, "next: swapgate baselines prune --unused --yes, or add what they are of again"]


def _pairs(task: Task) -> list[str]:
    """As `plan.Request.pair` names the requests as written."""
    return [
        f"{task.id}/{language}/{seed}/{index}" for language in task.prompts for seed in task.seeds for index in range(task.protocol.images_per_round)
    ]
