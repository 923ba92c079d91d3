"""Canonical JSON and atomic writes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate import canonical
from swapgate.errors import RunBroken

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES))
def test_the_order_of_keys_does_not_matter(data: dict[str, Any]) -> None:
    """The same content gives the same text and hash."""
    turned = dict(reversed(list(data.items())))
    assert canonical.dumps(data) == canonical.dumps(turned)
    assert canonical.digest(data) == canonical.digest(turned)


@given(VALUES)
def test_what_is_written_reads_back(data: Any) -> None:
    """Canonical JSON is JSON."""
    assert json.loads(canonical.dumps(data)) == data


def test_a_nan_is_refused() -> None:
    """JSON has no NaN; a file that other tools cannot read is worse than an error."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dumps({"x": math.nan})


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_rounding_keeps_six_significant_digits(value: float) -> None:
    """A rounded number is within half a unit of its sixth digit, and rounding again changes nothing."""
    (rounded,) = canonical.rounded([value])
    assert math.isclose(rounded, value, rel_tol=5.1e-6, abs_tol=1e-300)
    assert canonical.rounded(rounded) == rounded


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between temporary file and rename nothing of the old content is lost, and nothing is left behind."""
    path = tmp_path / "data.json"
    canonical.write_atomic(path, "old")

    def broken(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        canonical.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.json"]


def test_a_damaged_file_is_a_broken_run(tmp_path: Path) -> None:
    """The message names the file and the remedy."""
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RunBroken, match="valid JSON"):
        canonical.read_json(tmp_path / "x.json")
