"""JSON that a person can review in a diff: sorted keys, one fact a line, short lists and tables on one line."""

from __future__ import annotations

from typing import Any

from swapgate.canonical import dumps

WIDTH = 100  # a table of plain values up to this length stands on one line


def pretty(data: Any) -> str:
    """`data` as JSON with sorted keys, indented by one, ended by a newline; the same data gives the same text.

    A list of numbers is always one line (measured samples change together); any other container of plain values
    is one line when it fits WIDTH.
    """
    return _text(data, "") + "\n"


def _text(data: Any, indent: str) -> str:
    if not isinstance(data, (dict, list, tuple)) or not data or _on_one_line(data):
        return dumps(data)
    inner = indent + " "
    if isinstance(data, dict):
        lines = [f"{inner}{dumps(key)}: {_text(data[key], inner)}" for key in sorted(data)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _text(item, inner) for item in data) + f"\n{indent}]"


def _on_one_line(data: Any) -> bool:
    items = list(data.values() if isinstance(data, dict) else data)
    if any(isinstance(item, (dict, list, tuple)) for item in items):
        return False
    numbers = not isinstance(data, dict) and all(isinstance(item, (int, float)) for item in items)
    return numbers or len(dumps(data)) <= WIDTH
