"""Generate once: make every planned image that the run does not have yet, in a process per model.

The order of the calls is the plan's; with two arms they alternate request by request, and the arm that goes first
changes every time, so that drift of the machine falls on both alike (duet benchmarking, Bulej et al. 2020).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from swapgate.cards import Card
from swapgate.engines.dry.counts import drawn_bytes
from swapgate.engines.registry import TABLE
from swapgate.errors import UserError
from swapgate.hosts.process import Host, HostFailed
from swapgate.hosts.variations import PLAIN, Variation, at_hand, numbered
from swapgate.plan import Call, Request
from swapgate.runs.environment import RUN_FOLDER, accelerators
from swapgate.runs.folder import RunFolder
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Failure, Generation, Loaded
from swapgate.suite.devices import VISIBLE, Device, free_bytes
from swapgate.suite.progress import Progress
from swapgate.suite.readahead import ReadAhead, weight_files
from swapgate.suite.seats import Seat
from swapgate.suite.writer import Writer

MEMORY_SHARE = 0.8  # two models are kept loaded side by side only when both fit into this share of what is free
TOGETHER, APART = "interleaved", "one-after-other"  # events: how the arms of an A/B run were made
NULL_CALLS = 6  # a process of the null makes as many calls at least: its first is left out, and five give a median
_TURN = 10_000  # processes of a null are fewer
LOADED_PER_FILE = 1.6  # a loaded model with its activations takes about this many times its weight files (bf16 to bf16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The calls of one model that are still to be made, by round."""

    card: Card
    rounds: tuple[tuple[Call, ...], ...]
    planned: int
    done: int

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(itertools.chain.from_iterable(self.rounds))


def pending(run: RunFolder, card: Card, rounds: Sequence[Sequence[Call]]) -> Work:
    """What is left of the calls: those without a finished image. A failed request is made again: it was never measured."""
    made = {key for key, generation in run.generations().items() if generation.image}
    left = tuple(tuple(call for call in calls if any(request.key not in made for request in call.requests)) for calls in rounds)
    planned, waiting = (sum(len(call.requests) for calls in some for call in calls) for some in (rounds, left))
    return Work(card=card, rounds=left, planned=planned, done=planned - waiting)


Look = Callable[[int, Callable[[], None]], Callable[[str, Call], bool]]
"""(round, from 1; what waits until all that was made is on disk) -> (model, call) -> whether a call of a later round is still asked for.

Called when every model has made that round.
"""
After = Callable[[Mapping[str, Host]], None]
"""Called with the hosts that are still loaded, by model, when their calls are done."""


def no_look(_number: int, _flush: Callable[[], None]) -> Callable[[str, Call], bool]:
    """Everything is asked for."""
    return lambda _model, _call: True


def generate(run: RunFolder, works: Sequence[Work], progress: Progress, *, after: After, look: Look = no_look, seat: Seat | None = None) -> None:
    """Make the calls of one model, or of two arms in turn when both fit into memory together.

    How two arms are made is journalled before it begins, so that a run that is cut off still says it. Arms that are made one after
    the other are only looked at in the end, since until then the first has nothing to be compared with.
    """
    both = [work for work in works if work.calls]
    seat = seat or Seat()
    together = len(both) == 2 and both_fit([work.card for work in both], seat.devices)
    if len(both) == 2:
        run.append({"event": TOGETHER if together else APART, "models": [work.card.id for work in both]})
    groups = [both] if together else [[work] for work in both]
    for group in groups:
        _generate_together(run, group, progress, after, seat, look=look if len(groups) == 1 else no_look)


def load_again(run: RunFolder, card: Card, progress: Progress, *, after: After, seat: Seat | None = None) -> None:
    """Load a model whose calls are all done, for what is to be asked of it `after` them."""
    _generate_together(run, [Work(card=card, rounds=(), planned=0, done=0)], progress, after, seat or Seat())


def measure_null(run: RunFolder, card: Card, calls: Sequence[Call], processes: int, progress: Progress, seat: Seat | None = None) -> None:
    """Repeat `calls` in fresh processes; every second one under a legal variation of the same thing (`hosts.variations`).

    A process makes them again in the same order until it has made NULL_CALLS, so that its pace is told from the noise of its calls.
    On given devices (--gpus) none of them runs on another one: another model may be measured there.
    """
    seat = seat or Seat()
    loaded, found = run.loaded().get(card.id), accelerators()
    devices = found["names"] if found else []
    variations = at_hand(card, loaded.accelerator if loaded else "cpu", devices, seat.visible or os.environ.get(VISIBLE))
    for number in range(1, processes + 1):
        variation = numbered(number, variations)
        repeats = tuple(_repeat(call, number, turn) for turn in range(null_turns(len(calls))) for call in calls)
        work = pending(run, card, [repeats])
        if work.calls:
            progress.note(f"{card.id}: measuring the null, process {number} of {processes}" + ("" if variation.plain else f", {variation.name}"))
            run.append({"event": "null", "model": card.id, "repeat": number, "threads": variation.threads, "variation": variation.name})
            _generate_together(run, [work], progress, lambda _: None, seat, variation=variation)


def null_turns(calls: int) -> int:
    """How often a process of the null makes its calls."""
    return max(1, -(-NULL_CALLS // calls)) if calls else 0


def again(request: Request, number: int, turn: int) -> Request:
    """The request as process `number` (from 1) of the null makes it in its turn `turn` (from 0)."""
    return replace(request, repeat=number + turn * _TURN)


def both_fit(cards: Sequence[Card], devices: Sequence[Device] = ()) -> bool:
    """Whether two models can be loaded side by side on the devices, judged by the size of their weight files; False where that is unknown."""
    sizes = [_weights_bytes(card) for card in cards]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and LOADED_PER_FILE * sum(known) < MEMORY_SHARE * _free_bytes(devices)


def interleave(calls: Mapping[str, Sequence[Call]], turn: int = 0) -> Iterator[tuple[str, Call]]:
    """The calls of all arms, by model, in turn; the arm that goes first changes with every request. turn: requests before these."""
    arms = list(calls)
    for number in range(max(map(len, calls.values()), default=0)):
        order = arms if (turn + number) % 2 == 0 else list(reversed(arms))
        yield from ((model, calls[model][number]) for model in order if number < len(calls[model]))


def _repeat(call: Call, number: int, turn: int) -> Call:
    return Call(requests=tuple(again(request, number, turn) for request in call.requests))


def _generate_together(
    run: RunFolder, works: Sequence[Work], progress: Progress, after: After, seat: Seat, *, look: Look = no_look, variation: Variation | None = None
) -> None:
    # The writer is left last: when a run is interrupted, no model goes on while what it made is written.
    with Writer(lambda made: record(run, made)) as writer, ReadAhead(seat.following) as ahead, ExitStack() as stack:
        hosts: dict[str, Host] = {}
        where: list[str] = []
        for work in works:
            progress.loading(work.card.id)
            started = _started(run, stack, work, variation, seat, progress)
            if started:
                hosts[work.card.id] = started[0]
                where.append(started[1].accelerator)
            progress.begin(work.card.id, work.planned, work.done)
        writer.beside = bool(hosts) and not any(one.startswith("cpu") for one in where)
        if writer.beside:
            ahead.begin()
        ready = [work for work in works if work.card.id in hosts]
        _make_rounds(hosts, ready, _Making(progress=progress, writer=writer, seat=seat), look)
        writer.flush()
        after(hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """What calls are made with."""

    progress: Progress
    writer: Writer
    seat: Seat


def _make_rounds(hosts: Mapping[str, Host], works: Sequence[Work], making: _Making, look: Look) -> None:
    """Round by round, with a look after each, also after those that an earlier session made."""
    wanted, turn = no_look(0, making.writer.flush), 0
    for number in range(1, max((len(work.rounds) for work in works), default=0) + 1):
        calls = {
            work.card.id: [call for call in work.rounds[number - 1] if wanted(work.card.id, call)] for work in works if number <= len(work.rounds)
        }
        _make(hosts, interleave(calls, turn), making)
        turn += max(map(len, calls.values()), default=0)
        wanted = look(number, making.writer.flush)


def _started(run: RunFolder, stack: ExitStack, work: Work, variation: Variation | None, seat: Seat, progress: Progress) -> tuple[Host, Loaded] | None:
    """The host of a model and what it said, or None where it cannot be loaded. `variation` is given for a process of the null, whose loading is not the run's."""
    how = variation or PLAIN
    environment = {**how.environment, **seat.environment, **({RUN_FOLDER: str(run.path.resolve())} if work.card.parts.workflow else {})}
    more: dict[str, Any] = {"numerics": how.numerics, "environment": environment} if how.numerics or environment else {}
    host = Host(work.card, threads=how.threads, **more)
    stack.callback(_warn, run, work.card.id, host, progress)  # before the host is entered, so that it is called when that is closed
    stack.enter_context(host)
    stack.enter_context(seat.taken(host))
    seat.check()
    try:
        loaded = host.start()
    except (HostFailed, UserError) as error:
        seat.check()
        # Also what the user can mend is this model's alone: it is said once, in the verdicts of its cells, and other models go on.
        failure = error.failure if isinstance(error, HostFailed) else Failure(kind="exception", message=str(error), stage="loading")
        run.append({"event": "load-failed", "model": work.card.id, "kind": failure.kind, "message": failure.message})
        for call in work.calls:
            record(run, [(_failed(call, index, failure), None) for index in range(len(call.requests))])
        return None
    if variation is None:
        run.add_loaded(loaded)
    return host, loaded


def _warn(run: RunFolder, model: str, host: Host, progress: Progress) -> None:
    """Journal what a host that is closed warns of, and say it at once."""
    for text in host.warnings:
        run.append({"event": "warning", "model": model, "text": text})
        progress.note(f"{model}: {text}")


def _make(hosts: Mapping[str, Host], calls: Iterable[tuple[str, Call]], making: _Making) -> None:
    for model, call in calls:
        begun = time.perf_counter()
        made = hosts[model].make(call)
        if any(pixels is None for _, pixels in made):
            making.seat.check()
        making.writer.put(made)
        making.progress.made(model, len(call.requests), time.perf_counter() - begun)
        making.seat.check()


def record(run: RunFolder, results: Sequence[tuple[Generation, Pixels | None]]) -> None:
    """Write images, then their journal lines: a line in the journal means that its image is safely there."""
    for generation, pixels in results:
        sha = None if pixels is None else run.save_image(pixels)
        run.add_generation(replace(generation, image=sha))


def _failed(call: Call, index: int, failure: Failure) -> Generation:
    request = call.requests[index]
    return Generation(
        request=request.key,
        image=None,
        width=request.width,
        height=request.height,
        mode="RGB",
        call=call.key,
        images_in_call=len(call.requests),
        number=0,
        first_call=True,
        times=None,
        memory=None,
        forwards=None,
        failure=failure,
    )


def _weights_bytes(card: Card) -> int | None:
    """Bytes of everything that loading a card reads, or draws; None where that is not here, so that nothing says how large it is."""
    if TABLE[card.engine].weightless:
        return 0
    return drawn_bytes(card) if card.dry else sum(file.stat().st_size for file in weight_files(card)) or None


def _free_bytes(devices: Sequence[Device] = ()) -> int:
    """What is free on the devices, else on the first visible one; where there is none, what counts is the memory of the machine."""
    import psutil

    found = free_bytes(devices)
    return int(psutil.virtual_memory().available) if found is None else found
