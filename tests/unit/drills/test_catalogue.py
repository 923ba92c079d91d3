"""The catalogue of drills is whole: every spec parses, every gate has a drill, every drill says where it happened."""

from __future__ import annotations

import re

import pytest

from swapgate.drills.catalogue import CATALOGUE, drill, drills_for
from swapgate.drills.kinds import FLUX, QWEN, Drill
from swapgate.engines.faults import TABLE, parse
from swapgate.errors import UserError
from swapgate.gates.verdict import GATES

SOURCE = re.compile(r"^[\w.+-]+(?:[ -][\w.]+)* (?:#\d+|[0-9a-f]{8,40})$|floor$")
DRILLS = [pytest.param(one, id=one.id) for one in CATALOGUE]


def test_there_are_enough_and_each_is_itself() -> None:
    """At least the 36 that a release needs, under names that a command line can take."""
    names = [one.id for one in CATALOGUE]
    assert len(names) >= 36
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


@pytest.mark.parametrize("one", DRILLS)
def test_every_dose_parses(one: Drill) -> None:
    """And the moderate one is always there."""
    assert "moderate" in one.doses
    assert [parse(spec, where=one.id).spec for spec in one.doses.values()] == list(one.doses.values())
    assert len(set(one.doses.values())) == len(one.doses)


@pytest.mark.parametrize("one", DRILLS)
def test_gates_are_known_and_none_is_asked_for_both(one: Drill) -> None:
    """A gate cannot have to fire and have to be quiet."""
    assert one.fires | one.quiet <= set(GATES)
    assert not one.fires & one.quiet


@pytest.mark.parametrize("one", DRILLS)
def test_sources_are_public_and_named(one: Drill) -> None:
    """A project and a number or a commit, which anyone can look up."""
    assert one.sources
    assert all(SOURCE.search(source) for source in one.sources), one.sources
    assert one.about.endswith(".")
    assert len(one.about.split()) >= 4


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_has_a_drill_and_is_quiet_in_one(gate: str) -> None:
    """A gate that no drill can trip is dead; one that never has to be quiet may cry wolf."""
    assert any(gate in one.fires for one in CATALOGUE)
    assert any(gate in one.quiet for one in CATALOGUE)


def test_drills_of_specificity_forbid_quality() -> None:
    """Nothing about the quality of pictures may fire; only another generator changes the pictures themselves."""
    specific = {one.id: one for one in CATALOGUE if one.specific}
    assert set(specific) == {"max-shift-rounded", "generator-device", "needless-mask", "table-upload"}
    for one in specific.values():
        assert "usability" in one.quiet
        assert one.fires <= {"drift"}
    assert {name for name, one in specific.items() if "drift" in one.fires} == {"generator-device"}


def test_others_must_trip_something() -> None:
    """A drill that asks for nothing proves nothing."""
    assert all(one.fires for one in CATALOGUE if not one.specific)


def test_every_kind_of_fault_is_drilled() -> None:
    """Or it would be damage without a use; coarse tables move no gate at any dose of the stand-ins, and brittleness has a benchmark of its own."""
    used = {spec.partition(":")[0] for one in CATALOGUE for spec in one.doses.values()}
    assert set(TABLE) - used <= {"rope-bits", "brittle"}


@pytest.mark.parametrize("one", DRILLS)
def test_doses_rise(one: Drill) -> None:
    """Amounts of one kind go one way from mild to severe."""
    faults = [parse(spec, where=one.id) for spec in one.doses.values()]
    amounts = [fault.amount for fault in faults if fault.kind == faults[-1].kind]
    assert amounts in (sorted(amounts), sorted(amounts, reverse=True))


def test_drills_are_chosen_by_what_a_pipeline_has() -> None:
    """A pipeline without a template has no drill of it; a batch is needed for what only a batch shows."""
    assert {one.id for one in drills_for(QWEN)} - {one.id for one in drills_for(FLUX)} == {
        "template", "encoder-rope", "guidance-embeddings", "guidance-rescale", "text-lengths", "mask-removed",
    }  # fmt: skip
    assert {one.id for one in drills_for(QWEN, images=2)} - {one.id for one in drills_for(QWEN)} == {"batch-embeddings", "batch-order"}
    assert all("severe" in one.doses for one in drills_for(QWEN, dose="severe"))


def test_a_drill_is_found_by_name() -> None:
    """A wrong name is the user's error and names the right ones."""
    assert drill("rope-theta").moderate == "rope-theta:1000"
    with pytest.raises(UserError, match="rope-theta"):
        drill("rope-teta")


def test_every_dose_was_measured() -> None:
    """The page beside the catalogue has a row with figures for each of them; a dose that nobody tried is a guess."""
    from pathlib import Path

    import swapgate.drills

    page = (Path(swapgate.drills.__file__).parent / "MEASURED.md").read_text(encoding="utf-8")
    assert "not measured" not in page
    for one in CATALOGUE:
        for dose, spec in one.doses.items():
            assert f"| {one.id} | {dose} | `{spec}` |" in page
