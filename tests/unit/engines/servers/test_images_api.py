"""The images_api engine against replayed replies: what it asks, what it takes, what it measures, and what it never does again."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import numpy as np
import pytest

from swapgate.engines.registry import Setting, create
from swapgate.engines.servers.failed import ServerFailed
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.runs.records import NO_SEED, read_waited

from .conftest import HANG, RESET, encoded, http, json_reply, pixels

KEY = "sk-secret-42"
MODELS = json_reply({"object": "list", "data": [{"id": "m", "root": "org/m", "owned_by": "us", "created": 1}]})


def b64(*pictures):
    return json_reply({"created": 1, "data": [{"b64_json": base64.b64encode(encoded(one)).decode()} for one in pictures]})


def engine_of(card):
    engine = create(card, Setting())
    engine.load()
    return engine


def make(engine, call):
    meters = engine.meters()
    clock = StageClock(now=meters.now, synchronise=meters.synchronise)
    clock.start()
    made = engine.make(call, clock)
    clock.stop()
    return made, clock.times(queue=0.0)


def body(asked):
    return json.loads(asked.partition(b"\r\n\r\n")[2])


def test_a_request_says_what_the_card_and_the_task_say(replayer, card_of, call_of):
    server = replayer(MODELS, b64(pixels()))
    card = card_of(server.address.url, options={"model": "m", "seed": False})
    engine = engine_of(card)
    made, times = make(engine, call_of(card, negative="blurry"))
    assert np.array_equal(made[0], pixels())
    assert server.asked[0].startswith(b"GET /v1/models ")
    assert server.asked[1].startswith(b"POST /v1/images/generations ")
    assert body(server.asked[1]) == {
        "steps": 4, "guidance": 2.5, "prompt": "一只 red cup", "negative_prompt": "blurry", "model": "m", "n": 1, "size": "24x16",
        "response_format": "b64_json",
    }  # fmt: skip
    assert 0 < times.total < 5
    assert times.first_step is None
    assert times.steps == ()


def test_what_the_card_leaves_out_is_not_sent(replayer, card_of, call_of):
    server = replayer(MODELS, b64(pixels()))
    card = card_of(server.address.url, options={"reply": "", "seed": False}, call={})
    make(engine_of(card), call_of(card))
    assert sorted(body(server.asked[1])) == ["n", "prompt", "size"]


def test_every_image_has_its_own_seed(replayer, card_of, call_of):
    first, second = pixels(seed=1), pixels(seed=2)
    server = replayer(MODELS, b64(first), b64(second), b64(first))
    card = card_of(server.address.url, options={"model": "m"})
    call = call_of(card, images=2)
    made, _ = make(engine_of(card), call)
    assert [np.array_equal(*pair) for pair in zip(made, (first, second), strict=True)] == [True, True]
    assert [body(one)["seed"] for one in server.asked[1:]] == [7, call.requests[1].image_seed, 7]


def test_images_can_be_asked_for_together(replayer, card_of, call_of):
    pictures = [pixels(seed=seed) for seed in range(3)]
    server = replayer(MODELS, b64(*pictures[:2]), b64(pictures[2]))
    card = card_of(server.address.url, options={"n": 2, "seed": False})
    made, _ = make(engine_of(card), call_of(card, images=3))
    assert all(np.array_equal(*pair) for pair in zip(made, pictures, strict=True))
    assert [body(one)["n"] for one in server.asked[1:]] == [2, 1]


def test_a_picture_by_url_is_fetched_from_the_same_server(replayer, card_of, call_of):
    server = replayer(MODELS, json_reply({"data": [{"url": "/files/a.png?sig=1"}]}), http(body=encoded(pixels())))
    card = card_of(server.address.url, options={"reply": "url", "seed": False})
    made, _ = make(engine_of(card), call_of(card))
    assert np.array_equal(made[0], pixels())
    assert server.asked[2].startswith(b"GET /files/a.png?sig=1 ")


def test_a_picture_elsewhere_needs_the_card_to_name_it_and_sees_no_key(replayer, card_of, call_of, monkeypatch):
    monkeypatch.setenv("THE_KEY", KEY)
    other = replayer(http(body=encoded(pixels())))
    reply = json_reply({"data": [{"url": other.address.below("a.png").url.replace("127.0.0.1", "localhost")}]})
    options = {"reply": "url", "seed": False, "key_env": "THE_KEY"}
    refused = card_of(replayer(MODELS, reply).address.url, options=options)
    with pytest.raises(ServerFailed, match='picture_hosts = "localhost"'):
        make(engine_of(refused), call_of(refused))
    assert other.asked == []
    own = replayer(MODELS, reply)
    allowed = card_of(own.address.url, options={**options, "picture_hosts": "localhost"})
    made, _ = make(engine_of(allowed), call_of(allowed))
    assert np.array_equal(made[0], pixels())
    assert KEY.encode() in own.asked[1]
    assert KEY.encode() not in other.asked[0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/a", "http://user:pw@h/a.png", "gopher://x", "http://169.254.169.254/latest"])
def test_no_other_address_is_followed(replayer, card_of, call_of, url):
    server = replayer(MODELS, json_reply({"data": [{"url": url}]}))
    card = card_of(server.address.url)
    with pytest.raises(ServerFailed) as caught:
        make(engine_of(card), call_of(card))
    assert caught.value.kind == "bad-reply"
    assert "pw@" not in str(caught.value)


def test_an_image_is_drawn_over_by_the_edits_endpoint(replayer, card_of, call_of, tmp_path):
    (tmp_path / "in.png").write_bytes(encoded(pixels(seed=9)))
    server = replayer(MODELS, b64(pixels()))
    card = card_of(server.address.url, options={"image": "in.png", "seed": False})
    make(engine_of(card), call_of(card))
    asked = server.asked[1]
    assert asked.startswith(b"POST /v1/images/edits ")
    assert encoded(pixels(seed=9)) in asked
    for part in ('name="prompt"\r\n\r\n一只 red cup\r\n', 'name="steps"\r\n\r\n4\r\n', 'name="size"\r\n\r\n24x16\r\n', 'filename="in.png"'):
        assert part.encode() in asked


REFUSED = json_reply({"error": {"message": "slow down"}}, 429, "Retry-After: 0.2")


def test_a_429_is_waited_for_and_counted_apart(replayer, card_of, call_of):
    server = replayer(MODELS, [0.1, REFUSED], REFUSED, b64(pixels()))
    card = card_of(server.address.url)
    engine = engine_of(card)
    begun = time.monotonic()
    made, times = make(engine, call_of(card))
    took = time.monotonic() - begun
    assert np.array_equal(made[0], pixels())
    (waited,) = [found for note in engine.notes() if (found := read_waited(note))]
    assert waited[1] == 2
    assert waited[0] >= 0.4
    assert times.total < took - 0.45  # both waits, and the time that the first refusal took


@pytest.mark.parametrize(
    ("retry", "options"),
    [
        ("100000", {}),
        ("3", {"wait_seconds": 1.0}),
        ("Fri, 01 Jan 2100 00:00:00 GMT", {}),
        ("0", {"wait_seconds": 0.0}),
        ("nonsense", {"wait_seconds": 0.5}),
    ],
)
def test_a_wait_that_is_too_long_is_a_failure(replayer, card_of, call_of, retry, options):
    server = replayer(MODELS, json_reply({}, 429, f"Retry-After: {retry}"))
    card = card_of(server.address.url, options={"seed": False, **options})
    engine = engine_of(card)
    begun = time.monotonic()
    with pytest.raises(ServerFailed, match="beyond wait_seconds") as caught:
        make(engine, call_of(card))
    assert caught.value.kind == "rate-limited"
    assert time.monotonic() - begun < 4
    assert len(server.asked) == 2


def test_endless_429s_end_with_the_time_out(replayer, card_of, call_of):
    server = replayer(MODELS, json_reply({}, 429, "Retry-After: 0"))
    card = card_of(server.address.url, timeout_seconds=0.6)
    with pytest.raises(ServerFailed) as caught:
        make(engine_of(card), call_of(card))
    assert caught.value.kind in ("rate-limited", "time-out")
    assert len(server.asked) < 30


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([json_reply({"error": {"message": "bad prompt"}}, 400)], "refused"),
        ([json_reply({"error": {"message": "it broke"}}, 500)], "server-error"),
        ([json_reply({}, 503, "Retry-After: 1")], "server-error"),
        ([RESET], "connection"),
        ([HANG], "time-out"),
        ([http(body=b"<html>")], "bad-reply"),
        ([json_reply([])], "bad-reply"),
        ([json_reply({"data": []})], "bad-reply"),
        ([json_reply({"data": [{}]})], "bad-reply"),
        ([json_reply({"data": [{"b64_json": "!!"}]})], "bad-reply"),
        ([json_reply({"data": [{"b64_json": 3}]})], "bad-reply"),
        ([json_reply({"data": [{"b64_json": base64.b64encode(encoded(pixels())[:-20]).decode()}]})], "bad-reply"),
        ([b64(pixels(), pixels())], "bad-reply"),
        ([b64(pixels(16, 24))], "bad-reply"),
    ],
)
def test_a_failure_is_not_tried_again(replayer, card_of, call_of, script, kind):
    server = replayer(MODELS, script)
    card = card_of(server.address.url, timeout_seconds=1.0)
    engine = engine_of(card)
    with pytest.raises(ServerFailed) as caught:
        make(engine, call_of(card))
    assert caught.value.kind == kind
    assert len(server.asked) == 2


def test_a_server_that_refuses_seeds_is_told_of_with_the_option(replayer, card_of, call_of):
    server = replayer(MODELS, json_reply({"error": {"message": "Unknown parameter: 'seed'."}}, 400))
    card = card_of(server.address.url, options={"model": "m"})
    with pytest.raises(ServerFailed, match="seed = false"):
        make(engine_of(card), call_of(card))


def test_a_seed_that_is_kept_is_noted_once(replayer, card_of, call_of):
    server = replayer(MODELS, b64(pixels()))
    card = card_of(server.address.url, options={"model": "m"})
    engine = engine_of(card)
    make(engine, call_of(card))
    assert any("same pixels" in note for note in engine.notes())
    assert len(server.asked) == 3
    make(engine, call_of(card))
    assert len(server.asked) == 4
    assert not any(note.startswith(NO_SEED) for note in engine.notes())


def test_a_seed_that_is_ignored_is_found_out(replayer, card_of, call_of):
    server = replayer(MODELS, b64(pixels(seed=1)), b64(pixels(seed=2)))
    card = card_of(server.address.url, options={"model": "m"})
    engine = engine_of(card)
    make(engine, call_of(card))
    assert any(note.startswith(NO_SEED) and "another picture" in note for note in engine.notes())


def test_noise_of_kernels_is_no_other_picture(replayer, card_of, call_of):
    near = np.clip(pixels().astype(int) + np.random.default_rng(3).integers(-3, 4, pixels().shape), 0, 255).astype(np.uint8)
    server = replayer(MODELS, b64(pixels()), b64(near))
    card = card_of(server.address.url, options={"model": "m"})
    engine = engine_of(card)
    make(engine, call_of(card))
    assert any("not bit for bit" in note for note in engine.notes())
    assert not any(note.startswith(NO_SEED) for note in engine.notes())


def test_a_trial_that_fails_fails_nothing_and_is_no_part_of_the_time(replayer, card_of, call_of):
    server = replayer(MODELS, b64(pixels()), [0.4, json_reply({}, 500)], b64(pixels()), b64(pixels()))
    card = card_of(server.address.url, options={"model": "m"})
    engine = engine_of(card)
    made, times = make(engine, call_of(card))
    assert np.array_equal(made[0], pixels())
    assert times.total < 0.4
    make(engine, call_of(card))
    assert any("same pixels" in note for note in engine.notes())


def test_a_card_without_seeds_says_so(replayer, card_of, call_of):
    card = card_of(replayer(MODELS, b64(pixels())).address.url)
    assert any(note.startswith(NO_SEED) for note in engine_of(card).notes())


def test_what_is_served_is_named(replayer, card_of):
    card = card_of(replayer(MODELS).address.url)
    engine = engine_of(card)
    found = engine.identity()
    assert found.versions["served root"] == "org/m"
    assert "served created" not in found.versions
    assert found.weights == engine_of(card).identity().weights
    assert found.weights != engine_of(card_of(replayer(MODELS).address.url, options={"model": "other"})).identity().weights
    meters = engine.meters()
    assert meters.accelerator == "server-127-0-0-1"
    assert meters.memory.end() is None
    assert "NVML" in meters.no_memory


def test_a_server_may_state_the_hash_of_its_weights(replayer, card_of):
    sha = hashlib.sha256(b"w").hexdigest()
    for stated, same in ((sha, True), ("no hash", False), (7, False)):
        card = card_of(replayer(json_reply({"data": [{"id": "m", "weights": stated}]})).address.url)
        assert (engine_of(card).identity().weights == sha) is same


@pytest.mark.parametrize(
    "reply", [json_reply({}, 404), http(body=b"no"), json_reply({"data": [{"id": "x"}, {"id": "y"}]}), json_reply({"data": "?"})]
)
def test_a_server_without_a_list_of_models_is_used_and_noted(replayer, card_of, call_of, reply):
    card = card_of(replayer(reply, b64(pixels())).address.url)
    engine = engine_of(card)
    make(engine, call_of(card))
    assert any(note.startswith("models:") for note in engine.notes())


def test_nobody_there_is_a_mistake_to_mend(card_of, replayer):
    card = card_of("http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="start the server"):
        engine_of(card)


def test_a_wrong_key_is_a_mistake_to_mend_and_not_shown(replayer, card_of, monkeypatch):
    monkeypatch.setenv("THE_KEY", KEY)
    card = card_of(replayer(json_reply({"error": {"message": f"bad key {KEY}"}}, 401)).address.url, options={"key_env": "THE_KEY"})
    with pytest.raises(UserError, match="right key") as caught:
        engine_of(card)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "é"])
def test_a_key_that_is_missing_or_none_is_a_mistake(card_of, monkeypatch, key):
    monkeypatch.setenv("THE_KEY", key)
    with pytest.raises(UserError, match="THE_KEY"):
        engine_of(card_of("http://127.0.0.1:9/v1", options={"key_env": "THE_KEY"}))


def test_a_key_that_a_server_repeats_anywhere_is_taken_out(replayer, card_of, call_of, monkeypatch):
    monkeypatch.setenv("THE_KEY", KEY)
    models = json_reply({"data": [{"id": "m", "root": f"x{KEY}", "owned_by": KEY}]}, 200, f"Server: {KEY}")
    for reply in (json_reply({KEY: 1}), json_reply({"data": [{"url": f"http://{KEY}.example/a"}]}), json_reply({"detail": KEY}, 500)):
        card = card_of(replayer(models, reply).address.url, options={"key_env": "THE_KEY", "seed": False, "model": "m"})
        engine = engine_of(card)
        with pytest.raises(ServerFailed) as caught:
            make(engine, call_of(card))
        assert KEY not in f"{caught.value} {engine.identity()} {engine.notes()} {engine.meters()}"
