"""Proof that what a card asks for really acts: measured once, after the first call, outside of its times.

The denoiser's first input is kept, and the denoiser is run on it again with and without the feature: a LoRA whose keys were renamed, or a
ControlNet that nobody reads, leaves its output as it was, to the last bit. A feature that did not act makes the call an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from swapgate.cards import Card
from swapgate.engines import quantising
from swapgate.engines.adapting import lora_layers
from swapgate.engines.base import is_out_of_memory
from swapgate.engines.diffusers_options import Options
from swapgate.engines.faults import denoiser

MOST_TRIES = 3
_CONTROLS = ("controlnet_block_samples", "controlnet_single_block_samples")


class FeatureInactiveError(RuntimeError):
    """A card asks for something that did not act."""


class Proofs:
    """Watches the first call of a pipeline, then proves the features of its card; costs nothing afterwards."""

    def __init__(self, card: Card, options: Options, pipe: Any) -> None:
        self._card, self._options, self._pipe = card, options, pipe
        self._counts: dict[str, int] = {}
        self._first: tuple[tuple[Any, ...], Mapping[str, Any]] | None = None
        self._forwards = 0
        self._left = MOST_TRIES
        self._inactive: FeatureInactiveError | None = None
        self._handles = [denoiser(pipe).register_forward_pre_hook(self._keep, with_kwargs=True)]
        if options.cache:
            self._handles.append(_middle(denoiser(pipe)).register_forward_pre_hook(lambda *_: self._count("computed")))
        if options.vae_tiling:
            self._untiled = pipe.vae.tiled_decode
            pipe.vae.tiled_decode = self._tiled

    def prove(self) -> tuple[str, ...]:
        """What acted, one line each, after the first call; nothing after others. Where memory runs out, the next call tries once more.

        Raises:
            FeatureInactiveError: something that the card asks for did not act; after every call from then on.
        """
        if self._inactive:
            raise self._inactive
        if not self._left:
            return ()
        try:
            with torch.no_grad():
                found = tuple(self._all())
        except FeatureInactiveError as error:
            self._inactive = error
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._left -= 1
            return (f"proof: memory ran out, {'the next call tries again' if self._left else 'so what the card asks for is not proved'}",)
        finally:
            if self._options.offload == "model":
                self._pipe.maybe_free_model_hooks()  # a forward of its own leaves the denoiser on the device
        self._done()
        return found

    def _done(self) -> None:
        self._left, self._first = 0, None
        for handle in self._handles:
            handle.remove()
        if self._options.vae_tiling:
            self._pipe.vae.tiled_decode = self._untiled

    def _all(self) -> Iterator[str]:
        yield from self._quantised()
        yield from self._cached()
        yield from self._compiled()
        if self._options.vae_tiling:
            yield _acted("VAE tiling", f"{self._counts.get('tiled', 0)} decodings in tiles", self._counts.get("tiled", 0))
        if self._card.parts.loras or self._card.parts.control:
            whole = self._denoise({})
            yield from self._loras(whole)
            yield from self._control(whole)

    def _loras(self, whole: torch.Tensor) -> Iterator[str]:
        loras = self._card.parts.loras
        names, scales = [lora.adapter for lora in loras], [lora.scale for lora in loras]
        for off in range(len(loras)):
            self._pipe.set_adapters(names, [0.0 if number == off else scale for number, scale in enumerate(scales)])
            try:
                share = _moved(self._denoise({}), whole)
            finally:
                self._pipe.set_adapters(names, scales)
            said = f"{lora_layers(self._pipe, names[off])} layers, the denoiser's first output moves by {100 * share:.3g} %"
            yield _acted(f"LoRA {names[off]}", said, share)

    def _control(self, whole: torch.Tensor) -> Iterator[str]:
        if self._card.parts.control is None:
            return
        assert self._first is not None
        given = [name for name in _CONTROLS if self._first[1].get(name) is not None]
        share = _moved(self._denoise(dict.fromkeys(given)), whole) if given else 0.0
        yield _acted("ControlNet", f"the denoiser's first output moves by {100 * share:.3g} %", share)

    def _quantised(self) -> Iterator[str]:
        smaller = self._card.parts.quantisation
        if smaller:
            found = quantising.layers(self._pipe, smaller)
            yield _acted(f"quantisation {smaller.method}", f"{found} layers of {', '.join(smaller.components)}", found)

    def _cached(self) -> Iterator[str]:
        if self._options.cache:
            hits = self._forwards - self._counts.get("computed", 0)
            yield _acted(f"{self._options.cache} cache", f"{hits} of {self._forwards} forwards skipped", hits)

    def _compiled(self) -> Iterator[str]:
        if self._options.compile:
            from torch._dynamo.utils import counters

            graphs = int(counters["stats"].get("unique_graphs", 0))
            yield _acted("torch.compile", f"{graphs} graphs", graphs)

    def _denoise(self, changed: Mapping[str, Any]) -> torch.Tensor:
        assert self._first is not None
        args, kwargs = self._first
        with _own_cache(denoiser(self._pipe)):
            given = denoiser(self._pipe)(*args, **{**kwargs, **changed})
        output = given[0] if isinstance(given, tuple) else given.sample
        # Z-Image's denoiser gives a list, a picture each.
        return (torch.cat([one.flatten() for one in output]) if isinstance(output, list) else output).float()

    def _keep(self, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._forwards += 1
        if self._first is None or (self._card.parts.control and not _controlled(self._first[1])):
            self._first = (args, dict(kwargs))

    def _tiled(self, *args: Any, **kwargs: Any) -> Any:
        self._count("tiled")
        return self._untiled(*args, **kwargs)

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1


def _controlled(kwargs: Mapping[str, Any]) -> bool:
    """Whether a ControlNet says anything to a forward: one that begins later gives zeros until then."""
    return any(bool(sample.any()) for name in _CONTROLS for sample in kwargs.get(name) or ())


def _moved(one: torch.Tensor, whole: torch.Tensor) -> float:
    """The root of the changed energy over the whole one's; NaN when something became no number."""
    return float((one - whole).norm() / whole.norm())


def _acted(what: str, said: str, amount: float) -> str:
    if amount > 0:
        return f"{what}: {said}"
    raise FeatureInactiveError(f"the card asks for {what}, which did not act: {said}")


def _middle(model: Any) -> torch.nn.Module:
    """Something inside a block that a skipped forward does not reach: the block itself is entered all the same."""
    blocks: Any = (
        model.transformer_blocks if len(model.transformer_blocks) > 2 else getattr(model, "single_transformer_blocks", model.transformer_blocks)
    )
    inner: torch.nn.Module = next(iter(blocks[len(blocks) // 2].children()))
    return inner


@contextmanager
def _own_cache(model: Any) -> Iterator[None]:
    """A cache of blocks keeps what it knows of a call apart from others, by a name."""
    make: Callable[..., Any] | None = getattr(model, "cache_context", None)
    with make("swapgate-proof") if make is not None and getattr(model, "is_cache_enabled", False) else nullcontext():
        yield
