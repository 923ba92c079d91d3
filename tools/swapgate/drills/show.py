"""The matrix for readers: lines for a terminal, matrix.json, and matrix.html, a page that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from swapgate.canonical import dumps, rounded, write_atomic
from swapgate.drills.early import lines as early_lines
from swapgate.drills.jobs import DOSES
from swapgate.drills.kinds import Dose
from swapgate.drills.matrix import ALL, Entry, Mark, Matrix, Power, Row
from swapgate.drills.unchanged import Rate, Unchanged
from swapgate.gates.verdict import GATES
from swapgate.report.columns import columns
from swapgate.report.html import environment, stylesheet
from swapgate.report.phrases import tidy

JSON, HTML = "matrix.json", "matrix.html"
TONES = {
    Mark.CAUGHT: "IMPROVED", Mark.MISSED: "REGRESSION", Mark.UNEXPECTED: "ERROR", Mark.QUIET: "PASS", Mark.UNDECIDED: "INCONCLUSIVE", Mark.ALSO: "CHANGED",
    Mark.OPEN: "none", Mark.ERROR: "ERROR",
}  # fmt: skip
GLYPHS = {
    Mark.CAUGHT: "✓",
    Mark.MISSED: "✕",
    Mark.UNEXPECTED: "!",
    Mark.QUIET: "·",
    Mark.UNDECIDED: "?",
    Mark.ALSO: "~",
    Mark.OPEN: "·",
    Mark.ERROR: "!",
}
MEANINGS = {
    Mark.CAUGHT: "had to fire, and did",
    Mark.MISSED: "had to fire, and did not",
    Mark.UNEXPECTED: "had to stay quiet, and fired",
    Mark.QUIET: "had to stay quiet, and did",
    Mark.UNDECIDED: "had to stay quiet and did not fire, but could not decide: no proof of specificity",
    Mark.ALSO: "fired; the drill asks nothing of it",
    Mark.OPEN: "did not fire; the drill asks nothing of it",
    Mark.ERROR: "no run of the drill proves anything",
}
LONGEST_REASON = 300
MOST_ALARMS = 10


def write(matrix: Matrix, out: Path) -> Path:
    """Write matrix.json and matrix.html into `out`; gives the page."""
    # A message of another package can hold half a character, which UTF-8 has no bytes for.
    for name, text in ((JSON, dumps(rounded(matrix.as_json()), indent=1) + "\n"), (HTML, page(matrix))):
        write_atomic(out / name, text.encode("utf-8", "replace"))
    return out / HTML


def page(matrix: Matrix) -> str:
    """The page as text: every text is escaped, and its policy forbids scripts, pictures and other style sheets."""
    style, style_hash = stylesheet()
    template = environment().get_template("drill.html.j2")
    return template.render(
        matrix=matrix, gates=GATES, answer=answer(matrix), tones=TONES, glyphs=GLYPHS, meanings=MEANINGS, marks=Mark, rate=rate, asked=asked,
        unlikely=unlikely(matrix), unsure=unsure(matrix), skipped=grouped(matrix), chance=chance, power=power_table(matrix), caught=caught, share=share_note(matrix), early=early_note(matrix), style=style, style_hash=style_hash,
    )  # fmt: skip


def lines(matrix: Matrix, page_path: Path) -> list[str]:
    """The matrix as a table of plain text, then what to look at with its reasons; the last line is the page."""
    head = ("drill", "dose", *GATES)
    table = (
        columns([head, *((tidy(row.drill), row.dose if row.spec else "-", *(_cell(entry) for entry in row.entries)) for row in matrix.rows)])
        if matrix.rows
        else []
    )
    found = [*table, *([""] if table else []), *_look(matrix.rows)]
    found += [f"not applicable: {tidy(', '.join(drills))}: {tidy(reason)}" for reason, drills in grouped(matrix)]
    if unsure(matrix):
        found.append(f"note: {unsure(matrix)}")
    if unlikely(matrix):
        found.append(f"note: {unlikely(matrix)}")
    found += [f"proved: {tidy(row.id)}: {tidy(row.proof)}" for row in matrix.rows if row.proof and row.spec]
    found += [f"power, {dose}: {', '.join(f'{one.gate} {caught(one)}' for one in row if one)}" for dose, row in power_table(matrix)]
    found += unchanged_lines(matrix.unchanged) if matrix.unchanged else []
    found += early_note(matrix)
    if share_note(matrix):
        found.append(f"note: {share_note(matrix)}")
    return [*found, f"swapgate drill: {answer(matrix)}", f"matrix: {page_path.resolve().as_uri()}"]


def early_note(matrix: Matrix) -> list[str]:
    """What stopping early would have saved, and which runs tell nothing of it."""
    return [*early_lines(matrix.early), *(f"not looked at on the way: {tidy(line)}" for line in matrix.unrehearsed)]


def answer(matrix: Matrix) -> str:
    """The whole matrix in one sentence."""
    if not matrix.rows:
        return "nothing was drilled: no drill applies"
    bad = [
        f"{', '.join(matrix.dead)} DEAD: no drill trips {'them' if len(matrix.dead) > 1 else 'it'}" if matrix.dead else "",
        *(f"{n} {name}" for n, name in ((matrix.count(Mark.MISSED), "MISSED"), (matrix.count(Mark.UNEXPECTED), "UNEXPECTED"), (matrix.errors, "ERROR")) if n),
    ]  # fmt: skip
    good = f"{matrix.count(Mark.CAUGHT)} caught, {matrix.count(Mark.QUIET)} quiet as they must be"
    if matrix.count(Mark.UNDECIDED):
        good += f", {matrix.count(Mark.UNDECIDED)} quiet but undecided"
    tripped = f"tripped: {', '.join(matrix.tripped) or 'no gate'}"
    if matrix.untripped and not matrix.dead:
        tripped += f", of the drills that were chosen none tripped {', '.join(matrix.untripped)}"
    return "; ".join(part for part in (*bad, good, tripped) if part)


def unlikely(matrix: Matrix) -> str:
    """How far chance alone explains gates that fired unasked, "" where none did."""
    runs = sum(len(row.runs) - len(row.errors) for row in matrix.rows)
    if not matrix.count(Mark.UNEXPECTED):
        return ""
    return (
        f"a run is red by chance with a probability of at most {matrix.false_alarms:.3g}, so {runs} runs hold about {runs * matrix.false_alarms:.2g} "
        "such alarms; a busy machine makes more of latency and memory"
    )


def unsure(matrix: Matrix) -> str:
    """How many faults were missed for want of samples, "" where none was."""
    n = sum(entry.unsure for row in matrix.rows for entry in row.entries)
    return (
        f"{n} of {matrix.count(Mark.MISSED)} missed for want of samples: the gate is INCONCLUSIVE there, and more tasks or seeds let it decide"
        if n
        else ""
    )


def rate(entry: Entry) -> str:
    """`3/4 red, 19-99 %`: hits, samples and the exact 95 % interval."""
    if entry.low is None or entry.high is None:
        return ""
    return f"{entry.hits}/{entry.n} red, {100 * entry.low:.0f}–{100 * entry.high:.0f} %"


def asked(entry: Entry) -> str:
    """What the drill asks of the gate, in words."""
    return {"fires": "must fire", "quiet": "must stay quiet", "either": "nothing is asked"}[entry.expected]


def chance(found: Rate) -> str:
    """`0 of 100, at most 5.16 % (99 %)`: the upper end of the exact 99 % interval, and the lower one where a run was red."""
    if not found.n:
        return "0 of 0: nothing is known"
    least = f"at least {100 * found.low:.3g} % and " if found.red else ""
    return f"{found.red} of {found.n}, {least}at most {100 * found.high:.3g} % (99 %)"


def unchanged_lines(found: Unchanged) -> list[str]:
    """How often runs with nothing planted were red, by gate, and which."""
    gates = ", ".join(f"{one.gate} {one.rate.red}" + (f" (undecided in {one.undecided})" if one.undecided else "") for one in found.gates)
    lines = [f"unchanged runs red: {chance(found.anywhere)}; by gate: {gates}; different sets of pictures: {found.different}"]
    lines += [f"  red: {tidy(alarm.run)}: {tidy(', '.join(alarm.cells))}" for alarm in found.alarms[:MOST_ALARMS]]
    if len(found.alarms) > MOST_ALARMS:
        lines.append(f"  and {len(found.alarms) - MOST_ALARMS} more, in {JSON}")
    return [*lines, *(f"  not counted: {_short(line)}" for line in found.failed)]


def power_table(matrix: Matrix) -> list[tuple[Dose, list[Power | None]]]:
    """Doses, each with its power for every gate and for all of them; None where no drill asks the gate to fire."""
    found = {(one.dose, one.gate): one for one in matrix.power}
    return [(dose, [found.get((dose, gate)) for gate in (*GATES, ALL)]) for dose in DOSES if (dose, ALL) in found]


def caught(one: Power) -> str:
    """`40/42, 84–99 %`: alarms, samples and the exact 95 % interval."""
    return f"{one.hits}/{one.n}, {100 * one.low:.0f}–{100 * one.high:.0f} %"


def share_note(matrix: Matrix) -> str:
    """What a share of the runs lacks; "" for all of them."""
    k, n = matrix.share
    if n == 1:
        return ""
    return f"share {k} of {n}: copy the runs of all shares into one folder and give the same command without --shard to see the whole"


def grouped(matrix: Matrix) -> list[tuple[str, list[str]]]:
    """Reasons why drills do not apply, each with its drills."""
    found: dict[str, list[str]] = {}
    for one in matrix.skipped:
        found.setdefault(one.reason, []).append(one.drill)
    return list(found.items())


def _cell(entry: Entry) -> str:
    word = entry.mark.value if entry.mark in (Mark.MISSED, Mark.UNEXPECTED, Mark.ERROR) else entry.mark.value.lower()
    if entry.mark in (Mark.QUIET, Mark.OPEN):
        return "quiet" if entry.mark is Mark.QUIET else "-"
    if entry.mark is Mark.UNDECIDED:
        return "undecided"
    several = f", {100 * entry.low:.0f}–{100 * entry.high:.0f} %" if entry.n > 1 and entry.low is not None and entry.high is not None else ""
    return f"{word} {entry.hits}/{entry.n}{several}" if entry.n else word


def _look(rows: Iterable[Row]) -> list[str]:
    found = []
    for row in rows:
        found += [f"ERROR {tidy(row.id)}, {_short(error)}" for error in row.errors]
        found += [
            f"{entry.mark.value} {tidy(row.id)}: {entry.gate} {rate(entry)}; {tidy(entry.status)}: {_short(entry.reason)}"
            for entry in row.entries
            if entry.mark in (Mark.MISSED, Mark.UNEXPECTED)
        ]
        found += [f"undecided {tidy(row.id)}: {entry.gate}: {_short(entry.reason)}" for entry in row.entries if entry.mark is Mark.UNDECIDED]
    return found


def _short(text: str) -> str:
    line = tidy(text)
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"
