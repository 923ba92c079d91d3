"""Rendered text with the real reader: posters whose text is known, their controls, without a network; a sample of tests/benchmarks/text_table.py."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
READER = all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime"))

pytestmark = pytest.mark.skipif(not READER, reason='the extra is not installed: pip install "swapgate[text]"')


def load(name: str) -> ModuleType:
    """A module of the benchmarks, which are no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "benchmarks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


posters = load("posters")
needs_fonts = pytest.mark.skipif(bool(posters.missing_fonts()), reason=f"fonts are missing: apt-get install {' '.join(posters.missing_fonts())}")


@pytest.fixture(scope="module")
def reader() -> Any:
    from swapgate.metrics.text_reader import the_reader

    return the_reader()


def far(reader: Any, one: Any, picture: Any = None) -> float:
    """The distance of a poster's text from what is read in it."""
    from swapgate.metrics.text import distance

    (lines,) = reader.read([np.asarray(picture or posters.draw(one))])
    return distance(one.text, lines)


def sample(text: Any, name: str, each: int) -> list[Any]:
    """Posters in every font and size, the same ones in every run."""
    found = []
    for font in posters.FONTS:
        for size in posters.SIZES:
            for number in range(each):
                rng = random.Random(f"{name}/{font}/{size}/{number}")
                found.append(posters.poster(text(rng), font, size, rng.randrange(2**32)))
    return found


@needs_fonts
def test_clean_posters_are_read(reader: Any) -> None:
    """Three fonts and sizes, 4 to 8 Chinese characters: 95 % of 27 is 25.65."""
    right = [one for one in sample(posters.words, "sample", 3) if far(reader, one) == 0]
    assert len(right) >= 26


@needs_fonts
def test_english_posters_are_read(reader: Any) -> None:
    """One to three words."""
    assert sum(far(reader, one) == 0 for one in sample(posters.english, "sample", 1)) >= 8


@needs_fonts
@pytest.mark.parametrize("control", ["other order", "one glyph replaced", "one glyph twice"])
def test_other_glyphs_never_match(reader: Any, control: str) -> None:
    """Nine posters each that show something else than they claim."""
    spoil = posters.CONTROLS[control]
    assert all(far(reader, spoil(one, random.Random(one.seed))) > 0 for one in sample(posters.words, control, 1))


@needs_fonts
def test_a_slanted_poster_is_read_and_a_drowned_one_is_not(reader: Any) -> None:
    """A dose that a person reads, and one that nobody does."""
    one = posters.poster("夏日限定", "Noto Sans CJK", 72, 1)
    slanted = posters.rotated(10)(posters.draw(one), random.Random(1))
    assert far(reader, one, slanted) == 0
    drowned = posters.blurred(40)(posters.draw(one), random.Random(1))
    assert far(reader, one, drowned) > 0


def test_a_picture_without_text_reads_as_nothing(reader: Any) -> None:
    """Not even noise is writing."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert reader.read([np.zeros((256, 256, 3), np.uint8), noise]) == [(), ()]


def test_the_identity_names_package_and_weights_and_no_path(reader: Any) -> None:
    """It is part of every key under which a reading is kept."""
    assert reader.identity.startswith("rapidocr 3.")
    assert "@sha256:" in reader.identity
    assert "/site-packages" not in reader.identity


OFFLINE = """
import socket, sys
def refuse(*_, **__): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from swapgate.metrics.text_reader import the_reader
picture = Image.new("RGB", (512, 512), "white")
ImageDraw.Draw(picture).text((256, 256), "SUMMER SALE", fill="black", font=ImageFont.load_default(64), anchor="mm")
print(the_reader().read([np.asarray(picture)])[0])
print([name for name in ("torch",) if name in sys.modules])
"""


def test_it_works_without_a_network_in_a_fresh_process(tmp_path: Path) -> None:
    """Every way out is closed before anything is imported, and home and cache are empty: the models are the wheel's own."""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "".join(done.stdout.splitlines()[0].split()).upper().count("SUMMER") == 1
    assert done.stdout.splitlines()[-1] == "[]"
    assert not list(tmp_path.rglob("*.onnx"))
