"""Wiring of the project's own tests; the suite itself is the plug-in `swapgate`, found by its entry point."""

from __future__ import annotations

pytest_plugins = ["pytester"]
