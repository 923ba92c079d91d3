"""From configuration and options to what will be generated and judged. Nothing heavy is imported, nothing is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swapgate import plan as planning
from swapgate.cards import Card, read_cards
from swapgate.config import Config
from swapgate.engines.registry import ENGINES
from swapgate.errors import UserError
from swapgate.gates.verdict import POOLED
from swapgate.suite.options import Options
from swapgate.tasks import Task, choose, read_tasks

if TYPE_CHECKING:
    from swapgate.wording import Rewording, WordingBook

EDITS_SEPARATOR = "; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One verdict to reach: a gate, a model, and a task or all of them pooled."""

    gate: str
    model: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The checked cards and tasks of a run. `models` are judged; `against` is the other arm of an A/B run, if any.

    prompts: by language, those of every task of the cards' families, chosen or not: what a picture is told apart from
    must not depend on what else is in the run.
    """

    config: Config
    options: Options
    models: tuple[Card, ...]
    against: Card | None
    tasks: Mapping[str, tuple[Task, ...]]
    prompts: Mapping[str, tuple[str, ...]]

    @property
    def cards(self) -> tuple[Card, ...]:
        """Every card that generates images, the other arm last."""
        return (*self.models, *((self.against,) if self.against else ()))

    def cells(self) -> list[Cell]:
        """Every cell, model by model; the pool of all tasks comes before the tasks."""
        return [
            Cell(gate=gate, model=card.id, task=task)
            for card in self.models
            for gate in self.options.gates
            for task in (POOLED, *(task.id for task in self.tasks[card.id]))
        ]


def prepare(config: Config, options: Options) -> Setup:
    """Read and check everything the run needs. Raises UserError for any mistake in files or options."""
    cards = read_cards(config.root / config.models, root=config.root, engines=ENGINES)
    tasks = read_tasks(config.root / config.tasks)
    models = tuple(_card(cards, name, "--model") for name in options.models or config.default_models or tuple(cards))
    if not models:
        raise UserError(where=str(config.models), rule="at least one model card", remedy="write fixtures/models/<name>.toml")
    against = _card(cards, options.against, "--against") if options.against else None
    if against and against in models:
        raise UserError(where="--against", value=against.id, rule="another model than the one judged", remedy="drop it from --model")
    chosen = {card.id: _tasks(tasks, card, options) for card in models}
    if against:
        chosen[against.id] = chosen[models[0].id] if len(models) == 1 else _tasks(tasks, against, options)
    families = {family for card in (*models, *((against,) if against else ())) for family in card.tasks}
    return Setup(config=config, options=options, models=models, against=against, tasks=chosen, prompts=_prompts(tasks, families))


RecordedEdits = Callable[[str, str], Sequence[str]]
"""(task, language) -> the edits that the baseline was measured with."""


def build_plan(setup: Setup, recorded: RecordedEdits = lambda task, language: ()) -> planning.Plan:
    """The requests of the run; rewordings are drawn only when a stability cell is asked for.

    A draw belongs to a version of hypothesis, so the rewordings of an accepted baseline come first: only the same
    rewordings can be compared one by one.
    """
    rewordings = _rewordings(setup, recorded) if "stability" in setup.options.gates else {}
    return planning.build(setup.cards, setup.tasks, rewordings)


def _prompts(tasks: Mapping[str, Task], families: set[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for task in tasks.values():
        if task.family in families:
            for language, prompt in task.prompts.items():
                found.setdefault(language, []).append(prompt)
    return {language: tuple(dict.fromkeys(prompts)) for language, prompts in sorted(found.items())}


def _card(cards: Mapping[str, Card], name: str, option: str) -> Card:
    if name in cards:
        return cards[name]
    near = difflib.get_close_matches(name, cards, n=1)
    raise UserError(where=option, value=name, rule=f"a model card; known: {', '.join(cards)}",
                    remedy=f"did you mean {near[0]!r}?" if near else "write a card in the models folder")


def _tasks(tasks: Mapping[str, Task], card: Card, options: Options) -> tuple[Task, ...]:
    chosen = tuple(choose(tasks, card.tasks, options.tasks, where=str(card.path)))
    if not chosen:
        raise UserError(where="--task", value=",".join(options.tasks), rule=f"a task that {card.id} has (families {', '.join(card.tasks)})",
                        remedy="choose another task, or another model")
    return chosen


def serialised(rewording: Rewording) -> str:
    """The edits of a rewording as they stand in requests and baselines; `restored` reads them back."""
    return EDITS_SEPARATOR.join(rewording.labels)


def restored(book: WordingBook, prompt: str, language: str, edits: str) -> Rewording:
    """The rewording that `serialised` wrote; UserError when the book no longer has one of its edits."""
    from swapgate import wording

    return wording.reworded(prompt, language, [book.parse(label, language) for label in edits.split(EDITS_SEPARATOR)])


def wording_book(config: Config) -> WordingBook:
    """The approved edits of the project."""
    from swapgate import wording

    return wording.load(config.root / config.wording)


def _rewordings(setup: Setup, recorded: RecordedEdits) -> dict[tuple[str, str], Sequence[planning.Reworded]]:
    from swapgate import wording

    book = wording_book(setup.config)
    found: dict[tuple[str, str], Sequence[planning.Reworded]] = {}
    for task in {task.id: task for tasks in setup.tasks.values() for task in tasks}.values():
        for language, prompt in task.prompts.items():
            if not (task.rewordings and task.reworded_seeds):
                continue
            known = recorded(task.id, language)[: task.rewordings]
            drawn = [restored(book, prompt, language, edits) for edits in known]
            if len(drawn) < task.rewordings:
                drawn = list(wording.draw(prompt, language, book, n=task.rewordings, seed_text=task.id))
            found[task.id, language] = [(serialised(one), one.text) for one in drawn]
    return found
