"""Characters that a reader does not see, or that steer what is seen, and how they are shown."""

from __future__ import annotations

import unicodedata


def steers(char: str) -> bool:
    """Whether a character is none that a reader sees: control, format, surrogate, a separator of lines, or no character in any text (XML refuses those)."""
    code = ord(char)
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def escaped(text: str, *, keep: str = "") -> str:
    """`text` with every such character but those of `keep` written as a Python string would have it: names and reasons are other people's text."""
    unseen = {char for char in set(text) if char not in keep and steers(char)}
    return text.translate({ord(char): _escape(char) for char in unseen}) if unseen else text


def _escape(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    code = ord(char)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
