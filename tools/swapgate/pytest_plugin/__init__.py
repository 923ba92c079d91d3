"""Wiring into pytest."""
