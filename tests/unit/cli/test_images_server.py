"""The server of `swapgate serve`: OpenAI's own client draws with it, and nothing but a program of this machine does."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from swapgate.cli.images_server import MOST_WAITING, ImagesServer, Served
from swapgate.plan import SEED_STRIDE, Call
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Failure, Generation

SERVED = Served(model="toy", call={"steps": 4, "guidance": 2.5}, negative_prompt=" ", size=(24, 16), weights="ab" * 32)


def picture(seed: int, width: int, height: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@dataclass
class Painter:
    """Draws noise of the seed; keeps what it was asked, and how many were at it at once."""

    asked: list[Call] = field(default_factory=list)
    fails: str = ""
    sleep: float = 0.0
    busy: int = 0

    def make(self, call: Call, timeout: float | None = None) -> Sequence[tuple[Generation, Pixels | None]]:
        self.busy += 1
        assert self.busy == 1, "a host is asked by one thread at a time"
        time.sleep(self.sleep)
        self.asked.append(call)
        failure = Failure(kind="out-of-memory", message=self.fails, stage="step 1") if self.fails else None
        self.busy -= 1
        return [(self._generation(one.key, failure), None if failure else picture(one.image_seed, one.width, one.height)) for one in call.requests]

    @staticmethod
    def _generation(key: str, failure: Failure | None) -> Generation:
        common: dict[str, Any] = {"width": 1, "height": 1, "mode": "RGB", "call": key, "images_in_call": 1, "number": 0, "first_call": False}
        return Generation(request=key, image=None, times=None, memory=None, forwards=None, failure=failure, **common)


@dataclass
class Running:
    server: ImagesServer
    painters: list[Painter]

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.server.url, api_key=self.server.key or "none", max_retries=0)

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        asking = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        asking.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = asking.getresponse()
        found = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        asking.close()
        return found

    def post(self, **body: Any) -> tuple[int, Any]:
        status, _, content = self.raw("POST", "/v1/images/generations", json.dumps(body).encode(), Content_Type="application/json")
        return status, json.loads(content)


@pytest.fixture
def running() -> Iterator[Any]:
    """Starts servers of painters."""
    made: list[ImagesServer] = []

    def start(painters: int = 1, key: str = "", **painter: Any) -> Running:
        several = [Painter(**painter) for _ in range(painters)]
        made.append(ImagesServer(SERVED, several, key=key))
        threading.Thread(target=made[-1].serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return Running(made[-1], several)

    yield start
    for one in made:
        one.shutdown()
        one.server_close()


def opened(text: str) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_openais_client_draws(running: Any) -> None:
    run = running()
    reply = run.client.images.generate(model="toy", prompt="a cat", n=2, size="32x16", response_format="b64_json", extra_body={"seed": 7, "steps": 9})
    assert reply.created > 1_700_000_000
    assert [np.array_equal(opened(one.b64_json), picture(7 + index * SEED_STRIDE, 32, 16)) for index, one in enumerate(reply.data)] == [True, True]
    (call,) = run.painters[0].asked
    assert (call.first.prompt, call.first.negative_prompt, dict(call.first.call)) == ("a cat", " ", {"steps": 9, "guidance": 2.5})


def test_openais_client_fetches_a_picture_by_its_url(running: Any) -> None:
    run = running()
    url = run.client.images.generate(model="toy", prompt="猫", response_format="url", extra_body={"seed": 3}).data[0].url
    assert url.startswith(f"{run.server.origin}/files/")
    status, headers, content = run.raw("GET", url.removeprefix(run.server.origin))
    assert (status, headers["content-type"]) == (200, "image/png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), picture(3, 24, 16))


def test_openais_client_lists_models(running: Any) -> None:
    client = running().client
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by, model.weights) == ("toy", "model", "swapgate", SERVED.weights)
    assert client.models.retrieve("toy") == model


@pytest.mark.parametrize(
    ("kind", "given", "code"),
    [
        (openai.NotFoundError, {"model": "dall-e-3"}, "model_not_found"),
        (openai.BadRequestError, {"size": "banana"}, "invalid_value"),
        (openai.BadRequestError, {"n": 11}, "invalid_value"),
        (openai.BadRequestError, {"extra_body": {"cfg": 1}}, "unknown_parameter"),
        (openai.BadRequestError, {"extra_body": {"steps": [1]}}, "invalid_type"),
        (openai.BadRequestError, {"output_format": "webp"}, "invalid_value"),
    ],
)
def test_openais_client_understands_every_refusal(running: Any, kind: type[openai.APIStatusError], given: dict[str, Any], code: str) -> None:
    run = running()
    with pytest.raises(kind) as caught:
        run.client.images.generate(**{"model": "toy", "prompt": "p", **given})
    assert caught.value.code == code
    assert caught.value.body["message"]
    assert run.painters[0].asked == []


def test_a_model_that_fails_is_a_server_error(running: Any) -> None:
    run = running(fails="no memory left")
    with pytest.raises(openai.InternalServerError, match="out-of-memory: no memory left") as caught:
        run.client.images.generate(model="toy", prompt="p")
    assert caught.value.body["type"] == "server_error"


def test_a_key_is_asked_for(running: Any) -> None:
    run = running(key="sk-1")
    assert run.client.models.list().data
    with pytest.raises(openai.AuthenticationError) as caught:
        openai.OpenAI(base_url=run.server.url, api_key="wrong", max_retries=0).models.list()
    assert caught.value.code == "invalid_api_key"
    assert run.raw("GET", "/v1/models")[0] == 401
    assert run.raw("GET", "/files/" + "0" * 32 + ".png")[0] == 404


def test_without_a_seed_every_picture_is_another(running: Any) -> None:
    run = running()
    for _ in range(2):
        assert run.post(model="toy", prompt="p")[0] == 200
    assert len({call.first.seed for call in run.painters[0].asked}) == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"), ({"prompt": 3}, "prompt"), ({"prompt": "a" * 32_001}, "prompt"), ({"prompt": "p", "n": 0}, "n"), ({"prompt": "p", "n": True}, "n"),
        ({"prompt": "p", "n": 1.5}, "n"), ({"prompt": "p", "seed": -1}, "seed"), ({"prompt": "p", "seed": "7"}, "seed"),
        ({"prompt": "p", "size": "0x16"}, "size"), ({"prompt": "p", "size": "5000x16"}, "size"), ({"prompt": "p", "size": 16}, "size"),
        ({"prompt": "p", "response_format": "png"}, "response_format"), ({"prompt": "p", "negative_prompt": 1}, "negative_prompt"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_parameter(running: Any, body: dict[str, Any], param: str) -> None:
    status, said = running().post(**body)
    assert status == 400
    assert said["error"]["param"] == param
    assert set(said["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"Content_Type": "application/json"}, 400),
        (b"[]", {"Content_Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content_Type": "application/json"}, 400),
        (b"\xff", {"Content_Type": "application/json"}, 400),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Type": "application/json", "Content_Length": "99999999"}, 413),
        (b"{}", {"Content_Type": "application/json", "Content_Length": "many"}, 411),
        (b"{}", {"Content_Type": "application/json", "Host": "evil.example"}, 403),
        (b"{}", {"Content_Type": "application/json", "Origin": "http://evil.example"}, 403),
    ],
)
def test_what_is_no_request_is_refused(running: Any, body: bytes, headers: dict[str, str], status: int) -> None:
    run = running()
    got, _, content = run.raw("POST", "/v1/images/generations", body, **headers)
    assert got == status
    assert json.loads(content)["error"]["message"]
    assert run.painters[0].asked == []


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/images/edits"), ("GET", "/"), ("GET", "/files/../secret.png"), ("GET", "/v1/models/x")])
def test_nothing_else_is_there(running: Any, method: str, path: str) -> None:
    status, _, content = running().raw(method, path, b"{}" if method == "POST" else None)
    assert status == 404
    assert json.loads(content)["error"]["code"] == "not_found"


def test_workers_draw_at_the_same_time_and_each_one_request_at_a_time(running: Any) -> None:
    run = running(painters=2, sleep=0.05)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(run.post(prompt="p")[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    assert all(painter.asked for painter in run.painters)


def test_too_many_who_wait_are_sent_away_with_a_time(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swapgate.cli.images_server.MOST_WAITING", 1)
    run = running(sleep=0.5)
    first = threading.Thread(target=run.post, kwargs={"prompt": "p"})
    first.start()
    while run.painters[0].busy == 0:
        time.sleep(0.01)
    status, headers, content = run.raw("POST", "/v1/images/generations", b'{"prompt": "p"}', Content_Type="application/json")
    first.join()
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(content)["error"]["code"] == "rate_limit_exceeded"
    assert MOST_WAITING > 1


def test_old_pictures_are_let_go(running: Any) -> None:
    run = running()
    names = [run.server.keep(bytes([number])).rpartition("/")[2].removesuffix(".png") for number in range(70)]
    assert run.server.kept(names[0]) is None
    assert run.server.kept(names[-1]) == bytes([69])


def test_it_listens_on_this_machine_alone(running: Any) -> None:
    assert running().server.server_address[0] == "127.0.0.1"
