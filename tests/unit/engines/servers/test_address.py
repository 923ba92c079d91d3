"""Addresses: what may be asked, what counts as the same server, and no password in any message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.engines.servers.address import parse


@pytest.mark.parametrize(
    ("text", "url", "port"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1", 8000),
        ("HTTPS://Example.ORG", "https://example.org/", 443),
        ("https://example.org:443/a/?b=1", "https://example.org/a/?b=1", 443),
        ("http://[::1]:8188", "http://[::1]:8188/", 8188),
        ("http://bücher.example/v1", "http://xn--bcher-kva.example/v1", 80),
        ("http://h/图?q=图", "http://h/%E5%9B%BE?q=%E5%9B%BE", 80),
    ],
)
def test_an_address_is_read_and_written(text, url, port):
    found = parse(text)
    assert (found.url, found.port) == (url, port)
    assert parse(found.url) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "localhost:8000", "ftp://h/", "file:///etc/passwd", "//h/v1", "http://", "http:///v1", "http://h:0/", "http://h:99999/", "http://h:x/",
        "http://user:secret@h/v1", "http://secret@h/", "http://h/#secret", "http://h/a b", "http://h/\n", "http://h\\@evil/", "javascript:alert(1)",
        "data:image/png;base64,AAAA", "http://[::1/", "unix:///run/s", "http://\u202eh/",
    ],
)  # fmt: skip
def test_anything_else_is_refused_without_being_quoted(text):
    with pytest.raises(ValueError, match="an address") as refused:
        parse(text)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text):
    for given_text in (text, f"http://{text}", f"https://h/{text}"):
        try:
            found = parse(given_text)
        except ValueError:
            continue
        assert found.scheme in ("http", "https")
        assert found.host
        assert found.url.isascii()


def test_a_path_is_added_below():
    assert parse("http://h/v1").below("images/generations").url == "http://h/v1/images/generations"
    assert parse("http://h/v1/").below("/models").url == "http://h/v1/models"
    assert parse("http://h").below("models").url == "http://h/models"


@pytest.mark.parametrize(
    ("there", "same"),
    [
        ("http://h:80/other", True), ("https://h/v1", True), ("/elsewhere", True), ("//h/x", True),
        ("http://h:8080/", False), ("http://evil/", False), ("http://h.evil/", False), ("//evil/x", False), ("https://evil/", False),
    ],
)  # fmt: skip
def test_a_redirect_may_lead_to_the_same_server_only(there, same):
    base = parse("http://h/v1")
    assert base.leads_to(parse(there, base=base)) is same


def test_https_is_not_given_up():
    assert not parse("https://h/").leads_to(parse("http://h/"))
    assert not parse("https://h/").leads_to(parse("https://h:8443/"))


@pytest.mark.parametrize(
    ("text", "here"),
    [("http://127.0.0.1:1/", True), ("http://127.9.9.9/", True), ("http://[::1]/", True), ("http://localhost/", True), ("http://10.0.0.1/", False),
     ("http://localhost.evil/", False)],
)  # fmt: skip
def test_this_machine_is_told_from_others(text, here):
    assert parse(text).loopback is here


def test_a_query_is_not_shown():
    assert parse("https://h/a?sig=secret").shown == "https://h/a"
