"""The walk of `swapgate baselines review`: one change after the other, one key a decision.

A decision is on the disk before the next change is shown, so quitting, a closed terminal or a crash loses none of them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from swapgate.characters import escaped
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.baselines.compare import Change, Figures
    from swapgate.baselines.record import Baseline
    from swapgate.baselines.review import Reviewed
    from swapgate.baselines.store import Store

QUESTION = "[a]ccept, [r]eject, [s]kip, [o]pen the picture, [A]ccept all the rest, [q]uit? "
HELP = """  a  make it the baseline (asks for the reason where something got worse)
  r  note that it must not become one (asks for the reason)
  s  leave it for later
  o  write baseline, candidate and difference side by side, and open that
  A  accept this one and all that are left
  q  end here; the same command goes on with what is left"""
ENDED = "\x04"  # the key of a terminal for "no more input"
Step = Literal["next", "rest", "end"]


class Keys(Protocol):
    """Where answers come from."""

    def key(self) -> str:
        """The next key; ENDED when there is no more input."""

    def line(self, prompt: str) -> str:
        """A line without its end; "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The options that every decision of a walk is taken with; see `baselines accept`."""

    cohort: str | None = None
    with_cost: bool = False
    reason: str = ""
    by: str = ""
    allow_ci: bool = False


@dataclass(slots=True)
class Walk:
    """One review under way. sheets: the folder for pictures; show: opens a file, False where there is no screen."""

    run: Path
    store: Store
    sheets: Path
    keys: Keys
    how: How
    show: Show
    counts: Counter[str] = field(default_factory=Counter)

    def through(self, todo: Sequence[tuple[Change, Baseline]]) -> int:
        """Walk through changes with their drafts; gives how many are left undecided."""
        for place, (change, draft) in enumerate(todo):
            step = self._decide(change, draft, f"{place + 1}/{len(todo)}")
            if step == "rest":
                for _, one in todo[place:]:
                    self._accept(one, self._before(one), ask=False)
            if step != "next":
                break
        return len(todo) - self.counts["accepted"] - self.counts["rejected"]

    def say(self, *lines: str) -> None:
        """Print lines, with what steers a terminal written out."""
        sys.stdout.write("".join(f"{escaped(line, keep=chr(10))}\n" for line in lines))

    def _decide(self, change: Change, draft: Baseline, number: str) -> Step:
        before = self._before(draft)
        self.say(*described(self.run, change, draft, before, number))
        while True:
            key = self._ask()
            if key in ("q", ENDED):
                return "end"
            if key == "A":
                return "rest"
            if key == "s" or (key == "a" and self._accept(draft, before)) or (key == "r" and self._reject(draft)):
                return "next"
            if key == "o":
                self._open(draft, before)
            elif key not in ("a", "r"):
                self.say(HELP)

    def _before(self, draft: Baseline) -> Baseline | None:
        from swapgate.baselines.review import target

        wanted = target(draft, cohort=self.how.cohort, with_cost=self.how.with_cost)
        return self.store.held(wanted.model, wanted.cohort, wanted.task)

    def _accept(self, draft: Baseline, before: Baseline | None, *, ask: bool = True) -> bool:
        from swapgate.baselines.guards import needs_reason
        from swapgate.baselines.review import accept

        reason = self.how.reason
        if ask and not reason and needs_reason(self.run, draft):
            reason = self.keys.line("something got worse; reason to accept it: ").strip()
            if not reason:
                self.say("nothing was accepted: what got worse is accepted with a reason")
                return False
        seen = {before.id: before.mark} if before else {}
        how = {"cohort": self.how.cohort, "with_cost": self.how.with_cost, "by": self.how.by, "allow_ci": self.how.allow_ci}
        return self._done(accept(self.run, store=self.store, patterns=[draft.id], reason=reason, seen=seen, **how), "accepted")  # type: ignore[arg-type]

    def _reject(self, draft: Baseline) -> bool:
        from swapgate.baselines.review import reject

        reason = self.how.reason or self.keys.line("reason to reject it: ").strip()
        if not reason:
            self.say("nothing was rejected: a rejection says why")
            return False
        try:
            return self._done(reject(self.run, store=self.store, patterns=[draft.id], reason=reason, by=self.how.by), "rejected")
        except UserError as error:
            self.say(str(error))
            return False

    def _done(self, made: Reviewed, word: str) -> bool:
        self.say(*made.lines)
        self.counts[word] += len(made.done)
        return bool(made.done)

    def _open(self, draft: Baseline, before: Baseline | None) -> None:
        from swapgate.baselines.sheet import of_draft

        try:
            path, lost = of_draft(self.run, self.store, self.sheets, draft, before)
        except UserError as error:
            self.say(str(error))
            return
        self.say(*lost, str(path) if self.show(path) else f"{path} (no screen to open it on)")

    def _ask(self) -> str:
        sys.stdout.write(QUESTION)
        sys.stdout.flush()
        key = self.keys.key()
        sys.stdout.write(f"{escaped(key) if key != ENDED else ''}\n")
        return key


class Show(Protocol):
    """Opens a file for the person at the keyboard."""

    def __call__(self, path: Path, /) -> bool:
        """Whether there was something to open it with."""


def described(run: Path, change: Change, draft: Baseline, before: Baseline | None, number: str) -> list[str]:
    """What a person has to know of a change, in lines."""
    from swapgate.baselines.guards import about, judged_against, overtaken, read_verdicts
    from swapgate.gates.verdict import Status

    parts = f" ({', '.join(change.parts)})" if change.parts else ""
    lines = ["", f"[{number}] {change.id}: {change.kind}{parts}"]
    lines += [f"  {line}" for line in _figures(change)]
    if before:
        made = before.provenance
        lines.append(f"  baseline: accepted by {escaped(made.accepted_by)} on {made.accepted_on[:10]} from run {made.run}: {escaped(made.reason)}")
    lines += [f"  {one.gate}/{one.task}: {one.status}: {one.reason}" for one in about(draft, read_verdicts(run)) if one.status is not Status.PASS]
    told = overtaken(replace(draft, cohort=before.cohort), before, judged_against(run), run) if before else ""
    return [*lines, *([f"  note: {told.partition('; ')[0]}"] if told else [])]


def _figures(change: Change) -> Iterator[str]:
    old: Figures | None = change.before
    for name, word, unit in (("usable", "usable", "%"), ("seconds", "seconds an image", ""), ("peak_mib", "peak MiB", "")):
        after, before = getattr(change.after, name), getattr(old, name) if old else None
        if after is not None or before is not None:
            yield f"{word}: {_one(before, unit)} -> {_one(after, unit)}" if old else f"{word}: {_one(after, unit)}"
    yield f"pictures: {change.identical} of {change.shared} identical" if old else f"pictures: {change.after.images}"


def _one(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1%}" if unit == "%" else f"{value:.4g}"
