"""A probe as a table: for a terminal, and as a Markdown page that states when, where and how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swapgate.engines.placements import ERROR, FITS, HOST_MEMORY, OUT_OF_MEMORY, Tried
from swapgate.suite.probe import Probe, Row, Subject, in_gib

COLUMNS = ("limit", "placement", "fits", "allocated", "reserved", "process", "host", "s/step", "s/image", "x floor", "why not")
_FITS = {FITS: "yes", OUT_OF_MEMORY: "no", HOST_MEMORY: "no", ERROR: "error"}
NOTHING = "-"


def lines(probe: Probe) -> Iterator[str]:
    """For a terminal: a card's answers, then its table, memory in GiB."""
    for subject in probe.subjects:
        yield from (_head(subject, probe), *answers(subject, probe), "")
        table = [COLUMNS, *(cells(row) for row in _of(subject, probe))]
        widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS) - 1)]
        for row in table:
            yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        yield ""
    yield from notes(probe)


def markdown(probe: Probe, command: str) -> Iterator[str]:
    """A page to be committed as it is."""
    yield from (f"# Which placements fit, {probe.date}", "", "```", command, "```", "")
    yield from (f"- {note}" for note in notes(probe))
    for subject in probe.subjects:
        yield from ("", f"## {_head(subject, probe)}", "", *(f"- {answer}" for answer in answers(subject, probe)), "")
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{' --- |' * len(COLUMNS)}"
        yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells(row))} |" for row in _of(subject, probe))


def answers(subject: Subject, probe: Probe) -> Iterator[str]:
    """A line a limit: whether the card fits, and how it is fastest."""
    for limit in probe.asked.limits:
        fitting = [row for row in probe.of(subject.card.id, limit) if row.fits]
        if not fitting:
            yield f"{in_gib(limit)}: {_without(probe.of(subject.card.id, limit))}"
            continue
        best = min(fitting, key=lambda row: row.tried.seconds or float("inf"))
        yield f"{in_gib(limit)}: fits in {len(fitting)} placements; the fastest is {best.placement}, {_figure(best.tried.seconds)} s an image"


def _without(rows: Sequence[Row]) -> str:
    """The answer where no placement fitted: no, or not known."""
    left = [row.placement for row in rows if row.tried.verdict not in (OUT_OF_MEMORY, HOST_MEMORY) and "either" not in row.tried.why]
    return f"not known: {', '.join(left)} could not be tried" if left else "does not fit in any placement"


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table."""
    tried = row.tried
    return (
        in_gib(row.limit),
        row.placement,
        _FITS.get(tried.verdict, "?"),
        *(NOTHING if mib is None else f"{mib / 1024:.2f}" for mib in (tried.allocated, tried.reserved, tried.process, tried.host)),
        _figure(tried.step),
        _figure(tried.seconds),
        _figure(row.ratio),
        _why(tried),
    )


def notes(probe: Probe) -> Iterator[str]:
    """What the figures are and what they were measured on."""
    prepared = probe.prepared
    if prepared:
        memory = f", {in_gib(prepared.total_mib)}" if prepared.total_mib else ""
        rate = f", {prepared.rate / 1e12:.4g} TFLOP/s in {prepared.dtype} products" if prepared.rate else ""
        yield f"Device: {prepared.device}{memory}{rate}. {', '.join(f'{name} {version}' for name, version in sorted(prepared.versions.items()))}."
        kept = "some hundred MiB" if prepared.reserve_mib is None else f"{prepared.reserve_mib:.0f} MiB here"
        yield (
            "A limit is hard: torch may have what it leaves beside the CUDA context and the libraries, and process stays within it. A real card "
            f"of that size has less by what its driver keeps ({kept})."
        )
    yield "Memory: peaks in GiB by torch (allocated, reserved), of the process on the device, and resident on the host."
    made = sorted({row.tried.made for row in probe.rows if row.fits})
    if made and any(row.tried.made < row.tried.steps for row in probe.rows if row.fits):
        counts = " or ".join(map(str, made))
        yield f"Seconds an image are reckoned from {counts} steps (text + steps x median step without the first + decode + what is moved); --full makes all."
    if any(subject.card.dry for subject in probe.subjects):
        yield "Dry weights: random, at full size; times and memory are those of the model."
    if any(row.floor for row in probe.rows):
        yield "The floor is the denoiser's counted FLOPs over that rate."
    yield from (f"{note[0].upper()}{note[1:]}." for note in probe.notes)
    yield f"Measured in {probe.seconds:.0f} s on {probe.date}."


def _head(subject: Subject, probe: Probe) -> str:
    steps = max((row.tried.steps for row in _of(subject, probe)), default=0)
    parts = [subject.card.id, f"{subject.card.weights} weights", f"{subject.request.width} x {subject.request.height}", f"{steps} steps"]
    rate = probe.prepared.rate if probe.prepared else None
    if subject.flops and rate:
        parts.append(f"{subject.flops / 1e12:.4g} TFLOP a step, floor {subject.flops * steps / rate:.3g} s an image")
    return ", ".join(parts)


def _of(subject: Subject, probe: Probe) -> Sequence[Row]:
    return [row for row in probe.rows if row.card == subject.card.id]


def _why(tried: Tried) -> str:
    if tried.verdict == FITS:
        return ""
    at = f" ({tried.stage})" if tried.stage else ""
    return f"{tried.verdict}{at}: {tried.why}" if tried.why else f"{tried.verdict}{at}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"
