"""Planted faults for drills: real damage to a loaded diffusers pipeline, each with a proof that it acts.

A card plants them with `faults = ["kind:amount", ...]`; `swapgate.engines.faults.table` lists the kinds with the range
and meaning of their amounts, and one file holds the classes of each theme (weights, schedule, guidance, text, ...). They
act through module hooks and wrapped methods of this one pipeline, on any pipeline with the parts that they damage.

A drill whose fault did nothing would prove nothing: `activity` says what was done, in numbers that were measured, and
`acted` whether it was anything.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from swapgate.engines.faults.base import Fault, Planted, denoiser
from swapgate.engines.faults.table import TABLE, Kind
from swapgate.errors import UserError

__all__ = ["EXAMPLES", "TABLE", "Fault", "Kind", "Planted", "apply", "denoiser", "note", "parse", "read_note"]

EXAMPLES = ("noise:0.02", "no-guidance", "slow:1.5", "leak:8", "black-decoder")


def parse(spec: str, *, where: str) -> Fault:
    """The fault that `spec` names. UserError (with `where`, the card) when it does not parse or its amount is out of range."""
    name, colon, _ = spec.partition(":")
    kind = TABLE.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, TABLE, n=1)
        raise _wrong(where, spec, f"a fault: {', '.join(TABLE)}", near[0] if near else "")
    if not colon:
        if kind.default is None:
            raise _wrong(where, spec, f"{name} needs an amount from {kind.low:g} to {kind.high:g}")
        return Fault(spec=spec, kind=name, amount=kind.default)
    if kind.low == kind.high:
        raise _wrong(where, spec, f"{name} takes no amount")
    return Fault(spec=spec, kind=name, amount=_amount(where, spec, kind))


def apply(pipe: Any, spec: str, *, where: str = "fault") -> Planted:
    """Plant the fault in a loaded diffusers pipeline; it stays until the pipeline is thrown away.

    Raises:
        UserError: the spec does not parse, or the pipeline lacks the part that the fault damages.
    """
    fault = parse(spec, where=where)
    file, _, name = TABLE[fault.kind].where.partition(":")
    plant = getattr(import_module(f"{__name__}.{file}"), name)
    try:
        planted: Planted = plant(pipe, fault)
    except AttributeError as error:
        raise _wrong(where, spec, f"a fault of something that {type(pipe).__name__} has ({error})") from error
    return planted


NOTHING_YET = " (nothing so far)"


def note(activity: str, *, acted: bool) -> str:
    """The line of a run's journal that says what a planted fault did; `activity` begins with its spec. `read_note` reads it."""
    return f"fault {activity}{'' if acted else NOTHING_YET}"


def read_note(line: str, spec: str) -> tuple[str, bool] | None:
    """What a fault did and whether it acted, from such a line; None for a line that is not of that fault."""
    start = f"fault {spec}: "
    return (line.removeprefix(start).removesuffix(NOTHING_YET), not line.endswith(NOTHING_YET)) if line.startswith(start) else None


def _amount(where: str, spec: str, kind: Kind) -> float:
    name, _, written = spec.partition(":")
    number = "a whole number" if kind.whole else "a number"
    try:
        amount = float(written)
    except ValueError:
        raise _wrong(where, spec, f"the amount of {name} is {number} from {kind.low:g} to {kind.high:g}") from None
    if not kind.low <= amount <= kind.high or (kind.whole and amount != int(amount)):
        raise _wrong(where, spec, f"{name} takes {number} from {kind.low:g} to {kind.high:g}")
    return amount


def _wrong(where: str, spec: str, rule: str, near: str = "") -> UserError:
    remedy = f"write one of the kind of {', '.join(EXAMPLES)}"
    return UserError(where=where, key="faults", value=spec, rule=rule, remedy=f"did you mean {near!r}? Or {remedy}" if near else remedy)
