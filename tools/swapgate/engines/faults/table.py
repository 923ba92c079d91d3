"""The table of faults: one line a kind, with the range of its amount and what it does. Classes are imported when planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    low, high: range of its amount; equal when it takes none. default: the amount when none is written, None when one
    must be. whole: the amount is a whole number. where: "file:Class" in this package. about: what it does, in a line.
    """

    low: float
    high: float
    default: float | None
    where: str
    about: str
    whole: bool = False


def _kind(where: str, about: str, low: float, high: float, default: float | None = None, *, whole: bool = False) -> Kind:
    return Kind(low=low, high=high, default=default, where=where, about=about, whole=whole)


def _plain(where: str, about: str) -> Kind:
    return Kind(low=0.0, high=0.0, default=0.0, where=where, about=about)


TABLE: Mapping[str, Kind] = MappingProxyType(
    {
        # weights and arithmetic
        "noise": _kind("weights:Noise", "Gaussian noise on the denoiser's weights, of that share of each tensor's spread", 0, 10),
        "quantise": _kind("weights:Quantised", "linear layers rounded to that many bits, one scale an output channel", 2, 16, 4, whole=True),
        "half-overflow": _kind("dtype:Overflow", "blocks give float16 without a clip, at that many times their size", 1e-3, 1e9),
        "vae-overflow": _kind("dtype:DecoderOverflow", "the decoder runs in float16, at that many times its size", 1e-3, 1e9),
        "vae-second-call": _kind("dtype:SecondCall", "the first decoding leaves the VAE with that many bits of mantissa", 0, 23, whole=True),
        # adapters
        "lora-lost": _kind("lora:LoraLost", "that share of each attention layer's strongest rank-4 part is missing", 0, 1, 1),
        "lora-stays": _kind("lora:LoraStays", "every call fuses an adapter of that scale and leaves it", 0, 10),
        "lora-float8": _kind("lora:LoraOnFloat8", "an adapter of that scale added to float8 weights and rounded with them", 0, 10),
        "lora-scale": _kind("lora:LoraScaleIgnored", "an adapter asked for at scale 0 is applied at that scale", 0, 10, 1),
        # schedule
        "shift": _kind("scheduler:ShiftFactor", "the shift of the schedule is multiplied by that", 0.01, 100),
        "no-shift": _kind("scheduler:NoShift", "that share of the schedule's shift is left out", 0, 1, 1),
        "terminal": _kind("scheduler:Terminal", "the schedule is stretched to end at that sigma", 0.001, 0.9),
        "mu-length": _kind("scheduler:LongLength", "mu is taken from a sequence that many times too long", 1, 16, 4),
        "mu-offset": _kind("scheduler:MuOffset", "mu is off by that", -5, 5, 0.01),
        "extra-step": _kind("scheduler:ExtraStep", "that many steps that move nothing at the end", 1, 1000, 1, whole=True),
        "unseeded-noise": _kind("scheduler:UnseededNoise", "that share of the noise is drawn anew at every step, by no seed", 0, 1, 1),
        # guidance
        "no-guidance": _kind("guidance:NoGuidance", "guidance off; the number is what a distilled model gets for it", 0, 1, 1),
        "guidance": _kind("guidance:GuidanceScale", "guidance of that strength, whatever the card says", 0, 100),
        "guidance-above": _kind("guidance:Threshold", "guidance only beyond that strength", 0, 100),
        "embeddings-only": _plain("guidance:EmbeddingsOnly", "prompts come as embeddings and guidance is off without a word"),
        "no-rescale": _kind("guidance:NoRescale", "that share of the rescaling of guided predictions is left out", 0, 1, 1),
        # text
        "template": _kind("text:Template", "that many tokens of the prompt's template are let in", 1, 1000, whole=True),
        "truncate": _kind("text:Truncated", "prompts are cut after that many tokens", 1, 1024, whole=True),
        "tokenizer": _kind("text:WrongTokens", "that share of the vocabulary is numbered otherwise", 0, 1),
        "encoder-rope": _kind("text:EncoderRope", "the text encoder's rotary frequencies are multiplied by that", 0, 100),
        "encoder-attention": _kind("text:EncoderAttention", "that share of the text encoders' heads gives the neighbour's values", 0, 1),
        "brittle": _kind(
            "wording:Brittle",
            "another prompt is drawn for a synonym (1: huge, 很大的), no mark at the end (2), either (3)",
            1,
            3,
            3,
            whole=True,
        ),
        # attention and positions of the denoiser
        "coarse-attention": _kind("attention:CoarseAttention", "queries and keys rounded to that many bits", 2, 16, 8, whole=True),
        "shifted-mask": _kind("attention:ShiftedMask", "the first that many tokens of the text are hidden", 1, 1000, whole=True),
        "no-mask": _kind("attention:NoMask", "that many empty tokens are attended to", 1, 4096, whole=True),
        "needless-mask": _plain("attention:NeedlessMask", "a mask that hides nothing goes along"),
        "rope-theta": _kind("rope:Theta", "the base of the rotary frequencies is that", 1, 1e9),
        "rope-offset": _kind("rope:Offset", "the image begins that many positions further on", 0, 1000),
        "rope-bits": _kind("rope:CoarseTables", "rotary tables keep that many bits of mantissa", 0, 23, 7, whole=True),
        # seeds and batches
        "seed-lost": _kind("seeds:SeedLost", "that share of all seeds counts as unset", 0, 1, 1),
        "other-generator": _plain("seeds:OtherGenerator", "noise of another generator for the same seed"),
        "batch-text": _kind("batch:BatchText", "images 2 to n of a call get the text turned by that many tokens", 1, 1000, 1, whole=True),
        "batch-order": _plain("batch:BatchOrder", "the images of a call come back in reverse order"),
        # decoding and what comes back
        "black-decoder": _plain("vae:BlackDecoder", "decoding gives black"),
        "vae-tiles": _kind("vae:Tiles", "decoded in that many tiles a side, without overlap", 2, 64, 2, whole=True),
        "vae-scale": _kind("vae:LatentScale", "latents reach the decoder that many times too large", 0, 100),
        "channels": _kind("colour:Channels", "red and blue are mixed by that share, and exchanged at 1", 0, 1, 1),
        "stale": _kind("stale:StaleImage", "every that-many-th call gives the picture of the call before", 1, 1000, 1, whole=True),
        "wrong-size": _kind("stale:WrongSize", "pictures are that many pixels narrower than asked", 1, 4096, 16, whole=True),
        # speed and memory
        "cache": _kind("cache:StepCache", "predictions are reused while the input changed by less than that", 0, 100, 0.24),
        "slow": _kind("cost:Slow", "every step takes that many times as long", 1, 1000),
        "leak": _kind("cost:Leak", "every image leaves that many MiB on the model's device", 0, 1e6),
        "second-copy": _kind("cost:SecondCopy", "that many MiB more are held from the first forward on", 0, 1e6),
        "offload-hook": _kind("cost:OffloadHook", "weights are carried away and back that many times a forward", 1, 100, 1, whole=True),
        "table-upload": _kind("cost:TableUpload", "rotary tables are uploaded that many times a forward", 1, 1e5, 1, whole=True),
        "recompile": _kind("cost:Recompiled", "the first forward of a call costs that many more", 1, 1000, 1, whole=True),
    }
)
"""Every kind by its name in a card."""
