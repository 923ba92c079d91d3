"""The words of every view: the answer in one line, the sign and meaning of a status, numbers as people read them."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from swapgate.characters import steers
from swapgate.gates.verdict import DECIDED, POOLED, RED, WORST_FIRST, Finding, Status
from swapgate.report.model import Report, WordingRow

Tone = Literal["no", "yes", "changed", "open"]
GLYPHS = {
    Status.ERROR: "!",
    Status.REGRESSION: "✕",
    Status.INCONCLUSIVE: "?",
    Status.INCOMPARABLE: "≠",
    Status.NEW: "+",
    Status.CHANGED: "~",
    Status.IMPROVED: "↑",
    Status.PASS: "✓",
    Status.NOT_APPLICABLE: "·",
}
MEANINGS = {
    Status.ERROR: "could not be measured, or is broken beyond statistics",
    Status.REGRESSION: "shown worse than the limit allows",
    Status.INCONCLUSIVE: "measured, but not enough to decide",
    Status.INCOMPARABLE: "other hardware or recipe than the baseline",
    Status.NEW: "no baseline yet",
    Status.CHANGED: "other pictures, not shown worse",
    Status.IMPROVED: "shown better",
    Status.PASS: "shown to be within the limit",
    Status.NOT_APPLICABLE: "not a question for this model",
}
QUESTIONS = {
    "latency": "Is it slower?",
    "memory": "Is it larger?",
    "usability": "Is it less usable?",
    "drift": "Is it different?",
    "stability": "Does wording upset it?",
}
NOTHING = "—"
THIN = "\u202f"
MOST_MARKS = 4  # combining marks on one letter; Vietnamese and pointed Hebrew need two or three, a pile of dozens covers the lines around it
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_COUNTED = {
    Status.ERROR: "could not be measured",
    Status.REGRESSION: "regressed",
    Status.INCONCLUSIVE: "inconclusive",
    Status.INCOMPARABLE: "incomparable",
    Status.NEW: "without a baseline",
    Status.CHANGED: "changed",
    Status.IMPROVED: "improved",
    Status.PASS: "passed",
    Status.NOT_APPLICABLE: "not applicable",
}


_WORSE = {
    "latency": "slower",
    "memory": "larger",
    "usability": "less usable",
    "drift": "further off in its pictures",
    "stability": "more easily upset by wording",
}
_COST = {"latency": "time", "memory": "memory"}
_WORDING = frozenset({"change quantiles", "placebo", "wording spread", "negative control"})
MOST_WITNESSES = 6
_WHOLE = frozenset({"requests", "forwards", "images"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The answer to "may I upgrade?": tone, the answer itself, and why in one clause."""

    tone: Tone
    answer: str
    why: str

    def __str__(self) -> str:
        return f"{self.answer}: {self.why}"


def headline(report: Report) -> Headline:
    """May I upgrade? A regression or an error says no; anything undecided keeps "safe" from being said.

    A run that is red without a red verdict (nothing measured, strict, a dead gate) is not decided, for its own reason.
    """
    verb = "upgrade" if report.against == "baseline" else f"replace {report.against}"
    statuses = [verdict.status for verdict in report.verdicts if verdict.applies]
    if any(status in RED for status in statuses):
        return Headline(tone="no", answer=f"Do not {verb}", why=_worse(report))
    undecided = [status for status in statuses if status not in DECIDED]
    unmeasured = report.planned.cells - report.measured.cells
    if report.outcome.red or undecided or not statuses or unmeasured > 0:
        return Headline(tone="open", answer="Not decided", why=_open_reason(report, statuses, unmeasured))
    if Status.CHANGED in statuses:
        return Headline(tone="changed", answer="Changed, not shown worse", why=_tally(statuses, {Status.CHANGED}, len(statuses)))
    beside = len(report.verdicts) - len(statuses)
    if beside:
        return Headline(tone="open", answer="Time and memory hold", why=f"{_all(len(statuses))} held; {_cells(beside)} of quality not applicable")
    better = statuses.count(Status.IMPROVED)
    gained = f", {better} of them better" if better else ""
    return Headline(tone="yes", answer=f"Safe to {verb}", why=f"{_all(len(statuses))} held{gained}{_ceilings_only(report)}")


def _ceilings_only(report: Report) -> str:
    """What "safe" leaves out: no cost was compared with an accepted one, only with the card's ceilings; "" where one was."""
    cost = [verdict for verdict in report.verdicts if verdict.gate in _COST]
    if not cost or not all(any(one.name == "comparison" and not one.decides for one in verdict.findings) for verdict in cost):
        return ""
    named = [word for gate, word in _COST.items() if any(verdict.gate == gate for verdict in cost)]
    return f" ({' and '.join(named)} by {'its' if len(named) == 1 else 'their'} ceilings only)"


def _open_reason(report: Report, statuses: Sequence[Status], unmeasured: int) -> str:
    if not statuses:
        return report.outcome.reason or "nothing was measured"
    open_statuses = {status for status in WORST_FIRST if status not in DECIDED} - {Status.NOT_APPLICABLE}
    parts = []
    if any(status in open_statuses for status in statuses):
        parts.append(_tally(statuses, open_statuses, len(statuses)))
    if unmeasured > 0:
        parts.append(f"{_cells(unmeasured)} planned but not measured")
    if not parts:
        return report.outcome.reason
    return "; ".join([*parts, "nothing regressed"])


def _tally(statuses: Sequence[Status], wanted: Collection[Status], total: int) -> str:
    """ "2 of 14 cells regressed, 1 could not be measured": the first part names the whole."""
    order = (Status.REGRESSION, *WORST_FIRST)  # what got worse comes before what is not known
    found = [(n, _COUNTED[status]) for status in dict.fromkeys(order) if status in wanted and (n := statuses.count(status))]
    (first, said), *rest = found
    lead = f"{first} of {_cells(total)} {said}" if first < total else f"{_all(total)} {said}"
    return ", ".join([lead, *(f"{n} {word}" for n, word in rest)])


def _worse(report: Report) -> str:
    """ "slower and less usable (…)": what regressed in a reader's words, with the count in brackets."""
    tally = _tally([verdict.status for verdict in report.verdicts], RED, len(report.verdicts))
    gates = dict.fromkeys(verdict.gate for verdict in report.verdicts if verdict.status is Status.REGRESSION)
    words = [_WORSE.get(gate, f"worse in {gate}") for gate in sorted(gates, key=lambda gate: list(_WORSE).index(gate) if gate in _WORSE else 9)]
    if not words:
        return tally
    return f"{' and '.join([', '.join(words[:-1]), words[-1]] if len(words) > 1 else words)} ({tally})"


def _cells(n: int) -> str:
    return f"{n} cell{'' if n == 1 else 's'}"


def _all(n: int) -> str:
    return "the only cell" if n == 1 else f"all {_cells(n)}"


def counts_line(report: Report) -> str:
    """ "2 REGRESSION · 1 INCONCLUSIVE · 12 PASS", worst first; "no verdicts" when there are none."""
    return " · ".join(f"{n} {status}" for status, n in report.counts.items()) or "no verdicts"


def measured_line(report: Report) -> str:
    """Cells measured and decided, and images made, each of what was planned."""
    done, asked = report.measured, report.planned
    line = f"{done.cells} of {asked.cells} cells measured, {done.decided} decided; {done.images} of {asked.images} images"
    if done.images < asked.images and done.seconds is not None and asked.seconds is not None:
        line += f", {done.seconds:.0f} s of about {asked.seconds:.0f} s that the whole plan takes"
    return line


def number(value: float | None, unit: str = "", *, signed: bool = False) -> str:
    """A number with its unit: three significant digits, one decimal for per cent and points, none for whole values.

    "ratio" is written ×1.06 and "share" as a per cent; None and non-finite values become a dash.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit == "share":
        return number(value * 100, "%", signed=signed)
    digits = _digits(value, unit)
    sign = "+" if signed and value > 0 and unit != "ratio" else ""
    text = f"{sign}{digits}".replace("-", "−")
    if unit == "ratio":
        return f"×{text}"
    return f"{text}{THIN}{unit}" if unit else text


def _digits(value: float, unit: str) -> str:
    size = abs(value)
    if size and (size < 0.0005 or size >= 1e9):
        return f"{value:.2e}"
    if size >= 99.95 or unit in _WHOLE:
        return f"{value:,.0f}".replace(",", THIN)
    places = 1 if size >= 9.995 or unit in ("%", "points") else 2 if size >= 0.9995 else 3
    text = f"{value:.{places}f}"
    return f"{float(text):.0f}".replace("-0", "0") if float(text) == round(float(text)) else text


def span(low: float | None, high: float | None, unit: str = "") -> str:
    """ "1.04 to 1.12 s": the unit is said once, signs on both ends; a dash where there is neither end."""
    if low is None and high is None:
        return NOTHING
    bare = "" if unit == "ratio" else f"{THIN}{'%' if unit == 'share' else unit}" if unit else ""
    return f"{number(low, unit).removesuffix(bare)} to {number(high, unit)}"


def interval(finding: Finding) -> str:
    """The interval of a claim with its confidence; a dash where the claim has none."""
    at = f" ({number(finding.confidence * 100)}{THIN}%)" if finding.confidence and finding.low is not None else ""
    return f"{span(finding.low, finding.high, finding.unit)}{at}"


def fresh(row: WordingRow) -> str:
    """How a witness went on fresh seeds, the only estimate of how often it breaks: "breaks 5 of 5 fresh seeds (48 to 100 %)"."""
    if not row.tried:
        return "no fresh seed gave a usable picture of the prompt as written"
    return f"breaks {row.broke} of {row.tried} fresh seeds ({span(row.low, row.high, 'share')})"


def wording_lines(report: Report) -> list[str]:
    """Of each model's rewordings together what is told beside the verdict, article's claim and controls with it; then its witnesses."""
    lines = [
        f"{verdict.model}: {tidy(one.reason)}"
        for verdict in report.verdicts
        if verdict.gate == "stability" and verdict.task == POOLED
        for one in verdict.findings
        if one.name in _WORDING
    ]
    for row in [row for row in report.wording if row.smallest][:MOST_WITNESSES]:
        what = "broke an earlier version" if row.kept else "the smallest edit that breaks it"
        lines.append(f"{row.model}/{row.task}/{row.language}: {shown(row.edits)} ({what}) {fresh(row)}")
    return lines


def effect(finding: Finding) -> str:
    """The effect with its unit, signed where it is a change of something."""
    return number(finding.effect, finding.unit, signed=finding.baseline is not None or finding.unit == "points")


def side(value: float | None, unit: str, gate: str) -> str:
    """A value of one side. A change in points is one of percentages, and a relative change of latency one of seconds."""
    if gate == "latency" and unit == "%":
        return number(value, "s")
    return number(value, "%" if unit == "points" else unit)


def task_name(task: str) -> str:
    """How a task is named in a table; the pool of all tasks is said to be one."""
    return "all tasks, pooled" if task == POOLED else task


def anchor(*parts: str) -> str:
    """A fragment identifier such as cell-latency-qwen-cat; names that need replacing get a hash so that none collide."""
    plain = "-".join(parts)
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", plain)
    return safe if safe == plain else f"{safe}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:6]}"


def tidy(text: str) -> str:
    """One line without control or direction-changing characters: prompts and messages are other people's text."""
    return " ".join("".join(" " if char.isspace() else char for char in text if char.isspace() or not steers(char)).split())


def shown(text: str) -> str:
    """A prompt in one line, with all its characters: those that are not seen or steer what is seen are written as escapes.

    So are spaces that look like the common one, a combining mark with nothing before it, and those of a pile of them.
    """
    found: list[str] = []
    pile = MOST_MARKS  # marks on the last letter; none may stand at the beginning, where they would join what is before the text
    for char in text:
        kind = unicodedata.category(char)
        pile = pile + 1 if kind in ("Mn", "Me") else 0
        hidden = steers(char) or (kind == "Zs" and char not in " \u3000") or pile > MOST_MARKS
        found.append(_SHORT.get(char) or _escaped(char) if hidden else char)
    return "".join(found)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def needs_a_look(status: Status) -> bool:
    """Whether a reader must act on it: everything that is neither PASS nor IMPROVED, nor beside the question."""
    return status not in (Status.PASS, Status.IMPROVED, Status.NOT_APPLICABLE)
