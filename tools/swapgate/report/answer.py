"""The answer in one line: may I upgrade, and if not, what broke, by how much and where. The same words in every view."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from swapgate.gates.verdict import DECIDED, GATES, POOLED, RED, WORST_FIRST, Finding, Status
from swapgate.report import phrases
from swapgate.report.model import Report
from swapgate.report.phrases import EN
from swapgate.report.words import Words

Tone = Literal["no", "yes", "changed", "open"]
MOST_FIGURES = 2  # gates whose figures stand in the answer; the others are named
_COST = ("latency", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The answer to "may I upgrade?": tone, the answer itself, and why in one clause. foreign: the clause is English, whatever the page's language."""

    tone: Tone
    answer: str
    why: str
    foreign: bool = False

    def __str__(self) -> str:
        return f"{self.answer}: {self.why}"


def headline(report: Report, words: Words = EN) -> Headline:
    """May I upgrade? A regression or an error says no; anything undecided keeps "safe" from being said.

    A run that is red without a red verdict (nothing measured, strict, a dead gate) is not decided, for its own reason.
    """
    swap = "" if report.against == "baseline" else "_swap"
    statuses = [verdict.status for verdict in report.verdicts if verdict.applies]
    if any(status in RED for status in statuses):
        return Headline(tone="no", answer=words(f"answer.no{swap}", model=report.against), why=_worse(report, words))
    undecided = [status for status in statuses if status not in DECIDED]
    unmeasured = report.planned.cells - report.measured.cells
    if report.outcome.red or undecided or not statuses or unmeasured > 0:
        return _open(report, statuses, unmeasured, words)
    if Status.CHANGED in statuses:
        return Headline(tone="changed", answer=words("answer.changed"), why=_tally(statuses, {Status.CHANGED}, len(statuses), words))
    beside = len(report.verdicts) - len(statuses)
    if beside:
        why = words("answer.hold_why", all=_all(len(statuses), words), cells=words("answer.cells", n=beside))
        return Headline(tone="open", answer=words("answer.hold"), why=why)
    better = statuses.count(Status.IMPROVED)
    gained = words("answer.gained", n=better) if better else ""
    why = words("answer.held", all=_all(len(statuses), words), gained=gained, ceilings=_ceilings_only(report, words))
    return Headline(tone="yes", answer=words(f"answer.yes{swap}", model=report.against), why=why)


def counts_line(report: Report) -> str:
    """ "2 REGRESSION · 1 INCONCLUSIVE · 12 PASS", worst first; "no verdicts" when there are none."""
    return " · ".join(f"{n} {status}" for status, n in report.counts.items()) or "no verdicts"


def measured_line(report: Report, words: Words = EN) -> str:
    """Cells measured and decided, and images made, each of what was planned."""
    done, asked = report.measured, report.planned
    line = words("answer.measured", cells=done.cells, planned=asked.cells, decided=done.decided, images=done.images, asked=asked.images)
    if done.images < asked.images and done.seconds is not None and asked.seconds is not None:
        line += words("answer.early", seconds=f"{done.seconds:.0f}", whole=f"{asked.seconds:.0f}")
    return line


def _ceilings_only(report: Report, words: Words) -> str:
    """What "safe" leaves out: no cost was compared with an accepted one, only with the card's ceilings; "" where one was."""
    cost = [verdict for verdict in report.verdicts if verdict.gate in _COST]
    if not cost or not all(any(one.name == "comparison" and not one.decides for one in verdict.findings) for verdict in cost):
        return ""
    named = [gate for gate in _COST if any(verdict.gate == gate for verdict in cost)]
    return words("answer.ceilings_both" if len(named) > 1 else f"answer.ceilings_{named[0]}")


def _open(report: Report, statuses: Sequence[Status], unmeasured: int, words: Words) -> Headline:
    said = words("answer.open")
    open_statuses = {status for status in WORST_FIRST if status not in DECIDED} - {Status.NOT_APPLICABLE}
    parts = []
    if any(status in open_statuses for status in statuses):
        parts.append(_tally(statuses, open_statuses, len(statuses), words))
    if statuses and unmeasured > 0:
        parts.append(words("answer.unmeasured", cells=words("answer.cells", n=unmeasured)))
    if not parts:
        reason = report.outcome.reason
        return Headline(tone="open", answer=said, why=reason or words("answer.nothing"), foreign=bool(reason))
    return Headline(tone="open", answer=said, why=words("answer.join").join([*parts, words("answer.none_worse")]))


def _tally(statuses: Sequence[Status], wanted: Collection[Status], total: int, words: Words) -> str:
    """ "2 of 14 cells regressed, 1 could not be measured": the first part names the whole."""
    order = (Status.REGRESSION, *WORST_FIRST)  # what got worse comes before what is not known
    found = [(n, words(f"counted.{status}")) for status in dict.fromkeys(order) if status in wanted and (n := statuses.count(status))]
    (first, said), *rest = found
    cells = words("answer.cells", n=total)
    lead = words("answer.some", k=first, cells=cells, said=said) if first < total else words("answer.every", all=_all(total, words), said=said)
    return words("answer.comma").join([lead, *(words("answer.more", k=n, said=word) for n, word in rest)])


def _worse(report: Report, words: Words) -> str:
    """What regressed, with figures where a verdict has them: "usability −11 points [−18, −4] in 2 of 6 tasks"."""
    statuses = [verdict.status for verdict in report.verdicts]
    regressed = [verdict for verdict in report.verdicts if verdict.status is Status.REGRESSION]
    gates = sorted(dict.fromkeys(one.gate for one in regressed), key=lambda gate: list(GATES).index(gate) if gate in GATES else len(GATES))
    figures = [said for gate in gates if (said := _figures(report, gate, words))]
    if not gates or not figures:
        tally = _tally(statuses, RED, len(report.verdicts), words)
        adjectives = [words.name("worse", gate) for gate in gates]
        return words("answer.adjectives", words=_listed(adjectives, words), tally=tally) if gates else tally
    told = [gate for gate in gates if _figures(report, gate, words)][:MOST_FIGURES]
    parts = figures[:MOST_FIGURES]
    others = [words.name("gate", gate) for gate in gates if gate not in told]
    parts += [words("answer.others", gates=_listed(others, words), n=len(others))] if others else []
    lost = statuses.count(Status.ERROR)
    parts += [words("answer.lost", cells=words("answer.cells", n=lost))] if lost else []
    return words("answer.join").join(parts)


def _figures(report: Report, gate: str, words: Words) -> str:
    """A gate's effect and interval, of its pooled cell where that is red, else of the worst task; in how many tasks it regressed. "" without a figure."""
    mine = [verdict for verdict in report.verdicts if verdict.gate == gate]
    red = [verdict for verdict in mine if verdict.status is Status.REGRESSION]
    shown = next((one for one in red if one.task == POOLED), red[0] if red else None)
    if shown is None or shown.finding is None or shown.finding.effect is None:
        return ""
    tasks = [verdict for verdict in mine if verdict.task != POOLED and verdict.model == shown.model]
    k = sum(verdict.status is Status.REGRESSION for verdict in tasks)
    return words(
        "answer.figures",
        gate=words.name("gate", gate),
        effect=phrases.effect(shown.finding, words=words),
        interval=_bracket(shown.finding, words),
        where=words("answer.tasks", k=k, m=len(tasks)) if k else words("answer.pooled"),
        model=words("answer.of_model", model=shown.model) if _several(report) else "",
    )


def _several(report: Report) -> bool:
    return len({verdict.model for verdict in report.verdicts}) > 1


def _bracket(finding: Finding, words: Words) -> str:
    """ " [−18, −4]" in the unit of the effect; "" without an interval."""
    if finding.low is None or finding.high is None:
        return ""
    return f" [{phrases.bare(finding.low, finding.unit, words=words)}, {phrases.bare(finding.high, finding.unit, words=words)}]"


def _listed(names: Sequence[str], words: Words) -> str:
    return words("answer.and").join([words("answer.comma").join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _all(n: int, words: Words) -> str:
    return words("answer.all", n=n)
