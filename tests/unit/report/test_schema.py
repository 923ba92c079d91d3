"""The published schema of verdicts.json: what `swapgate schema` prints, held against the dataclasses that read the file, and against broken files."""

from __future__ import annotations

import copy
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from swapgate.cli.main import main
from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import GATES, WORST_FIRST, Finding, Status, Verdict
from swapgate.report import model

FILE = Path(model.__file__).parent / "verdicts.schema.json"
SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
# Which part describes which dataclass: what the file says of each is held to its fields, so that neither can be changed alone.
PARTS: dict[str, Any] = {
    "amount": model.Amount,
    "comparison": model.ComparisonRow,
    "cost": Cost,
    "costs": model.CostPair,
    "finding": Finding,
    "image": model.ImageRow,
    "model": model.ModelFacts,
    "null": model.NullRow,
    "outcome": model.Outcome,
    "sight": model.SightRow,
    "suspect": model.Suspect,
    "task": model.TaskFacts,
    "verdict": Verdict,
    "wording": model.WordingRow,
}
NAMES = {float: {"number"}, int: {"integer"}, str: {"string"}, bool: {"boolean"}, type(None): {"null"}, Status: {"status"}}


def kinds(hint: Any) -> set[str]:
    """What JSON may hold where a field is annotated so."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return set().union(*(kinds(one) for one in typing.get_args(hint)))
    if origin is tuple:
        return {"array"}
    if origin is not None and issubclass(origin, Mapping):
        return {"object"}
    if hint in NAMES:
        return NAMES[hint]
    return {next(name for name, kind in PARTS.items() if kind is hint)}


def said(part: Mapping[str, Any]) -> set[str]:
    """What the schema lets be held there."""
    if "anyOf" in part:
        return set().union(*(said(one) for one in part["anyOf"]))
    if "$ref" in part:
        return {part["$ref"].rpartition("/")[2]}
    named = part["type"]
    return set(named) if isinstance(named, list) else {named}


def test_the_command_prints_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    """To the byte, for whoever wants it in a pipe."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8")


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$schema"]
    assert SCHEMA["properties"]["schema"]["const"] == model.SCHEMA
    assert SCHEMA["$id"].endswith(f":{model.SCHEMA}")


def test_every_part_is_described_and_used() -> None:
    """None is left over from an earlier version."""
    assert set(SCHEMA["$defs"]) == {*PARTS, "status"}
    text = json.dumps(SCHEMA)
    assert [name for name in SCHEMA["$defs"] if f'"#/$defs/{name}"' not in text] == []


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_has_the_fields_of_its_dataclass(name: str) -> None:
    """Each with a description and its types; a new field has to be published, one that goes has to go here, too."""
    part, hints = SCHEMA["$defs"][name], typing.get_type_hints(PARTS[name])
    fields = {field.name for field in dataclasses.fields(PARTS[name])}
    assert set(part["properties"]) - ({"id"} if name == "verdict" else set()) == fields, "publish it: tools/swapgate/report/verdicts.schema.json"
    assert set(part["required"]) <= set(part["properties"])
    for field in sorted(fields):
        assert said(part["properties"][field]) == kinds(hints[field]), field
    assert [key for key, value in part["properties"].items() if not (value.get("description") or "$ref" in value)] == []


def test_the_top_has_the_fields_of_the_report() -> None:
    """And the number of the schema, which no field holds. What came later under the same number is not required."""
    fields = {field.name for field in dataclasses.fields(model.Report)}
    assert fields | {"schema"} <= set(SCHEMA["properties"]), "publish it: tools/swapgate/report/verdicts.schema.json"
    assert set(SCHEMA["required"]) <= set(SCHEMA["properties"])


def test_words_are_those_of_the_verdicts() -> None:
    """All of them, and no other."""
    assert SCHEMA["$defs"]["status"]["enum"] == [status.value for status in WORST_FIRST]
    assert SCHEMA["$defs"]["verdict"]["properties"]["gate"]["enum"] == list(GATES)


def test_a_run_holds_to_it(data: dict[str, Any]) -> None:
    """The made-up one of these tests, with every verdict there is."""
    VALIDATOR.validate(data)


BROKEN: dict[str, Any] = {
    "another schema": lambda run: run.update(schema=2),
    "no schema": lambda run: run.pop("schema"),
    "no verdicts": lambda run: run.pop("verdicts"),
    "verdicts by name": lambda run: run.update(verdicts={}),
    "a run without a name": lambda run: run.update(run=""),
    "a word of one's own": lambda run: run["verdicts"][0].update(status="GREAT"),
    "lower case": lambda run: run["verdicts"][0].update(status="pass"),
    "a gate that is none": lambda run: run["verdicts"][0].update(gate="taste"),
    "an id that is none": lambda run: run["verdicts"][0].update(id="latency"),
    "no reason": lambda run: run["verdicts"][0].pop("reason"),
    "a number as text": lambda run: run["verdicts"][0]["findings"][0].update(effect="18.3"),
    "a probability above one": lambda run: run["verdicts"][0]["findings"][0].update(p=1.5),
    "half a sample": lambda run: run["verdicts"][0]["findings"][0].update(n=0.5),
    "a finding that is true": lambda run: run["verdicts"][0].update(finding=True),
    "fewer than no cells": lambda run: run["planned"].update(cells=-1),
    "red as a word": lambda run: run["outcome"].update(red="yes"),
    "a count of nothing known": lambda run: run.update(counts={"GREAT": 1}),
    "a picture that is a path": lambda run: run["images"][0].update(candidate="../../etc/passwd"),
    "a picture in capitals": lambda run: run["images"][0].update(candidate="ABCDEF0123456789"),
    "similar beyond measure": lambda run: run["images"][0].update(ssim=1.5),
    "a time as text": lambda run: run["costs"][0]["candidate"]["seconds"].append("fast"),
    "usable without its half": lambda run: run["models"][0]["usable"].update(en=[1]),
    "a better one of three": lambda run: run.update(comparison=[{"better": "c"}]),
    "a warning that is a list": lambda run: run["warnings"].append([]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(data: dict[str, Any], name: str) -> None:
    """A schema that lets everything through is none."""
    bent = copy.deepcopy(data)
    bent.setdefault("warnings", [])
    BROKEN[name](bent)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(bent)


def test_keys_of_a_later_version_are_let_through(data: dict[str, Any]) -> None:
    """Who validates with an older schema must not fail for what it does not know."""
    data["weather"] = data["verdicts"][0]["mood"] = "fine"
    VALIDATOR.validate(data)
