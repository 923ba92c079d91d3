"""A run from cards to verdicts: generate, score, judge."""
