"""`swapgate comfyui map`: where a ComfyUI workflow takes prompt, seed, size and the rest, found by following its graph. Nothing is run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import FOUND, OK, add_json, show

if TYPE_CHECKING:
    from swapgate.cli.common import Groups


def add(groups: Groups) -> None:
    """Add the group to the command line."""
    group = groups.add_parser("comfyui", help="look at workflows of ComfyUI")
    commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    made = commands.add_parser("map", help="propose where prompt, seed, size and the rest go, as TOML for a card; refuses what it cannot tell")
    made.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="in the API format: Workflow > Export (API)")
    made.add_argument("--output", default="", metavar="NODE", help="the id of the node whose pictures count, where several save some")
    add_json(made)
    made.set_defaults(handler=_map)


def _map(given: argparse.Namespace) -> int:
    from swapgate.engines.comfyui.graph import read_workflow
    from swapgate.engines.comfyui.mapping import map_workflow
    from swapgate.engines.comfyui.proposal import as_json, lines

    found = map_workflow(read_workflow(given.workflow), given.output)
    show(given, as_json(found), lines(found))
    return OK if found.ok else FOUND
