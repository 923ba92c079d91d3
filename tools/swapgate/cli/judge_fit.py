"""`swapgate judge fit`: how often the judge is right by people's labels, and usability figures corrected for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from swapgate.cli.common import FOUND, OK, add_json, run_of, show
from swapgate.report.columns import columns

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.gates.labelled import Agreement, Rate, Table
    from swapgate.suite.fitting import Figure, Fitted

POOLS = ("model", "language", "all")
NOTHING = "—"


def add(verbs: Groups) -> None:
    """Add the verb to its group."""
    summary = "sensitivity and specificity against people's labels, and usability corrected for them; exit status 1 when chance would do as well"
    made = verbs.add_parser("fit", help=summary, description=summary)
    made.add_argument("runs", nargs="*", metavar="RUN", help="labelled runs, folders or names (default: the newest)")
    made.add_argument(
        "--pool",
        choices=POOLS,
        default="model",
        help="the judge's errors of each model and language apart (default), over all models of a language, or over all; "
        "over models only where the judge errs alike on all of them",
    )
    add_json(made)
    made.set_defaults(handler=_fit)


def _fit(given: argparse.Namespace) -> int:
    from swapgate.suite import fitting

    paths = [run_of(argparse.Namespace(project=given.project, run=name)) for name in (given.runs or [None])]
    found = fitting.fit([fitting.read(path) for path in dict.fromkeys(path.resolve() for path in paths)], given.pool)
    show(given, _data(found), _lines(found))
    return OK if all(table.informative for table in found.tables.values()) else FOUND


def _data(found: Fitted) -> dict[str, Any]:
    return {
        "judge": {name: _table(table) for name, table in found.tables.items()},
        "usability": [_figure(figure) for figure in found.figures],
        "refused": dict(found.refused),
        "labels": {
            "pictures": found.labelled,
            "disputed": found.disputed,
            "unsure": found.unsure,
            "people": dict(found.people),
            "between": _agreement(found.between) if found.between else None,
            "within": {person: _agreement(one) for person, one in found.within.items()},
        },
        "notes": list(found.notes),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "usable": {"yes": table.usable_yes, "no": table.usable_no},
        "unusable": {"yes": table.not_yes, "no": table.not_no},
        "sensitivity": _rate(table.sensitivity),
        "specificity": _rate(table.specificity),
        "chance_p": table.chance_p,
        "informative": table.informative,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"value": rate.value, "low": low, "high": high, "n": rate.n}


def _figure(figure: Figure) -> dict[str, Any]:
    fixed = figure.corrected
    return {
        "run": figure.run,
        "model": figure.model,
        "language": figure.language,
        "pool": figure.pool,
        "judge": _rate(figure.said),
        "people": _rate(figure.people),
        "corrected": {"value": fixed.value, "low": fixed.low, "high": fixed.high},
    }


def _agreement(one: Agreement) -> dict[str, Any]:
    return {"coefficient": one.coefficient, "value": one.value, "n": one.n, "same": _rate(one.same)}


def _lines(found: Fitted) -> Iterator[str]:
    yield from columns([("the judge on", "sensitivity", "specificity", "usable", "not usable", ""), *_judges(found)])
    yield ""
    yield from columns(
        [("run", "model", "language", "usable by the judge", "corrected for the judge", "by people, where labelled"), *map(_row, found.figures)]
    )
    yield ""
    if found.refused:
        named = ", ".join(f"{name} {count}" for name, count in sorted(found.refused.items(), key=lambda item: (-item[1], item[0])))
        yield f"checks that refused pictures that people find usable: {named}"
    people = ", ".join(f"{person} {count}" for person, count in sorted(found.people.items()))
    yield f"labels: {found.labelled} pictures judged and labelled; answers of {people}; {found.unsure} unsure, {found.disputed} disputed, left out"
    if found.between:
        yield f"between people: {_said(found.between)}"
    for person, one in found.within.items():
        yield f"{person}, the same picture twice: {_said(one)}"
    yield from found.notes
    yield "All intervals are 95 %. Corrected: Rogan and Gladen, with what is not known of sensitivity and specificity in the interval."


def _judges(found: Fitted) -> Iterator[tuple[str, ...]]:
    for name, table in found.tables.items():
        said = "" if table.informative else f"not shown better than chance (p = {table.chance_p:.2g}): label more pictures"
        usable, unusable = table.sensitivity.n, table.specificity.n
        yield (name, _percent(table.sensitivity), _percent(table.specificity), str(usable), str(unusable), said)


def _row(figure: Figure) -> tuple[str, ...]:
    fixed = figure.corrected
    said = _share(fixed.value, fixed.low, fixed.high) if fixed.value is not None else f"{NOTHING} (the judge says nothing here)"
    return (figure.run, figure.model, figure.language, _percent(figure.said), said, f"{_percent(figure.people)} of {figure.people.n}")


def _said(one: Agreement) -> str:
    value = "not defined" if one.value is None else f"{one.value:.2f}"
    return f"{one.coefficient} {value}, the same answer {_percent(one.same)} of {one.n} picture{'' if one.n == 1 else 's'}"


def _percent(rate: Rate) -> str:
    return _share(rate.value, *rate.interval)


def _share(value: float | None, low: float, high: float) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
