"""Pictures from a server: the right pixels, or a reason; never a guess, never more memory than was asked for."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from swapgate.engines.servers.client import ServerFailed
from swapgate.engines.servers.pictures import MOST_BYTES, decode, from_base64

from .conftest import encoded, pixels


def refused(content, **limits):
    with pytest.raises(ServerFailed) as caught:
        decode(content, **limits)
    assert caught.value.kind == "bad-reply"
    assert len(str(caught.value)) < 300
    return str(caught.value)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, colour=2, idat=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(idat)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_keep_every_pixel(kind, options):
    assert np.array_equal(decode(encoded(pixels(), kind, **options), size=(24, 16)), pixels())


def test_jpeg_is_read():
    found = decode(encoded(np.full((16, 24, 3), 77, dtype=np.uint8), "JPEG", quality=95))
    assert found.shape == (16, 24, 3)
    assert abs(int(found.mean()) - 77) < 3


def test_what_is_transparent_lies_on_white():
    whole = np.zeros((2, 2, 4), dtype=np.uint8)
    whole[0, 0] = (10, 20, 30, 255)
    found = decode(encoded(Image.fromarray(whole, "RGBA")))
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "P", "LA"])
def test_grey_and_palettes_are_read_as_colours(mode):
    assert decode(encoded(Image.new(mode, (4, 4)))).shape == (4, 4, 3)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("PNG", "1"), ("JPEG", "CMYK")])
def test_other_modes_are_refused_by_name(kind, mode):
    assert f"mode {mode}" in refused(encoded(Image.new(mode, (4, 4)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_cut_leaves_a_picture(kind):
    whole = encoded(pixels(), kind)
    for length in range(0, len(whole) - 1, 7):
        refused(whole[:length])
    for length in range(len(whole) - 16, len(whole)):
        refused(whole[:length])


def test_the_size_asked_for_is_the_size_that_comes():
    assert "24 x 16; 16 x 24 was asked for" in refused(encoded(pixels()), size=(16, 24))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9000, 12_000, 30_000, 2**31 - 1])
def test_a_bomb_is_not_decoded(side):
    """A small file that says it is huge: refused by its head, before memory for its pixels is taken."""
    refused(png(side, side, idat=b"\0" * 1000))
    assert len(png(side, side)) < 1000


def test_limits_hold():
    assert "at most 100 are decoded" in refused(encoded(pixels()), most_pixels=100)
    assert "at most 100 are read" in refused(encoded(pixels()), most_bytes=100)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_not_opened(kind):
    assert "do not decode" in refused(encoded(pixels(), kind))


def test_animations_are_refused():
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    for kind in ("WEBP", "PNG"):
        assert "animated" in refused(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


@given(st.binary(max_size=300), st.integers(0, 400), st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damaged_files_are_refused_or_whole(noise, place, kind):
    whole = encoded(pixels(8, 8), kind)
    for content in (noise, whole[:place] + noise, whole[:place] + noise + whole[place + len(noise) :]):
        try:
            found = decode(content, size=(8, 8))
        except ServerFailed:
            continue
        assert found.shape == (8, 8, 3)
        assert found.dtype == np.uint8


def test_base64_is_read_also_as_a_data_url():
    text = base64.b64encode(b"\x00\xffab").decode()
    assert from_base64(text) == from_base64(f"data:image/png;base64,{text}") == b"\x00\xffab"


@pytest.mark.parametrize("text", [None, "", 3, ["a"], "a", "===", "!!!!", "data:image/png,abc", "data:image/png;base64", "图", "YWI=\n!"])
def test_anything_else_is_no_base64(text):
    with pytest.raises(ServerFailed):
        from_base64(text)


def test_a_text_too_long_is_not_decoded(monkeypatch):
    monkeypatch.setattr("swapgate.engines.servers.pictures.MOST_BYTES", 100)
    with pytest.raises(ServerFailed, match="more than 100 bytes"):
        from_base64("A" * 1000)
    assert MOST_BYTES > 100
