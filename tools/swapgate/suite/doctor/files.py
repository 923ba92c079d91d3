"""The checks of what lies on the disk: weights, licence, the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines.dry.architectures import CONTROLS, of_source
from swapgate.suite.doctor import hub, judge, weights
from swapgate.suite.doctor.checks import NO, NOTE, OK, Check
from swapgate.suite.doctor.machine import Machine
from swapgate.suite.doctor.memory import GIB, size
from swapgate.suite.doctor.sources import FILE, Found

_SHOWN = 3


def of_weights(card: Card, found: Sequence[Found], machine: Machine) -> Iterator[Check]:
    """Every source of the card: whether it is here and whole, at which commit, and the room for what is not."""
    if card.dry:
        yield from _of_dry(card, found)
        return
    for one in found:
        yield from _of_source(card, one, machine)
    lacking = [one for one in found if not one.whole and hub.is_id(one.wanted.source)]
    if lacking:
        yield _room(card, found, machine)
        yield from _gate(card, lacking, machine)


def of_judge(card: Card, machine: Machine) -> Iterator[Check]:
    """The judge's weights; none is needed where only cost is judged."""
    if card.dry:
        return
    lacking = judge.missing(card, machine.cache)
    name = f"{card.judge.source}/{card.judge.pretrained}" if card.judge.pretrained else card.judge.source
    if lacking is None:
        yield Check(name="judge", state=OK, said=name)
        return
    said, remedy, source = lacking
    yield Check(name="judge", state=NO if source else NOTE, said=said, remedy=remedy)


def _of_source(card: Card, one: Found, machine: Machine) -> Iterator[Check]:
    wanted, where = one.wanted, _where(one)
    if one.located is None:
        yield Check(name="weights", state=NO, said=f"{where}: {_nowhere(one, machine)}", remedy=_fetch(one, machine))
        return
    broken = tuple(name for files in one.contents.files.values() for name in weights.damaged(files))
    if one.contents.missing or broken:
        lacking = [*one.contents.missing, *(f"{name} is cut off or damaged" for name in broken)]
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        yield Check(name="weights", state=NO, said=f"{where}: not whole, it lacks {', '.join(lacking[:_SHOWN])}{more}", remedy=_fetch(one, machine))
        return
    yield Check(
        name="weights", state=OK, said=f"{where}: {size(one.contents.bytes)}" + (f", commit {one.located.commit}" if one.located.commit else "")
    )
    if one.located.commit and wanted.revision is None:
        line = f'revision = "{one.located.commit}"' + (f" under [{wanted.key}]" if wanted.key != "source" else "")
        said = f"{wanted.source}: revision not pinned, so that a later run may load other weights"
        yield Check(name="revision", state=NOTE, said=said, remedy=f"write {line} in the card")
    if one.contents.pickled:
        yield _pickled(card, one)


def _of_dry(card: Card, found: Sequence[Found]) -> Iterator[Check]:
    """Dry weights need sizes: a known architecture, or a folder with its configurations."""
    lacking = [check for one in found if (check := _undrawable(card, one))]
    yield from lacking or [Check(name="weights", state=OK, said="dry: drawn on the device, nothing is fetched")]


def _undrawable(card: Card, one: Found) -> Check | None:
    wanted, refiner = one.wanted, card.parts.refiner
    if wanted.key == "quantisation.file":
        return Check(name="weights", state=NO, said="a GGUF file is weights: there are no dry ones of it", remedy="measure nf4, int8 or fp8 dry")
    if wanted.kind == FILE or place(card.root, wanted.source).is_dir():
        return None
    named = card.architecture if wanted.key == "source" else refiner.architecture if refiner else ""
    if wanted.source in CONTROLS if wanted.key == "control" else of_source(wanted.source, named):
        return None
    remedy = f"hf download {wanted.source} --include '*.json' --include '*.txt' --local-dir <folder>, and name that folder"
    return Check(name="weights", state=NO, said=f"{_where(one)}: dry weights need its sizes", remedy=remedy)


def _pickled(card: Card, one: Found) -> Check:
    names = ", ".join(name or one.wanted.source for name in one.contents.pickled)
    said = f"{names}: *.bin files only, which can run code when they are read"
    if one.wanted.kind == FILE:
        return Check(name="pickle", state=NO, said=said, remedy="take a *.safetensors file: a LoRA is never read from a pickle")
    if card.options.get("pickle"):
        return Check(name="pickle", state=NOTE, said=said, remedy="run it with pytest --allow-pickle")
    return Check(name="pickle", state=NO, said=said, remedy="take safetensors, or trust them: options.pickle = true and pytest --allow-pickle")


def _nowhere(one: Found, machine: Machine) -> str:
    if not hub.is_id(one.wanted.source):
        return "no such folder"
    others = hub.commits(one.wanted.source, machine.cache)
    at = f" at {one.wanted.revision}" if one.wanted.revision else ""
    return f"not in the Hub's cache{at}" + (f"; it has {', '.join(others[:_SHOWN])}" if others else "")


def _fetch(one: Found, machine: Machine) -> str:
    if not hub.is_id(one.wanted.source) or (one.located and not one.located.commit):
        return "put the missing files there, or name a Hub id"
    goes_on = "it goes on where it stopped: " if hub.unfinished(one.wanted.source, machine.cache) else ""
    return goes_on + ("HF_HUB_OFFLINE=0 " if machine.offline else "") + one.wanted.command


def _room(card: Card, found: Sequence[Found], machine: Machine) -> Check:
    free = f"{machine.disk_free / GIB:.0f} GiB free in {machine.cache}"
    if card.download_gib is None:
        return Check(
            name="disk", state=NOTE, said=f"size of the download not stated in the card, {free}", remedy="write download_gib = … in the card"
        )
    here = sum(one.contents.bytes for one in found if one.whole and one.located and one.located.commit)
    need = max(0.0, card.download_gib - here / GIB)
    said = f"{need:.1f} GiB to fetch, {free}"
    if need * GIB > machine.disk_free:
        return Check(name="disk", state=NO, said=said, remedy="make room, or put the cache on a larger disk: HF_HUB_CACHE=<folder>")
    return Check(name="disk", state=OK, said=said)


def _gate(card: Card, lacking: Sequence[Found], machine: Machine) -> Iterator[Check]:
    if not card.gated:
        return
    pages = " and ".join(dict.fromkeys(f"https://huggingface.co/{one.wanted.source}" for one in lacking))
    said = f"{card.licence}: it has to be accepted before the weights are given out"
    if machine.token:
        yield Check(name="licence", state=NOTE, said=f"{said}; a token is here", remedy=f"accept it once, on the page that asks: {pages}")
    else:
        yield Check(
            name="licence",
            state=NO,
            said=f"{said}, and no token is here",
            remedy=f"accept it on the page that asks, {pages}, then hf auth login (or set HF_TOKEN)",
        )


def _where(one: Found) -> str:
    name = f"/{one.wanted.name}" if one.wanted.name else ""
    return f"{one.wanted.source}{name}" if one.wanted.key == "source" else f"{one.wanted.key} {one.wanted.source}{name}"
