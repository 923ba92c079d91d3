"""Swapgate: says whether a text-to-image model got slower, larger, less usable or different, and how sure that is."""

__version__ = "0.1.0"
