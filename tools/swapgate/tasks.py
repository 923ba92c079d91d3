"""Tasks: prompts, languages, seeds, size and checks. One TOML file per task family; a card names its families."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from swapgate.cards import LANGUAGES
from swapgate.errors import UserError
from swapgate.reading import Table, load_toml

CHECKS = ("health", "alignment", "facets", "text")
MOST_REWORDINGS = 64
SIZE_STEP = 16  # Qwen-Image, FLUX and Z-Image pipelines round other sizes down: latents of 8 px in patches of 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One statement about the picture, with the counterfactual statements it must beat, by language.

    statements[language][0] is what the prompt asks; the others each change that one thing.
    """

    name: str
    statements: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How rounds are made: `images_per_round` images a call, of which `counted_index` stands for the round.

    Index 0 of the first call is the first image a person really gets; choosing a better one would flatter.
    """

    images_per_round: int = 1
    counted_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing people ask of the model.

    `seeds` make the rounds; `reworded_seeds` (a subset) are also drawn with `rewordings` approved rewordings of
    each prompt, of the classes in `reword_by` (empty: those that are always drawn from); `translation_of` says for
    which languages the prompt is a frozen translation. `text`: what has to be readable in the picture, by language of
    the prompt; empty where nothing has.
    """

    id: str
    family: str
    title: Mapping[str, str]
    prompts: Mapping[str, str]
    facets: tuple[Facet, ...]
    checks: tuple[str, ...]
    seeds: tuple[int, ...]
    reworded_seeds: tuple[int, ...]
    rewordings: int
    width: int
    height: int
    protocol: Protocol
    usability_floor: float | None
    path: Path = Path()
    reword_by: tuple[str, ...] = ()
    text: Mapping[str, str] = field(default_factory=dict)


def read_tasks(folder: Path) -> dict[str, Task]:
    """Every task of every family in `folder`, by task id. UserError on any mistake, also an id used twice."""
    if not folder.is_dir():
        raise UserError(
            where=str(folder),
            rule="the folder of task families must exist",
            remedy="create it, or set `tasks` under [tool.swapgate] in pyproject.toml",
        )
    found: dict[str, Task] = {}
    for path in sorted(folder.glob("*.toml")):
        for task in read_family(path):
            if task.id in found:
                raise UserError(
                    where=str(path),
                    key="task.id",
                    value=task.id,
                    rule=f"a task id is used once; {found[task.id].path} has it too",
                    remedy="rename one of the two",
                )
            found[task.id] = task
    return found


def read_family(path: Path) -> list[Task]:
    """The tasks of one family file; keys of the family are the defaults of its tasks."""
    top = load_toml(path)
    family = path.stem
    defaults = _Defaults(top)
    tasks = [_task(table, family, defaults, path) for table in top.tables("task")]
    top.finish()
    ids = [task.id for task in tasks]
    for task_id in ids:
        if ids.count(task_id) > 1:
            raise UserError(where=str(path), key="task.id", value=task_id, rule="a task id is used once", remedy="rename one of the two")
    return tasks


def choose(tasks: Mapping[str, Task], families: tuple[str, ...], wanted: tuple[str, ...], *, where: str) -> list[Task]:
    """The tasks of `families`, narrowed to `wanted` ids where any are given; UserError for a name that matches nothing."""
    known = {task.family for task in tasks.values()}
    for family in families:
        if family not in known:
            raise UserError(
                where=where,
                key="tasks",
                value=family,
                rule=f"a task family; known: {', '.join(sorted(known))}",
                remedy="correct the name or add fixtures/tasks/<family>.toml",
            )
    for name in wanted:
        if name not in tasks:
            near = difflib.get_close_matches(name, tasks, n=1)
            raise UserError(
                where="--task",
                value=name,
                rule=f"a task id; known: {', '.join(sorted(tasks))}",
                remedy=f"did you mean {near[0]!r}?" if near else "choose one of them",
            )
    return [task for task in tasks.values() if task.family in families and (not wanted or task.id in wanted)]


class _Defaults:
    """The keys a family sets for all its tasks."""

    def __init__(self, top: Table) -> None:
        top.take("title", str, "")
        self.width = _size(top, "width", None)
        self.height = _size(top, "height", None)
        self.seeds = _seeds(top, "seeds", ())
        self.reworded_seeds = _seeds(top, "reworded_seeds", ())
        self.rewordings = top.whole("rewordings", 0, low=0, high=MOST_REWORDINGS)
        self.reword_by = top.strings("reword_by", ())
        self.checks = _checks(top, CHECKS)
        self.protocol = _protocol(top, Protocol())


def _task(table: Table, family: str, default: _Defaults, path: Path) -> Task:
    seeds = _seeds(table, "seeds", default.seeds)
    if not seeds:
        raise table.wrong("seeds", "at least one seed, here or for the family", "write seeds = [1, 2, 3]")
    reworded = _seeds(table, "reworded_seeds", default.reworded_seeds)
    if not set(reworded) <= set(seeds):
        raise table.wrong("reworded_seeds", "a subset of seeds, so that each rewording has its original", "take values from seeds", reworded)
    prompts = _prompts(table)
    width, height = _size(table, "width", default.width), _size(table, "height", default.height)
    if width is None or height is None:
        raise table.wrong("width", "width and height, here or for the family", "write width = 1024 and height = 1024")
    facets, text, checks = _facets(table, prompts), _text(table, prompts), _checks(table, default.checks)
    if set(checks) <= {name for name, given in (("facets", facets), ("text", text)) if not given}:
        without = "no facets" if "facets" in checks else "no text"
        raise table.wrong("checks", f"something to check: this task has {without}", 'add "health", [[task.facets]] or [task.text]', list(checks))
    if text and "text" not in checks:
        raise table.wrong(
            "checks", '"text" among them, since the task says which text must be readable', 'add "text", or remove [task.text]', list(checks)
        )
    task = Task(
        id=_identifier(table),
        family=family,
        title=_title(table),
        prompts=prompts,
        facets=facets,
        checks=checks,
        seeds=seeds,
        reworded_seeds=reworded,
        rewordings=table.whole("rewordings", default.rewordings, low=0, high=MOST_REWORDINGS),
        reword_by=table.strings("reword_by", default.reword_by),
        width=width,
        height=height,
        protocol=_protocol(table, default.protocol),
        usability_floor=table.number("usability_floor", None, low=0.0, high=1.0),
        path=path,
        text=text,
    )
    table.finish()
    return task


def _identifier(table: Table) -> str:
    name = table.take("id", str)
    if not name.replace("-", "").isalnum() or not name.isascii() or name == "all":
        raise table.wrong("id", "letters, digits and hyphens, and not `all` (which names the pool of all tasks)", "rename the task")
    return name


def _title(table: Table) -> Mapping[str, str]:
    title = table.table("title", {})
    found = {language: title.text(language) for language in LANGUAGES if title.has(language)}
    title.finish()
    return MappingProxyType(found)


def _prompts(table: Table) -> Mapping[str, str]:
    prompts = table.table("prompts")
    found = {language: prompts.text(language) for language in LANGUAGES if prompts.has(language)}
    prompts.finish()
    for language, text in found.items():
        if not text.strip():
            raise prompts.wrong(language, "a prompt that is not empty", "write the prompt or remove the key")
    if not found:
        raise table.wrong("prompts", f"a prompt in at least one of {', '.join(LANGUAGES)}", 'add prompts.en = "…"')
    return MappingProxyType(found)


def _facets(table: Table, prompts: Mapping[str, str]) -> tuple[Facet, ...]:
    facets = []
    for entry in table.tables("facets", []):
        name = entry.text("name")
        statements = {}
        for language in prompts:
            found = entry.strings(language)
            if len(found) < 2 or len(set(found)) != len(found):
                raise entry.wrong(language, "the statement and at least one different counterfactual", 'write ["a red cup", "a blue cup"]')
            statements[language] = found
        entry.finish()
        facets.append(Facet(name=name, statements=MappingProxyType(statements)))
    return tuple(facets)


def _text(table: Table, prompts: Mapping[str, str]) -> Mapping[str, str]:
    """What must be readable, for every language that has a prompt."""
    if not table.has("text"):
        return MappingProxyType({})
    text = table.table("text")
    found = {language: text.text(language) for language in prompts}
    text.finish()
    for language, words in found.items():
        if not any(character.isalnum() for character in words):
            raise text.wrong(
                language, "a text with a letter or a digit: spaces and punctuation are not compared", "write what must be readable", words
            )
    return MappingProxyType(found)


def _checks(table: Table, default: tuple[str, ...]) -> tuple[str, ...]:
    given = table.strings("checks", list(default))
    if not given:
        raise table.wrong("checks", "at least one check: a picture that nothing is asked of would always be usable", 'write checks = ["health"]', [])
    for check in given:
        if check not in CHECKS:
            raise table.wrong("checks", f"checks out of {', '.join(CHECKS)}", "remove or correct the unknown one", check)
    return given


def _protocol(table: Table, default: Protocol) -> Protocol:
    images = table.whole("images_per_round", default.images_per_round, low=1, high=16)
    counted = table.whole("counted_index", default.counted_index, low=0, high=15)
    if counted >= images:
        raise table.wrong("counted_index", f"below images_per_round ({images})", "write 0 for the first image")
    return Protocol(images_per_round=images, counted_index=counted)


def _seeds(table: Table, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    seeds = table.take(name, list, list(default))
    if any(not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31 for seed in seeds):
        raise table.wrong(name, "whole numbers from 0 to 2147483647", "write [1, 2, 3]")
    if len(set(seeds)) != len(seeds):
        raise table.wrong(name, "seeds that do not repeat: a repeated seed counts one picture twice", "remove the repetition")
    return tuple(seeds)


def _size(table: Table, name: str, default: int | None) -> int | None:
    size = table.whole(name, default, low=16, high=8192)
    if size is not None and size % SIZE_STEP:
        raise table.wrong(
            name,
            f"a multiple of {SIZE_STEP}: the pipelines silently change other sizes",
            f"write {size // SIZE_STEP * SIZE_STEP or SIZE_STEP} or {(size // SIZE_STEP + 1) * SIZE_STEP}",
        )
    return size
