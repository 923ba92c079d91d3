"""Models behind a server: the same pictures as in this process, all gates with baseline, replay and report, and whatever a server does wrong."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.baselines.review import accept
from swapgate.baselines.store import Store
from swapgate.cards import read_card
from swapgate.cli.images_server import ImagesServer, Served
from swapgate.engines.registry import ENGINES
from swapgate.engines.servers.pictures import decode
from swapgate.gates.verdict import GATES
from swapgate.hosts.process import Host
from swapgate.plan import Call
from swapgate.runs.folder import RunFolder
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Generation

from .conftest import judged, write_project

ROOT = Path(__file__).parents[2]
KEY = "sk-0123456789-never-written"
SERVED = """
engine = "images_api"
source = "{url}"
tasks = [{tasks}]
judge = {{ source = {judge} }}
timeout_seconds = {timeout}
negative_prompt = {{ en = " ", zh = " " }}
{more}
[options]
model = "{model}"
{options}
"""
TASKS = """
width = 64
height = 64
seeds = [1, 2, 3]
reworded_seeds = [1]
rewordings = 1
[[task]]
id = "cup"
prompts = { en = "a red cup on a wooden table, watercolour", zh = "木桌上一只红色的杯子，水彩" }
"""


def write_served(
    root: Path, url: str, *, model: str = "toy", tasks: str = '"toys"', judge: str = '"scripted"', more: str = "", **options: Any
) -> None:
    timeout = options.pop("timeout", 30.0)
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
    text = SERVED.format(url=url, model=model, tasks=tasks, judge=judge, more=more, options=lines, timeout=timeout)
    (root / "fixtures" / "models" / "served.toml").write_text(text, encoding="utf-8")


def statuses(run: Path) -> dict[str, str]:
    data = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))
    return {verdict["gate"]: verdict["status"] for verdict in data["verdicts"] if verdict["task"] == "all"}


def reasons(run: Path) -> dict[str, str]:
    data = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))
    return {verdict["gate"]: verdict["reason"] for verdict in data["verdicts"] if verdict["task"] == "all"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project with one small task, its model also as a served one."""
    root = tmp_path_factory.mktemp("served")
    write_project(root)
    (root / "fixtures" / "tasks" / "toys.toml").write_text(TASKS, encoding="utf-8")
    return root


@contextmanager
def serving(root: Path, *, key: str = "", wrapped: Callable[[Host], Any] = lambda host: host) -> Iterator[ImagesServer]:
    """The toy model behind the server of `swapgate serve`."""
    card = read_card(root / "fixtures" / "models" / "toy.toml", root=root, engines=ENGINES)
    with Host(card) as host:
        weights = host.start().weights
        with ImagesServer(Served.of(card, weights), [wrapped(host)], key=key) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            yield server
            server.shutdown()


class OtherSeeds:
    """A host that draws every request from a seed of its own, whatever it was asked for."""

    def __init__(self, host: Host) -> None:
        self._host, self._number = host, 0

    def make(self, call: Call, timeout: float | None = None) -> Sequence[tuple[Generation, Pixels | None]]:
        from dataclasses import replace

        self._number += 1000
        return self._host.make(Call(requests=tuple(replace(one, seed=one.seed + self._number) for one in call.requests)), timeout)


def test_all_gates_hold_with_baseline_replay_and_report_and_the_key_is_nowhere(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", KEY)
    with serving(toy, key=KEY) as server:
        write_served(toy, server.url, key_env="SERVED_KEY", more="usability_floor = 0.1")
        first = judged(toy, "first", models=("served",), null=2)
        assert accept(first, store=Store(toy / "baselines"), reason="first", with_cost=True, allow_ci=True, environ={}).lines
        second = judged(toy, "second", models=("served",))
        against = judged(toy, "against", models=("served",), against="toy")
        server.key = "another"
        refused = judged(toy, "refused", models=("served",))
    for run in (second, against):
        found = statuses(run)
        assert found["drift"] == found["usability"] == found["stability"] == "PASS", found
        assert "pixel for pixel" in reasons(run)["drift"]
        assert found["memory"] == "NOT_APPLICABLE"
        assert "memory was not measured: the server is on this machine" in reasons(run)["memory"]
        assert found["latency"] != "ERROR"
    assert set(statuses(refused).values()) == {"ERROR"}
    assert "the key is missing or wrong" in reasons(refused)["latency"]
    before = (second / "verdicts.json").read_bytes()
    judged_again = judged_replay(toy, second)
    assert (second / "verdicts.json").read_bytes() == before == judged_again
    for file in toy.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def judged_replay(root: Path, run: Path) -> bytes:
    """Judged once more without any server, and drawn as a page."""
    from swapgate import report
    from swapgate.config import find_config
    from swapgate.gates.policy import Policy
    from swapgate.suite.options import Options
    from swapgate.suite.session import Suite

    suite = Suite.open(find_config(root), Options(root=root, replay=run), Policy())
    for cell in suite.setup.cells():
        suite.verdict(cell)
    suite.finish(suite.setup.cells())
    page = report.build(suite.run.path, suite.image_path)
    assert "NOT_APPLICABLE" in page.read_text(encoding="utf-8")
    suite.run.close()
    return (run / "verdicts.json").read_bytes()


@pytest.mark.parametrize("said", [True, False])
def test_without_seeds_pictures_are_not_compared_and_rates_still_are(toy: Path, said: bool) -> None:
    """Also where the card believes in seeds and the server draws what it likes."""
    with serving(toy, wrapped=OtherSeeds) as server:
        write_served(toy, server.url, seed=not said)
        run = judged(toy, f"seedless-{said}", models=("served",), against="toy")
    found = statuses(run)
    assert found["drift"] == "NOT_APPLICABLE"
    assert found["usability"] not in ("NOT_APPLICABLE", "ERROR")
    assert ("seed = false" if said else "another picture") in reasons(run)["drift"]


class Faults:
    """A raw server that answers one request after another with one fault after another, and in between as it should."""

    def __init__(self, good: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        whole = head % len(good) + good
        self.faults = [
            whole, b"", whole[:50], whole[:-9], b"\x00" * 99, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", head % 2 + b"[]", head % 1 + b"{",
            b"HTTP/1.1 429 Slow\r\nRetry-After: 0.01\r\nContent-Length: 0\r\n\r\n", head % 99999 + good, head % len(good) + good.replace(b"i", b"j"),
            b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        ]  # fmt: skip
        self.served = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(5)
                    asked = connection.recv(65536)
                    if asked.startswith(b"POST"):
                        connection.sendall(self.faults[self.served % len(self.faults)])
                        self.served += 1
                    else:
                        connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    continue


def test_a_faulty_server_spoils_its_own_images_and_nothing_else(toy: Path) -> None:
    from swapgate.cli.images_server import png
    from swapgate.engines.scripted_pictures import draw

    good = json.dumps({"data": [{"b64_json": base64.b64encode(png(draw("a red cup", 1, 64, 64))).decode()}]}).encode()
    server = Faults(good)
    write_served(toy, server.url, seed=False, timeout=5.0)
    run = judged(toy, "faulty", models=("served",))
    server.close()
    folder = RunFolder.open(run)
    made = [folder.generations()[request.key] for request in folder.requests()]
    folder.close()
    assert all((one.image is None) != (one.failure is None) for one in made)
    kinds = {one.failure.kind for one in made if one.failure}
    assert {"connection", "bad-reply", "server-error"} <= kinds
    assert all(one.times is None for one in made if one.failure)
    assert all((run / "images" / one.image[:2] / f"{one.image}.png").is_file() for one in made if one.image)
    assert set(statuses(run).values()) == {"ERROR"}
    assert "connection" in reasons(run)["latency"]
    warnings = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))["warnings"]
    assert all("429" in line for line in warnings)


@pytest.fixture(scope="module")
def serve_command(real: Any) -> Iterator[str]:
    """`swapgate serve standin-qwen` as a user starts it; gives its address."""
    command = [sys.executable, "-m", "swapgate.cli.main", f"--project={real.path}", "serve", "standin-qwen"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(2)]
    assert "for this machine only" in lines[0], lines
    yield lines[1].strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()


def test_the_stand_in_behind_a_server_draws_what_it_draws_here(real: Any, serve_command: str) -> None:
    """Both engines in turn, the same seeds: every picture is the same to the last pixel, and no gate of quality is anything but green."""
    call = "call = { num_inference_steps = 8, true_cfg_scale = 4.0 }"
    judge = '"fixtures/weights/standin-clip"'
    write_served(real.path, serve_command, model="standin-qwen", tasks='"standin"', judge=judge, more=call, timeout=1800)
    real.seeds(3)
    run = real.run("engines", "--model=served", "--against=standin-qwen", "--task=portrait")
    assert run.red("served") <= {"latency"}, run.output  # the only one that the machine's other work can turn
    assert "pixel for pixel" in run.verdict("drift", "served")["reason"]
    assert {run.verdict(gate, "served")["status"] for gate in ("usability", "drift", "stability")} == {"PASS"}
    assert {verdict["gate"] for verdict in run.data["verdicts"]} == set(GATES)
    weights = {model["id"]: model["weights"] for model in run.data["models"]}
    assert weights["served"] == weights["standin-qwen"]


def test_openais_client_draws_with_the_command(serve_command: str) -> None:
    """The real process by OpenAI's own client: both ways to reply, sizes, several pictures, and what goes wrong as that client's exceptions."""
    import openai

    client = openai.OpenAI(base_url=serve_command, api_key="none", max_retries=0, timeout=1800)
    asked: dict[str, Any] = {"model": "standin-qwen", "prompt": "A red cup on a table.", "n": 2, "size": "96x64", "extra_body": {"seed": 7}}
    coded = client.images.generate(**asked, response_format="b64_json").data
    linked = client.images.generate(**asked, response_format="url").data
    pictures = [decode(base64.b64decode(one.b64_json), size=(96, 64)) for one in coded]
    assert [(one.url is None, other.b64_json is None) for one, other in zip(coded, linked, strict=True)] == [(True, True)] * 2
    assert not np.array_equal(*pictures), "two seeds, one picture"
    for picture, one in zip(pictures, linked, strict=True):
        with urllib.request.urlopen(one.url, timeout=60) as fetched:
            assert np.array_equal(decode(fetched.read(), size=(96, 64)), picture)
    for kind, changed in (
        (openai.NotFoundError, {"model": "dall-e-3"}),
        (openai.BadRequestError, {"size": "banana"}),
        (openai.BadRequestError, {"n": 11}),
        (openai.InternalServerError, {"extra_body": {"num_inference_steps": 0}}),
    ):
        with pytest.raises(kind) as caught:
            client.images.generate(**{**asked, **changed})
        assert caught.value.body["message"], changed
    (model,) = client.models.list().data
    assert model.id == "standin-qwen"
