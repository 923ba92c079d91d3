"""The policy table: defaults, ranges and the errors of a user."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from swapgate.errors import UserError
from swapgate.gates.policy import MOST_DRAWS, Policy, read_policy
from swapgate.reading import Table

DERIVED = {"harm", "look", "looks", "identity"}
KEYS = [field.name for field in fields(Policy) if field.name not in DERIVED]


def table(**content: object) -> Table:
    """A policy table as read from pyproject.toml."""
    return Table(content, where="pyproject.toml", prefix="tool.swapgate.policy.")


def test_an_empty_table_is_the_default_policy() -> None:
    """Nobody has to state a policy."""
    assert read_policy(table()) == Policy()


def test_every_default_can_be_stated() -> None:
    """Each field is a key, and its own default lies in its range."""
    stated = {name: getattr(Policy(), name) for name in KEYS}
    assert read_policy(table(**stated)) == Policy()


def test_what_follows_from_the_run_cannot_be_stated() -> None:
    """The share of a single claim is counted, not chosen, and so are the looks."""
    for name in sorted(DERIVED):
        with pytest.raises(UserError, match=name):
            read_policy(table(**{name: getattr(Policy(), name)}))


def test_every_error_of_a_look_is_its_share() -> None:
    """Over the looks of a run they add up to no more than the policy says, and latency's looks are reckoned together."""
    policy = Policy().at_most(0.002)
    looks = [policy.at_look(look, 5) for look in range(1, 6)]
    for name in ("alpha", "harm", "false_alarms"):
        assert sum(getattr(one, name) for one in looks) == pytest.approx(getattr(policy, name))
    assert max(one.latency_alpha for one in looks) < policy.latency_alpha
    assert sum(one.latency_alpha for one in looks) > policy.latency_alpha
    assert {one.identity for one in looks} == {policy.alpha}
    assert [one.early for one in looks] == [True] * 4 + [False]
    assert [one.anytime for one in looks] == [4.0] * 4 + [1.0]


def test_a_single_look_is_the_policy_itself() -> None:
    """And from any look the last one is known."""
    policy = Policy(alpha=0.1).at_most(0.002)
    assert policy.at_look(1, 1) == replace(policy, identity=0.1)
    last, seen = policy.at_look(5, 5), policy.at_look(2, 5).last
    assert (seen.look, seen.alpha, seen.harm) == (5, pytest.approx(last.alpha), pytest.approx(last.harm))
    assert last.last == last
    with pytest.raises(ValueError, match="out of range"):
        policy.at_look(6, 5)


def test_draws_resolve_a_small_share_but_not_without_end() -> None:
    """What needs a smaller p than so many draws can show waits for the last look."""
    assert Policy().at_most(1e-4).harm_draws == 100_000
    assert Policy().at_most(1e-9).harm_draws == MOST_DRAWS


@pytest.mark.parametrize("share", [0.0, -0.1, 0.5, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    """A claim that is wrong half of the time claims nothing."""
    with pytest.raises(ValueError, match="lies between 0 and"):
        Policy().at_most(share)


@pytest.mark.parametrize("field", KEYS)
def test_every_key_refuses_a_value_out_of_range(field: str) -> None:
    """A negative floor or a huge number is a slip of the pen, named with file and key."""
    for wrong in (-1, 10**12):
        with pytest.raises(UserError, match=rf"pyproject.toml: tool.swapgate.policy.{field}"):
            read_policy(table(**{field: wrong}))


def test_a_misspelt_key_is_reported_with_the_nearest_one() -> None:
    """A key that nobody reads would be a limit that nobody applies."""
    with pytest.raises(UserError, match="did you mean `latency_floor`"):
        read_policy(table(latency_flor=0.1))


def test_a_word_is_not_a_number() -> None:
    """Types are checked."""
    with pytest.raises(UserError, match="must be a number"):
        read_policy(table(alpha="five"))


@pytest.mark.parametrize(("metric", "value"), [("ssim", 0.99), ("psnr", 31.0), ("clip", 0.98)])
def test_a_metric_cannot_be_blind_above_its_floor(metric: str, value: float) -> None:
    """Otherwise a gate would call itself blind to what it still accepts."""
    with pytest.raises(UserError, match=rf"blind_{metric}.*\n.*must lie below drift_{metric}"):
        read_policy(table(**{f"blind_{metric}": value}))


def test_a_single_task_claims_less_than_the_pooled_model() -> None:
    """The floor widens from 5 to 30 points, and a wider flip floor is never narrowed by a strict task floor."""
    policy = Policy()
    assert (policy.usability_limit("all"), policy.usability_limit("cat")) == (0.05, 0.30)
    assert (policy.flip_limit("all"), policy.flip_limit("cat")) == (0.15, 0.30)
    assert Policy(usability_task_drop=0.1).flip_limit("cat") == 0.15


def test_growth_is_judged_by_the_kind_of_memory() -> None:
    """Resident memory of a process is noisier than allocated bytes."""
    policy = Policy()
    assert policy.growth_limit("cpu-amd-epyc") == 2.0
    assert policy.growth_limit("nvidia-h200") == 0.5
