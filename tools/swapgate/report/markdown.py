"""The job summary: the same facts as the page in Markdown tables, without pictures.

GitHub drops a step's summary as a whole above 1024 kB, so the text is cut by whole rows well below that and says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swapgate.gates.verdict import Verdict
from swapgate.report import model, phrases

VARIABLE = "GITHUB_STEP_SUMMARY"
MOST_BYTES = 900_000
HARD_LIMIT = 1_000_000  # of the whole file, to which earlier commands of the step may have written
MOST_ROWS = 24
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@:])")


def summary(data: model.Report | Mapping[str, Any], *, most_bytes: int = MOST_BYTES) -> str:
    """The Markdown of a run, at most `most_bytes` bytes of UTF-8."""
    report = model.as_report(data)
    head = "\n".join([*_head(report), "", ""])
    sections = [_suspects(report), _verdicts(report), _next(report), _wording(report), _comparison(report)]
    return _fitted(head, [section for section in sections if section], most_bytes)


def publish(data: model.Report | Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Append the summary to the file named by GITHUB_STEP_SUMMARY and return its path; None when the variable is not set.

    What the step has written already counts against the limit; nothing is written when no room is left.
    """
    name = environ.get(VARIABLE)
    if not name:
        return None
    path = Path(name)
    written = path.stat().st_size if path.is_file() else 0
    room = min(MOST_BYTES, HARD_LIMIT - written)
    if room > 2_000:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(summary(data, most_bytes=room))
    return path


def escape(text: str) -> str:
    """One line of plain text for a table cell: no markup, no HTML, no link, no mention comes through."""
    plain = phrases.tidy(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _head(report: model.Report) -> list[str]:
    answer = phrases.headline(report)
    planted = [
        f"> **{escape(entry.id)} carries planted faults (a drill):** {escape(', '.join(entry.faults))}" for entry in report.models if entry.faults
    ]
    return [
        f"## Swapgate · {answer.answer}",
        "",
        f"**{escape(str(answer))}**",
        "",
        *planted,
        *(f"> **Warning:** {escape(text)}" for text in report.warnings),
        f"{phrases.counts_line(report)}",
        "",
        f"{phrases.measured_line(report)}. Run {escape(report.run)}, against {escape(report.against)}.",
        *([f"{escape(report.outcome.reason)}."] if report.outcome.reason else []),
    ]


def _suspects(report: model.Report) -> list[str]:
    rows = [(one.model, one.what, one.baseline or phrases.NOTHING, one.candidate or phrases.NOTHING) for one in report.suspects]
    return _table("Changed since the baseline", ("model", "what", "baseline", "now"), rows)


def _verdicts(report: model.Report) -> list[str]:
    names = ("verdict", "cell", "against", "candidate", "effect", "interval", "limit", "n", "reason")
    return _table("Cells, worst first", names, [_row(verdict) for verdict in report.worst_first])


def _row(verdict: Verdict) -> tuple[str, ...]:
    one, status = verdict.finding, f"{phrases.GLYPHS[verdict.status]} {verdict.status}"
    if one is None:
        return (status, verdict.id, *[phrases.NOTHING] * 6, verdict.reason)
    figures = (
        phrases.side(one.baseline, one.unit, verdict.gate),
        phrases.side(one.candidate, one.unit, verdict.gate),
        phrases.effect(one),
        phrases.interval(one),
        phrases.number(one.limit, one.unit),
        str(one.n),
    )
    return (status, verdict.id, *figures, verdict.reason)


def _next(report: model.Report) -> list[str]:
    commands = dict.fromkeys(verdict.next for verdict in report.worst_first if verdict.next)
    if not commands:
        return []
    # A fence longer than any run of backticks inside cannot be closed from inside.
    longest = max((len(run) for command in commands for run in re.findall(r"`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["### What to type next", "", f"{fence}sh\n" + "\n".join(phrases.tidy(command) for command in commands) + f"\n{fence}"]


def _wording(report: model.Report) -> list[str]:
    rows = [
        (
            one.task,
            one.language,
            str(one.seed),
            phrases.number(one.change, signed=True),
            phrases.fresh(one) if one.smallest else "yes" if one.flip else "no",
            *map(phrases.shown, (one.prompt, one.reworded)),
        )
        for one in report.wording[:MOST_ROWS]
    ]
    told = [f"- {escape(line)}" for line in phrases.wording_lines(report)]
    names = ("task", "language", "seed", "alignment", "no longer usable", "prompt", "reworded")
    return [*(["### Wording", "", *told, ""] if told else []), *_table("Wording that hurt most", names, rows)]


def _comparison(report: model.Report) -> list[str]:
    better = {"a": report.against, "same": "no worse", "unclear": "unclear"}
    rows = [
        (
            one.gate,
            one.task,
            one.claim,
            phrases.side(one.a, one.unit, one.gate),
            phrases.side(one.b, one.unit, one.gate),
            phrases.number(one.effect, one.unit, signed=True),
            phrases.span(one.low, one.high, one.unit),
            str(one.n),
            better.get(one.better, one.model or "judged model"),
        )
        for one in report.comparison
    ]
    return _table("Who is better at what", ("gate", "task", "claim", report.against, "judged model", "effect", "interval", "n", "better"), rows)


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(escape(value) for value in row)} |" for row in rows]
    if not lines:
        return []
    return [f"### {title}", "", f"| {' | '.join(escape(name) for name in names)} |", f"|{' --- |' * len(names)}", *lines]


def _fitted(head: str, sections: Sequence[Sequence[str]], most_bytes: int) -> str:
    """Head and sections, cut after the last line that leaves room to say that something is missing."""
    note = "\n\nThe rest is in the HTML report: a longer summary would be dropped as a whole.\n"
    room = most_bytes - len(head.encode()) - len(note.encode())
    text = head
    for section in sections:
        for line in [*section, ""]:
            room -= len(line.encode()) + 1
            if room < 0:
                return text.rstrip("\n") + note
            text += f"{line}\n"
    return text
