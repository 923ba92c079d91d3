"""The last lines of a terminal: counts, the cells to look at with their reasons, what was measured, where the page is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swapgate.report import answer as answers
from swapgate.report import model, phrases

MOST_CELLS = 8
MOST_COMMANDS = 3
LONGEST_REASON = 240


def summary_lines(data: model.Report | Mapping[str, Any], report_path: Path) -> list[str]:
    """The lines to print after the tests, without colour; the last is the page as a file:// address.

    Text from prompts, models and errors is printed without control characters, so that it cannot steer a terminal.
    """
    report = model.as_report(data)
    look = [verdict for verdict in report.worst_first if phrases.needs_a_look(verdict.status)]
    width = max((len(verdict.status) for verdict in look), default=0)
    lines = [f"swapgate: {phrases.tidy(str(answers.headline(report)))}", f"verdicts: {answers.counts_line(report)}"]
    lines += [f"  {verdict.status:<{width}}  {phrases.tidy(verdict.id)}: {_short(verdict.reason)}" for verdict in look[:MOST_CELLS]]
    if len(look) > MOST_CELLS:
        lines.append(f"  and {len(look) - MOST_CELLS} more to look at, in the report")
    lines += [f"wording: {line}" for line in phrases.wording_lines(report)]
    lines += [f"warning: {phrases.tidy(text)}" for text in report.warnings]
    commands = list(dict.fromkeys(phrases.tidy(verdict.next) for verdict in look if verdict.next))
    lines += [f"next: {command}" for command in commands[:MOST_COMMANDS]]
    if len(commands) > MOST_COMMANDS:
        lines.append(f"next: {len(commands) - MOST_COMMANDS} more, each with its cell in the report")
    return [*lines, f"measured: {answers.measured_line(report)}", f"report: {report_path.resolve().as_uri()}"]


def _short(reason: str) -> str:
    text = phrases.tidy(reason)
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
