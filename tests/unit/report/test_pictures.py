"""Pictures reach the report without a changed pixel, and difference maps show where and how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageChops

from swapgate.report import model, pictures

small = st.tuples(st.integers(1, 20), st.integers(1, 20))


def report_of(*pairs):
    """A report whose images are these (baseline, candidate) hashes."""
    rows = [{"model": "m", "task": "t", "language": "en", "seed": n, "baseline": one, "candidate": other} for n, (one, other) in enumerate(pairs)]
    return model.parse(
        {
            "schema": 1,
            "run": "r",
            "planned": {"cells": 0, "images": 0},
            "measured": {"cells": 0, "images": 0},
            "outcome": {"red": True},
            "images": rows,
        }
    )


def opened(folder, picture):
    with Image.open(folder.parent / picture.src) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def shelf(sample, tmp_path):
    return sample.Shelf(tmp_path / "images")


@pytest.mark.parametrize("side", [16, 300])
def test_every_pixel_survives_and_no_file_grows(sample, shelf, tmp_path, side):
    """Small ones are encoded again where that is smaller, large ones are taken as they are; both are lossless."""
    pixels = sample.scene(3, "cup", side=side)
    sha = shelf.add(pixels)
    album = pictures.collect(report_of((None, sha)), shelf, tmp_path / "data")
    found = album.picture(sha)
    assert (found.width, found.height) == (side, side)
    assert found.src.startswith(f"data/{sha}.")
    assert np.array_equal(opened(tmp_path / "data", found), pixels)
    assert (tmp_path / found.src).stat().st_size <= shelf(sha).stat().st_size


@pytest.mark.parametrize(
    ("mode", "name", "options"),
    [
        ("RGBA", "a.png", {}),
        ("L", "g.png", {}),
        ("P", "p.png", {}),
        ("I;16", "deep.png", {}),
        ("RGB", "x.webp", {"lossless": True}),
        ("RGB", "y.jpg", {}),
    ],
)
def test_every_mode_and_format_arrives_unchanged(tmp_path, mode, name, options):
    """What WebP would have to convert is copied as it is."""
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = Image.fromarray(ramp * 257) if mode == "I;16" else Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    path = tmp_path / name
    image.save(path, **options)
    album = pictures.collect(report_of((None, "ab" * 32)), lambda _: path, tmp_path / "data")
    with Image.open(path) as before, Image.open(tmp_path / album.picture("ab" * 32).src) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))


@given(st.data())
def test_a_map_is_the_largest_channel_difference(data):
    """Checked against PIL's own difference of channels; the gain saturates at the brightest colour."""
    shape = (*data.draw(small), 3)
    one, other = (data.draw(arrays(np.uint8, shape)) for _ in range(2))
    drawn, largest, mean = pictures.difference_map(one, other)
    channels = ImageChops.difference(Image.fromarray(one), Image.fromarray(other)).split()
    strongest = np.asarray(ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2]))
    assert drawn.shape == shape
    assert largest == strongest.max()
    assert mean == pytest.approx(np.abs(one.astype(int) - other.astype(int)).mean())
    brightness = drawn.astype(int).sum(axis=2)
    order = np.argsort(strongest, axis=None)
    assert (np.diff(brightness.ravel()[order]) >= 0).all(), "a larger difference is never darker"
    assert (brightness == brightness.min())[strongest == 0].all()


@settings(max_examples=25)
@given(st.integers(1, 1500), st.integers(1, 1500))
def test_maps_are_reduced_to_what_is_looked_at(height, width):
    """No side above MAP_SIDE for pictures of any usual shape, and one bright block stays where it was."""
    one = np.zeros((height, width, 3), np.uint8)
    other = one.copy()
    other[: height // 2 + 1] = 200
    drawn, largest, _ = pictures.difference_map(one, other)
    if min(height, width) * pictures.MAP_SIDE >= max(height, width):
        assert max(drawn.shape[:2]) <= max(pictures.MAP_SIDE, -(-max(height, width) // (-(-max(height, width) // pictures.MAP_SIDE))))
    assert largest == 200
    assert drawn[0, 0].sum() > 600


def test_equal_pictures_need_no_map(sample, shelf, tmp_path):
    """The same hash on both sides is told in words."""
    sha = shelf.add(sample.scene(1, "cup"))
    album = pictures.collect(report_of((sha, sha)), shelf, tmp_path / "data")
    assert album.difference(sha, sha) is None
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_sizes_that_differ_are_said_instead_of_cropped(sample, shelf, tmp_path):
    """Comparing the overlap would call a cropped picture equal."""
    one, other = shelf.add(sample.scene(1, "cup", side=64)), shelf.add(sample.scene(1, "cup", side=96))
    found = pictures.collect(report_of((one, other)), shelf, tmp_path / "data").difference(one, other)
    assert found.picture is None
    assert found.sizes == ("64 × 64", "96 × 96")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_damaged_file_counts_as_absent(sample, shelf, tmp_path, content):
    """One broken file must not cost the report of a whole run."""
    good, bad = shelf.add(sample.scene(1, "cup")), "0bad" * 16
    (shelf.folder / f"{bad}.png").write_bytes(content)
    album = pictures.collect(report_of((good, bad)), shelf, tmp_path / "data")
    assert album.picture(bad) is None
    assert album.picture(good)
    assert album.difference(good, bad) is None


def test_a_picture_cut_off_in_the_middle_is_shown_without_a_map(sample, shelf, tmp_path):
    """Its header is whole, its pixels are not: there is no map, and no sizes to blame."""
    one, other = shelf.add(sample.scene(1, "cup", side=300)), shelf.add(sample.scene(2, "cup", side=300))
    raw = shelf(other).read_bytes()
    shelf(other).write_bytes(raw[: len(raw) // 2])
    found = pictures.collect(report_of((one, other)), shelf, tmp_path / "data").difference(one, other)
    assert (found.picture, found.sizes) == (None, None)


def test_each_picture_is_asked_for_once(sample, shelf, tmp_path):
    """Sources may be slow: one question a hash."""
    sha, asked = shelf.add(sample.scene(1, "cup")), []

    def source(name):
        asked.append(name)
        return shelf(name)

    pictures.collect(report_of((sha, sha), (sha, None), (None, sha), ("dead" * 16, sha)), source, tmp_path / "data")
    assert sorted(asked) == sorted({sha, "dead" * 16})


def test_a_second_build_leaves_no_file_behind(sample, shelf, tmp_path):
    """What is no longer named goes; files that are not ours stay."""
    data = tmp_path / "data"
    shas = [shelf.add(sample.scene(n, "cup")) for n in range(3)]
    pictures.collect(report_of((shas[0], shas[1])), shelf, data)
    (data / "notes.txt").write_text("mine")
    first = {path.name for path in data.iterdir()}
    (data / f"page-{'a' * 32}.en.html").write_text("old")
    (data / f"page-{'b' * 32}.zh.html").write_text("new")
    album = pictures.collect(report_of((shas[1], shas[2])), shelf, data)
    pictures.prune(data, album, [data / f"page-{'b' * 32}.zh.html"])
    named = {album.picture(sha).src for sha in shas[1:]} | {album.difference(shas[1], shas[2]).picture.src}
    assert {f"data/{path.name}" for path in data.iterdir()} == named | {"data/notes.txt", f"data/page-{'b' * 32}.zh.html"}
    assert {path.name for path in data.iterdir()} != first


def test_two_builds_give_the_same_bytes(sample, shelf, tmp_path):
    """Artefacts of the same run can be compared by hash."""
    shas = [shelf.add(sample.scene(n, "cup")) for n in range(2)]
    for name in ("a", "b"):
        pictures.collect(report_of(tuple(shas)), shelf, tmp_path / name)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert one == other


def noisy(sample, side, seed):
    """A busy picture, which no encoder makes small."""
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def test_a_run_too_large_for_its_originals_is_shown_reduced(sample, shelf, tmp_path):
    """The largest side that fits, the original's size beside it, and the maps no larger; all of it stays within what was allowed."""
    shas = [shelf.add(np.clip(sample.scene(n, "cup", side=400) + noisy(sample, 400, n) // 32, 0, 255).astype(np.uint8)) for n in range(4)]
    allowed = 40_000
    album = pictures.collect(report_of((shas[0], shas[1]), (shas[2], shas[3])), shelf, tmp_path / "data", most_bytes=allowed)
    assert album.side == 192
    found = album.picture(shas[0])
    assert (found.width, found.height, found.full) == (192, 192, (400, 400))
    assert found.src == f"data/{shas[0]}-192.webp"
    assert max(opened(tmp_path / "data", album.difference(shas[0], shas[1]).picture).shape) <= 192
    assert sum(path.stat().st_size for path in (tmp_path / "data").iterdir()) <= allowed


def test_pictures_that_fit_are_kept_as_they_are(sample, shelf, tmp_path):
    """No preview where the originals have room."""
    sha = shelf.add(noisy(sample, 400, 1))
    album = pictures.collect(report_of((None, sha)), shelf, tmp_path / "data")
    assert (album.side, album.picture(sha).full) == (None, None)


def test_a_single_file_holds_thumbnails_of_its_pictures(sample, shelf, tmp_path):
    """At most 512 pixels a side, as addresses that need no file."""
    sha, other = shelf.add(noisy(sample, 700, 1)), shelf.add(sample.scene(1, "cup"))
    album = pictures.collect(report_of((sha, other)), shelf, None)
    found = album.picture(sha)
    assert found.src.startswith("data:image/webp;base64,")
    assert (found.width, found.height, found.full) == (512, 512, (700, 700))
    assert album.picture(other).full is None
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {shelf.folder}
