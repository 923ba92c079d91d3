"""The summary of a run for CI: the same facts as the page in Markdown tables, without pictures, the worst cells first.

It is short enough for a comment on GitHub, which holds 65,536 characters, and so for the summary of a step, which GitHub drops as a whole above
1 MiB. Names, reasons and prompts are other people's text: each is cut to a length of its own, so that none can push another cell out, and
what does not fit is left out by whole rows, from the best cells on, and counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swapgate.canonical import write_atomic
from swapgate.gates.verdict import WORST_FIRST, Verdict
from swapgate.report import answer as answers
from swapgate.report import model, phrases

VARIABLE = "GITHUB_STEP_SUMMARY"
FILE = Path("report") / "summary.md"
MOST_BYTES = 64_000
HARD_LIMIT = 1_000_000  # of the whole file of a step, to which earlier commands may have written
LEAST_BYTES = 2_000  # less says nothing
BESIDE_BYTES = 16_000  # for what stands beside the cells
MOST_ROWS, MOST_COMMANDS, MOST_WARNINGS = 24, 12, 8
NAME, TEXT = 160, 600  # characters of a name and of a sentence
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@:])")


def summary(data: model.Report | Mapping[str, Any], *, most_bytes: int = MOST_BYTES) -> str:
    """The Markdown of a run, at most `most_bytes` bytes of UTF-8 (LEAST_BYTES or more)."""
    report = model.as_report(data)
    room = most_bytes - 400  # for the two lines that say what is missing
    head = _fitted([*_head(report), ""], room)
    room -= _size(head)
    beside: list[str] = []
    for section in (_suspects(report), _next(report), _controls(report), _wording(report), _comparison(report)):
        left = min(BESIDE_BYTES, room // 3) - _size(beside)
        beside += [*fitted, ""] if len(fitted := _fitted(section, left)) > 1 else []
    ordered = report.worst_first
    cells = _fitted(_verdicts(ordered), room - _size(beside) - 2)
    missing = ordered[max(0, len(cells) - 1) :]
    more = [f"And {len(missing)} more in the HTML report: {_counted(missing)}.", ""] if missing else []
    return "\n".join([*head, *(cells if len(cells) > 1 else []), "", *more, *beside]).rstrip("\n") + "\n"


def write(run_path: Path) -> Path:
    """Write the summary of a run's verdicts.json beside its page, for a comment or another CI; gives the file."""
    write_atomic(run_path / FILE, summary(model.load(run_path)))
    return run_path / FILE


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
    if room > LEAST_BYTES:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(summary(data, most_bytes=room))
    return path


def escape(text: str, most: int = NAME) -> str:
    """One line of plain text for a table cell, cut after `most` characters: no markup, no HTML, no link, no mention comes through."""
    line = phrases.tidy(text[: 8 * most])  # what is far longer than what is shown need not be read to its end
    plain = line if len(line) <= most else f"{line[: most - 1]}…"
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _head(report: model.Report) -> list[str]:
    answer = answers.headline(report)
    planted = [entry for entry in report.models if entry.faults]
    warnings = [f"> **Warning:** {escape(text, TEXT)}" for text in report.warnings[:MOST_WARNINGS]]
    left = len(report.warnings) - len(warnings)
    return [
        f"## Swapgate · {escape(answer.answer)}",
        "",
        f"**{escape(str(answer), TEXT)}**",
        "",
        *(f"> **{escape(one.id)} carries planted faults (a drill):** {escape(', '.join(one.faults), TEXT)}" for one in planted[:MOST_WARNINGS]),
        *warnings,
        *([f"> and {left} more warnings in the HTML report"] if left > 0 else []),
        f"{answers.counts_line(report)}",
        "",
        f"{answers.measured_line(report)}. Run {escape(report.run)}, against {escape(report.against)}.",
        *([f"{escape(report.outcome.reason, TEXT)}."] if report.outcome.reason else []),
    ]


def _suspects(report: model.Report) -> list[str]:
    rows = [(one.model, one.what, one.baseline or phrases.NOTHING, one.candidate or phrases.NOTHING) for one in report.suspects[:MOST_ROWS]]
    return _table("Changed since the baseline", ("model", "what", "baseline", "now"), rows, of=len(report.suspects))


def _verdicts(ordered: Sequence[Verdict]) -> Iterator[str]:
    names = ("verdict", "cell", "against", "candidate", "effect", "interval", "limit", "n", "reason")
    return _blocks("Cells, worst first", names, (_row(verdict) for verdict in ordered))


def _counted(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdict.status for verdict in verdicts)
    return " · ".join(f"{counts[status]} {status}" for status in WORST_FIRST if counts[status])


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
    """Commands whole or not at all: half of one is another command."""
    said = dict.fromkeys(verdict.next for verdict in report.worst_first if verdict.next)
    commands = [phrases.tidy(command) for command in said if len(command) <= TEXT][:MOST_COMMANDS]
    if not commands:
        return []
    # A fence longer than any run of backticks inside cannot be closed from inside.
    longest = max((len(run) for command in commands for run in re.findall(r"`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    more = [f"and {len(said) - len(commands)} more, each with its cell in the HTML report"] if len(said) > len(commands) else []
    return ["### What to type next\n", "\n".join([f"{fence}sh", *commands, fence]), "", *more]


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
    names = ("task", "language", "seed", "alignment", "no longer usable", "prompt", "reworded")
    return _table("Wording that hurt most", names, rows, of=len(report.wording))


def _controls(report: model.Report) -> list[str]:
    told = [f"- {escape(line, TEXT)}" for line in phrases.wording_lines(report)[:MOST_ROWS]]
    return ["### Wording\n", *told] if told else []


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
        for one in report.comparison[:MOST_ROWS]
    ]
    names = ("gate", "task", "claim", report.against, "judged model", "effect", "interval", "n", "better")
    return _table("Who is better at what", names, rows, of=len(report.comparison))


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]], *, of: int = 0) -> list[str]:
    """Heading and rows, a block each, the last cell of a row a sentence; `of`: how many rows there are in all."""
    heading, *lines = _blocks(title, names, rows)
    if not lines:
        return []
    more = ["", f"and {of - len(lines)} more in the HTML report"] if of > len(lines) else []
    return [heading, *lines, *more]


def _blocks(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The same, each row made when it is asked for: of thousands only the first are."""
    yield f"### {title}\n\n| {' | '.join(escape(name) for name in names)} |\n|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join([*map(escape, row[:-1]), escape(row[-1], TEXT)])} |"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _fitted(lines: Iterable[str], most_bytes: int) -> list[str]:
    """As many of the first blocks of a section as `most_bytes` hold; its first is its heading."""
    found: list[str] = []
    for line in lines:
        most_bytes -= len(line.encode()) + 1
        if most_bytes < 0:
            break
        found.append(line)
    return found
