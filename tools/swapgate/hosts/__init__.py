"""Where an engine runs: a spawned process per model."""
