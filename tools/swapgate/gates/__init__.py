"""Pure functions from evidence and policy to verdicts."""
