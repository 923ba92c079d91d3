"""One run from options to verdicts: the object behind the tests, the replay and the command line.

    Suite.open(config, options) -> suite     the run folder is made, resumed or (replay) only read
    suite.ensure(model)                      images are made and scored, once
    suite.verdict(cell)                      what the gate says
    suite.finish(cells)                      verdicts.json and drafts

A replay takes the same way without making anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from swapgate import plan as planning
from swapgate.baselines.store import Store
from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.errors import RunBroken, UserError
from swapgate.gates.compose import RUN
from swapgate.gates.evidence import Evidence, ImageScore
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Verdict
from swapgate.plan import Call, Plan, Request
from swapgate.runs.environment import environment
from swapgate.runs.folder import RunFolder, new_folder
from swapgate.runs.records import Generation
from swapgate.suite import judging, results
from swapgate.suite.arms import Recorded
from swapgate.suite.devices import find as find_devices
from swapgate.suite.drafts import write_drafts
from swapgate.suite.generate import APART, TOGETHER
from swapgate.suite.judges import judge_of
from swapgate.suite.looks import Judged, is_red, last_word, take_look
from swapgate.suite.making import following, make_images
from swapgate.suite.options import Options
from swapgate.suite.planning import Cell, Setup, build_plan, prepare
from swapgate.suite.progress import Progress, Silent
from swapgate.suite.rounds import Kind, Schedule, asked, budget_entry, budget_of, looked, note_look, schedule
from swapgate.suite.scoring import Scale, Scorer, Wanted, image_score, judge_name, measured_scale, stated_scale
from swapgate.suite.seats import Seat
from swapgate.suite.spread import Spread
from swapgate.tasks import Task

SCHEMA = 1


@dataclass(slots=True)
class Suite:
    """A run being made or replayed. `recorded` holds every model that was generated and scored, `ensured` those that were looked at to the end.

    spread: the GPUs that the models are spread over (--gpus); their threads take `lock` for whatever they judge.
    schedules: rounds and looks by model; judged: what the looks said of it; partly: what was recorded up to a round, by model and round.
    written: where `finish` put the verdicts; beside verdicts.json when a replay judged only some of its cells.
    """

    setup: Setup
    plan: Plan
    run: RunFolder
    store: Store
    policy: Policy
    progress: Progress = field(default_factory=Silent)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    scorers: dict[str, Scorer] = field(default_factory=dict)
    verdicts: dict[Cell, Verdict] = field(default_factory=dict)
    scales: dict[str, Mapping[str, Scale]] = field(default_factory=dict)
    evidences: dict[tuple[str, str, int], Evidence] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    partly: dict[tuple[str, int], Recorded] = field(default_factory=dict)
    ensured: set[str] = field(default_factory=set)
    spread: Spread | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    written: Path | None = None

    @staticmethod
    def open(config: Config, options: Options, policy: Policy, progress: Progress | None = None) -> Suite:
        """Check everything, then create (or open) the run folder. Raises UserError, RunBroken."""
        setup = prepare(config, options)
        store = Store.of(config)
        plan = build_plan(setup, lambda card, task, language: judging.recorded_edits(store, setup, card, task, language))
        devices = find_devices(options.gpus) if options.gpus and not options.replay else ()
        run = _run_folder(setup, plan)
        if options.resume or options.replay:
            plan = _same_plan(run, plan, setup)
        if options.resume and options.budget and options.budget != budget_of(run):
            run.append(budget_entry(options.budget))
        schedules = {model: schedule(run, calls) for model, calls in plan.calls.items()}
        spread = Spread(devices=devices, make=make_images) if devices else None
        return Suite(setup=setup, plan=plan, run=run, store=store, policy=policy, progress=progress or Silent(), schedules=schedules, spread=spread)

    def ensure(self, model: str) -> None:
        """Generate and score a model, and with it the other arm of an A/B run; nothing when that is done. On several GPUs, generate all models."""
        if model in self.ensured:
            return
        cards = [card for card in self.setup.cards if card.id == model or card == self.setup.against]
        if self.spread:
            self.spread.ensure(self, model)
        elif not self.setup.options.replay:
            left = [card for card in cards if card.id not in self.recorded]
            make_images(self, left, Seat(following=lambda: following(self, left)))
        self._take_looks(model)
        for card in cards:
            self.ensure_scored(card)
        self.ensured.add(model)

    def verdict(self, cell: Cell) -> Verdict:
        """The verdict of a cell, within the run's false-alarm budget (see `gates.budget`); its model is generated first when it was not yet."""
        self.ensure(cell.model)
        if cell not in self.verdicts:
            found = self.judged[cell.model].verdict(cell)
            self.verdicts[cell] = replace(found, next=found.next.replace(RUN, self.run_name))
        return self.verdicts[cell]

    def finish(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Write verdicts.json and the drafts for the cells that were judged; gives what was written."""
        data = results.collect(self, cells)
        self.written = results.write(self.run, data, replay=bool(self.setup.options.replay))
        if not self.setup.options.replay:
            write_drafts(self)
        return data

    def judge_all(self) -> Path:
        """Judge every cell and write verdicts.json, the drafts and the page, as a run of pytest does; gives the page."""
        from swapgate import report

        cells = self.setup.cells()
        for cell in cells:
            self.verdict(cell)
        self.finish(cells)
        return report.build(self.run.path, self.image_path, runs=self.runs_folder)

    def interleaved(self, model: str) -> bool:
        """Whether a model and the other arm of this A/B run were measured in turn, all along; not where another run is the other arm."""
        if self.setup.options.compared:
            return False
        how = {event["event"] for event in self.run.events() if event["event"] in (TOGETHER, APART) and model in event["models"]}
        return how == {TOGETHER}

    @property
    def run_name(self) -> str:
        """The run's folder as a command should name it: relative to the project where it lies inside, else the whole path."""
        root = self.setup.config.root
        return str(self.run.path.relative_to(root)) if self.run.path.is_relative_to(root) else str(self.run.path)

    @property
    def runs_folder(self) -> Path:
        """Where the project keeps its runs, among which the report looks for the past."""
        return self.setup.config.root / self.setup.config.runs

    def image_path(self, sha: str) -> Path | None:
        """The file of a picture, from the run or from the baselines it was held against; None when there is none."""
        path = self.run.image_path(sha)
        if path.is_file():
            return path
        return self.store.picture(sha)

    def card(self, model: str) -> Card:
        return next(card for card in self.setup.cards if card.id == model)

    def scorer(self, card: Card) -> Scorer:
        """The scorer of a card's judge, shared by the cards that name the same judge."""
        with self.lock:
            name = judge_name(card)
            if name not in self.scorers:
                # A replay loads no model, and so every GPU is free for it.
                cards = () if self.setup.options.replay else self.setup.cards
                gpus = tuple(device.uuid for device in self.spread.devices) if self.spread else ()
                judge = partial(judge_of, scoring=self.setup.config.scoring, cards=cards, gpus=gpus)
                self.scorers[name] = Scorer(self.run, card, judge, self.setup.prompts)
            return self.scorers[name]

    def score(self, card: Card, wanted: Sequence[Wanted]) -> list[ImageScore]:
        """Scores of pictures on the scale of the card's judge: the one it states, else the one of the first model scored.

        One scale for both arms of an A/B run, and for the baseline: numbers on different scales cannot be compared.
        """
        name = judge_name(card)
        with self.lock:
            raw = self.scorer(card).scores(wanted)
            # Language by language: of a model that made no picture there is nothing to measure, and the next one sets the scale.
            measured = measured_scale(zip(wanted, raw, strict=True))
            scale = self.scales[name] = {**measured, **self.scales.get(name, {}), **stated_scale(card)}
        return [image_score(one, found, scale, self.policy.alignment_bar) for one, found in zip(wanted, raw, strict=True)]

    def task(self, card: Card, name: str) -> Task:
        return next(task for task in self.setup.tasks[card.id] if task.id == name)

    def asked(self, card: Card, until: int | None = None) -> tuple[tuple[Call, ...], ...]:
        """The calls of a card that this run asks for, by round, up to round `until`. Both arms of an A/B run are asked alike."""
        judged = self.setup.models[0].id if card == self.setup.against else card.id
        return asked(self.schedules[card.id], budget_of(self.run), looked(self.run, judged), until=until)

    def seen(self, card: Card, until: int) -> Recorded:
        """What the run holds of a card up to round `until`, scored."""
        with self.lock:
            if (card.id, until) not in self.partly:
                self.partly[card.id, until] = self._recorded(card, until)
            return self.partly[card.id, until]

    def ensure_scored(self, card: Card) -> None:
        """Score what the run holds of a card, once."""
        with self.lock:
            if card.id not in self.recorded:
                self.recorded[card.id] = self.seen(card, len(self.schedules[card.id].rounds))

    def look(self, cards: Sequence[Card], number: int, flush: Callable[[], None]) -> Callable[[str, Call], bool]:
        """Look at the judged model after a round, once `flush` has everything on disk, and say what is asked of all `cards` from then on."""
        model = next(card.id for card in cards if card in self.setup.models)
        plan, known = self.schedules[model], looked(self.run, model)
        over = bool(known) and not known[max(known)]
        look = plan.looks.index(number) + 1 if number in plan.looks[:-1] else 0
        if look and look not in known and not over:
            flush()
            with self._turn(cards[0]):
                left = self._take_look(model, look)
                enough = self.setup.options.first_red and is_red(self.judged[model])
                note_look(self.run, model, look, frozenset() if enough else left, self._made(cards))
            if not left or enough:
                why = "every cell is settled" if not left else "it is red, and -x asks for no more,"
                self.progress.note(f"{model}: {why} after round {number} of {len(plan.rounds)}")
        wanted = {card.id: {call.key for calls in self.asked(card) for call in calls} for card in cards}
        return lambda of, call: call.key in wanted[of]

    @contextmanager
    def _turn(self, card: Card) -> Iterator[None]:
        """The time in which one thread judges and no other."""
        if self.spread:
            self.spread.await_scale(self, card)
        with self.lock:
            yield
        if self.spread:
            self.spread.changed()

    def _made(self, cards: Sequence[Card]) -> int:
        """Images of these cards so far, those of the null and of searches left out."""
        made = self.run.generations()
        return sum(bool((one := made.get(r.key)) and one.image) for card in cards for r in self.plan.requests(card.id))

    def _take_look(self, model: str, look: int) -> frozenset[Kind]:
        """A look, after those before it that were journalled: what they settled is settled."""
        done = self.judged.get(model, Judged()).until
        for earlier in sorted(looked(self.run, model)):
            if earlier < look and self.schedules[model].looks[earlier - 1] > done:
                take_look(self, model, earlier)
        return take_look(self, model, look)

    def _take_looks(self, model: str) -> None:
        """The looks of a model whose images are made, or of what an interrupted run left of them: those journalled, and the last."""
        plan, known = self.schedules[model], looked(self.run, model)
        newest, budget = max(known, default=0), budget_of(self.run)
        if newest and (budget == "smoke" or (budget == "gate" and not known[newest])):
            last = newest
        else:
            whole = all(generation.image or generation.failure for _, generation in self.seen(self.card(model), len(plan.rounds)).generations)
            last = len(plan.looks) if whole else newest + 1
        if self.judged.get(model, Judged()).until < plan.looks[last - 1]:
            self._take_look(model, last)
        last_word(self, model)

    def _recorded(self, card: Card, until: int) -> Recorded:
        generations = self.run.generations()
        requests = [request for calls in self.asked(card, until) for call in calls for request in call.requests]
        rows = [(request, generations.get(request.key) or _not_made(request)) for request in requests]
        wanted = [Wanted(request=r, image=g.image, task=self.task(card, r.task)) for r, g in rows if g.image and not card.dry]
        return Recorded(
            card=card,
            loaded=self.run.loaded().get(card.id),
            generations=tuple(rows),
            scores=tuple(self.score(card, wanted)),
            places=journal_places(self.run),
        )


def null_calls(calls: Sequence[planning.Call]) -> tuple[planning.Call, ...]:
    """The calls that measure the null: the first round of every task and language, as written."""
    first: dict[tuple[str, str], planning.Call] = {}
    for call in calls:
        if not call.first.edits:
            first.setdefault((call.first.task, call.first.language), call)
    return tuple(first.values())


def journal_places(run: RunFolder) -> dict[str, int]:
    """Where in the journal the last generation of every request stands, by request key."""
    return {event["generation"]["request"]: place for place, event in enumerate(run.events()) if event["event"] == "generation"}


def _not_made(request: Request) -> Generation:
    return Generation(
        request=request.key,
        image=None,
        width=request.width,
        height=request.height,
        mode="RGB",
        call=request.key,
        images_in_call=1,
        number=0,
        first_call=False,
        times=None,
        memory=None,
        forwards=None,
    )


def _run_folder(setup: Setup, plan: Plan) -> RunFolder:
    options = setup.options
    recorded = options.resume or options.replay
    if recorded:
        return _whole(RunFolder.open(recorded))
    path = options.run_dir or setup.config.root / setup.config.runs / new_folder(setup.config.root).name
    return RunFolder.create(path, _manifest(setup, plan))


def _whole(run: RunFolder) -> RunFolder:
    """The run itself; RunBroken when its manifest lacks what judging reads."""
    missing = next((key for key in ("id", "created", "command", "environment", "cards", "plan") if key not in run.manifest), None)
    if missing:
        raise RunBroken(
            where=str(run.path / "manifest.json"),
            key=missing,
            rule="this key is required",
            remedy="restore the file from a copy, or make the run again",
        )
    return run


def _manifest(setup: Setup, plan: Plan) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "environment": environment(setup.config.root),
        "command": setup.options.command,
        "against": setup.options.against,
        "faults": list(setup.options.faults),
        **({"dry": True} if setup.options.dry else {}),
        "budget": budget_of_new(setup),
        "cards": {card.id: card_json(card) for card in setup.cards},
        "tasks": {
            task.id: digest([dict(task.prompts), task.width, task.height, list(task.seeds)]) for tasks in setup.tasks.values() for task in tasks
        },
        "plan": [request.as_json() for model in plan.calls for request in plan.requests(model)],
    }


def budget_of_new(setup: Setup) -> str:
    """The budget of a new run. A run that becomes a baseline or measures a null makes its whole plan, and so do several models against one.

    A baseline of part of the plan could decide less, and the other arm of several models cannot stop for one of them.
    """
    options = setup.options
    whole = options.update_baselines or options.null > 0 or (setup.against is not None and len(setup.models) > 1)
    return "full" if whole else options.budget or "full"


def card_json(card: Card) -> dict[str, Any]:
    """What a manifest and a baseline keep of a card: all that is declared, no absolute path."""
    return {
        "title": card.title,
        "source": card.source,
        "revision": card.revision,
        "licence": card.licence,
        "faults": list(card.faults),
        "judge": [card.judge.source, card.judge.pretrained],
        "options": dict(card.options),
        **card.recipe(),
    }


def _same_plan(run: RunFolder, plan: Plan, setup: Setup) -> Plan:
    """The recorded plan, narrowed to the models asked for; UserError when cards or tasks changed since."""
    recorded = planned_calls(run)
    for model, calls in plan.calls.items():
        known = {request.key for call in recorded.get(model, ()) for request in call.requests if not request.edits}
        asked = [request for call in calls for request in call.requests if not request.edits]
        stranger = next((request for request in asked if request.key not in known), None)
        if stranger:
            raise UserError(
                where=str(run.path),
                key=f"plan.{model}",
                value=stranger.pair,
                rule="a recorded run is judged by the cards and tasks it was made with; this request is not in its plan",
                remedy="undo the change to the card or task, choose the recorded models with --model and --task, or run again",
            )
    names = {card.id: {task.id for task in setup.tasks[card.id]} for card in setup.cards}
    return Plan(calls={model: tuple(c for c in recorded[model] if c.first.task in names[model]) for model in plan.calls})


def planned_calls(run: RunFolder) -> dict[str, tuple[planning.Call, ...]]:
    """The plan that a run recorded, by model: requests that differ only in their index are one call."""
    rounds: dict[str, dict[str, list[Request]]] = {}
    for request in run.requests():
        rounds.setdefault(request.model, {}).setdefault(replace(request, index=0).key, []).append(request)
    return {model: tuple(planning.Call(requests=tuple(found)) for found in calls.values()) for model, calls in rounds.items()}
