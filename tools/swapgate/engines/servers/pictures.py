"""A picture that a server sent: PNG, JPEG or WebP, decoded with limits on bytes and pixels, whole or not at all.

Pillow opens only these three formats here, and knows a picture's size before it decodes it, so a picture that unpacks to more than was
asked for is refused first. Of a file that was cut off Pillow accepts one whose last marker alone is missing; that is refused too.
"""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np

from swapgate.engines.servers.client import MIB, ServerFailed
from swapgate.runs.pixels import Pixels, checked_pixels

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES = 128 * MIB
MOST_PIXELS = 64_000_000  # of 8000 x 8000: above what any of these models draws
_PLAIN = ("RGB", "L", "P")
_SHEER = ("RGBA", "LA", "PA")
_PNG_END, _JPEG_END = b"IEND\xaeB\x60\x82", b"\xff\xd9"
_TAIL = 64  # bytes at the end among which the last marker has to be: some writers pad


def from_base64(text: object) -> bytes:
    """The bytes of a base64 text, also of one that is written as a data URL. ServerFailed ("bad-reply") where it is none."""
    if not isinstance(text, str) or not text:
        raise ServerFailed("bad-reply", f"a picture in base64 is a text; this is {type(text).__name__}")
    if len(text) > MOST_BYTES * 4 // 3 + 128:
        raise ServerFailed("bad-reply", f"a picture of more than {MOST_BYTES} bytes")
    head, comma, rest = text.partition(",") if text.startswith("data:") else ("", "", text)
    if head and (not comma or not head.endswith(";base64")):
        raise ServerFailed("bad-reply", "a data URL of a picture in base64 begins data:image/...;base64,")
    try:
        return base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServerFailed("bad-reply", f"a picture that is no base64 ({error})") from None


def decode(content: bytes, *, size: tuple[int, int] | None = None, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS) -> Pixels:
    """The pixels of a file, uint8 height x width x 3; what is transparent lies on white.

    Args:
        content: the file.
        size: (width, height) that it must have; None for any within the limits.
        most_bytes: limit of the file.
        most_pixels: limit of width times height.

    Raises:
        ServerFailed: kind "bad-reply", for a file that is too large, cut off, damaged, animated, or none of FORMATS.
    """
    from PIL import Image

    if len(content) > most_bytes:
        raise ServerFailed("bad-reply", f"a picture of {len(content)} bytes; at most {most_bytes} are read")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _check(picture, content, size, most_pixels)
            picture.load()
            return _pixels(picture)
    except ServerFailed:
        raise
    except Exception as error:  # whatever a decoder says of bytes that are no picture
        raise ServerFailed("bad-reply", f"{len(content)} bytes that do not decode as {', '.join(FORMATS)} ({_said(error)})") from None


def _check(picture: object, content: bytes, size: tuple[int, int] | None, most_pixels: int) -> None:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    width, height = picture.size
    if size is not None and (width, height) != size:
        raise ServerFailed("bad-reply", f"a picture of {width} x {height}; {size[0]} x {size[1]} was asked for")
    if width * height > most_pixels:
        raise ServerFailed("bad-reply", f"a picture of {width} x {height} pixels; at most {most_pixels} are decoded")
    if getattr(picture, "n_frames", 1) != 1:
        raise ServerFailed("bad-reply", "an animated picture")
    if not _ends(str(picture.format), content):
        raise ServerFailed("bad-reply", f"a {picture.format} that is cut off: its end is missing ({len(content)} bytes)")


def _ends(kind: str, content: bytes) -> bool:
    if kind == "WEBP":  # RIFF: the size of all that follows stands in bytes 4 to 7
        return int.from_bytes(content[4:8], "little") + 8 <= len(content)
    return (_PNG_END if kind == "PNG" else _JPEG_END) in content[-_TAIL:]


def _pixels(picture: object) -> Pixels:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    if picture.mode in _SHEER or (picture.mode == "P" and "transparency" in picture.info):
        whole = picture.convert("RGBA")
        white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, whole)
    elif picture.mode not in _PLAIN:
        raise ServerFailed("bad-reply", f"a picture of mode {picture.mode}; RGB, grey or RGBA of 8 bits is read")
    return checked_pixels(np.asarray(picture.convert("RGB")))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
