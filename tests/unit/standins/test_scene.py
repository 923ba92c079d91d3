"""Scenes as names and codes: what is valid, what is sampled, and what training never sees."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.standins import scene as world
from swapgate.standins.scene import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    COUNT_WEIGHTS,
    DEFAULTS,
    OBJECTS,
    VALUES,
    Scene,
    decode,
    encode,
    fits,
    is_held_out,
    is_valid,
    layouts,
    sample_codes,
)

ANY_CODES = st.tuples(*(st.integers(0, len(VALUES[a]) - 1) for a in ATTRIBUTES))


def _triples() -> torch.Tensor:
    rows = itertools.product(range(len(OBJECTS)), range(len(COLOURS)), range(len(BACKGROUNDS)))
    return torch.tensor([[o, c, b, 0, 1, 0, 0] for o, c, b in rows])


def test_the_world_is_as_large_as_promised() -> None:
    """At least 10 objects and 10 colours, 5 backgrounds, 5 positions, 3 sizes, 3 counts and 3 finishes."""
    assert tuple(VALUES) == ATTRIBUTES
    assert len(OBJECTS) >= 10
    assert len(COLOURS) >= 10
    assert [len(VALUES[a]) for a in ATTRIBUTES[2:]] == [5, 5, 3, 3, 3]
    assert all(len(set(v)) == len(v) for v in VALUES.values())


def test_defaults_are_values_and_the_fields_of_a_scene_agree() -> None:
    """A scene built from the three required names has the defaults that a caption may leave out."""
    plain = Scene(object="cup", colour="red", background="table")
    assert {a: getattr(plain, a) for a in DEFAULTS} == DEFAULTS
    assert all(value in VALUES[a] for a, value in DEFAULTS.items())


def test_a_scene_cannot_be_changed() -> None:
    """Scenes are values: assigning to a field is an error."""
    with pytest.raises((FrozenInstanceError, AttributeError)):
        Scene(object="cup", colour="red", background="table").colour = "blue"  # type: ignore[misc]


@given(st.lists(ANY_CODES, max_size=5))
def test_codes_and_scenes_are_two_spellings_of_one_thing(rows: list[tuple[int, ...]]) -> None:
    """Decoding and encoding again gives the same codes."""
    codes = torch.tensor(rows, dtype=torch.long).reshape(-1, 7)
    again = encode(decode(codes))
    assert again.dtype == torch.long
    assert again.shape == codes.shape
    assert torch.equal(again, codes)


def test_an_unknown_value_cannot_be_encoded() -> None:
    """A colour the world does not have is refused, not mapped to another."""
    with pytest.raises(ValueError, match="tuple"):
        encode([Scene(object="cup", colour="mauve", background="table")])


@given(ANY_CODES)
def test_validity_of_a_batch_agrees_with_the_rule_for_one(row: tuple[int, ...]) -> None:
    """The vectorised check says what `fits` says."""
    assert bool(is_valid(torch.tensor([row]))[0]) == fits(row[3], row[4], row[5])


@pytest.mark.parametrize("column", range(7))
def test_codes_out_of_range_are_not_valid(column: int) -> None:
    """One past the last value and one before the first are both refused."""
    codes = torch.zeros(2, 7, dtype=torch.long)
    codes[0, column], codes[1, column] = len(VALUES[ATTRIBUTES[column]]), -1
    assert not is_valid(codes).any()


def test_layouts_lists_exactly_what_fits() -> None:
    """Large objects come alone, three medium ones never to a side, and everything else is there."""
    every = set(itertools.product(range(5), range(3), range(3)))
    assert set(layouts()) == {row for row in every if fits(*row)}
    assert len(layouts()) == len(set(layouts()))
    assert not any(size == 2 and count > 0 for _, size, count in layouts())
    assert (1, 1, 2) not in layouts()
    assert (0, 1, 2) in layouts()
    assert (1, 0, 2) in layouts()


def test_about_a_tenth_of_the_triples_is_held_out() -> None:
    """60 of 600 combinations of object, colour and background."""
    held = is_held_out(_triples())
    assert 0.08 <= held.float().mean().item() <= 0.12


def test_every_pair_of_values_is_still_seen_in_training() -> None:
    """Held-out scenes combine anew what training has seen in pairs."""
    seen = _triples()[~is_held_out(_triples())]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        pairs = {tuple(p) for p in seen[:, [a, b]].tolist()}
        assert len(pairs) == len(VALUES[ATTRIBUTES[a]]) * len(VALUES[ATTRIBUTES[b]])


def test_every_value_occurs_among_the_held_out() -> None:
    """No object, colour or background is spared, so that the held-out scenes are as varied as the rest."""
    held = _triples()[is_held_out(_triples())]
    assert [len(held[:, k].unique()) for k in range(3)] == [len(OBJECTS), len(COLOURS), len(BACKGROUNDS)]


def test_what_is_held_out_depends_on_the_triple_alone() -> None:
    """Position, size, count and finish do not move a scene between training and held out."""
    codes = sample_codes(200, torch.Generator().manual_seed(0))
    other = torch.cat([codes[:, :3], sample_codes(200, torch.Generator().manual_seed(1))[:, 3:]], dim=1)
    assert torch.equal(is_held_out(codes), is_held_out(other))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**31), st.sampled_from([None, True, False]))
def test_sampled_codes_are_valid_and_on_the_asked_side(n: int, seed: int, held_out: bool | None) -> None:
    """Every sampled scene can be drawn, and none crosses the line between training and held out."""
    codes = sample_codes(n, torch.Generator().manual_seed(seed), held_out)
    assert codes.shape == (n, 7)
    assert codes.dtype == torch.long
    assert is_valid(codes).all()
    if held_out is not None:
        assert (is_held_out(codes) == held_out).all()


def test_sampling_is_repeatable_and_moves_on() -> None:
    """The same seed gives the same scenes; the same generator, asked again, gives others."""
    first, second = (torch.Generator().manual_seed(7) for _ in range(2))
    a, b = sample_codes(50, first), sample_codes(50, second)
    assert torch.equal(a, b)
    assert not torch.equal(a, sample_codes(50, first))


def test_sampling_reaches_every_value_in_fair_shares() -> None:
    """Free attributes are uniform within five standard errors; counts have their stated weights."""
    n = 20_000
    codes = sample_codes(n, torch.Generator().manual_seed(3))
    for column in (0, 1, 2, 6):
        k = len(VALUES[ATTRIBUTES[column]])
        share = torch.bincount(codes[:, column], minlength=k) / n
        assert (share - 1 / k).abs().max().item() < 5 * (1 / k / n) ** 0.5
    counts = torch.bincount(codes[:, 5], minlength=3) / n
    assert torch.allclose(counts, torch.tensor(COUNT_WEIGHTS), atol=0.02)
    assert {tuple(row) for row in codes[:, 3:6].tolist()} == set(layouts())


def test_importing_the_world_needs_no_model_library() -> None:
    """The module itself names what it needs: torch and nothing else heavy."""
    assert not {"diffusers", "transformers", "open_clip"} & set(vars(world))
