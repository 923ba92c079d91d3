"""Reference pictures: lossless, small, named by their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from swapgate.baselines import images
from swapgate.errors import UserError
from swapgate.runs.pixels import pixel_hash

small = st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3))


@settings(deadline=None, max_examples=40)
@given(pixels=arrays(np.uint8, small))
def test_any_picture_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    """Write and read: the same pixels, whatever they are."""
    folder, sha = tmp_path_factory.getbasetemp() / "any", pixel_hash(pixels)
    path = images.write(folder, sha, pixels)
    assert np.array_equal(images.read(folder, sha), pixels)
    assert images.find(folder, sha) == path
    assert images.problem(path) is None


def test_the_smaller_of_the_two_formats_is_taken(tmp_path: Path) -> None:
    """Checked against both encoders directly."""
    gradient = np.repeat(np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3)), 1, axis=0)
    suffix, content = images.encode(gradient)
    Image.fromarray(gradient).save(tmp_path / "a.png", optimize=True)
    Image.fromarray(gradient).save(tmp_path / "a.webp", lossless=True, exact=True, quality=80, method=4)
    sizes = {path.suffix: path.stat().st_size for path in tmp_path.iterdir()}
    assert suffix == min(sizes, key=lambda name: sizes[name])
    assert len(content) == min(sizes.values())


def test_a_lossy_encoder_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The round trip decides, not the encoder's promise: with WebP made lossy, PNG is left."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    monkeypatch.setitem(images._FORMATS, ".webp", ("WEBP", {"quality": 5}))
    assert images.encode(noise)[0] == ".png"
    monkeypatch.setitem(images._FORMATS, ".png", ("JPEG", {}))
    with pytest.raises(ValueError, match="no lossless encoding"):
        images.encode(noise)


def test_pixels_of_another_name_are_refused(tmp_path: Path) -> None:
    """A damaged run cannot put a wrong picture under a right name."""
    with pytest.raises(UserError, match="under the SHA-256 of its pixels"):
        images.write(tmp_path, "0" * 64, np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_whole_file_is_left_alone_and_a_damaged_one_replaced(tmp_path: Path) -> None:
    """Accepting the same picture again does not touch the file; accepting over a damaged one mends it."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    sha = pixel_hash(pixels)
    path = images.write(tmp_path, sha, pixels)
    before = path.stat().st_mtime_ns
    assert images.write(tmp_path, sha, pixels).stat().st_mtime_ns == before
    path.unlink()
    (tmp_path / f"{sha}.png").write_bytes(b"not a picture")
    mended = images.write(tmp_path, sha, pixels)
    assert images.problem(mended) is None
    assert images.find(tmp_path, sha) == mended
    assert len(list(tmp_path.iterdir())) == 1


def test_absent_damaged_and_exchanged_files_each_have_their_error(tmp_path: Path) -> None:
    """What cannot be compared with is never read as if it could."""
    sha = "1" * 64
    with pytest.raises(UserError, match="must exist"):
        images.read(tmp_path, sha)
    (tmp_path / f"{sha}.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="decodes"):
        images.read(tmp_path, sha)
    Image.new("RGB", (4, 4)).save(tmp_path / f"{sha}.png")
    with pytest.raises(UserError, match="another picture"):
        images.read(tmp_path, sha)
    Image.new("L", (4, 4)).save(tmp_path / f"{sha}.png")
    assert "decodes" in (images.problem(tmp_path / f"{sha}.png") or "")
