"""One model before its run: what is known of it, what is asked of it, and what a gate will be able to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swapgate.cards import Card
from swapgate.gates.budget import CLAIMS
from swapgate.gates.compose import plural
from swapgate.gates.policy import Policy
from swapgate.plan import Call, Request
from swapgate.suite.earlier import Earlier
from swapgate.tasks import Task

CHANCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How much something varies without any change, and where that is known from; `assumed` where nothing was measured."""

    value: float
    said: str
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A gate's first part of the budget and what each of its tested claims may spend of it; fractions."""

    gate: str
    part: float
    claims: int
    each: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAhead:
    """One claim of a gate, as the plan can decide it.

    smallest: the smallest change, in `unit`, that is found with a chance of 95 %, and of a ceiling or floor the nearest level beyond it;
    None when none is, or `unknown` says that earlier samples are lacking. limit: the practical floor in the same unit. passes: whether an unchanged model is shown to be within the
    limit with that chance; None for a claim that only alarms. short: one sentence on what more is needed, "" when nothing is.
    basis: the spread it was reckoned with; assumed: not measured. decides: whether the gate's verdict waits for this claim.
    """

    name: str
    n: int
    noun: str
    unit: str
    limit: float | None
    smallest: float | None
    passes: bool | None
    short: str = ""
    basis: str = ""
    assumed: bool = False
    unknown: bool = False
    decides: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAhead:
    """What a gate of one model can do: its claims, and why it cannot decide ("" when it can). alpha: each claim's share of the budget."""

    gate: str
    model: str
    alpha: float
    claims: tuple[ClaimAhead, ...]
    undecided: str = ""

    @property
    def decidable(self) -> bool:
        return not self.undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One model before its run. policy: with `harm` at the share of a single claim of the gate in question.

    theirs: in an A/B run the requests of the other arm, else None; other: what is known of that arm.
    """

    card: Card
    tasks: Sequence[Task]
    calls: Sequence[Call]
    policy: Policy
    known: Earlier
    theirs: Sequence[Call] | None = None
    other: Earlier | None = None
    pairs: frozenset[str] = field(default_factory=frozenset)

    @property
    def requests(self) -> list[Request]:
        return [request for call in self.calls for request in call.requests]

    def paired(self, *, edits: bool, counted: bool = False) -> list[Request]:
        """The requests that the other arm has too: as written or reworded, all or only those that stand for their round."""
        stands = {task.id: task.protocol.counted_index for task in self.tasks}
        chosen = (one for one in self.requests if bool(one.edits) is edits and one.pair in self.pairs)
        return [one for one in chosen if not counted or one.index == stands[one.task]]


def gap(prospect: Prospect) -> str:
    """Why nothing can be compared; "" when it can be."""
    known = prospect.known
    if prospect.theirs is not None:
        return ""
    if not known.scores:
        return known.incomparable or "nothing was accepted yet, so there is nothing to compare with: run, then swapgate baselines accept"
    recipes = {score.pair: score.recipe for score in known.scores}
    changed = [one.pair for one in prospect.requests if recipes.get(one.pair, one.recipe) != one.recipe]
    return f"{plural(len(changed), 'request')} ask for something else than at the baseline ({changed[0]}): accept again" if changed else ""


def closed(gate: str, prospect: Prospect, claims: Sequence[ClaimAhead]) -> GateAhead:
    """The gate with the first reason that keeps it from a decision."""
    short = [one.short for one in claims if one.decides and one.short]
    return GateAhead(gate=gate, model=prospect.card.id, alpha=prospect.policy.harm, claims=tuple(claims), undecided="; ".join(short))


def halted(gate: str, prospect: Prospect, why: str) -> GateAhead:
    return GateAhead(gate=gate, model=prospect.card.id, alpha=prospect.policy.harm, claims=(), undecided=why)


def shares_of(false_alarms: float, models: int, gates: Sequence[str]) -> tuple[Share, ...]:
    """How `gates.budget.settle` begins: models and gates share evenly, and the claims of a gate share its part."""
    part = false_alarms / models / len(gates)
    return tuple(Share(gate=gate, part=part, claims=CLAIMS[gate], each=part / CLAIMS[gate]) for gate in gates)
