"""What a scripted model can be told to do: the options of its card, checked, with the card's faults worked in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from swapgate.card_parts import Scalar
from swapgate.cards import Card
from swapgate.engines.scripted_misfortunes import WHEN
from swapgate.errors import UserError

ACTED = ("noise", "slow", "leak", "black-decoder", "no-guidance")
"""The planted faults that this engine can act; the others damage parts that it does not have."""
_HARMLESS = MappingProxyType({"noise": 0.0, "slow": 1.0, "leak": 0.0})  # the amounts that change nothing
DEAF = ("", "wording", "meaning")
SHARES = ("blank", "black", "wrong_prompt", "wrong_rewording", "noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Seconds, MiB and shares of a scripted model; all have defaults, so a card may say nothing.

    latency: seconds an image, reported, not slept; latency_noise: its relative spread from call to call (sigma of a
    log-normal factor); noise_seed: changes that spread's draws; slow: factor on the denoising steps;
    first_call_extra: seconds more for the first call; sleep: seconds really slept a call.
    memory_mib: peak of a call; leak_mib: what every image leaves behind; load_seconds is not scripted, it is real.
    blank, black, wrong_prompt, wrong_rewording: share of images that are one grey, all black, or drawn for another prompt
    (wrong_rewording: of reworded requests only); true means all. breaks_on: what a prompt must not hold, or another one is drawn:
    texts separated by "|", each of them one or several joined by "&" that break it only together. deaf: "wording" draws a reworded
    request as its task's first prompt, "meaning" every request. noise: share of every pixel that is random; blur: radius in pixels.
    crash_at, raise_at, hang_at, oom_at: numbers (from 1, comma-separated) of images at which the process exits with
    code 70, raises, hangs, or runs out of memory; kill_at, segfault_at: at which it is killed by that signal; fill_at: at which it
    really takes memory until there is no more; device_error_at: at which a device is lost. weights: identity string; steps: denoising steps where the call does
    not say; accelerator: slug to report, "cpu-scripted" by default; wrong_size: returns pictures 16 pixels too wide.
    """

    latency: float = 0.1
    latency_noise: float = 0.0
    noise_seed: int = 0
    slow: float = 1.0
    first_call_extra: float = 0.0
    sleep: float = 0.0
    memory_mib: float = 256.0
    leak_mib: float = 0.0
    blank: float = 0.0
    black: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    wrong_prompt: float = 0.0
    wrong_rewording: float = 0.0
    breaks_on: str = ""
    deaf: str = ""
    crash_at: str = ""
    raise_at: str = ""
    hang_at: str = ""
    oom_at: str = ""
    kill_at: str = ""
    segfault_at: str = ""
    fill_at: str = ""
    device_error_at: str = ""
    weights: str = "scripted"
    steps: int = 4
    no_guidance: bool = False
    wrong_size: bool = False
    accelerator: str = "cpu-scripted"

    def at(self, name: str) -> frozenset[int]:
        """The image numbers of one of the options in `scripted_misfortunes.WHEN`."""
        return frozenset(int(part) for part in str(getattr(self, name)).split(",") if part.strip())

    def broken_by(self, prompt: str) -> bool:
        """Whether a prompt holds what `breaks_on` names."""
        return any(all(part in prompt for part in together.split("&")) for together in self.breaks_on.split("|") if together)


KINDS: Mapping[str, type] = MappingProxyType({field.name: type(field.default) for field in fields(Options)})


def read_options(card: Card) -> Options:
    """The options of `card`; UserError for an unknown one, or one of the wrong type or range."""
    given = {name: _value(card, name, value) for name, value in card.options.items()}
    found = Options(**given)  # type: ignore[arg-type]  # _value has checked each against KINDS
    if found.deaf not in DEAF:
        raise _wrong(card, "deaf", found.deaf, '"wording" or "meaning"', "choose one, or leave it out")
    for name in WHEN:
        try:
            found.at(name)
        except ValueError:
            raise _wrong(card, name, card.options[name], "image numbers from 1, separated by commas", 'write 3 or "3,5"') from None
    return _with_faults(card, found)


def acts(spec: str) -> bool:
    """Whether a planted fault does anything at its amount."""
    from swapgate.engines.faults import parse

    fault = parse(spec, where="faults")
    return _HARMLESS.get(fault.kind) != fault.amount


def _value(card: Card, name: str, value: Scalar) -> Scalar:
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1)
        raise _wrong(
            card, name, value, f"an option of the scripted engine: {', '.join(KINDS)}", f"did you mean {near[0]!r}?" if near else "remove it"
        )
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if kind is float and isinstance(value, (int, float)) and (name in SHARES or not isinstance(value, bool)):
        if value < 0 or (name in SHARES and value > 1):
            raise _wrong(card, name, value, "a share from 0 to 1" if name in SHARES else "zero or more", "choose a value in that range")
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(card, name, value, f"a value of type {kind.__name__}", f"write a {kind.__name__}")
    return value


def _with_faults(card: Card, options: Options) -> Options:
    from dataclasses import replace

    from swapgate.engines.faults import parse

    for spec in card.faults:
        fault = parse(spec, where=str(card.path))
        match fault.kind:
            case "noise":
                options = replace(options, noise=min(1.0, options.noise + fault.amount))
            case "slow":
                options = replace(options, slow=options.slow * fault.amount)
            case "leak":
                options = replace(options, leak_mib=options.leak_mib + fault.amount)
            case "black-decoder":
                options = replace(options, black=1.0)
            case "no-guidance":
                options = replace(options, no_guidance=True)
            case _:
                raise UserError(
                    where=str(card.path),
                    key="faults",
                    value=spec,
                    rule=f"a fault that the scripted engine can act: {', '.join(ACTED)}",
                    remedy="plant it in a card of the diffusers engine",
                )
    return options


def _wrong(card: Card, name: str, value: object, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=f"options.{name}", value=value, rule=rule, remedy=remedy)
