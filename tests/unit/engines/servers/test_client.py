"""The client: every way in which a server can fail ends soon, with its name, and without the key."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.engines.servers.address import parse
from swapgate.engines.servers.client import KINDS, Bounds, Client, File, ServerFailed, retry_after

from .conftest import HANG, RESET, http, json_reply

KEY = "sk-Very/Secret+Key=1"


def client(server, *, key=KEY, **bounds):
    return Client(server.address, key=key, bounds=Bounds(**{"seconds": 5.0, **bounds}))


def failed(server, **bounds):
    with client(server, **bounds) as asking, pytest.raises(ServerFailed) as caught:
        asking.get(server.address)
    assert KEY not in str(caught.value)
    assert caught.value.kind in KINDS
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def test_a_reply_is_read_with_its_times(replayer):
    server = replayer(json_reply({"a": [1]}))
    with client(server) as asking:
        reply = asking.post_json(server.address.below("images"), {"prompt": "猫", "n": 1})
    assert reply.json() == {"a": [1]}
    assert reply.headers["content-type"] == "application/json"
    assert 0 < reply.first_byte <= reply.seconds < 5
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/images HTTP/1.1")
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert body == b'{"prompt": "\\u732b", "n": 1}'


def test_a_form_holds_its_fields_and_files(replayer):
    server = replayer(json_reply({}))
    with client(server) as asking:
        asking.post_form(server.address, {"prompt": "猫"}, {"image": File(name="a.png", content=b"\x89PNG")})
    assert b"multipart/form-data; boundary=" in server.asked[0]
    assert 'name="prompt"\r\n\r\n猫\r\n'.encode() in server.asked[0]
    assert b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n' in server.asked[0]


def test_every_request_has_a_connection_of_its_own(replayer):
    """A server that resets a connection after a whole reply, without having said that it would, spoils no other request."""
    server = replayer(*([http(body=b"1").replace(b"Connection: close\r\n", b""), RESET] for _ in range(20)))
    with client(server) as asking:
        assert [asking.get(server.address).body for _ in range(20)] == [b"1"] * 20
    assert all(b"Connection: close" in asked for asked in server.asked)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "refused"), (401, "refused"), (404, "refused"), (429, "rate-limited"), (500, "server-error"), (503, "server-error"), (599, "server-error"), (304, "refused")]
)  # fmt: skip
def test_a_status_has_its_kind_and_what_the_server_said(replayer, status, kind):
    found = failed(replayer(json_reply({"error": {"message": "no such model"}}, status, "Retry-After: 7")))
    assert (found.kind, found.status, found.retry_after) == (kind, status, 7.0)
    if status != 304:
        assert "no such model" in str(found)


@pytest.mark.parametrize(
    "body", [b'{"detail": "it broke"}', b'{"message": "it broke"}', b'{"error": "it broke"}', b"it broke", b'["it broke"]', b'{"error": {"x": "it broke"}}']
)  # fmt: skip
def test_an_error_is_understood_in_every_common_shape(replayer, body):
    assert "it broke" in str(failed(replayer(http(500, body))))


@pytest.mark.parametrize(
    "written", [KEY, f"Bearer {KEY}", KEY.replace("/", "\\/"), "sk-Very%2FSecret%2BKey%3D1", f'{{"error": {{"message": "key {KEY} is wrong"}}}}']
)  # fmt: skip
def test_a_key_that_the_server_repeats_is_taken_out(replayer, written):
    found = failed(replayer(http(401, written.encode())))
    assert "Secret" not in str(found) or "\\/" in written


def test_a_long_error_is_cut_after_the_key_is_taken_out(replayer):
    found = failed(replayer(http(500, b"x" * 290 + KEY.encode() + b"y" * 10_000_000)))
    assert "sk-" not in str(found)
    assert len(str(found)) < 500


def test_the_key_goes_to_its_own_server_alone(replayer):
    own, other = replayer(http()), replayer(http(), http())
    with client(own) as asking:
        asking.get(own.address)
        asking.get(other.address)
    assert KEY.encode() in own.asked[0]
    assert KEY.encode() not in other.asked[0]


@pytest.mark.parametrize("key", ["a b", "k\ny", "kéy", "k\x00"])
def test_a_key_that_is_no_header_is_refused_unquoted(key):
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        Client(parse("http://h/"), key=key)
    assert key not in str(refused.value)


def test_redirects_to_the_same_server_are_followed(replayer):
    server = replayer(http(307, b"", "Location: /there"), http(body=b"found"))
    with client(server) as asking:
        assert asking.post_json(server.address, {"a": 1}).body == b"found"
    assert server.asked[1].startswith(b"POST /there ")
    assert server.asked[1].endswith(b'{"a": 1}')


@pytest.mark.parametrize(
    ("status", "where", "said"),
    [
        (302, "http://127.0.0.2:1/", "another server"),
        (302, "https://evil.example/", "another server"),
        (302, "//evil.example/", "another server"),
        (302, "file:///etc/passwd", "http"),
        (302, "", "redirects"),
        (301, "/there", "redirects"),
    ],
)
def test_no_other_redirect_is(replayer, status, where, said):
    server = replayer(http(status, b"", f"Location: {where}"))
    found = failed(server)
    assert found.kind == "bad-reply"
    assert said in str(found)
    assert len(server.asked) <= 4


def test_a_redirect_does_not_turn_a_request_into_another(replayer):
    server = replayer(http(303, b"", "Location: /there"))
    with client(server) as asking, pytest.raises(ServerFailed, match="another one"):
        asking.post_json(server.address, {})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([], "connection"),
        ([RESET], "connection"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123"], "connection"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", RESET], "connection"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], "connection"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab"], "bad-reply"),
        ([b"HTTP/1.1 banana\r\n\r\n"], "bad-reply"),
        ([b"\x00\x01\x02" * 100], "bad-reply"),
        ([b"SSH-2.0-OpenSSH\r\n"], "connection"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n"], "bad-reply"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n12345"], "bad-reply"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000], "bad-reply"),
        ([http(body=b"1234").replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")], "bad-reply"),
    ],
)
def test_a_broken_reply_has_its_kind(replayer, script, kind):
    assert failed(replayer(script)).kind == kind


@pytest.mark.parametrize(
    "script",
    [
        [HANG],
        [b"HTTP/1.1 200 OK\r\n", HANG],
        [http(body=b"12345678")[:-3], HANG],
        [b"HTTP/1.1 100 Continue\r\n\r\n", *[b"HTTP/1.1 102 Wait\r\n\r\n", 0.05] * 200],
        [b"HTTP/1.1 200 OK\r\nX: ", *[b"a", 0.05] * 200],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", *[b"a", 0.05] * 200],
        [b"HTTP/1.1 500 Bad\r\nContent-Length: 400\r\n\r\n", *[b"a", 0.05] * 200],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n", 0.05] * 200],
    ],
)
def test_no_server_is_waited_for_beyond_the_deadline(replayer, script):
    """Each of these sends something well within any single wait, for ten seconds and more."""
    begun = time.monotonic()
    found = failed(replayer(script), seconds=0.4)
    assert found.kind == "time-out"
    assert time.monotonic() - begun < 5


def test_a_request_may_narrow_the_deadline(replayer):
    server = replayer([HANG])
    with client(server) as asking, pytest.raises(ServerFailed) as caught:
        asking.get(server.address, seconds=0.2)
    assert caught.value.kind == "time-out"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_reply_is_never_read_beyond_its_limit(replayer, chunked):
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 99999999999999999999"
    body = (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 64 if chunked else b"a" * 65536 * 64
    found = failed(replayer([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body]), body_bytes=100_000)
    assert found.kind == "bad-reply"
    assert "larger than 100000 bytes" in str(found)


def test_nobody_there_is_a_failed_connection(replayer):
    server = replayer()
    server.close()
    server.close = lambda: None
    found = failed(server)
    assert found.kind == "connection"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"nope", b"[" * 200_000, b"1" * 10_000, b'{"a": NaN'])
def test_a_reply_that_is_no_json_says_so(replayer, body):
    server = replayer(http(body=body))
    with client(server) as asking:
        reply = asking.get(server.address)
    with pytest.raises(ServerFailed, match="no JSON") as caught:
        reply.json()
    assert caught.value.kind == "bad-reply"
    assert len(str(caught.value)) < 400


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0), ("0", 0.0), (" 2.5 ", 2.5), ("-4", 0.0), ("nan", None), ("inf", None), ("soon", None), ("", None), ("1e400", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0), ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0), ("Thu, 01 Jan 2026 00:00:05", 5.0),
        ("Thu, 99 Jan 2026 00:00:00 GMT", None), ("Thu, 01 Jan 99999999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert retry_after(text, now=NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_takes_any_text(text):
    found = retry_after(text)
    assert found is None or found >= 0


def test_several_threads_have_a_client_each(replayer):
    server = replayer([0.05, http(body=b"x")])
    replies: list[bytes] = []

    def ask() -> None:
        with client(server) as asking:
            replies.extend(asking.get(server.address).body for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [b"x"] * 12
