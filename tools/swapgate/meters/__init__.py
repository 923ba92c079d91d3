"""Synchronised stage clock, memory and device health."""
