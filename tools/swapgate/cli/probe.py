"""`swapgate probe`: does a card fit into so much device memory, in which placement, at how many seconds an image."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
from typing import TYPE_CHECKING

from swapgate.cli.common import FOUND, OK, add_json, config_of, say, show
from swapgate.engines.placements import PLACEMENTS
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.engines.placements import Placement
    from swapgate.suite.probe import Asked

DESCRIPTION = (
    "Tries a model in every placement (all on the device, fp8 layerwise casting, nf4, offload of whole models or of layers) under a hard limit on "
    "the process's device memory, which stands for a smaller card, and makes an image in each that fits. Weights that are not here are random, at "
    "full size. Exit status 1: a card fits into one of the limits in no placement."
)
_UNITS = {"GiB": 1024.0, "MiB": 1.0, "GB": 1e9 / 2**20, "MB": 1e6 / 2**20}
_STEP = 16  # as in tasks: pipelines round other sizes down


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("probe", help="does a model fit into 24 GiB, in which placement, at which speed", description=DESCRIPTION)
    made.add_argument("cards", nargs="+", metavar="CARD", help="model cards")
    made.add_argument("--vram", default="24GiB", metavar="A,B", help="device memory to emulate, with GiB, GB or MiB (default: 24GiB)")
    made.add_argument("--size", default="", metavar="WxH", help="pixels of the image (default: those of the card's first task)")
    made.add_argument("--steps", type=int, default=4, metavar="N", help="steps of the image from which seconds are reckoned (default: 4)")
    made.add_argument("--full", action="store_true", help="make the whole image in every placement")
    made.add_argument("--dry-weights", action="store_true", help="random weights, also where the real ones are here")
    made.add_argument("--placement", default="", metavar="X,Y", help=f"only these: {', '.join(one.name for one in PLACEMENTS)}")
    made.add_argument("--markdown", action="store_true", help="print a page with date, hardware and versions, to be committed")
    add_json(made)
    made.set_defaults(handler=_probe)


def _probe(given: argparse.Namespace) -> int:
    asked = asked_of(given)
    from swapgate.suite import probe_table
    from swapgate.suite.probe import probe

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is known is printed, however it ends
    found = probe(config_of(given), asked, tell=_tell)
    command = shlex.join(["swapgate", *sys.argv[1:]]) if sys.argv[1:] else f"swapgate probe {' '.join(asked.cards)}"
    show(given, found.as_json(), probe_table.markdown(found, command) if given.markdown else probe_table.lines(found))
    return OK if found.whole else FOUND


def asked_of(given: argparse.Namespace) -> Asked:
    """The options, checked. UserError for a mistake."""
    from swapgate.suite.probe import LEAST_STEPS, Asked

    if given.steps < LEAST_STEPS:
        raise UserError(
            where="--steps", value=given.steps, rule="2 steps or more: the first one also waits for what runs once", remedy="write --steps=4"
        )
    if given.json and given.markdown:
        raise UserError(where="--markdown", rule="one way to print", remedy="leave out --json or --markdown")
    return Asked(
        cards=tuple(dict.fromkeys(given.cards)),
        limits=limits_of(given.vram),
        placements=placements_of(given.placement),
        size=size_of(given.size),
        steps=given.steps,
        full=given.full,
        dry=given.dry_weights,
    )


def limits_of(text: str) -> tuple[float, ...]:
    """Sizes such as "24GiB,80GiB" in MiB, each once; a bare number is GiB. UserError for anything else."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", one)
        units = {name.lower(): factor for name, factor in _UNITS.items()}
        factor = units.get((match[2] or "GiB").lower()) if match else None
        if match is None or factor is None or float(match[1]) == 0:
            raise UserError(where="--vram", value=one, rule=f"a size above 0 in {', '.join(_UNITS)}", remedy="write --vram=24GiB")
        found.append(float(match[1]) * factor)
    if not found:
        raise UserError(where="--vram", value=text, rule="at least one size", remedy="write --vram=24GiB")
    return tuple(dict.fromkeys(found))


def size_of(text: str) -> tuple[int, int] | None:
    """Width and height of "1024x768"; None for "". UserError for sizes that pipelines would round."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < _STEP or any(side % _STEP for side in size):
        raise UserError(where="--size", value=text, rule=f"width x height, multiples of {_STEP}", remedy="write --size=1024x1024")
    return size


def placements_of(text: str) -> tuple[Placement, ...]:
    """The placements of those names, in the order in which they are tried; all for "". UserError for an unknown name."""
    wanted = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(wanted - {one.name for one in PLACEMENTS})
    if unknown:
        raise UserError(where="--placement", value=unknown[0], rule=f"one of {', '.join(one.name for one in PLACEMENTS)}", remedy="correct the name")
    return tuple(one for one in PLACEMENTS if not wanted or one.name in wanted)


def _tell(text: str) -> None:
    say(text, to=sys.stderr)
