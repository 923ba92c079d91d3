"""verdicts.json as frozen data: the one thing that every view of a run reads.

Keys that a producer may leave out have a default here, keys of a later producer are ignored, and whatever the
views cannot do without raises RunBroken with the file and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from swapgate.canonical import read_json
from swapgate.errors import RunBroken
from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import WORST_FIRST, Status, Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

SCHEMA = 1
FILE = "verdicts.json"
_SHA = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many cells and images; `decided` counts cells whose verdict is PASS, REGRESSION, IMPROVED or CHANGED.

    seconds: of pipeline calls for these images (of planned ones not made: what they would take at each model's pace); None where unknown.
    """

    cells: int
    images: int
    decided: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether the run as a whole is red (the exit status), and why.

    false_alarms: the chance in 0..1, held to over all its claims, that a run in which nothing changed is red anywhere.
    """

    red: bool
    reason: str = ""
    false_alarms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What was loaded, where, and which baseline it was held against. `usable` is language -> (usable, judged).

    chosen: why a baseline was chosen -> for how many tasks; no_cost: why time and memory had none to be compared with, "" where they had.
    """

    id: str
    title: str = ""
    licence: str = ""
    faults: tuple[str, ...] = ()
    accelerator: str = ""
    device_name: str = ""
    weights: str = ""
    dtype: str = ""
    placement: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    load_seconds: float | None = None
    baseline: str = ""
    chosen: Mapping[str, int] = field(default_factory=dict)
    no_cost: str = ""
    usable: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One thing that is not as it was when the baseline was accepted."""

    model: str
    what: str
    baseline: str | None = None
    candidate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """A task as it was asked; titles and prompts by language."""

    id: str
    family: str = ""
    title: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One request on both sides. baseline and candidate are SHA-256 of pixels; None where there is no picture.

    ssim in [-1, 1], psnr in dB, clip is a cosine, both alignments are normalised; `failure` says why there is no candidate.
    checks: every bit that the task asks of a picture; failed, baseline_failed: those that do not hold.
    """

    model: str
    task: str
    language: str
    seed: int
    index: int = 0
    edits: str = ""
    prompt: str = ""
    original: str = ""
    baseline: str | None = None
    candidate: str | None = None
    identical: bool = False
    ssim: float | None = None
    psnr: float | None = None
    clip: float | None = None
    usable: bool | None = None
    baseline_usable: bool | None = None
    checks: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    baseline_failed: tuple[str, ...] = ()
    alignment: float | None = None
    baseline_alignment: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPair:
    """Cost samples of one model and task on both sides."""

    model: str
    task: str
    baseline: Cost | None = None
    candidate: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingRow:
    """One rewording: `change` is of the normalised alignment, `flip` means usable before and not after. baseline_change: of the other arm's pictures.

    Of a smallest one `change` is the mean over `tried` fresh seeds, of which it broke `broke`; over none it is that of the seed it was found on.
    low, high: exact interval of the share that breaks, in [0, 1]. kept: it broke an earlier version and was tried again.
    whole: the edits that it was shrunk from.
    """

    model: str
    task: str
    language: str
    seed: int
    prompt: str
    reworded: str
    edits: str = ""
    kinds: tuple[str, ...] = ()
    change: float | None = None
    baseline_change: float | None = None
    flip: bool = False
    before: str | None = None
    after: str | None = None
    smallest: bool = False
    tried: int = 0
    broke: int = 0
    low: float | None = None
    high: float | None = None
    kept: bool = False
    whole: str = ""

    @property
    def accident(self) -> bool:
        """Whether it is a smallest one that broke the picture it was found on, and none of a fresh seed."""
        return self.smallest and not self.kept and self.tried > 0 and not self.broke


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """Which of two models is better at one thing; a is the model given with --against, b the judged one.

    confidence of the interval and p of a harm as large by chance, both in [0, 1]; decides: whether the claim counts in its verdict.
    """

    gate: str
    task: str
    claim: str
    model: str = ""
    a: float | None = None
    b: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    better: str = "unclear"
    n: int = 0
    confidence: float | None = None
    p: float | None = None
    decides: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NullRow:
    """How far the accepted model's repeats are from itself, of one model and task; a figure a repeat."""

    model: str
    task: str
    processes: int = 0
    ssim: tuple[float, ...] = ()
    psnr: tuple[float, ...] = ()
    clip: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SightRow:
    """The smallest change, in `unit`, that a gate of this run could have seen with a chance of 95 %; None where it could see none, and `why`."""

    model: str
    gate: str
    claim: str = ""
    smallest: float | None = None
    limit: float | None = None
    unit: str = ""
    n: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the views of one run need; the content of verdicts.json. warnings: what went wrong beside the calls, one line each."""

    run: str
    planned: Amount
    measured: Amount
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    path: str = ""
    created: str = ""
    command: str = ""
    against: str = "baseline"
    strict: bool = False
    counts: Mapping[Status, int] = field(default_factory=dict)
    models: tuple[ModelFacts, ...] = ()
    warnings: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    tasks: tuple[TaskFacts, ...] = ()
    images: tuple[ImageRow, ...] = ()
    costs: tuple[CostPair, ...] = ()
    wording: tuple[WordingRow, ...] = ()
    comparison: tuple[ComparisonRow, ...] = ()
    nulls: tuple[NullRow, ...] = ()
    sight: tuple[SightRow, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def worst_first(self) -> tuple[Verdict, ...]:
        """The verdicts as a reader wants them: worst status first, in the order of the file among equals."""
        return tuple(sorted(self.verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status)))


def load(run_path: Path) -> Report:
    """The report data of a run folder; RunBroken when verdicts.json is absent or cannot be used."""
    path = run_path / FILE
    if not path.is_file():
        raise RunBroken(
            where=str(path), rule="the file must exist: it is written when a run is judged", remedy=f"judge the run again: pytest --replay={run_path}"
        )
    return parse(read_json(path), where=str(path))


def as_report(data: Report | Mapping[str, Any]) -> Report:
    """`data` itself, or read from the decoded JSON: callers that have just written the file need not read it again."""
    return data if isinstance(data, Report) else parse(data)


def parse(data: Any, *, where: str = FILE) -> Report:
    """Report data from the decoded JSON; RunBroken for another schema, a missing key or a value of the wrong kind."""
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        given = data.get("schema") if isinstance(data, Mapping) else data
        raise RunBroken(
            where=where,
            key="schema",
            value=given,
            rule=f"this version reads schema {SCHEMA}",
            remedy="judge the run again with this version: pytest --replay=RUN",
        )
    verdicts = tuple(_verdict(entry, f"verdicts[{n}]", where) for n, entry in enumerate(data.get("verdicts") or ()))
    report = {
        **{key: value for key, value in data.items() if key in _PLAIN and value is not None},
        "verdicts": verdicts,
        "counts": _counts(data.get("counts"), verdicts, where),
        "costs": tuple(_cost_pair(entry, f"costs[{n}]", where) for n, entry in enumerate(data.get("costs") or ())),
        **{key: _make(kind, data.get(key), key, where) for key, kind in _SINGLE.items()},
        **{key: _rows(kind, data.get(key), key, where) for key, kind in _MANY.items()},
    }
    _check_hashes(report, where)
    return _make(Report, report, "", where)


_PLAIN = ("run", "path", "created", "command", "against", "strict", "policy", "environment", "warnings")
_SINGLE: dict[str, Any] = {"planned": Amount, "measured": Amount, "outcome": Outcome}
_MANY: dict[str, Any] = {
    "models": ModelFacts,
    "suspects": Suspect,
    "tasks": TaskFacts,
    "images": ImageRow,
    "wording": WordingRow,
    "comparison": ComparisonRow,
    "nulls": NullRow,
    "sight": SightRow,
}


def _make(kind: type[T], data: Any, key: str, where: str) -> T:
    if not isinstance(data, Mapping):
        raise _broken(where, key, data, "an object")
    known = {entry.name: entry for entry in fields(kind)}
    given = {name: _frozen(value) for name, value in data.items() if name in known and not _default_stands(known[name], value)}
    for name, entry in known.items():
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING:
            raise _broken(where, f"{key}.{name}".lstrip("."), None, "this key is required")
    return kind(**given)


def _default_stands(entry: Any, value: Any) -> bool:
    return value is None and (entry.default is not MISSING or entry.default_factory is not MISSING)


def _rows(kind: type[T], data: Any, key: str, where: str) -> tuple[T, ...]:
    if not isinstance(data, Sequence | None) or isinstance(data, str):
        raise _broken(where, key, data, "a list")
    return tuple(_make(kind, entry, f"{key}[{n}]", where) for n, entry in enumerate(data or ()))


def _verdict(data: Any, key: str, where: str) -> Verdict:
    try:
        return Verdict.from_json(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _broken(where, key, data, f"a verdict ({type(error).__name__}: {error})") from None


def _counts(data: Any, verdicts: Sequence[Verdict], where: str) -> dict[Status, int]:
    if not data:
        return {status: n for status in WORST_FIRST if (n := sum(verdict.status is status for verdict in verdicts))}
    try:
        found = {Status(name): int(n) for name, n in data.items()}
    except (ValueError, TypeError, AttributeError):
        raise _broken(where, "counts", data, f"a number for each of {', '.join(WORST_FIRST)}") from None
    return {status: found[status] for status in WORST_FIRST if found.get(status)}


def _cost_pair(data: Any, key: str, where: str) -> CostPair:
    if not isinstance(data, Mapping):
        raise _broken(where, key, data, "an object")
    sides = {side: _make(Cost, data[side], f"{key}.{side}", where) for side in ("baseline", "candidate") if data.get(side)}
    return _make(CostPair, {**data, "baseline": None, "candidate": None, **sides}, key, where)


def _check_hashes(report: Mapping[str, Any], where: str) -> None:
    """Hashes become file names, so nothing but hexadecimal digits may come through."""
    pairs = [(f"images[{n}]", sha) for n, row in enumerate(report["images"]) for sha in (row.baseline, row.candidate)]
    pairs += [(f"wording[{n}]", sha) for n, row in enumerate(report["wording"]) for sha in (row.before, row.after)]
    for key, sha in pairs:
        if sha is not None and not (isinstance(sha, str) and _SHA.fullmatch(sha)):
            raise _broken(where, key, sha, "a picture is named by the hexadecimal SHA-256 of its pixels")


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _frozen(entry) for key, entry in value.items()}
    return value


def _broken(where: str, key: str, value: object, rule: str) -> RunBroken:
    return RunBroken(where=where, key=key, value=value, rule=rule, remedy="judge the run again: pytest --replay=RUN")
