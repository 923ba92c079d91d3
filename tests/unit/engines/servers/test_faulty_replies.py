"""Whatever a server replies, a call ends with its pictures or with a named failure, and the next call is none the worse for it.

10,000 replies with HYPOTHESIS_PROFILE=long; how long that takes stands in tests/benchmarks/SERVERS.md.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapgate.engines.registry import Setting, create
from swapgate.engines.servers.failed import KINDS, ServerFailed
from swapgate.meters.clock import StageClock
from swapgate.runs.records import read_waited

from .conftest import HANG, RESET, Step, encoded, http, json_reply, pixels

GOOD = json_reply({"created": 1, "data": [{"b64_json": base64.b64encode(encoded(pixels())).decode()}]})
SECONDS = 0.15  # a time-out that an idle machine never reaches with a reply that is there
TRIES = 200  # a busy one may: a call that was late says nothing of the one before it

pictures = st.one_of(
    st.builds(
        lambda w, h, kind: encoded(pixels(w, h), kind), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"])
    ),
    st.builds(lambda n, kind: encoded(pixels(), kind)[:n], st.integers(0, 1200), st.sampled_from(["PNG", "JPEG", "WEBP"])),
    st.builds(
        lambda place, noise: encoded(pixels())[:place] + noise + encoded(pixels())[place + len(noise) :], st.integers(0, 1200), st.binary(max_size=9)
    ),
    st.binary(max_size=60),
)
urls = st.one_of(
    st.sampled_from(["/a.png", "//h/a", "http://127.0.0.1:1/a", "file:///etc/passwd", "ftp://h", "http://", "data:image/png;base64,AAAA", "data:,"]),
    st.text(max_size=20),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "url", "b64_json", "error", "message", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
entries = st.one_of(
    st.builds(lambda picture: {"b64_json": base64.b64encode(picture).decode()}, pictures),
    st.builds(lambda url: {"url": url}, urls),
    st.builds(lambda text: {"b64_json": text}, st.text(max_size=30) | st.integers()),
    json_values,
)
RIGHT = st.just(json.dumps({"data": [{"b64_json": base64.b64encode(encoded(pixels())).decode()}]}).encode())
bodies = st.one_of(
    RIGHT,
    st.builds(lambda found: json.dumps({"data": found}).encode(), st.lists(entries, max_size=3)),
    st.builds(lambda found: json.dumps(found).encode(), json_values),
    st.builds(lambda depth: b"[" * depth, st.integers(1, 100_000)),
    st.binary(max_size=200),
    pictures,
)
statuses = st.one_of(
    st.just(200),
    st.sampled_from([100, 101, 103, 204, 206, 301, 302, 303, 307, 308, 304, 400, 401, 404, 429, 500, 502, 503, 504]),
    st.integers(0, 9999),
)
headers = st.lists(
    st.one_of(
        st.builds(lambda n: f"Content-Length: {n}", st.integers(-5, 2**70) | st.text("0123456789-+ xa,", max_size=6)),
        st.sampled_from(
            ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Content-Encoding: gzip", "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c",
             "Location: /again", "Location: http://127.0.0.1:1/x", "Location: https://h.invalid/", "Location: \x07", "Content-Type: text/html",
             "Retry-After: 0", "Retry-After: 0.01", "Retry-After: 99999", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT", "Retry-After: nan"]
        ),
        st.builds(lambda name, value: f"{name}: {value}", st.text(max_size=6), st.text(max_size=12)),
    ),
    max_size=4,
)  # fmt: skip


@st.composite
def replies(draw: st.DrawFn) -> Sequence[Step]:
    """A reply as it goes over the wire: right or wrong in its status, headers and body, cut, noisy, slow, and ended in some way."""
    right = draw(st.booleans())  # in its status and headers: the others hardly get as far as a picture
    lines = ["HTTP/1.1 200 OK"] if right else [f"HTTP/1.1 {draw(statuses)} Said", *draw(headers)]
    body = draw(bodies)
    if right or draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
    wire = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(wire)))
        wire = wire[:place] + draw(st.binary(max_size=12)) + wire[place + draw(st.integers(0, 12)) :]
    if draw(st.integers(0, 3)) == 0:
        wire = wire[: draw(st.integers(0, len(wire)))]
    pieces: list[Step] = [wire]
    if draw(st.integers(0, 7)) == 0:
        half = draw(st.integers(0, len(wire)))
        pieces = [wire[:half], draw(st.sampled_from([0.001, 0.02])), wire[half:]]
    end = draw(st.sampled_from([None, None, None, RESET, HANG]))
    return [*pieces, *([end] if end is not None else [])]


@pytest.fixture
def served(replayer: Any, card_of: Any) -> Any:
    """A server whose replies can be set, and an engine that was loaded from it."""
    server = replayer(http(404))
    card = card_of(server.address.url, timeout_seconds=SECONDS, options={"model": "m", "seed": False, "wait_seconds": 0.1})
    engine = create(card, Setting())
    server.scripts = [[json_reply({"data": [{"id": "m"}]})]]
    while True:
        try:
            engine.load()
        except Exception:
            continue
        return server, card, engine


def ask(engine: Any, call: Any) -> Any:
    """The picture, or the failure."""
    meters = engine.meters()
    clock = StageClock(now=meters.now)
    clock.start()
    try:
        (made,) = engine.make(call, clock)
    except ServerFailed as failed:
        return failed
    assert clock.times(queue=0.0).total >= 0
    return made


SEEN: Counter[str] = Counter()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=replies())
def test_no_reply_does_more_than_fail(served: Any, call_of: Any, monkeypatch: Any, script: Sequence[Step]) -> None:
    server, card, engine = served
    monkeypatch.setattr("swapgate.engines.images_api.memory_of", lambda *_, **__: (None, "", ()))  # looks at every socket of the machine
    call = call_of(card)
    server.scripts, server.asked[:] = [script, [GOOD]], []
    found = ask(engine, call)
    if isinstance(found, ServerFailed):
        assert found.kind in KINDS
        assert 0 < len(found.message) < 2000
        SEEN[found.kind] += 1
    else:
        assert (found.shape, found.dtype) == ((16, 24, 3), np.uint8)
        SEEN["picture"] += 1
    assert len(server.asked) <= 1 + 4 + 2 * len([note for note in engine.notes() if read_waited(note)]) + 20
    server.scripts, server.asked[:] = [[GOOD]], []
    for _ in range(TRIES):
        again = ask(engine, call)
        if not isinstance(again, ServerFailed) or again.kind != "time-out":
            break
    assert np.array_equal(again, pixels())


def test_the_replies_were_of_every_kind() -> None:
    """A search that never got past the status line would show nothing."""
    enough = ((100, {"bad-reply", "connection"}), (1000, {"picture"}), (5000, set(KINDS)))  # of rare kinds a short search may see none by chance
    for replies_needed, wanted in (one for one in enough if sum(SEEN.values()) >= one[0]):
        assert wanted <= set(SEEN), (replies_needed, SEEN)
    print(f"{sum(SEEN.values())} replies: {dict(SEEN.most_common())}")
