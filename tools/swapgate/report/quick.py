"""The quick drill's record, RUN/quick-drill.json, and how it is told: which gate caught its planted fault, and which did not.

It lies beside verdicts.json, because a replay makes no images: it tells what was recorded, and verdicts.json stays the same to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from swapgate.canonical import dumps, read_json, rounded, write_atomic
from swapgate.errors import RunBroken
from swapgate.report.phrases import tidy

FILE, SCHEMA = "quick-drill.json", 1
State = Literal["caught", "DEAD", "ERROR", "not drilled"]
RED: frozenset[str] = frozenset({"DEAD", "ERROR"})
LONGEST_REASON = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickGate:
    """A gate's part. caught: it turned red; DEAD: it did not; ERROR: the fault's run proves nothing; not drilled: no fault that it sees can be planted.

    fault: the drill and its spec, "" where nothing was planted. reason: the gate's own words, or why nothing is proved.
    """

    gate: str
    state: State
    fault: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickDrill:
    """The quick drill of one model. made: when its honest run was (UTC); cached: whether every run of it was there already.

    tasks: those that it was made on. folder: where it lies, as a command names it; page: its matrix, relative to the run folder.
    error: why it could not be made at all, "" when it was.
    """

    model: str
    made: str
    cached: bool
    tasks: tuple[str, ...]
    folder: str
    page: str
    gates: tuple[QuickGate, ...]
    error: str = ""

    @property
    def dead(self) -> tuple[str, ...]:
        """Gates that did not see their fault."""
        return tuple(one.gate for one in self.gates if one.state == "DEAD")

    @property
    def red(self) -> bool:
        """Whether the run cannot be green: a gate is dead, or nothing is proved of one."""
        return bool(self.error) or any(one.state in RED for one in self.gates)

    @property
    def unproved(self) -> tuple[str, ...]:
        """Gates of which no fault could be planted here; `--strict` asks for all."""
        return tuple(one.gate for one in self.gates if one.state == "not drilled")


def write(run: Path, drills: Sequence[QuickDrill]) -> Path:
    """Write the record of a run; gives the file."""
    data = {"schema": SCHEMA, "models": [asdict(one) for one in drills]}
    write_atomic(run / FILE, (dumps(rounded(data), indent=1) + "\n").encode("utf-8", "replace"))
    return run / FILE


def read(run: Path) -> tuple[QuickDrill, ...]:
    """The record of a run; nothing where it has none. RunBroken when the file cannot be used."""
    path = run / FILE
    if not path.is_file():
        return ()
    data = read_json(path)
    try:
        return tuple(_drill(one) for one in _models(data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunBroken(
            where=str(path),
            key="models",
            rule=f"the record of a quick drill, schema {SCHEMA} ({type(error).__name__}: {error})",
            remedy="remove the file (the run is then one without a quick drill), or run again with --budget=full",
        ) from None


def lines(drills: Iterable[QuickDrill]) -> list[str]:
    """The record in a few lines, a DEAD gate in a line of its own with the reason and what to do."""
    found: list[str] = []
    for one in drills:
        if one.error:
            found.append(f"quick drill of {tidy(one.model)}: ERROR, nothing is proved of its gates: {_short(one.error)}")
            continue
        states = ", ".join(f"{gate.gate} {gate.state}" + (f" ({tidy(gate.fault)})" if gate.fault else "") for gate in one.gates)
        found.append(f"quick drill of {tidy(one.model)}, {said(one)}: {states}")
        found += [f"  {gate.state:<11}  {gate.gate}/{tidy(one.model)}: {_short(gate.reason)}" for gate in one.gates if gate.state != "caught"]
        if one.red:
            found.append(
                f"  look at {tidy(one.folder)}; to make it again, remove that folder; what else the gate sees: swapgate drill --model={tidy(one.model)}"
            )
    return found


def said(one: QuickDrill) -> str:
    """`made 2026-11-25 (read again from its folder) on portrait, product`."""
    return f"made {tidy(one.made[:10]) or 'never'}{' (read again from its folder)' if one.cached else ''} on {tidy(', '.join(one.tasks))}"


def _models(data: Any) -> list[Any]:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']}")
    found: list[Any] = data["models"]
    return found


def _drill(data: Any) -> QuickDrill:
    gates = tuple(QuickGate(**{name: str(gate[name]) for name in ("gate", "state", "fault", "reason")}) for gate in data["gates"])  # type: ignore[arg-type]
    wrong = [gate.state for gate in gates if gate.state not in ("caught", "DEAD", "ERROR", "not drilled")]
    if wrong:
        raise ValueError(f"state {wrong[0]!r}")
    texts = {name: str(data[name]) for name in ("model", "made", "folder", "page", "error")}
    return QuickDrill(**texts, cached=bool(data["cached"]), tasks=tuple(str(task) for task in data["tasks"]), gates=gates)


def _short(text: str) -> str:
    line = tidy(text)
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"
