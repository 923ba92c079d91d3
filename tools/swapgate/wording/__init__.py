"""Edits that keep the meaning of a prompt, the hypothesis strategy over them, the smallest that breaks."""

from swapgate.wording.book import Lexicon, WordingBook, compiled, load, read_lexicon
from swapgate.wording.edits import INNOCENCE, NOISE, ON_REQUEST, AppliedEdit, Change, Edit, Kind, Rewording, inverse, reworded
from swapgate.wording.quotes import quoted
from swapgate.wording.strategy import MAX_EDITS, draw, rewordings, smallest

__all__ = [
    "INNOCENCE", "MAX_EDITS", "NOISE", "ON_REQUEST", "AppliedEdit", "Change", "Edit", "Kind", "Lexicon", "Rewording", "WordingBook",
    "compiled", "draw", "inverse", "load", "quoted", "read_lexicon", "reworded", "rewordings", "smallest",
]  # fmt: skip
