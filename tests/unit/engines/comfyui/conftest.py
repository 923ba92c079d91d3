"""A small server that speaks as much of ComfyUI's interface as the engine uses, and misbehaves as it is told."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from websockets.protocol import State
from websockets.server import ServerProtocol

from swapgate.cards import Card, read_card
from swapgate.engines.registry import ENGINES
from swapgate.plan import Call, Request

ROOT = Path(__file__).parents[4]
MIB = 1024 * 1024


@dataclass
class Conduct:
    """How the server behaves with a prompt."""

    cached: tuple[str, ...] = ()
    fails: dict[str, Any] | None = None  # data of execution_error
    interrupts: bool = False
    refuses: tuple[int, Any] | None = None  # status and body of the answer to a prompt
    mistakes: dict[str, Any] = field(default_factory=dict)  # node_errors of a prompt that is taken nevertheless
    hangs: bool = False  # never comes to an end
    breaks: bool = False  # the websocket is closed in the middle
    tells_pictures: bool = True
    tells_success: bool = True
    over_socket: bool = False
    previews: bool = True
    jumps: int = 1  # steps told at once
    steps: int | None = None
    queue: tuple[str, ...] = ()  # prompts of others
    remaining: int = 1
    pictures: int | None = None
    encoded: bytes | None = None  # instead of the picture
    step_seconds: float = 0.0
    missing: tuple[str, ...] = ()  # classes that it does not have
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    device: dict[str, Any] = field(
        default_factory=lambda: {"name": "cpu", "type": "cpu", "vram_total": 0, "vram_free": 0, "torch_vram_total": 0, "torch_vram_free": 0}
    )
    modules: dict[str, str] = field(default_factory=dict)
    noise: tuple[Any, ...] = ()  # messages sent among the others


class FakeComfy:
    """The server: `conduct` is how it behaves, `asked` the requests it got, `prompts` the workflows."""

    def __init__(self) -> None:
        self.conduct = Conduct()
        self.asked: list[tuple[str, str, Any]] = []
        self.prompts: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.history: dict[str, Any] = {}
        self.running: list[str] = []
        self._sockets: dict[str, tuple[ServerProtocol, Any, threading.Lock]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Handler(self, *args))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self.drop()

    def drop(self) -> None:
        """Cut every websocket."""
        for _, sock, _ in list(self._sockets.values()):
            with contextlib.suppress(OSError):
                sock.shutdown(2)
        self._sockets.clear()

    def paths(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]

    def join(self, client: str, protocol: ServerProtocol, sock: Any) -> None:
        self._sockets[client] = (protocol, sock, threading.Lock())
        self.say(client, "status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client})

    def say(self, client: str, kind: str, data: dict[str, Any]) -> None:
        self._send(client, json.dumps({"type": kind, "data": data}))

    def _send(self, client: str, message: str | bytes) -> None:
        found = self._sockets.get(client)
        if found is None:
            return
        protocol, sock, lock = found
        with lock:
            try:
                if isinstance(message, bytes):
                    protocol.send_binary(message)
                else:
                    protocol.send_text(message.encode())
                for data in protocol.data_to_send():
                    sock.sendall(data)
            except OSError:
                self._sockets.pop(client, None)

    def take(self, body: dict[str, Any]) -> tuple[int, Any]:
        """A prompt is posted."""
        conduct = self.conduct
        if conduct.refuses:
            return conduct.refuses
        prompt = f"prompt-{len(self.prompts) + 1}"
        self.prompts.append(body["prompt"])
        self.running.append(prompt)
        threading.Thread(target=self._work, args=(prompt, body["prompt"], body["client_id"], conduct), daemon=True).start()
        return 200, {"prompt_id": prompt, "number": len(self.prompts), "node_errors": conduct.mistakes}

    def _work(self, prompt: str, graph: dict[str, Any], client: str, conduct: Conduct) -> None:
        def say(kind: str, **data: Any) -> None:
            self.say(client, kind, {"prompt_id": prompt, **data})

        self.say(client, "status", {"status": {"exec_info": {"queue_remaining": conduct.remaining}}})
        say("execution_start", timestamp=1000)
        say("execution_cached", nodes=list(conduct.cached), timestamp=1000)
        for message in conduct.noise:
            self._send(client, message)
        for node in _order(graph):
            if node not in conduct.cached:
                say("executing", node=node, display_node=node)
                if not self._run(client, prompt, node, graph, conduct):
                    return
        if prompt in self.running:
            self.running.remove(prompt)
        if conduct.tells_success:
            say("execution_success", timestamp=1250)
        say("executing", node=None)

    def _run(self, client: str, prompt: str, node: str, graph: dict[str, Any], conduct: Conduct) -> bool:
        """One node; whether the prompt goes on."""
        kind = graph[node]["class_type"]
        if kind.startswith(("SaveImage", "PreviewImage")):
            self._save(client, prompt, node, graph, conduct)
        if "seed" not in graph[node]["inputs"]:
            return True
        self._sample(client, prompt, node, graph, conduct)
        if conduct.breaks:
            self.drop()
        if conduct.interrupts or conduct.fails:
            self.running.remove(prompt)
            data = {"prompt_id": prompt, "node_id": node, "node_type": kind, **(conduct.fails or {})}
            self.say(client, "execution_error" if conduct.fails else "execution_interrupted", data)
        return not (conduct.breaks or conduct.hangs or conduct.interrupts or conduct.fails)

    def _sample(self, client: str, prompt: str, node: str, graph: dict[str, Any], conduct: Conduct) -> None:
        steps = conduct.steps or graph[node]["inputs"]["steps"]
        for value in range(conduct.jumps, steps + 1, conduct.jumps):
            time.sleep(conduct.step_seconds)
            self.say(client, "progress", {"value": value, "max": steps, "prompt_id": prompt, "node": node})
            if conduct.previews:
                self._send(client, described({"node_id": node, "prompt_id": prompt}, png(8, 8, 3)))

    def _save(self, client: str, prompt: str, node: str, graph: dict[str, Any], conduct: Conduct) -> None:
        sampler = next(one["inputs"] for one in graph.values() if "seed" in one["inputs"])
        size = next(one["inputs"] for one in graph.values() if "width" in one["inputs"])
        count = conduct.pictures or size["batch_size"]
        names = []
        for number in range(count):
            made = conduct.encoded or png(size["width"], size["height"], sampler["seed"] + number)
            if conduct.over_socket:
                self._send(client, described({"node_id": node, "prompt_id": prompt}, made))
                continue
            name = f"{prompt}-{number}.png"
            self.files[name] = made
            names.append({"filename": name, "subfolder": "", "type": "output"})
        self.history[prompt] = {"outputs": {node: {"images": names}}, "status": {"completed": True}}
        told = {"images": names} if conduct.tells_pictures else None
        self.say(client, "executed", {"node": node, "display_node": node, "output": told, "prompt_id": prompt})


def _order(graph: dict[str, Any]) -> list[str]:
    found: list[str] = []

    def visit(node: str) -> None:
        for value in graph[node]["inputs"].values():
            if isinstance(value, list):
                visit(value[0])
        if node not in found:
            found.append(node)

    for node in graph:
        visit(node)
    return found


def png(width: int, height: int, seed: int) -> bytes:
    """A picture that its seed decides."""
    held = io.BytesIO()
    Image.new("RGB", (width, height), (seed % 256, seed // 256 % 256, 7)).save(held, "PNG")
    return held.getvalue()


def described(data: dict[str, Any], picture: bytes) -> bytes:
    """A binary message with a description in front of its picture."""
    said = json.dumps(data).encode()
    return struct.pack(">II", 4, len(said)) + said + picture


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # head and body in one packet

    def __init__(self, comfy: FakeComfy, *args: Any) -> None:
        self._comfy = comfy
        super().__init__(*args)

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/ws":
            self._socket(parse_qs(place.query)["clientId"][0])
            return
        self._comfy.asked.append(("GET", place.path, parse_qs(place.query)))
        self._answer(*self._found(place.path, parse_qs(place.query)))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(content) if self.headers.get("Content-Type") == "application/json" else content
        self._comfy.asked.append(("POST", self.path, body))
        if self.path == "/prompt":
            self._answer(*self._comfy.take(body))
        elif self.path == "/upload/image":
            name = content.partition(b'filename="')[2].partition(b'"')[0].decode()
            self._answer(200, {"name": name, "subfolder": "swapgate", "type": "input"})
        else:
            self._answer(200, b"")

    def _found(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        comfy, conduct = self._comfy, self._comfy.conduct
        if path == "/system_stats":
            system = {
                "comfyui_version": "0.3.64",
                "pytorch_version": "2.9",
                "python_version": "3.12.1 (main)",
                "ram_total": 900 * MIB,
                "ram_free": 400 * MIB,
            }
            return 200, {"system": {**system, "argv": ["main.py", "--cpu", "--port", "1"]}, "devices": [conduct.device]}
        if path == "/queue":
            waiting = [[0, name, {}, {}, []] for name in conduct.queue]
            return 200, {"queue_running": [[0, name, {}, {}, []] for name in comfy.running], "queue_pending": waiting}
        if path.startswith("/object_info/"):
            kind = path.rpartition("/")[2].replace("%20", " ")
            told = {"input": conduct.choices.get(kind, {}), "python_module": conduct.modules.get(kind, "nodes")}
            return 200, {} if kind in conduct.missing else {kind: told}
        if path.startswith("/history/"):
            name = path.rpartition("/")[2]
            return 200, {name: comfy.history[name]} if name in comfy.history else {}
        if path == "/view" and query["filename"][0] in comfy.files:
            return 200, comfy.files[query["filename"][0]]
        return 404, {"error": "not here"}

    def _answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _socket(self, client: str) -> None:
        protocol, sock = ServerProtocol(max_size=2**20), self.connection
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        protocol.receive_data(f"GET {self.path} HTTP/1.1\r\n{head}\r\n".encode())
        (request,) = protocol.events_received()
        protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
        for data in protocol.data_to_send():
            sock.sendall(data)
        self._comfy.join(client, protocol, sock)
        try:
            while protocol.state is State.OPEN and (data := sock.recv(65536)):
                protocol.receive_data(data)
                for answer in protocol.data_to_send():
                    sock.sendall(answer)
        except OSError:
            pass
        self.close_connection = True


WORKFLOW: dict[str, Any] = {
    "ck": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}, "_meta": {"title": "Model"}},
    "pos": {"class_type": "CLIPTextEncode", "inputs": {"text": "p", "clip": ["ck", 1]}, "_meta": {"title": "Positive"}},
    "neg": {"class_type": "CLIPTextEncode", "inputs": {"text": "n", "clip": ["ck", 1]}},
    "size": {"class_type": "EmptyLatentImage", "inputs": {"width": 16, "height": 16, "batch_size": 1}},
    "lora": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "l.safetensors", "strength_model": 1.0, "model": ["ck", 0]}},
    "k": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1,
            "steps": 4,
            "cfg": 7,
            "model": ["lora", 0],
            "positive": ["pos", 0],
            "negative": ["neg", 0],
            "latent_image": ["size", 0],
        },
    },
    "vae": {"class_type": "VAEDecode", "inputs": {"samples": ["k", 0], "vae": ["ck", 2]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["vae", 0], "filename_prefix": "x"}},
}
PLACES = {
    "prompt": "Positive.text",
    "negative_prompt": "neg.text",
    "seed": "k.seed",
    "width": "size.width",
    "height": "size.height",
    "batch": "size.batch_size",
    "steps": "k.steps",
    "lora": "lora.lora_name",
    "output": "save",
}
TOP = {
    "engine": "comfyui",
    "source": "w.json",
    "tasks": ["f"],
    "judge": {"source": "scripted"},
    "negative_prompt": {"en": "bad"},
    "timeout_seconds": 5.0,
}
Make = Callable[..., Card]


@pytest.fixture
def comfy() -> Iterator[FakeComfy]:
    made = FakeComfy()
    yield made
    made.close()


@pytest.fixture
def workflow() -> dict[str, Any]:
    """The workflow of `card_for`, to be changed."""
    return copy.deepcopy(WORKFLOW)


@pytest.fixture
def card_for(tmp_path: Path) -> Make:
    """A card of the workflow: card_for(url, workflow=..., places={...: None takes one away}, comfyui={...}, top={...})."""

    def make(url: str = "http://127.0.0.1:1", *, workflow: Any = None, places: Any = None, comfyui: Any = None, top: Any = None) -> Card:
        (tmp_path / "w.json").write_text(json.dumps(workflow or WORKFLOW), encoding="utf-8")
        table = {"url": url, **(comfyui or {})}
        table["places"] = {name: place for name, place in {**PLACES, **(places or {})}.items() if place is not None}
        lines = _toml({**TOP, **(top or {}), "comfyui": {name: value for name, value in table.items() if value is not None}})
        (tmp_path / "m.toml").write_text("\n".join(lines), encoding="utf-8")
        return read_card(tmp_path / "m.toml", root=tmp_path, engines=ENGINES)

    return make


def _toml(table: dict[str, Any], prefix: str = "") -> list[str]:
    plain = [f"{json.dumps(name)} = {_value(value)}" for name, value in table.items() if not isinstance(value, dict)]
    deeper = {name: value for name, value in table.items() if isinstance(value, dict)}
    for name, value in deeper.items():
        plain += [f"[{prefix}{json.dumps(name)}]", *_toml(value, f"{prefix}{json.dumps(name)}.")]
    return plain


def _value(value: Any) -> str:
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, list) else json.dumps(value)


@pytest.fixture
def call_of() -> Callable[..., Call]:
    """A call of `pictures` requests; more: fields of the requests."""

    def make(pictures: int = 1, **more: Any) -> Call:
        given: dict[str, Any] = {
            "model": "m", "task": "t", "language": "en", "seed": 5, "prompt": "a cat", "negative_prompt": "bad", "width": 16, "height": 24, "call": (),
        }  # fmt: skip
        return Call(requests=tuple(Request(**{**given, **more, "index": index}) for index in range(pictures)))

    return make
