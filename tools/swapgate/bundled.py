"""What comes with the package, so that it runs anywhere without a download: the stand-ins' weights, approved edits, cards and tasks.

`swapgate/fixtures` is the folder `fixtures/` of the project itself: a link in a checkout, its files in a wheel. A card names weights in it as
`bundled:<name>`, which means the same on every machine, wherever the package is installed.
"""

from __future__ import annotations

from pathlib import Path

PREFIX = "bundled:"
FOLDER = Path(__file__).parent / "fixtures"
WORDING = FOLDER / "wording"
_WEIGHTS = FOLDER / "weights"


def is_bundled(source: str) -> bool:
    """Whether a card's source names weights of the package."""
    return source.startswith(PREFIX)


def sources() -> tuple[str, ...]:
    """Every source that comes with the package, by name; none where it was installed without its files."""
    return tuple(f"{PREFIX}{path.name}" for path in sorted(_WEIGHTS.glob("*/"))) if _WEIGHTS.is_dir() else ()


def place(root: Path, source: str) -> Path:
    """Where the files of a source are to be, which need not exist: with the package, else in the project at `root`."""
    return _WEIGHTS / source.removeprefix(PREFIX) if is_bundled(source) else root / source
