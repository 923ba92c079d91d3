"""Which environment a model of a run was made in: the run's own, or in a merged run that of its shard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swapgate.suite.planning import ITSELF

SHARDS = "shards"  # in the manifest of a merged run: id, digest of the journal, environment, models and command of each shard


def environment_of(manifest: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The environment that a model was made in: its shard's in a merged run, else the run's."""
    name = model.removesuffix(f".{ITSELF}")
    made: Mapping[str, Any] = next((one["environment"] for one in manifest.get(SHARDS, ()) if name in one["models"]), manifest["environment"])
    return made
