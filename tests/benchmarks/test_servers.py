"""What a client of a server adds to one picture of 1024 x 1024, on loopback; written down in SERVERS.md.

Two figures: `timed` is what it adds to the time that is measured (connecting, request, reply, JSON, base64), which is limited; `whole` is what a
call takes with the unpacking of the picture, which is done when the clock has stopped, and is mostly Pillow's.

The picture is a photograph, because a PNG of noise takes longer to unpack than what a model draws, and one of a flat colour takes no time. It
is a mosaic of four mirrored photographs at their own size: enlarged ones would be smoother than any picture of that size.

For the images API a server of prepared replies answers at once; its own few microseconds are not taken off. Of a real ComfyUI
(SWAPGATE_COMFYUI and SWAPGATE_COMFYUI_PYTHON, as in the integration tests) the time in which it works is taken off, as its history tells it, to
the millisecond.
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swapgate.cards import Card, read_card
from swapgate.engines import images_api
from swapgate.engines.comfyui.engine import create
from swapgate.engines.registry import ENGINES, Setting
from swapgate.meters.clock import StageClock
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels

SIDE = 1024
LIMIT = 0.020  # seconds of the client for one picture
ROUNDS, WARM_UP = 100, 5
COMFY_ROUNDS = 30
_spec = importlib.util.spec_from_file_location("swapgate_real_comfyui", Path(__file__).parents[1] / "integration" / "comfy.py")
assert _spec is not None
assert _spec.loader is not None
comfy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(comfy)
# Built-in nodes that read a photograph, leave it as it is and write it: its name stands in the place of a prompt.
WORKFLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "photograph.png"}},
    "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 1, "strength": 0.0}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "photograph"}},
}
COMFY_CARD = """
engine = "comfyui"
source = "w.json"
tasks = ["t"]
timeout_seconds = 60.0
judge = {{ source = "scripted" }}
[comfyui]
url = "{url}"
[comfyui.places]
prompt = "1.image"
seed = "2.seed"
output = "3"
"""
CARD = """
engine = "images_api"
source = "http://127.0.0.1:{port}/v1"
tasks = ["t"]
timeout_seconds = 60.0
judge = {{ source = "scripted" }}
[options]
reply = "{reply}"
"""


@pytest.fixture(scope="module")
def photograph() -> Pixels:
    from skimage.data import astronaut

    one: Any = astronaut()
    upper = np.concatenate([one, one[:, ::-1]], axis=1)
    whole: Pixels = np.ascontiguousarray(np.concatenate([upper, upper[::-1]], axis=0))
    assert whole.shape == (SIDE, SIDE, 3)
    return whole


@pytest.fixture(scope="module")
def file(photograph: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As servers write it: Pillow's own settings."""
    path = tmp_path_factory.mktemp("photograph") / "photograph.png"
    Image.fromarray(photograph).save(path)
    return path


@pytest.fixture
def port(file: Path) -> Iterator[int]:
    """Of a server of prepared replies."""
    command = [sys.executable, str(Path(__file__).with_name("prepared_server.py")), str(file)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.communicate()
    assert server.returncode == 0


def call_of(**more: Any) -> Call:
    given: dict[str, Any] = {"model": "m", "task": "t", "language": "en", "index": 0, "prompt": "an astronaut", "negative_prompt": None, "call": ()}
    return Call(requests=(Request(**{**given, "seed": 1, "width": SIDE, "height": SIDE, **more}),))


def card_of(folder: Path, text: str) -> Card:
    (folder / "m.toml").write_text(text, encoding="utf-8")
    return read_card(folder / "m.toml", root=folder, engines=ENGINES)


def told(benchmark: Any, what: str, seconds: list[float], say: Callable[[str], None]) -> float:
    """The median, after it is printed with n and spread."""
    quarters = statistics.quantiles(seconds, n=20)
    figures = {"n": len(seconds), "median": statistics.median(seconds), "5 %": quarters[0], "95 %": quarters[-1], "largest": max(seconds)}
    benchmark.extra_info[what] = figures
    say(f"{what}: " + ", ".join(f"{name} {value}" if name == "n" else f"{name} {1000 * value:.2f} ms" for name, value in figures.items()))
    return figures["median"]


@pytest.mark.parametrize("reply", ["b64_json", "url"])
def test_seconds_of_the_client_of_the_images_api(
    benchmark: Any, port: int, reply: str, photograph: Pixels, file: Path, tmp_path: Path, say: Callable[[str], None]
) -> None:
    engine = images_api.create(card_of(tmp_path, CARD.format(port=port, reply=reply)), Setting())
    engine.load()
    timed: list[float] = []

    def make() -> Pixels:
        clock = StageClock()
        (picture,) = engine.make(call_of(), clock)
        times = clock.times(queue=0)
        assert times is not None
        timed.append(times.total)
        return picture

    assert np.array_equal(make(), photograph)
    benchmark.pedantic(make, rounds=ROUNDS, warmup_rounds=WARM_UP)
    engine.close()
    what = f"images API, {reply}, a PNG of {file.stat().st_size / 2**20:.2f} MiB"
    if benchmark.enabled:
        told(benchmark, f"{what}: whole", list(benchmark.stats.stats.data), say)
        assert told(benchmark, f"{what}: timed", timed[-ROUNDS:], say) < LIMIT


def test_seconds_of_unpacking_the_picture(benchmark: Any, file: Path, say: Callable[[str], None]) -> None:
    """The part of the whole that is Pillow's alone."""
    content = file.read_bytes()
    benchmark.pedantic(lambda: np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), rounds=ROUNDS, warmup_rounds=WARM_UP)
    if benchmark.enabled:
        told(benchmark, "Pillow alone", list(benchmark.stats.stats.data), say)


@pytest.mark.skipif(bool(comfy.missing()), reason=comfy.missing())
def test_seconds_of_the_client_of_comfyui(
    benchmark: Any, photograph: Pixels, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    base = comfy.folder(tmp_path / "base")
    shutil.copy(file, base / "input" / "photograph.png")
    (tmp_path / "w.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")
    timed, whole = [], []
    with comfy.serving(base) as server:
        engine = create(card_of(tmp_path, COMFY_CARD.format(url=server.address.origin)), Setting())
        engine.load()
        watches = []
        run = engine._run
        monkeypatch.setattr(engine, "_run", lambda *given, **named: watches.append(run(*given, **named)) or watches[-1])

        def make() -> Pixels:
            clock, begun = StageClock(), time.perf_counter()
            (picture,) = engine.make(call_of(prompt="photograph.png"), clock)
            took, times, watch = time.perf_counter() - begun, clock.times(queue=0), watches[-1]
            assert times is not None
            own = (watch.ended - watch.started) / 1000
            timed.append(times.total - own)
            whole.append(took - own)
            return picture

        assert np.abs(make().astype(int) - photograph).max() <= 1  # it saves fractions of a level cut off
        benchmark.pedantic(make, rounds=COMFY_ROUNDS, warmup_rounds=WARM_UP)
        engine.close()
    if benchmark.enabled:
        told(benchmark, "ComfyUI: whole", whole[-COMFY_ROUNDS:], say)
        assert told(benchmark, "ComfyUI: timed", timed[-COMFY_ROUNDS:], say) < LIMIT
