"""`swapgate probe`: does a card fit into so much device memory, in which placement, at how many seconds an image.

Every placement is tried in a process of its own (engines/trial.py), the largest limit first; what does not fit there is not tried in less. The
next process imports what it needs while the present one works.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from swapgate.cards import DRY, Card, read_cards
from swapgate.config import Config
from swapgate.engines import fetching
from swapgate.engines.placements import ERROR, FITS, NOT_TRIED, PLACEMENTS, Placement, Prepared, Tried
from swapgate.engines.registry import ENGINES
from swapgate.errors import UserError
from swapgate.hosts.trials import TrialHost
from swapgate.plan import Request, round_call
from swapgate.suite.doctor import hub
from swapgate.tasks import choose, read_tasks

PATIENCE_SECONDS = 20.0
STEPS, LEAST_STEPS = 4, 2
_OWN_KEYS = ("quantisation", "options.offload")
"""Keys of a card that a placement sets: what is wrong with them is wrong with the placement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be probed: limits in MiB; size (None: of the card's first task); steps of the image that is made, full: all of the card's.

    dry: random weights, also where the real ones are here. device: "cuda"; "cpu" is for tests, and limits nothing.
    """

    cards: tuple[str, ...]
    limits: tuple[float, ...]
    placements: tuple[Placement, ...] = PLACEMENTS
    size: tuple[int, int] | None = None
    steps: int = STEPS
    full: bool = False
    dry: bool = False
    device: str = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A card as it is probed, and the image asked of it; flops of one step, None until they are counted."""

    card: Card
    request: Request
    flops: float | None = None

    @property
    def counts(self) -> bool:
        """Whether every step has the forwards of the first: not before a refiner, nor with a cache."""
        return self.card.parts.refiner is None and not self.card.options.get("cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One card in one placement under one limit (MiB); floor: seconds of an image that no device of this matrix rate can go below."""

    card: str
    limit: float
    placement: str
    tried: Tried
    floor: float | None = None

    @property
    def fits(self) -> bool:
        return self.tried.verdict == FITS

    @property
    def ratio(self) -> float | None:
        """Seconds of an image over the floor."""
        return self.tried.seconds / self.floor if self.tried.seconds is not None and self.floor else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The rows in the order card, limit, placement; what they were measured on and by; seconds that it took."""

    asked: Asked
    subjects: tuple[Subject, ...]
    rows: tuple[Row, ...]
    prepared: Prepared | None
    date: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every card fits into every limit somehow."""
        return all(any(row.fits for row in self.of(subject.card.id, limit)) for subject in self.subjects for limit in self.asked.limits)

    def of(self, card: str, limit: float) -> list[Row]:
        """The rows of a card under a limit."""
        return [row for row in self.rows if (row.card, row.limit) == (card, limit)]

    def as_json(self) -> dict[str, Any]:
        cards = {
            one.card.id: {
                "weights": one.card.weights,
                "width": one.request.width,
                "height": one.request.height,
                "flops_per_step": one.flops,
                "call": dict(one.request.call),
            }
            for one in self.subjects
        }
        rows = [
            {"card": row.card, "limit_mib": row.limit, "placement": row.placement, "fits": row.fits, **row.tried.as_json()}
            | {"step_seconds": row.tried.step, "seconds_per_image": row.tried.seconds, "floor_seconds": row.floor, "times_floor": row.ratio}
            for row in self.rows
        ]
        device = (
            {name: value for name, value in asdict(self.prepared).items() if name not in ("seconds", "host_mib", "steps")} if self.prepared else {}
        )
        return {"date": self.date, "seconds": self.seconds, "device": device, "cards": cards, "rows": rows, "notes": list(self.notes)}


class Host(Protocol):
    """What a placement is tried in: `hosts.trials.TrialHost`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def prepare(self, card: Card, placement: Placement, request: Request, *, rate: bool) -> Prepared | Tried: ...

    def attempt(self, limit: float, *, steps: int, patience: float, count: bool, seconds: float) -> Tried: ...

    def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Known:
    """What earlier trials found out."""

    flops: dict[str, float] = field(default_factory=dict)
    prepared: Prepared | None = None


def probe(config: Config, asked: Asked, *, start: Callable[[], Host] = TrialHost, tell: Callable[[str], None] = lambda _: None) -> Probe:
    """Try every placement of every card. UserError for what the user can mend, a machine without a GPU among it."""
    begin = time.monotonic()
    found = subjects(config, asked)
    jobs = [(subject, placement) for subject in found for placement in asked.placements]
    known, rows = _Known(), []
    upcoming: Host | None = start()
    try:
        for number, (subject, placement) in enumerate(jobs, start=1):
            assert upcoming is not None
            host, upcoming = upcoming, start() if number < len(jobs) else None
            with host:
                for row in _rows(host, subject, placement, asked, known):
                    tell(f"[{number}/{len(jobs)}] {row.card}, {row.placement}, {in_gib(row.limit)}: {figures(row.tried)}")
                    rows.append(row)
    except KeyboardInterrupt:
        tell("interrupted: what was not tried is left open")
        rows += _left_open(jobs, asked, rows)
    finally:
        if upcoming is not None:
            upcoming.close()
    counted = tuple(replace(subject, flops=known.flops.get(subject.card.id)) for subject in found)
    return Probe(
        asked=asked,
        subjects=counted,
        rows=tuple(_in_order(_judged(rows, counted, known.prepared), asked)),
        prepared=known.prepared,
        date=datetime.now(tz=UTC).date().isoformat(),
        seconds=time.monotonic() - begin,
        notes=known.prepared.notes if known.prepared else (),
    )


def subjects(config: Config, asked: Asked) -> tuple[Subject, ...]:
    """The cards that are meant, each with the first prompt of its first task. UserError for an unknown one, or one of another engine."""
    cards = read_cards(config.root / config.models, root=config.root, engines=ENGINES)
    tasks = read_tasks(config.root / config.tasks)
    found = []
    for name in asked.cards:
        card = _card(cards, name)
        task = choose(tasks, card.tasks, (), where=str(card.path))[0]
        language = "en" if "en" in task.prompts else next(iter(task.prompts))
        request = round_call(card, task, language, task.seeds[0]).first
        width, height = asked.size or (request.width, request.height)
        dry = asked.dry or card.dry or not weights_here(card)
        found.append(
            Subject(
                card=replace(card, device=asked.device, weights=DRY if dry else card.weights, faults=()),
                request=replace(request, width=width, height=height),
            )
        )
    return tuple(found)


def weights_here(card: Card) -> bool:
    """Whether the card's own weights can be read without a download."""
    there = hub.locate(card.source, card.revision, root=card.root, where=fetching.cache())
    return there is not None and any(there.path.glob("*/*.safetensors"))


def figures(tried: Tried) -> str:
    """A trial in a few words."""
    if tried.verdict != FITS:
        return tried.verdict
    peak = "" if tried.allocated is None else f", peak {in_gib(tried.allocated)}"
    return f"{tried.verdict}{peak}" + ("" if tried.seconds is None else f", {tried.seconds:.3g} s an image")


def _left_open(jobs: Sequence[tuple[Subject, Placement]], asked: Asked, rows: Sequence[Row]) -> Iterator[Row]:
    """The rows that an interrupted probe did not come to."""
    known = {(row.card, row.placement, row.limit) for row in rows}
    for subject, placement in jobs:
        for limit in asked.limits:
            if (subject.card.id, placement.name, limit) not in known:
                tried = Tried(verdict=NOT_TRIED, why="interrupted before")
                yield Row(card=subject.card.id, limit=limit, placement=placement.name, tried=tried)


def in_gib(mib: float) -> str:
    """A size as it is written: "24 GiB"."""
    return f"{mib / 1024:.4g} GiB"


def _rows(host: Host, subject: Subject, placement: Placement, asked: Asked, known: _Known) -> Iterator[Row]:
    """One placement under every limit, the largest first."""
    limits = sorted(set(asked.limits), reverse=True)
    prepared = _prepared(host, subject, placement, rate=known.prepared is None)
    if isinstance(prepared, Tried):
        yield from (Row(card=subject.card.id, limit=limit, placement=placement.name, tried=prepared) for limit in limits)
        return
    known.prepared = known.prepared or prepared
    failed: tuple[float, Tried] | None = None
    for limit in limits:
        if failed:
            tried = Tried(verdict=NOT_TRIED, why=f"not with {in_gib(failed[0])} either: {failed[1].verdict}", steps=prepared.steps)
        else:
            tried = _attempt(host, subject, placement, limit, prepared.steps, asked, known)
            failed = (limit, tried) if tried.verdict != FITS else None
        yield Row(card=subject.card.id, limit=limit, placement=placement.name, tried=tried)


def _prepared(host: Host, subject: Subject, placement: Placement, *, rate: bool) -> Prepared | Tried:
    try:
        return host.prepare(subject.card, placement, subject.request, rate=rate)
    except UserError as error:
        if not error.key.startswith(_OWN_KEYS):
            raise
        return Tried(verdict=NOT_TRIED, why=f"{error.rule}; {error.remedy}")


def _attempt(host: Host, subject: Subject, placement: Placement, limit: float, whole: int, asked: Asked, known: _Known) -> Tried:
    """Layers in 4 bits are products that the counter does not know, so FLOPs are counted in another placement."""
    name = subject.card.id
    count = name not in known.flops and placement.method != "nf4" and subject.counts
    steps, patience = (whole, float("1e9")) if asked.full else (asked.steps, PATIENCE_SECONDS)
    tried = host.attempt(limit, steps=steps, patience=patience, count=count, seconds=subject.card.timeout_seconds)
    if tried.flops is not None:
        known.flops[name] = tried.flops
    return tried


def _judged(rows: Sequence[Row], subjects: Sequence[Subject], prepared: Prepared | None) -> Iterator[Row]:
    """The rows beside the compute floor: a step below it was not waited for, and its time is none."""
    flops = {subject.card.id: subject.flops for subject in subjects}
    rate = prepared.rate if prepared else None
    for row in rows:
        counted = flops[row.card]
        if counted is None or rate is None or not row.fits:
            yield row
            continue
        least, step = counted / rate, row.tried.step
        judged = replace(row, floor=least * row.tried.steps)
        if step is not None and step < least:
            why = f"a step of {step:.3g} s is faster than this device multiplies ({least:.3g} s): a synchronisation is missing"
            judged = replace(judged, tried=replace(row.tried, verdict=ERROR, why=why))
        yield judged


def _in_order(rows: Iterator[Row], asked: Asked) -> list[Row]:
    names = [placement.name for placement in asked.placements]
    return sorted(rows, key=lambda row: (asked.cards.index(row.card), asked.limits.index(row.limit), names.index(row.placement)))


def _card(cards: dict[str, Card], name: str) -> Card:
    if name not in cards:
        near = difflib.get_close_matches(name, cards, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise UserError(where="swapgate probe", value=name, rule=f"a model card; known: {', '.join(cards)}", remedy=remedy)
    if cards[name].engine != "diffusers":
        raise UserError(
            where=str(cards[name].path),
            key="engine",
            value=cards[name].engine,
            rule="only a model that this project loads itself can be placed otherwise: engine diffusers",
            remedy="choose another card",
        )
    return cards[name]
