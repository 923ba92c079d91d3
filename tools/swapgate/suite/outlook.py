"""The outlook of a run: what it will make, how long that should take, how its budget is shared, and what each gate can decide.

Nothing is loaded and nothing is made. Times and spreads come from earlier samples (`suite.earlier`); where there are none, a figure
is unknown or is an assumption that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from swapgate.baselines.store import Store
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.gates.looks import look_rounds
from swapgate.gates.policy import Policy, read_policy
from swapgate.plan import Call, Plan, Request, rounds
from swapgate.suite import ahead_cost, ahead_quality
from swapgate.suite.earlier import Earlier, earlier
from swapgate.suite.generate import null_turns
from swapgate.suite.judging import recorded_edits
from swapgate.suite.options import Options
from swapgate.suite.planning import Setup, build_plan, prepare
from swapgate.suite.prospect import GateAhead, Prospect, Share, shares_of
from swapgate.suite.session import budget_of_new, null_calls

SCHEMA = 1
_GATES = {
    "latency": ahead_cost.latency,
    "memory": ahead_cost.memory,
    "usability": ahead_quality.usability,
    "drift": ahead_quality.drift,
    "stability": ahead_quality.stability,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is made of one model. images = first + others + reworded, without repeats; calls as well.

    first: images that stand for their round, as written; others: further images of those rounds; repeats: images of the null, in
    `processes` fresh processes. seconds_per_image, load_seconds and seconds (loading and making, without scoring) are None where no
    earlier sample tells them; `timed` says where they come from.
    """

    model: str
    judged: bool
    first: int
    others: int
    reworded: int
    calls: int
    repeats: int
    processes: int
    seconds_per_image: float | None
    load_seconds: float | None
    seconds: float | None
    timed: str

    @property
    def images(self) -> int:
        return self.first + self.others + self.reworded


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The whole of it. false_alarms: the chance that an unchanged run is red anywhere.

    looks: after how many rounds the run is judged, 1 for a test of fixed size; budget: how far it may go.
    """

    works: tuple[Work, ...]
    against: str
    false_alarms: float
    models: int
    looks: int
    budget: str
    shares: tuple[Share, ...]
    gates: tuple[GateAhead, ...]

    @property
    def undecided(self) -> tuple[GateAhead, ...]:
        return tuple(one for one in self.gates if not one.decidable)

    @property
    def seconds(self) -> float | None:
        """Of all models; None where one is unknown."""
        known = [one.seconds for one in self.works if one.seconds is not None]
        return sum(known) if len(known) == len(self.works) else None

    def as_json(self) -> dict[str, Any]:
        """Plain data; figures that nobody knows are null."""
        gates = [{**asdict(one), "decidable": one.decidable, "claims": [asdict(claim) for claim in one.claims]} for one in self.gates]
        return {
            "schema": SCHEMA,
            "against": self.against,
            "images": sum(one.images + one.repeats for one in self.works),
            "seconds": self.seconds,
            "models": [{**asdict(one), "images": one.images} for one in self.works],
            "looks": self.looks,
            "budget": {
                "images": self.budget,
                "false_alarms": self.false_alarms,
                "models": self.models,
                "shares": [asdict(one) for one in self.shares],
            },
            "gates": gates,
            "undecided": [f"{one.gate}/{one.model}" for one in self.undecided],
        }


def foresee(config: Config, options: Options) -> Outlook:
    """The outlook of a run with these options, from the project's files. UserError for any mistake in files or options."""
    setup = prepare(config, options)
    store = Store.of(config)
    plan = build_plan(setup, lambda card, task, language: recorded_edits(store, setup, card, task, language))
    policy = read_policy(config.policy_table())
    policy = replace(policy, false_alarms=options.false_alarms or policy.false_alarms)
    known = {card.id: earlier(card, setup.tasks[card.id], store, config.root / config.runs) for card in setup.cards}
    return outlook(setup, plan, policy, known)


def outlook(setup: Setup, plan: Plan, policy: Policy, known: Mapping[str, Earlier]) -> Outlook:
    """The outlook of `plan`; `known` holds what is known of each model, by name. Pure.

    Of a run that may stop early the gates are reckoned at its last look, which has the rest of every error.
    """
    whole = policy.false_alarms
    models, looks = len(setup.models), looks_of(setup, plan)
    policy = policy.at_look(looks, looks) if looks > 1 else policy
    shares = shares_of(policy.false_alarms, models, setup.options.gates)
    return Outlook(
        works=tuple(_work(card, setup, plan.calls[card.id], known[card.id]) for card in setup.cards),
        against=setup.against.id if setup.against else "baseline",
        false_alarms=whole,
        models=models,
        looks=looks,
        budget=budget_of_new(setup),
        shares=shares,
        gates=tuple(_GATES[one.gate](_prospect(card, setup, plan, policy.at_most(one.each), known)) for card in setup.models for one in shares),
    )


def looks_of(setup: Setup, plan: Plan) -> int:
    """How often a run is judged: once with its whole plan, else after each of the looks of its longest model."""
    if budget_of_new(setup) == "full":
        return 1
    return max((len(look_rounds(len(made))) for calls in plan.calls.values() if (made := rounds(calls))), default=1)


def _prospect(card: Card, setup: Setup, plan: Plan, policy: Policy, known: Mapping[str, Earlier]) -> Prospect:
    other = setup.against
    theirs = plan.calls[other.id] if other else None
    accepted = {score.pair for score in known[card.id].scores}
    return Prospect(
        card=card,
        tasks=setup.tasks[card.id],
        calls=plan.calls[card.id],
        policy=policy,
        known=known[card.id],
        theirs=theirs,
        other=known[other.id] if other else None,
        pairs=frozenset(request.pair for call in theirs for request in call.requests) if theirs is not None else frozenset(accepted),
    )


def _work(card: Card, setup: Setup, calls: Sequence[Call], known: Earlier) -> Work:
    stands = {task.id: task.protocol.counted_index for task in setup.tasks[card.id]}
    kinds = Counter(_kind(request, stands[request.task]) for call in calls for request in call.requests)
    processes = setup.options.null if card in setup.models else 0
    first = null_calls(calls)
    again = [request for _ in range(null_turns(len(first))) for call in first for request in call.requests] if processes else []
    requests = [request for call in calls for request in call.requests]
    once, repeat = _making(requests, known), _making(again, known)
    load = known.load_seconds
    total = None if once is None or repeat is None or load is None else load + once + processes * (load + repeat)
    return Work(
        model=card.id,
        judged=card in setup.models,
        first=kinds["first"],
        others=kinds["other"],
        reworded=kinds["reworded"],
        calls=len(calls),
        repeats=processes * len(again),
        processes=processes,
        seconds_per_image=None if once is None or not requests else once / len(requests),
        load_seconds=load,
        seconds=total,
        timed=known.timed,
    )


def _kind(request: Request, counted: int) -> str:
    if request.edits:
        return "reworded"
    return "first" if request.index == counted else "other"


def _making(requests: Sequence[Request], known: Earlier) -> float | None:
    """Seconds of these images, each as long as earlier ones of its size; None where a size was never made."""
    if any((one.width, one.height) not in known.seconds for one in requests):
        return None
    return sum(known.seconds[one.width, one.height] for one in requests)
