"""A calibration in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from swapgate.gates.calibration import Mode
from swapgate.gates.compose import mib, plural, seconds
from swapgate.report.columns import columns
from swapgate.suite.calibration import Alignment, Calibrated, Calibration, Pictures, Time

_SHOWN = 6  # values of the null that are written out, the least alike first


def lines(made: Calibrated) -> list[str]:
    """Every model's null, times, memory and alignment, its warnings, and the next command."""
    return [*(line for one in made.models for line in (*_model(one), "")), f"run: {made.run}", f"report: {made.page}", f"next: {made.next}"]


def _model(one: Calibration) -> Iterator[str]:
    yield f"== {one.model} on {one.accelerator or 'nothing: it was not loaded'}"
    yield _null(one)
    for pictures in one.pictures:
        yield f"  {_pictures(pictures)}"
    if one.times:
        yield "time"
        header = ("", "calls", "median", "spread of calls", "neighbours", "between processes", "smallest slowdown found", "unchanged passes")
        yield from (f"  {row}" for row in columns([header, *map(_time, one.times)]))
        if one.times[0].passes is False:
            yield "  an unchanged run would not pass on time: more processes narrow this (--processes=16), and so does a quieter machine"
    yield from _memory(one)
    yield from _alignment(one.alignment)
    yield from (f"warning {found.line}" for found in one.warnings)


def _null(one: Calibration) -> str:
    if one.null is None:
        return "null: nothing was repeated, so nothing is known of how much this model differs from itself"
    ran = ", ".join(f"{n} x {name}" for name, n in one.variations)
    same = sum(drift.identical for drift in one.null.drifts)
    count = "1 more process" if one.null.processes == 1 else f"{one.null.processes} more processes"
    return f"null: {plural(len(one.null.drifts), 'repeated picture')} in {count} ({ran}); {same} equal pixel for pixel"


def _pictures(one: Pictures) -> str:
    shown = ", ".join(f"{value:.4g}" for value in one.values[:_SHOWN])
    rest = len(one.values) - _SHOWN
    more = f" and {rest} up to {one.values[-1]:.4g}" if rest > 0 else ""
    kinds = "one mode" if len(one.modes) == 1 else "modes " + " and ".join(map(_mode, one.modes))
    return f"{one.metric}: {shown}{more}; {kinds}; conformal limit {one.limit:.4g} (value {one.rank} of {len(one.values)})"


def _mode(one: Mode) -> str:
    return f"{one.middle:.4g} ({one.n}: {', '.join(f'{n} x {label}' for label, n in one.labels)})"


def _time(one: Time) -> tuple[str, ...]:
    apart = "not measured" if one.between is None else f"{100 * one.between.deviation:.2g} % ({one.between.processes} of them)"
    found = "-" if one.smallest is None else f"+{one.smallest:.3g} %" if one.smallest < 999.5 else f"+{one.smallest:.0f} %"
    passes = "-" if one.passes is None else "yes" if one.passes else "no"
    near = "-" if one.neighbours is None else f"{one.neighbours:.2f}"
    return one.name, str(one.calls), seconds(one.median), f"{100 * one.within:.2g} %", near, apart, found, passes


def _memory(one: Calibration) -> Iterator[str]:
    if one.peaks is not None:
        jitter = f"peaks of {one.peaks.processes} processes range over {one.peaks.range:.1f} MiB at the same calls"
        yield f"memory: peak {mib(one.peaks.peak)}; {jitter if one.peaks.processes > 1 else 'jitter between processes not measured'}"


def _alignment(one: Alignment) -> Iterator[str]:
    seeds = "not measured: one seed a prompt" if one.seeds is None else f"{one.seeds:.4f} from seed to seed"
    why = "one image a round" if one.images_per_round < 2 else "all images score alike" if one.seeds == 0 else "one round a prompt"
    rounds = f"not measured: {why}" if one.rounds is None else f"ICC(1) {one.rounds:.2f}"
    yield f"alignment: deviation {seeds} ({plural(one.images, 'first image')} of {plural(one.prompts, 'prompt')}); inside a round: {rounds}"
