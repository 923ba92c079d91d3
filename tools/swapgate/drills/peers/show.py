"""The table for readers: lines for a terminal, peers.json, peers.md for documents, and peers.html, a page that asks nothing of any network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from swapgate.canonical import dumps, rounded, write_atomic
from swapgate.drills.peers.policies import KINDS, Kind
from swapgate.drills.peers.table import Cell, Count, Row, Table
from swapgate.drills.peers.trials import PLACES, Place
from swapgate.report.columns import columns
from swapgate.report.html import environment, stylesheet
from swapgate.report.phrases import tidy

JSON, HTML, MARKDOWN = "peers.json", "peers.html", "peers.md"
TITLES: dict[Kind, str] = {
    "drift": "Rules that compare a picture with a reference",
    "absolute": "Rules that judge a picture by itself",
    "latency": "Rules on time",
    "memory": "Rules on memory",
}
HEADS: dict[Place, str] = {
    "A": "A, nothing changed: false alarms",
    "B": "B, harmless change: false alarms",
    "C": "C, planted fault: missed",
    "mild": "mild dose of a fault: missed",
}
_REPEAT = re.compile(r"^(.*/(?:mild|moderate|severe))-[0-9]+$")
_PROCESS = re.compile(r"^null process [0-9]+")
SHORT: dict[Place, str] = {"A": "A alarms", "B": "B alarms", "C": "C missed", "mild": "mild missed"}


def write(table: Table, out: Path) -> Path:
    """Write peers.json, peers.md and peers.html into `out`; gives the page."""
    texts = ((JSON, dumps(rounded(table.as_json()), indent=1) + "\n"), (MARKDOWN, markdown(table)), (HTML, page(table)))
    for name, text in texts:
        write_atomic(out / name, text.encode("utf-8", "replace"))  # a message of another package can hold half a character
    return out / HTML


def lines(table: Table, page_path: Path) -> list[str]:
    """Plain text: cases as the peer judges them, then whole runs, what was not run and why; the last line is the page."""
    found: list[str] = []
    for kind in KINDS:
        shown = [row for row in table.run if row.kind == kind]
        if not shown:
            continue
        used = places(table, kind)
        head = (TITLES[kind], *(f"{SHORT[where]}, {unit}" for unit in ("cases", "runs") for where in used))
        rows = [
            (tidy(row.peer) + ("*" if row.partly else ""), *(share(_part(row, where, unit)) for unit in ("cases", "runs") for where in used))
            for row in shown
        ]
        found += [*columns([head, *rows]), ""]
    found += [
        f"* {tidy(row.peer)}: {tidy(row.partly)}, so its alarms are at least and its misses at most those shown" for row in table.run if row.partly
    ]
    found += [f"not run: {tidy(row.peer)}: {tidy(row.reason)}" for row in table.not_run]
    found += [f"left out: {tidy(one)}" for one in table.left_out]
    return [*found, *notes(table), f"side by side: {page_path.resolve().as_uri()}"]


def markdown(table: Table) -> str:
    """The tables as Markdown, with what made them: for a document that states measured figures."""
    found = [
        f"Measured {tidy(table.created)} on {tidy(table.hardware)}: {tidy(table.model)}, tasks {tidy(', '.join(table.tasks))}, by `{tidy(table.command)}`.",
        "",
        *(f"- {note}" for note in notes(table)),
        "",
    ]
    for kind in KINDS:
        shown = [row for row in table.run if row.kind == kind]
        if not shown:
            continue
        used = places(table, kind)
        found += [f"### {TITLES[kind]}", "", *(f"- {line}" for line in sets(table, kind)), ""]
        found += [_md_row(("suite", "passes when", "its n", *(HEADS[where] for where in used))), _md_row(("---",) * (3 + len(used)))]
        found += [_md_row((_named(row), tidy(row.text), str(row.images), *(_both(row.cells.get(where)) for where in used))) for row in shown]
        found.append("")
    found += ["### Not run, or in part", "", _md_row(("suite", "passes when", "why not")), _md_row(("---",) * 3)]
    found += [_md_row((tidy(row.peer), tidy(row.text), tidy(row.reason))) for row in table.not_run]
    found += [_md_row((tidy(row.peer), tidy(row.text), f"in part: {_bounds(row)}")) for row in table.run if row.partly]
    found += ["", *(f"- left out: {tidy(one)}" for one in table.left_out)]
    return "\n".join(found).rstrip() + "\n"


def page(table: Table) -> str:
    """The page as text: every text is escaped, and its policy forbids scripts, pictures and other style sheets."""
    style, style_hash = stylesheet()
    return environment().get_template("peers.html.j2").render(
        table=table, kinds=[kind for kind in KINDS if any(row.kind == kind for row in table.run)], titles=TITLES, heads=HEADS, places=places, share=share,
        sets=sets, notes=notes(table), tone=tone, style=style, style_hash=style_hash,
    )  # fmt: skip


def places(table: Table, kind: Kind) -> tuple[Place, ...]:
    """The sets that any rule of a kind was applied to; A, B and C always."""
    return tuple(where for where in PLACES if where != "mild" or table.sets[kind]["mild"])


def share(count: Count | None) -> str:
    """`3/40 (2–20 %)`: wrong answers, samples and the exact 95 % interval; a dash where there is no sample."""
    if count is None or count.low is None or count.high is None:
        return "–"
    return f"{count.wrong}/{count.n} ({100 * count.low:.0f}–{100 * count.high:.0f} %)"


def tone(count: Count | None) -> str:
    """The report's colour of a cell: nothing wrong, something wrong, all wrong; a cell without samples has none."""
    if count is None:
        return "none"
    return "PASS" if not count.wrong else "REGRESSION" if count.wrong == count.n else "INCONCLUSIVE"


def sets(table: Table, kind: Kind) -> list[str]:
    """What each set consists of."""
    found = []
    for where in places(table, kind):
        names = dict.fromkeys(_REPEAT.sub(r"\1", _PROCESS.sub("repeats in fresh processes", name)) for name in table.sets[kind][where])
        found.append(f"{where}: {tidy(', '.join(names)) or 'nothing was made'}")
    return found


def notes(table: Table) -> list[str]:
    """How to read the figures: what counts once, and what could not have been otherwise."""
    first = next((row for row in table.run if row.kind == "drift" and not row.ours), None)
    said = [
        (
            "Every figure is wrong answers of n with the exact 95 % interval: false alarms on A and B, misses on C. A case is what the peer judges at once; "
            "a run is red when any of its cases is, as a run of this suite is by any of its gates."
        )
    ]
    same = first.cells["A"].cases if first else None
    if same and same.same:
        said.append(
            f"{same.same} of the {same.n} pairs of pictures in A are equal to the pixel: here the model repeats itself exactly, "
            "no rule on pictures can cry wolf there, and A says nothing of models that do not."
        )
    unsure = [(row.peer, row.cells["C"].runs) for row in table.run if row.ours]
    said += [
        f"{tidy(peer)}: {count.unsure} of {count.wrong} misses on C were INCONCLUSIVE for want of samples."
        for peer, count in unsure
        if count and count.unsure
    ]
    return said


def _named(row: Row) -> str:
    name = f"**{tidy(row.peer)}**" if row.ours else tidy(row.peer)
    return f"{name} (in part)" if row.partly else name


def _bounds(row: Row) -> str:
    return f"{tidy(row.partly)}, so its alarms are at least and its misses at most those shown"


def _both(cell: Cell | None) -> str:
    if cell is None or (cell.cases is None and cell.runs is None):
        return "–"
    return "; ".join(_parts(cell))


def _parts(cell: Cell) -> Iterator[str]:
    if cell.cases is not None:
        yield f"cases {share(cell.cases)}"
    if cell.runs is not None:
        yield f"runs {share(cell.runs)}"


def _part(row: Row, where: Place, unit: str) -> Count | None:
    cell = row.cells.get(where)
    return None if cell is None else cell.cases if unit == "cases" else cell.runs


def _md_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
