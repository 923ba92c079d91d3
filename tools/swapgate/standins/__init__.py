"""The bundled stand-ins: a small picture world, its renderer, its captions, its oracle, and models trained on it."""
