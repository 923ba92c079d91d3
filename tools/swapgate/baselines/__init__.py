"""Accepted baselines: store and review."""
