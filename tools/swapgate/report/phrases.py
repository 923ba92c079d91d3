"""How every view writes things: the sign of a status, numbers as people read them, other people's text so that it steers nothing."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata

from swapgate.characters import steers
from swapgate.gates.verdict import POOLED, Finding, Status, Verdict
from swapgate.report.model import Report, WordingRow
from swapgate.report.words import Words, words

EN = words("en")
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
NOTHING = "—"
THIN = "\u202f"
MOST_MARKS = 4  # combining marks on one letter; Vietnamese and pointed Hebrew need two or three, a pile of dozens covers the lines around it
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_WORDING = frozenset({"change quantiles", "placebo", "wording spread", "negative control"})
MOST_WITNESSES = 6
_WHOLE = frozenset({"requests", "forwards", "images"})


def number(value: float | None, unit: str = "", *, signed: bool = False, words: Words = EN) -> str:
    """A number with its unit: three significant digits, one decimal for per cent and points, none for whole values.

    "ratio" is written ×1.06 and "share" as a per cent; None and non-finite values become a dash.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit == "share":
        return number(value * 100, "%", signed=signed, words=words)
    digits = _digits(value, unit)
    sign = "+" if signed and value > 0 and unit != "ratio" and digits != "0" else ""
    text = f"{sign}{digits}".replace("-", "−")
    if unit == "ratio":
        return f"×{text}"
    return f"{text}{THIN}{words.name('unit', unit)}" if unit else text


def _digits(value: float, unit: str) -> str:
    size = abs(value)
    tiny = size < 0.0005 and unit not in ("%", "points")  # of those nobody needs to know how far below a tenth they are
    if size and (tiny or size >= 1e9):
        return f"{value:.2e}"
    if size >= 99.95 or unit in _WHOLE:
        return f"{value:,.0f}".replace(",", THIN)
    places = 1 if size >= 9.995 or unit in ("%", "points") else 2 if size >= 0.9995 else 3
    text = f"{value:.{places}f}"
    return f"{float(text):.0f}".replace("-0", "0") if float(text) == round(float(text)) else text


def span(low: float | None, high: float | None, unit: str = "", *, words: Words = EN) -> str:
    """ "1.04 to 1.12 s": the unit is said once, signs on both ends; a dash where there is neither end."""
    if low is None and high is None:
        return NOTHING
    return words("number.span", low=bare(low, unit, words=words), high=number(high, unit, words=words))


def bare(value: float | None, unit: str, *, words: Words = EN) -> str:
    """A number without its unit, in the digits of that unit."""
    said = "" if unit == "ratio" else f"{THIN}{'%' if unit == 'share' else words.name('unit', unit)}" if unit else ""
    return number(value, unit, words=words).removesuffix(said)


def interval(finding: Finding, *, words: Words = EN) -> str:
    """The interval of a claim with its confidence; a dash where the claim has none."""
    at = f" ({number(finding.confidence * 100)}{THIN}%)" if finding.confidence and finding.low is not None else ""
    return f"{span(finding.low, finding.high, finding.unit, words=words)}{at}"


def fresh(row: WordingRow, *, words: Words = EN) -> str:
    """How a witness went on fresh seeds, the only estimate of how often it breaks: "breaks 5 of 5 fresh seeds (48 to 100 %)"."""
    if not row.tried:
        return words("wording.none_fresh")
    return words("wording.fresh", broke=row.broke, tried=row.tried, share=span(row.low, row.high, "share", words=words))


def wording_lines(report: Report) -> list[str]:
    """Of each model's rewordings together what is told beside the verdict, article's claim and controls with it; then its witnesses."""
    lines = [
        f"{verdict.model}: {tidy(one.reason)}"
        for verdict in report.verdicts
        if verdict.gate == "stability" and verdict.task == POOLED
        for one in verdict.findings
        if one.name in _WORDING
    ]
    for row in sorted((row for row in report.wording if row.smallest), key=lambda row: row.accident)[:MOST_WITNESSES]:
        what = "broke an earlier version" if row.kept else "broke one picture alone" if row.accident else "the smallest edit that breaks it"
        lines.append(f"{row.model}/{row.task}/{row.language}: {shown(row.edits)} ({what}) {fresh(row)}")
    return lines


def effect(finding: Finding, *, words: Words = EN) -> str:
    """The effect with its unit, signed where it is a change of something."""
    return number(finding.effect, finding.unit, signed=finding.baseline is not None or finding.unit == "points", words=words)


def side(value: float | None, unit: str, gate: str, *, words: Words = EN) -> str:
    """A value of one side. A change in points is one of percentages, and a relative change of latency one of seconds."""
    if gate == "latency" and unit == "%":
        return number(value, "s", words=words)
    return number(value, "%" if unit == "points" else unit, words=words)


def task_name(task: str, *, words: Words = EN) -> str:
    """How a task is named in a table; the pool of all tasks is said to be one."""
    return words("cell.pooled") if task == POOLED else task


def said(verdict: Verdict, *, words: Words) -> str:
    """What the deciding claim's figures say, in the language of `words`; "" without a figure. The gate's own sentence says more, in English."""
    one = verdict.finding
    if one is None or (one.effect is None and one.candidate is None):
        return ""
    comma = words("answer.comma")
    parts = [words(f"said.{verdict.status}", claim=words.name("claim", one.name))]
    if one.baseline is not None and one.candidate is not None:
        both = {
            "baseline": side(one.baseline, one.unit, verdict.gate, words=words),
            "candidate": side(one.candidate, one.unit, verdict.gate, words=words),
        }
        parts.append(words("said.both", **both))
    if one.effect is not None:
        parts.append(words("said.effect", effect=effect(one, words=words)))
    if one.low is not None and one.high is not None:
        parts.append(words("said.interval", interval=interval(one, words=words)))
    if one.limit is not None:
        parts.append(words("chart.limit", limit=number(one.limit, one.unit, words=words)))
    return comma.join([*parts, f"n = {one.n}"])


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
