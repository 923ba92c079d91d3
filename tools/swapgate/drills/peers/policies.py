"""The pass rules of other projects as data: what they compare, with which limits, and on how much (policies.toml beside this file)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from swapgate.drills.peers.metrics import METRICS, NOT_AT_HAND
from swapgate.reading import MISSING, Table, load_toml

FILE = Path(__file__).with_name("policies.toml")
Kind = Literal["drift", "absolute", "latency", "memory"]
Scope = Literal["image", "mean"]
Stat = Literal["single", "median_step", "mean", "median", "peak"]
KINDS: tuple[Kind, ...] = ("drift", "absolute", "latency", "memory")
OPS = (">=", ">", "<=", "<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One comparison, `metric op limit`; NaN never holds, so a metric that gives none is red as it is at the peer."""

    metric: str
    op: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value passes."""
        return {">=": value >= self.limit, ">": value > self.limit, "<=": value <= self.limit, "<": value < self.limit}[self.op]

    @property
    def text(self) -> str:
        return f"{self.metric} {self.op} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRule:
    """A limit on a statistic of `samples` successive calls (0: all of a run), in up to `attempts` attempts.

    Red when the statistic is above max(ratio * b, b + pad) in every attempt, where b is the same statistic of the honest
    run, or the median of it over `history` successive measurements; `pad` is in seconds or MiB. A rule that asks for both a share and an absolute growth is the same formula.
    """

    stat: Stat
    samples: int
    attempts: int
    ratio: float
    pad: float
    history: int = 1

    def limit(self, baseline: float) -> float:
        """The largest value that passes."""
        return max(self.ratio * baseline, baseline + self.pad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a peer lets pass. `images`: pictures or timed calls that the peer judges at once. not_run: why not here, "" where it can be.

    source: public repository with file, or issue number.
    """

    id: str
    peer: str
    kind: Kind
    scope: Scope
    source: str
    images: int
    rules: tuple[Rule, ...] = ()
    cost: CostRule | None = None
    not_run: str = ""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Its metrics whose weights are not at hand."""
        return tuple(rule.metric for rule in self.rules if rule.metric in NOT_AT_HAND)

    @property
    def applied(self) -> tuple[Rule, ...]:
        """Its rules that can be computed."""
        return tuple(rule for rule in self.rules if rule.metric in METRICS)

    @property
    def reason(self) -> str:
        """Why nothing of it is applied; "" where something is."""
        if self.not_run or self.applied or self.cost:
            return self.not_run
        return "; ".join(f"{name} needs {NOT_AT_HAND[name]}" for name in self.left_out)

    @property
    def partly(self) -> str:
        """What of it is left out; "" where all or nothing is applied. Its alarms are then at least, its misses at most, those shown."""
        if self.reason or not self.left_out:
            return ""
        return "without " + ", ".join(f"{name} (needs {NOT_AT_HAND[name]})" for name in self.left_out)

    @property
    def text(self) -> str:
        """Its rule in a line."""
        if self.cost:
            return _cost_text(self.cost, self.kind)
        shown = " and ".join(rule.text for rule in self.rules)
        return f"mean {shown}" if self.scope == "mean" and shown else shown or "not applied"


def load(path: Path = FILE) -> tuple[Policy, ...]:
    """Every policy of the file, in its order. UserError for a mistake in it, with key and rule."""
    top = load_toml(path)
    found = tuple(_policy(table) for table in top.tables("policy"))
    top.finish()
    names = [policy.id for policy in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise top.wrong("policy", "every id once", "rename one of them", twice)
    return found


def _policy(table: Table) -> Policy:
    made = Policy(
        id=table.take("id", str),
        peer=table.take("peer", str),
        kind=cast("Kind", table.choice("kind", KINDS)),
        scope=cast("Scope", table.choice("scope", ("image", "mean"), "image")),
        source=table.take("source", str),
        images=_whole(table, "images", low=1),
        rules=tuple(_rule(one) for one in table.tables("rules", [])),
        cost=_cost(table.table("cost")) if table.has("cost") else None,
        not_run=table.take("not_run", str, ""),
    )
    table.finish()
    if not made.not_run and bool(made.rules) == bool(made.cost):
        raise table.wrong("rules", "rules on pictures, or a cost, or not_run with the reason", "write one of them", made.id)
    return made


def _rule(table: Table) -> Rule:
    made = Rule(metric=table.choice("metric", (*METRICS, *NOT_AT_HAND)), op=table.choice("op", OPS), limit=table.number("limit", low=-10.0, high=1e6))
    table.finish()
    return made


def _cost(table: Table) -> CostRule:
    stats: tuple[Stat, ...] = ("single", "median_step", "mean", "median", "peak")
    made = CostRule(
        stat=cast("Stat", table.choice("stat", stats)), samples=_whole(table, "samples", low=0), attempts=_whole(table, "attempts", low=1),
        ratio=table.number("ratio", low=1.0, high=10.0), pad=table.number("pad", low=0.0, high=1e6), history=_whole(table, "history", 1, low=1),
    )  # fmt: skip
    table.finish()
    return made


def _whole(table: Table, name: str, default: Any = MISSING, *, low: int) -> int:
    value: Any = table.whole(name, default, low=low, high=1_000_000)
    return int(value)


def _cost_text(cost: CostRule, kind: Kind) -> str:
    unit = "s" if kind == "latency" else "MiB"
    what = {"single": "a call", "median_step": "median step of a call", "mean": "mean", "median": "median", "peak": "peak"}[cost.stat]
    of = "" if cost.stat in ("single", "median_step") else f" of {cost.samples or 'all'} calls"
    pad = f", b + {cost.pad:g} {unit}" if cost.pad else ""
    limit = f"max({cost.ratio:.4g} b{pad})" if pad else f"{cost.ratio:.4g} b"
    return (
        f"{what}{of} <= {limit}"
        + (f", best of {cost.attempts} attempts" if cost.attempts > 1 else "")
        + (f", b the median of {cost.history}" if cost.history > 1 else "")
    )
