"""What a picture of 1024 x 1024 adds to its call: encoded, hashed and journalled before the next call, or beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swapgate.cards import Card, read_card
from swapgate.plan import Call, Request
from swapgate.runs.folder import RunFolder
from swapgate.suite.generate import Work, generate
from swapgate.suite.progress import Silent

SIDE, CALLS, SLEEP = 1024, 20, 0.3  # seconds that a call of the scripted model really takes, beside drawing its picture
CARD = """
engine = "scripted"
source = "scripted"
tasks = ["toys"]
judge = {{ source = "scripted" }}
[options]
sleep = {sleep}
noise = 0.1
accelerator = "{accelerator}"
"""


def card(folder: Path, accelerator: str) -> Card:
    path = folder / f"{accelerator}.toml"
    path.write_text(CARD.format(sleep=SLEEP, accelerator=accelerator), encoding="utf-8")
    return read_card(path, root=folder, engines=("scripted",))


def calls(model: str) -> tuple[Call, ...]:
    asked: dict[str, Any] = {"model": model, "task": "cup", "language": "en", "index": 0, "negative_prompt": None, "call": ()}
    return tuple(
        Call(requests=(Request(seed=seed, prompt="a red cup on a wooden table, watercolour", width=SIDE, height=SIDE, **asked),))
        for seed in range(CALLS)
    )


def seconds_a_call(run: RunFolder, one: Card) -> float:
    """Wall seconds of a call of a model in its own process, with what is made of it until all is on disk; loading left out."""
    begun: list[float] = []

    class Told(Silent):
        def begin(self, model: str, planned: int, done: int) -> None:
            begun.append(time.perf_counter())

    work = Work(card=one, rounds=(calls(one.id),), planned=CALLS, done=0)
    generate(run, [work], Told(), after=lambda hosts: begun.append(time.perf_counter()))
    assert sum(bool(made.image) for made in run.generations().values()) == CALLS
    return (begun[1] - begun[0]) / CALLS


def seconds_to_keep(run: RunFolder, folder: Path) -> float:
    """Seconds that keeping one of the run's pictures takes alone."""
    pictures = [run.load_image(made.image) for made in run.generations().values() if made.image]
    again = RunFolder.create(folder, {"plan": []})
    begin = time.perf_counter()
    for picture in pictures:
        again.save_image(picture)
    return (time.perf_counter() - begin) / len(pictures)


def test_seconds_that_keeping_a_picture_adds_to_its_call(benchmark: Any, tmp_path: Path, say: Callable[[str], None]) -> None:
    """Beside an accelerator's calls next to nothing is left of it; half is allowed, for the machine may have few cores."""
    found: dict[str, float] = {}

    def both() -> None:
        for name, accelerator in (("before the next call", "cpu-scripted"), ("beside it", "nvidia-scripted")):
            run = RunFolder.create(tmp_path / accelerator, {"plan": []})
            found[name] = seconds_a_call(run, card(tmp_path, accelerator))
            found["alone"] = seconds_to_keep(run, tmp_path / f"{accelerator}-again")

    benchmark.pedantic(both, rounds=1)
    saved, alone = found["before the next call"] - found["beside it"], found.pop("alone")
    benchmark.extra_info.update(seconds=found, alone=alone, side=SIDE, n=CALLS)
    shown = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in found.items())
    say(f"a call of {SLEEP * 1000:.0f} ms with its picture of {SIDE} x {SIDE} kept {shown} (n={CALLS}); keeping alone {alone * 1000:.0f} ms")
    assert saved > 0.5 * alone, f"{saved * 1000:.0f} ms of {alone * 1000:.0f} ms are made beside the next call"
