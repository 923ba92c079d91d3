"""Messages between host and child: what goes in comes out, and nothing is pickled."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card, Ceilings, Judge
from swapgate.errors import UserError
from swapgate.hosts import wire
from swapgate.plan import Call, Request

SCALARS = st.one_of(st.text(max_size=20), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
NAMES = st.text(min_size=1, max_size=12)


def cards() -> st.SearchStrategy[Card]:
    """Any card."""
    return st.builds(
        Card,
        id=NAMES,
        title=st.text(),
        engine=NAMES,
        source=NAMES,
        revision=st.none() | NAMES,
        pipeline=st.none() | NAMES,
        device=st.just("auto"),
        dtype=st.just(MappingProxyType({"cpu": "float32", "cuda": "bfloat16"})),
        call=st.dictionaries(NAMES, SCALARS, max_size=3).map(MappingProxyType),
        negative_prompt=st.dictionaries(NAMES, st.text(), max_size=2).map(MappingProxyType),
        expected_forwards=st.none() | st.integers(1, 100),
        tasks=st.lists(NAMES, max_size=3).map(tuple),
        judge=st.builds(Judge, source=NAMES, pretrained=st.none() | NAMES),
        ceilings=st.dictionaries(NAMES, st.builds(Ceilings, memory_mib=st.none() | st.floats(1, 1e6)), max_size=2).map(MappingProxyType),
        usability_floor=st.floats(0, 1),
        timeout_seconds=st.floats(0.1, 1e4),
        licence=st.text(),
        options=st.dictionaries(NAMES, SCALARS, max_size=3).map(MappingProxyType),
        faults=st.lists(NAMES, max_size=2).map(tuple),
        path=st.just(Path("cards/some.toml")),
        root=st.just(Path("root")),
    )


def pair() -> tuple[Connection, Connection]:
    """Two ends of one connection."""
    ours, theirs = socket.socketpair()
    return Connection(ours.detach()), Connection(theirs.detach())


@given(cards())
def test_a_card_survives_the_way(card: Card) -> None:
    """Through real JSON text, so that nothing but JSON is in it."""
    import json

    assert wire.card_from_json(json.loads(json.dumps(wire.card_to_json(card)))) == card


@given(prompt=st.text(max_size=200), seed=st.integers(0, 2**31 - 1), images=st.integers(1, 4), arguments=st.dictionaries(NAMES, SCALARS, max_size=3))
def test_request_keys_survive_the_way(prompt: str, seed: int, images: int, arguments: dict[str, object]) -> None:
    """The key is the identity of a generation: both sides must agree on it."""
    import json

    call = Call(
        requests=tuple(
            Request(
                model="m",
                task="t",
                language="zh",
                seed=seed,
                index=index,
                prompt=prompt,
                negative_prompt=None,
                width=64,
                height=64,
                call=tuple(sorted(arguments.items())),
            )  # type: ignore[arg-type]
            for index in range(images)
        )
    )
    back = wire.call_from_json(json.loads(json.dumps(wire.call_to_json(call))))
    assert [request.key for request in back.requests] == [request.key for request in call.requests]


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (1024, 1024)])
def test_pixels_survive_the_way(size: tuple[int, int]) -> None:
    """Also more bytes than the system's buffer holds."""
    ours, theirs = pair()
    images = [np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8) for number in range(2)]
    sender = threading.Thread(target=wire.send_images, args=(theirs, images))
    sender.start()
    received = wire.receive_images(ours, wire.sizes(images))
    sender.join()
    assert all(np.array_equal(one, other) for one, other in zip(images, received, strict=True))


def test_pixels_that_lie_otherwise_in_memory_survive_the_way() -> None:
    """A transposed view is not contiguous."""
    ours, theirs = pair()
    image = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(5, 2, 3).transpose(1, 0, 2)
    wire.send_images(theirs, [image])
    assert np.array_equal(wire.receive_images(ours, [(2, 5)])[0], image)


def test_a_connection_that_closes_is_an_end_of_file() -> None:
    """That is how the host sees a death."""
    ours, theirs = pair()
    theirs.close()
    with pytest.raises((EOFError, OSError)):
        wire.receive(ours)


def test_an_error_of_the_user_keeps_its_parts() -> None:
    """Rebuilt from its JSON it reads the same."""
    error = UserError(where="card.toml", key="source", value="x", rule="must exist", remedy="create it")
    assert str(UserError(**wire.error_to_json(error))) == str(error)
