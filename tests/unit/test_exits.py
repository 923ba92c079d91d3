"""One exit status for one meaning, and which one stands where several hold."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from swapgate.errors import RunBroken, UserError
from swapgate.exits import WEIGHTIEST_FIRST, Exit, combined, of_error

REPOSITORY = Path(__file__).parents[2]


def test_the_statuses_are_those_that_are_documented() -> None:
    """CI files of other people are written against these numbers."""
    assert {one.name: int(one) for one in Exit} == {"PASS": 0, "REGRESSION": 1, "USAGE": 2, "UNDECIDED": 3, "ERROR": 4, "INTERRUPTED": 130}


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_has_a_row_for_each(readme: str) -> None:
    """With its number first."""
    rows = [line.split("|")[1].strip() for line in (REPOSITORY / readme).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert [str(int(one)) for one in Exit if str(int(one)) not in rows] == []


def test_every_status_has_its_weight_and_no_two_the_same() -> None:
    """Nothing is compared with a status that stands nowhere."""
    assert sorted(WEIGHTIEST_FIRST) == sorted(Exit)
    assert len(set(Exit)) == len(WEIGHTIEST_FIRST)


def test_nothing_at_all_is_a_pass() -> None:
    """No exit was asked for."""
    assert combined([]) is Exit.PASS


def test_the_order_in_which_they_come_does_not_matter() -> None:
    """Tests run in any order."""
    for several in permutations(Exit, 3):
        assert combined(several) is combined(sorted(several))
        assert combined([*several, *several]) is combined(several)


@pytest.mark.parametrize(
    ("several", "stands"),
    [
        ([Exit.PASS, Exit.UNDECIDED], Exit.UNDECIDED),
        ([Exit.UNDECIDED, Exit.REGRESSION], Exit.REGRESSION),
        ([Exit.ERROR, Exit.REGRESSION], Exit.REGRESSION),
        ([Exit.ERROR, Exit.UNDECIDED], Exit.ERROR),
        ([Exit.USAGE, Exit.UNDECIDED], Exit.USAGE),
        ([Exit.USAGE, Exit.ERROR], Exit.ERROR),
        ([Exit.REGRESSION, Exit.INTERRUPTED], Exit.INTERRUPTED),
    ],
)
def test_what_was_shown_outweighs_what_is_open(several: list[Exit], stands: Exit) -> None:
    """A regression beside an error is a regression all the same; an interrupted run has said nothing yet."""
    assert combined(several) is stands


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError(where="a", rule="b", remedy="c"), Exit.USAGE),
        (RunBroken(where="a", rule="b", remedy="c"), Exit.ERROR),
        (OSError(28, "No space left on device"), Exit.ERROR),
        (ValueError("a defect"), Exit.ERROR),
        (AssertionError(), Exit.ERROR),
    ],
)
def test_an_exception_is_a_mistake_only_where_it_can_be_mended_by_writing_something_else(error: BaseException, status: Exit) -> None:
    """A damaged run and a full disk are no mistakes in the command."""
    assert of_error(error) is status


def test_a_full_disk_that_is_told_as_a_mistake_stays_an_error() -> None:
    """Its words have a rule and a remedy, too."""
    error = UserError(where="a", rule="room on the disk", remedy="free some")
    error.__context__ = OSError(28, "No space left on device")
    assert of_error(error) is Exit.ERROR
    error.__context__ = FileNotFoundError(2, "No such file or directory")
    assert of_error(error) is Exit.USAGE
