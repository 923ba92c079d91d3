"""From configuration and options to what will be generated and judged. Nothing heavy is imported, nothing is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swapgate import plan as planning
from swapgate.canonical import read_json
from swapgate.cards import DRY, Card, read_cards
from swapgate.config import Config
from swapgate.engines.faults import parse
from swapgate.engines.registry import ENGINES, check
from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import POOLED
from swapgate.suite.options import Options
from swapgate.tasks import Task, choose, read_tasks

if TYPE_CHECKING:
    from swapgate.wording import Rewording, WordingBook

EDITS_SEPARATOR = "; "
ITSELF = "itself"  # --against: the same card once more, in turn with the judged one


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One verdict to reach: a gate, a model, and a task or all of them pooled."""

    gate: str
    model: str
    task: str

    @property
    def id(self) -> str:
        """The name of its verdict: gate/model/task."""
        return f"{self.gate}/{self.model}/{self.task}"


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
    """Read and check everything the run needs. Raises UserError for any mistake in files or options.

    A recorded run (resume, replay) is taken up with its own models, tasks, planted faults and other arm where the options name none.
    """
    options = _as_recorded(options)
    cards = _dried(read_cards(config.root / config.models, root=config.root, engines=ENGINES), options)
    tasks = {name: _worded(task, options.wordings) for name, task in read_tasks(config.root / config.tasks).items()}
    models = tuple(_planted(_card(cards, name, "--model"), options) for name in options.models or config.default_models or tuple(cards))
    if not models:
        raise UserError(where=str(config.models), rule="at least one model card", remedy="write fixtures/models/<name>.toml")
    against = _other_arm(cards, models, options)
    for card in (*models, *((against,) if against else ())):
        check(card)
    if against and any(against.id == card.id for card in models):
        raise UserError(where="--against", value=against.id, rule="another model than the one judged", remedy="drop it from --model")
    chosen = {card.id: _tasks(tasks, card, options) for card in models}
    if against:
        chosen[against.id] = chosen[models[0].id] if len(models) == 1 else _tasks(tasks, against, options)
    families = {family for card in (*models, *((against,) if against else ())) for family in card.tasks}
    return Setup(config=config, options=options, models=models, against=against, tasks=chosen, prompts=_prompts(tasks, families))


RecordedEdits = Callable[[Card, Task, str], Sequence[str]]
"""(card, task, language) -> the edits that the baseline of this model was measured with."""


def _nothing_recorded(_card: Card, _task: Task, _language: str) -> Sequence[str]:
    return ()


def build_plan(setup: Setup, recorded: RecordedEdits = _nothing_recorded) -> planning.Plan:
    """The requests of the run; rewordings are drawn only when a stability cell is asked for.

    A draw belongs to a version of hypothesis, so the rewordings of an accepted baseline come first: only the same
    rewordings can be compared one by one.
    """
    if "stability" not in setup.options.gates:
        return planning.build(setup.cards, setup.tasks, {})
    book = wording_book(setup.config)
    calls: dict[str, tuple[planning.Call, ...]] = {}
    drawn: dict[tuple[str, str], tuple[Rewording, ...]] = {}
    for card in setup.cards:
        reworded = {
            (task.id, language): _reworded(book, task, language, recorded(card, task, language), drawn)
            for task in setup.tasks[card.id]
            if task.rewordings and task.reworded_seeds and not card.dry
            for language in task.prompts
        }
        calls.update(planning.build([card], setup.tasks, reworded).calls)
    return planning.Plan(calls=calls)


def _worded(task: Task, wordings: int | None) -> Task:
    """The task with as many rewordings as the run asks for; one without reworded seeds gets its first."""
    if wordings is None:
        return task
    return replace(task, rewordings=wordings, reworded_seeds=task.reworded_seeds or task.seeds[:1])


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
    raise UserError(
        where=option,
        value=name,
        rule=f"a model card; known: {', '.join(cards)}",
        remedy=f"did you mean {near[0]!r}?" if near else "write a card in the models folder",
    )


def _other_arm(cards: Mapping[str, Card], models: Sequence[Card], options: Options) -> Card | None:
    """The card of the other arm of an A/B run; for ITSELF the judged card as it is written, without the faults of this run, under a name of its own."""
    if options.against != ITSELF:
        return _card(cards, options.against, "--against") if options.against else None
    if len(models) != 1:
        raise UserError(where="--against", value=ITSELF, rule="one model is held against itself at a time", remedy=f"name it: --model={models[0].id}")
    return replace(cards[models[0].id], id=twin(models[0].id))


def twin(model: str) -> str:
    """The name of a model that is held against itself, as the other arm of its run."""
    return f"{model}.{ITSELF}"


def _dried(cards: dict[str, Card], options: Options) -> dict[str, Card]:
    """The cards, with dry weights where the run asks for them; the scripted engine has no weights."""
    if not options.dry:
        return cards
    return {name: replace(card, weights=DRY) if card.engine == "diffusers" else card for name, card in cards.items()}


def _planted(card: Card, options: Options) -> Card:
    """The card with this run's faults; UserError for one that does not parse, before anything is loaded."""
    return replace(card, faults=(*card.faults, *(parse(spec, where="faults of this run").spec for spec in options.faults)))


def _tasks(tasks: Mapping[str, Task], card: Card, options: Options) -> tuple[Task, ...]:
    chosen = tuple(choose(tasks, card.tasks, options.tasks, where=str(card.path)))
    if not chosen:
        raise UserError(
            where="--task",
            value=",".join(options.tasks),
            rule=f"a task that {card.id} has (families {', '.join(card.tasks)})",
            remedy="choose another task, or another model",
        )
    return chosen


def serialised(rewording: Rewording) -> str:
    """The edits of a rewording as they stand in requests and baselines; `restored` reads them back."""
    return EDITS_SEPARATOR.join(rewording.labels)


def restored(book: WordingBook, prompt: str, language: str, edits: str) -> Rewording:
    """The rewording that `serialised` wrote; UserError when the book no longer has one of its edits."""
    from swapgate import wording

    return wording.reworded(prompt, language, [book.parse(label, language) for label in edits.split(EDITS_SEPARATOR)])


def wording_book(config: Config) -> WordingBook:
    """The approved edits of the project; those of the package where the project has no folder of its own at the usual place."""
    from swapgate import wording

    return wording.load(config.wording_folder)


def _reworded(
    book: WordingBook, task: Task, language: str, recorded: Sequence[str], drawn: dict[tuple[str, str], tuple[Rewording, ...]]
) -> list[planning.Reworded]:
    """As many different rewordings as the task asks for: the recorded ones first, then drawn ones. `drawn` keeps the draws."""
    from swapgate import wording

    prompt, n, book = task.prompts[language], task.rewordings, book.translated(task.prompts)
    approved = _approved(task)
    known = _known(book, prompt, language, recorded)
    if len(known) < n and (task.id, language) not in drawn:
        drawn[task.id, language] = wording.draw(prompt, language, book, n=n, seed_text=task.id, approved=approved)
    found: dict[str, Rewording] = {}
    for one in (*known, *drawn.get((task.id, language), ())):
        found.setdefault(one.text, one)
    return [(serialised(one), one.text) for one in found.values()][:n]


def _approved(task: Task) -> tuple[str, ...] | None:
    """The classes of edits that a task asks for; None for those that are always drawn from. UserError for a name that is no class."""
    from swapgate.wording import Kind

    kinds = tuple(kind.value for kind in Kind)
    for name in task.reword_by:
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            raise UserError(
                where=str(task.path),
                key=f"task.{task.id}.reword_by",
                value=name,
                rule=f"classes of edits out of {', '.join(kinds)}",
                remedy=f"did you mean {near[0]!r}?" if near else "choose some of them, or leave the key out",
            )
    return task.reword_by or None


def _known(book: WordingBook, prompt: str, language: str, recorded: Sequence[str]) -> list[Rewording]:
    """The recorded rewordings that the book still has; one whose edit was taken out of it is replaced by a drawn one."""
    found = []
    for edits in recorded:
        with suppress(UserError):
            found.append(restored(book, prompt, language, edits))
    return found


def _as_recorded(options: Options) -> Options:
    path = options.resume or options.replay
    if path is None or not (path / "manifest.json").is_file():
        return options
    file = path / "manifest.json"
    manifest = read_json(file)
    try:
        against = options.against or manifest.get("against")
        # The plan is a list and keeps the order of the models, which JSON with sorted keys does not.
        made = dict.fromkeys(request["model"] for request in manifest.get("plan", ()))
        tasks, faults = tuple(manifest.get("tasks", ())), tuple(manifest.get("faults", ()))
        dry = bool(manifest.get("dry", False))
    except (AttributeError, KeyError, TypeError) as error:
        raise RunBroken(
            where=str(file),
            rule=f"the manifest of a run, with the requests of its plan ({type(error).__name__}: {error})",
            remedy="restore the file from a copy, or make the run again",
        ) from None
    return replace(
        options,
        against=against,
        models=options.models or tuple(model for model in made if model != against and not model.endswith(f".{ITSELF}")),
        tasks=options.tasks or tasks,
        faults=options.faults or faults,
        dry=options.dry or dry,
    )
