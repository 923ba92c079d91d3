"""Models spread over several GPUs (--gpus): one host a GPU, the next model on the GPU that is free first.

What is made overlaps; what is judged does not: looks, scores and searches run under the suite's lock, one model at a time. A model's figures
belong to one process on one GPU, as without --gpus: its tasks are not divided among GPUs, and no GPU is shared while a model is measured on it.

Two things keep the order of the models. A judge without a scale of its own takes it from the first model that it scores, and that is to be
the same one however many GPUs there are: a model waits to be scored until none before it can still set the scale. And a model that needs
the machine or all GPUs for itself waits for those before it, as those after it wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swapgate.cards import Card
from swapgate.suite.devices import Device
from swapgate.suite.judges import BALANCED
from swapgate.suite.readahead import weight_files
from swapgate.suite.scoring import judge_name, stated_scale
from swapgate.suite.seats import Seat, Stopped

if TYPE_CHECKING:
    from pathlib import Path

    from swapgate.suite.session import Suite

TURN_SECONDS = 0.5  # an interrupt is noticed within this time, and so is a scale that another model has set

Make = Callable[["Suite", Sequence[Card], Seat], None]
"""(suite, the cards of one model and its other arm, where) -> everything of them is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is made on one seat, one after the other: a model, or every model of an A/B run with the other arm, which is held against each.

    alone: nothing else may run beside it.
    """

    groups: tuple[tuple[Card, ...], ...]
    alone: bool

    @property
    def models(self) -> tuple[str, ...]:
        """The judged models."""
        return tuple(group[0].id for group in self.groups)


def units(models: Sequence[Card], against: Card | None) -> tuple[Unit, ...]:
    """The models in their order. Both arms of an A/B run are on the same GPU, or their times could not be compared."""
    groups = tuple((card, against) if against and number == 0 else (card,) for number, card in enumerate(models))
    parts = [groups] if against else [(group,) for group in groups]
    return tuple(Unit(groups=part, alone=any(_needs_all(card) for group in part for card in group)) for part in parts)


@dataclass(slots=True)
class Spread:
    """Makes the images of a suite's models on its GPUs, once a first one is asked for.

    failed: by model, the error that ended its making; it is raised when that model is asked for, and the others go on.
    """

    devices: tuple[Device, ...]
    make: Make
    failed: dict[str, Exception] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def ensure(self, suite: Suite, model: str) -> None:
        """Make the images of a model, and of all others that are not made yet; the model's own error is raised, once for each attempt."""
        if model not in self.done and model not in self.failed:
            left = [unit for unit in units(suite.setup.models, suite.setup.against) if {*unit.models} - {*self.done, *self.failed}]
            for batch in _batches(left):
                self._run(suite, batch)
        if model in self.failed:
            raise self.failed.pop(model)

    def await_scale(self, suite: Suite, card: Card) -> None:
        """Wait until no model before this one can set a scale that it is scored on. Not to be called under the suite's lock.

        Nobody scores pictures of dry weights.
        """
        if card.dry:
            return
        before = [one for one in suite.setup.models[: _place(suite, card)] if judge_name(one) == judge_name(card)]
        languages = {language for task in suite.setup.tasks[card.id] for language in task.prompts} - {*stated_scale(card)}

        def known() -> bool:
            return languages <= {*suite.scales.get(judge_name(card), {})}

        with self._changed:
            while not self._stop.is_set() and not known() and not all(one.id in self.done or one.id in self.failed for one in before):
                self._changed.wait(TURN_SECONDS)
        if self._stop.is_set():
            raise Stopped
        with suite.lock:
            for one in before:
                if not known() and one.id in self.done:
                    suite.ensure_scored(one)  # made, and not looked at yet: with one GPU it would have been by now

    def changed(self) -> None:
        """A model was looked at, or is done: another may be waiting for that."""
        with self._changed:
            self._changed.notify_all()

    def _run(self, suite: Suite, batch: Sequence[Unit]) -> None:
        """One thread a seat; an interrupt of this thread ends them all, and what is made by then is kept."""
        self._stop.clear()
        queue, fatal = _Queue(batch), list[BaseException]()
        groups = [self.devices] if batch[0].alone else [(device,) for device in self.devices[: len(batch)]]
        seats = [Seat(devices=group, stop=self._stop, following=queue.following) for group in groups]
        threads = [threading.Thread(target=self._work, args=(suite, seat, queue, fatal), name="swapgate-seat", daemon=True) for seat in seats]
        try:
            for thread in threads:
                thread.start()
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(TURN_SECONDS)
                if self._stop.is_set():
                    self._end(seats, threads)
        except BaseException:
            self._end(seats, threads)
            raise
        if fatal:
            raise fatal[0]

    def _work(self, suite: Suite, seat: Seat, queue: _Queue, fatal: list[BaseException]) -> None:
        for unit in queue.take():
            try:
                for group in unit.groups:
                    self.make(suite, group, seat)
                    self.done.add(group[0].id)
                    self.changed()
            except Stopped:
                return
            except Exception as error:  # belongs to this model: the others go on, and it is raised when the model is asked for
                self.failed.update(dict.fromkeys({*unit.models} - self.done, error))
            except BaseException as error:
                fatal.append(error)
                self._stop.set()
                return
            finally:
                self.changed()

    def _end(self, seats: Sequence[Seat], threads: Sequence[threading.Thread]) -> None:
        """End the hosts and wait for the threads: what was made is on disk then."""
        self._stop.set()
        self.changed()
        while alive := [thread for thread in threads if thread.is_alive()]:
            for seat in seats:
                seat.abort()
            alive[0].join(TURN_SECONDS)


class _Queue:
    """The units of a batch, each taken once, by whichever seat is free."""

    def __init__(self, batch: Sequence[Unit]) -> None:
        self._left, self._read = list(batch), set[str]()
        self._lock = threading.Lock()

    def take(self) -> Iterator[Unit]:
        """Units for one seat until none is left."""
        while True:
            with self._lock:
                if not self._left:
                    return
                unit = self._left.pop(0)
            yield unit

    def following(self) -> Sequence[Path]:
        """The weight files of the next unit that no seat has begun to read."""
        with self._lock:
            unit = next((one for one in self._left if one.models[0] not in self._read), None)
            if unit is None:
                return ()
            self._read.add(unit.models[0])
        return [file for group in unit.groups[:1] for card in group for file in weight_files(card)]


def _batches(left: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Neighbours that may run beside each other; one that runs alone is a batch of its own."""
    batch: list[Unit] = []
    for unit in left:
        if unit.alone and batch:
            yield batch
            batch = []
        batch.append(unit)
        if unit.alone:
            yield batch
            batch = []
    if batch:
        yield batch


def _needs_all(card: Card) -> bool:
    """A model on the processor, which beside others would be measured with their work; or one that is divided among all GPUs."""
    return card.device == "cpu" or card.options.get("device_map") == BALANCED


def _place(suite: Suite, card: Card) -> int:
    """Where a card stands among the judged models; the other arm of an A/B run stands with the first."""
    return next((number for number, one in enumerate(suite.setup.models) if one.id == card.id), 0)
