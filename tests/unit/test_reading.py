"""Strict reading of TOML tables: every mistake names file, key, value, rule and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.errors import UserError
from swapgate.reading import Table, load_toml


def table(**content: object) -> Table:
    return Table(content, where="card.toml", prefix="top.")


def test_a_key_that_nobody_took_is_reported_with_its_nearest_neighbour() -> None:
    """A typo must not be ignored: it is named, and so is what was probably meant."""
    read = table(tittle="x")
    read.take("title", str, "")
    with pytest.raises(UserError) as caught:
        read.finish()
    assert "card.toml: top.tittle = 'x'" in str(caught.value)
    assert "did you mean `title`?" in str(caught.value)


def test_a_missing_key_says_what_to_add() -> None:
    """The remedy holds the line to write."""
    with pytest.raises(UserError, match="add `seeds = …`"):
        table().take("seeds", list)


@pytest.mark.parametrize(("value", "kind"), [("1", int), (True, int), (True, float), (1, str), ([], dict), (1.5, int)])
def test_a_value_of_another_type_is_refused(value: object, kind: type) -> None:
    """true is not the number 1, and "1" is not either."""
    with pytest.raises(UserError, match="rule: must be"):
        table(key=value).take("key", kind)


def test_a_whole_number_may_stand_for_a_float() -> None:
    """TOML writers drop the `.0`."""
    assert table(key=2).take("key", float) == 2.0


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_number_out_of_range_names_the_range(value: float) -> None:
    """The rule shows both ends."""
    with pytest.raises(UserError, match="between 0 and 1"):
        table(share=value).number("share", low=0, high=1)


def test_a_choice_suggests_the_nearest_option() -> None:
    """An unknown option is an error with a suggestion; the default needs not be an option."""
    with pytest.raises(UserError, match="did you mean 'diffusers'"):
        table(engine="difusers").choice("engine", ("diffusers", "scripted"))
    assert table().choice("engine", ("a",), "") == ""


def test_keys_of_sub_tables_are_written_in_full() -> None:
    """Arrays of tables count from 0 in the key, as TOML tools do."""
    top = Table({"task": [{"id": 3}]}, where="t.toml")
    with pytest.raises(UserError, match=r"t.toml: task\[0\].id = 3"):
        top.tables("task")[0].take("id", str)


def test_a_list_of_strings_holds_no_empty_ones() -> None:
    """An empty string in a list is a slip, never a value."""
    with pytest.raises(UserError, match="non-empty strings"):
        table(names=["a", " "]).strings("names")


def test_an_absent_file_and_a_broken_one_are_user_errors(tmp_path: Path) -> None:
    """Both name the file and say what to do."""
    with pytest.raises(UserError, match="must exist"):
        load_toml(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("a = \n")
    with pytest.raises(UserError, match="valid TOML"):
        load_toml(tmp_path / "broken.toml")
