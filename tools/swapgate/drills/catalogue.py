"""The drills: which faults are planted, at which doses, and what the gates must make of them.

The doses are those of the bundled stand-ins at 8 steps: what each did to SSIM, PSNR, usability, time and memory is in
MEASURED.md beside this file. A stand-in paints simple scenes and forgives much that a large model would not (with its
schedule's shift left out, SSIM stays at 0.995), so some doses are larger than the fault's size at its source.
"""

from __future__ import annotations

from collections.abc import Iterable

from swapgate.drills.kinds import BOTH, FLUX, QWEN, Dose, Drill, Gate
from swapgate.errors import UserError

_COST: tuple[Gate, ...] = ("latency", "memory")
_QUALITY: tuple[Gate, ...] = ("usability", "drift", "stability")


def _drill(
    id: str,  # noqa: A002 - the name it has in a drill
    doses: tuple[str | None, str, str | None],
    fires: Iterable[Gate],
    quiet: Iterable[Gate],
    sources: tuple[str, ...],
    about: str,
    *,
    pipelines: tuple[str, ...] = BOTH,
    images: int = 1,
    specific: bool = False,
) -> Drill:
    mild, moderate, severe = doses
    return Drill(
        id=id, about=about, sources=sources, mild=mild, moderate=moderate, severe=severe, fires=frozenset(fires), quiet=frozenset(quiet),
        specific=specific, pipelines=pipelines, images=images,
    )  # fmt: skip


_WEIGHTS = (
    _drill(
        "weight-noise", ("noise:0.05", "noise:0.2", "noise:0.4"), ("drift",), _COST, ("ComfyUI #9669", "ComfyUI #11967"),
        "Pictures change after an update and nobody finds the cause; here the weights are not quite the ones that were shipped.",
    ),
    _drill(
        "quantisation", ("quantise:6", "quantise:3", "quantise:2"), ("drift",), _COST, ("SGLang Qwen-Image-2512 NVFP4 floor",),
        "Linear layers are rounded to few bits without care.",
    ),
    _drill(
        "fp16-overflow", ("half-overflow:1", "half-overflow:1000", "half-overflow:10000"), ("usability", "drift"), ("memory",), ("diffusers #9097", "ComfyUI af1eb58b"),
        "Hidden states overflow float16, become no numbers, and the pictures are black.",
    ),
    _drill(
        "vae-upcast-lost", ("vae-overflow:1000", "vae-overflow:10000", "vae-overflow:100000"), ("usability", "drift"), ("memory",), ("sdnext #2193", "candle #1060"),
        "The decoder is not run in float32 any more and overflows.",
    ),
    _drill(
        "vae-second-call", ("vae-second-call:5", "vae-second-call:2", "vae-second-call:1"), ("drift",), _COST, ("diffusers #14184",),
        "The first call leaves the VAE in a smaller type, and every later call decodes with it.",
    ),
    _drill(
        "lora-skipped", ("lora-lost:0.1", "lora-lost:0.5", "lora-lost:1"), ("drift",), _COST, ("diffusers #13188", "diffusers #13209", "InvokeAI #6997", "ComfyUI 4c3e57b0"),
        "Keys of an adapter match nothing and are skipped without a word.",
    ),
    _drill(
        "lora-accumulates", ("lora-stays:0.02", "lora-stays:0.5", "lora-stays:2"), ("drift",), _COST, ("diffusers #5604", "diffusers #10397", "diffusers #14385", "diffusers #5170"),
        "An adapter is fused at every call and never taken out, so that calls differ more and more.",
    ),
    _drill(
        "lora-on-fp8", ("lora-float8:0.05", "lora-float8:0.5", "lora-float8:1"), ("drift",), _COST, ("ComfyUI #10279", "Qwen-Image-Lightning #32", "Qwen-Image-Lightning #74"),
        "An adapter is added to float8 weights and rounded with them.",
    ),
    _drill(
        "lora-scale-ignored", ("lora-scale:0.1", "lora-scale:0.5", "lora-scale:1"), ("drift",), ("memory",), ("diffusers #9517",),
        "The scale of an adapter never arrives: asked for at 0, it is on.",
    ),
)  # fmt: skip

_SCHEDULE = (
    _drill(
        "wrong-shift", ("shift:2.26", "shift:10", "shift:30"), ("drift",), _COST, ("ComfyUI #9186",),
        "The default shift is that of another model (2.6 where 1.15 was meant, a factor of 2.26).",
    ),
    _drill(
        "no-shift", ("no-shift", "shift:0.05", "shift:0.02"), ("drift",), _COST, ("mflux #362",),
        "The schedule is not shifted; beyond the mild dose it is shifted the other way.",
    ),
    _drill(
        "no-terminal", ("terminal:0.5", "terminal:0.7", "terminal:0.9"), ("drift",), _COST, ("mflux #362",),
        "The schedule ends at another sigma than the model was trained for.",
    ),
    _drill(
        "mu-length", ("mu-length:2", "mu-length:4", "mu-length:6"), ("drift",), _COST, ("sglang #21041",),
        "mu is computed from the length of latents that were not patchified: 3.23 instead of 1.15.",
    ),
    _drill(
        "max-shift-rounded", (None, "mu-offset:0.01", None), (), (*_COST, *_QUALITY), ("diffusers #10807",),
        "max_shift is 1.16 instead of 1.15: too little for anyone to see.", specific=True,
    ),
    _drill(
        "redundant-step", ("extra-step:1", "extra-step:2", "extra-step:4"), ("drift",), ("usability", "memory", "stability"), ("diffusers #13730",),
        "A last step from 0 to 0 costs a forward and moves nothing; seen by the count of forwards, and times of other work are not compared.",
    ),
    _drill(
        "generator-ignored", ("unseeded-noise:0.2", "unseeded-noise:1", None), ("drift",), _COST, ("diffusers #13678",),
        "The scheduler draws noise without the request's generator, and no picture repeats.",
    ),
    _drill(
        "seed-unset", ("seed-lost:0.4", "seed-lost:0.75", "seed-lost"), ("drift",), (*_COST, "usability"), ("diffusers #10964", "ComfyUI aeba0b3a"),
        "Some seeds count as unset, and such a picture is another every time.",
    ),
    _drill(
        "generator-device", (None, "other-generator", None), ("drift",), (*_COST, "usability"), ("diffusers #1906", "diffusers #1924"),
        "Noise comes from another device's generator: every picture is another, none is worse.", specific=True,
    ),
)  # fmt: skip

_GUIDANCE = (
    _drill(
        "guidance-off", (None, "no-guidance", None), ("drift",), _COST, ("diffusers #12223", "sdnext #4097"),
        "Without a negative prompt guidance is off and nothing says so.",
    ),
    _drill(
        "guidance-embeddings", (None, "embeddings-only", None), ("drift",), _COST, ("diffusers #13379", "diffusers #13957"),
        "Prompts come as embeddings, and guidance asks for a mask or a text beside them.", pipelines=(QWEN,),
    ),
    _drill(
        "guidance-threshold", (None, "guidance-above:4", None), ("drift",), _COST, ("diffusers #13183", "diffusers #13212"),
        "The strength from which guidance runs is compared with the wrong number.",
    ),
    _drill(
        "guidance-default", ("guidance:2", "guidance:1.2", "guidance:1"), ("drift",), _COST, ("vllm-omni #7859",),
        "The default strength of guidance is another.",
    ),
    _drill(
        "guidance-rescale", ("no-rescale:0.3", "no-rescale", None), ("drift",), _COST, ("sglang #16132",),
        "Guided predictions are not brought back to the norm of the conditional ones.", pipelines=(QWEN,),
    ),
)  # fmt: skip

_TEXT = (
    _drill(
        "template", ("template:1", "template:8", "template:34"), ("usability", "drift"), ("memory",), ("ComfyUI #10043",),
        "Tokens of the prompt's template are taken for the prompt.", pipelines=(QWEN,),
    ),
    _drill(
        "truncation", ("truncate:14", "truncate:8", "truncate:4"), ("usability", "drift", "stability"), _COST, ("diffusers #9763",),
        "Prompts are cut, and what stands at their end is lost.",
    ),
    _drill(
        "tokenizer", ("tokenizer:0.02", "tokenizer:0.5", "tokenizer:1"), ("usability", "drift"), _COST, ("transformers #12648",),
        "The tokenizer of an update numbers tokens otherwise.",
    ),
    _drill(
        "encoder-rope", ("encoder-rope:0.995", "encoder-rope:0.9", "encoder-rope:0.5"), ("usability", "drift", "stability"), _COST, ("ComfyUI #9435",),
        "The text encoder's rotary positions are wrong.", pipelines=(QWEN,),
    ),
    _drill(
        "encoder-kernel", ("encoder-attention:0.1", "encoder-attention:0.5", "encoder-attention:1"), ("drift",), _COST, ("pytorch #193893", "pytorch #196678"),
        "An attention kernel corrupts some heads of the text encoder without a word.",
    ),
    _drill(
        "batch-embeddings", (None, "batch-text:1", "batch-text:4"), ("drift",), _COST, ("diffusers #9280",),
        "Embeddings are repeated in the wrong order, and images 2 to n follow another text.", images=2,
    ),
)  # fmt: skip

_ATTENTION = (
    _drill(
        "coarse-attention", ("coarse-attention:6", "coarse-attention:3", "coarse-attention:2"), ("drift",), ("memory",), ("ComfyUI #9184", "Qwen-Image #32"),
        "An attention kernel of few bits is too coarse for this model's queries and keys.",
    ),
    _drill(
        "text-lengths", (None, "shifted-mask:4", "shifted-mask:10"), ("usability", "drift"), _COST, ("diffusers #12702",),
        "The mask of the text, or its length, is that of another layout.", pipelines=(QWEN,),
    ),
    _drill(
        "mask-removed", ("no-mask:1", "no-mask:8", "no-mask:64"), ("drift",), ("memory",), ("diffusers #11065",),
        "The attention mask is gone, and padding is attended to.", pipelines=(QWEN,),
    ),
    _drill(
        "rope-theta", ("rope-theta:5000", "rope-theta:1000", "rope-theta:100"), ("drift",), _COST, ("diffusers #10115",),
        "The base of the rotary frequencies is not passed on.",
    ),
    _drill(
        "rope-centre", ("rope-offset:0.05", "rope-offset:1", "rope-offset:4"), ("drift",), _COST, ("ComfyUI #9437", "ComfyUI #9441"),
        "Positions of the image are not centred, or off by one.",
    ),
    _drill(
        "needless-mask", (None, "needless-mask", None), (), _QUALITY, ("diffusers #12987", "diffusers #12955"),
        "A mask that hides nothing sends attention to a slower kernel; pictures stay.", specific=True,
    ),
)  # fmt: skip

_PICTURES = (
    _drill(
        "black", (None, "black-decoder", None), ("usability", "drift"), _COST, ("sdnext #2193",),
        "The decoder gives black pictures, whatever was drawn.",
    ),
    _drill(
        "tiling-seams", ("vae-tiles:2", "vae-tiles:4", "vae-tiles:8"), ("drift",), ("memory",), ("ComfyUI #163", "stable-diffusion.cpp #353", "diffusers #9342"),
        "Tiles are decoded without overlap and leave seams.",
    ),
    _drill(
        "latent-scale", ("vae-scale:1.02", "vae-scale:1.5", "vae-scale:2"), ("drift",), _COST, ("diffusers #13299", "ComfyUI e600520f"),
        "Latents are scaled wrongly on their way to the decoder, and colours blow out.",
    ),
    _drill(
        "channels-swapped", ("channels:0.05", "channels:0.5", "channels"), ("drift",), _COST, ("sd-webui-deforum #8",),
        "Red and blue change places.",
    ),
    _drill(
        "stale-image", ("stale:4", "stale:2", "stale"), ("drift",), _COST, ("InvokeAI #5348",),
        "A cache gives an earlier call's picture.",
    ),
    _drill(
        "wrong-size", (None, "wrong-size:16", "wrong-size:64"), ("usability", "drift"), (), ("diffusers #9904",),
        "The picture is smaller than asked, and nothing says so.",
    ),
    _drill(
        "batch-order", (None, "batch-order", None), ("drift",), _COST, ("diffusers #9280",),
        "The images of a call come back in another order.", images=2,
    ),
    _drill(
        "cache-accelerator", ("cache:0.24", "cache:0.6", "cache:1"), ("drift",), _COST, ("vllm-omni #638", "vllm-omni #2092"),
        "A cache of steps skips more than it may: faster, and other pictures.",
    ),
)  # fmt: skip

_EXPENSES = (
    _drill(
        "slow-steps", ("slow:1.05", "slow:1.5", "slow:3"), ("latency",), ("memory", *_QUALITY), ("diffusers #12721", "diffusers #12077"),
        "Every step takes longer.",
    ),
    _drill(
        "offload-hook", ("offload-hook:1", "offload-hook:4", "offload-hook:16"), ("latency",), _QUALITY, ("diffusers #12639", "diffusers #12721", "diffusers #12077"),
        "An offload hook was left behind and carries the weights about at every forward.",
    ),
    _drill(
        "table-upload", ("table-upload:1", "table-upload:100", "table-upload:1000"), (), _QUALITY, ("diffusers #13406", "diffusers #12452"),
        "Rotary tables are uploaded at every forward instead of once; pictures stay.", specific=True,
    ),
    _drill(
        "recompilation", ("recompile:1", "recompile:4", "recompile:16"), ("latency",), _QUALITY, ("diffusers #11360", "diffusers #14297", "pytorch #150702"),
        "A graph is compiled anew at every call.",
    ),
    _drill(
        "leak", ("leak:1", "leak:8", "leak:32"), ("memory",), _QUALITY, ("ComfyUI c8d2117f", "ComfyUI 911331c0", "diffusers #7970", "diffusers #4674"),
        "Every image leaves memory behind.",
    ),
    _drill(
        "second-copy", ("second-copy:64", "second-copy:512", "second-copy:1024"), ("memory",), _QUALITY, ("ComfyUI 911331c0", "diffusers #12452"),
        "A cache is held twice, or a frame keeps tensors alive while the model runs.",
    ),
)  # fmt: skip

CATALOGUE: tuple[Drill, ...] = (*_WEIGHTS, *_SCHEDULE, *_GUIDANCE, *_TEXT, *_ATTENTION, *_PICTURES, *_EXPENSES)
"""Every drill, by theme."""


def drill(id: str) -> Drill:  # noqa: A002 - the name it has in a drill
    """The drill of that name. UserError when there is none."""
    for one in CATALOGUE:
        if one.id == id:
            return one
    raise UserError(where="drill", key="id", value=id, rule=f"one of: {', '.join(one.id for one in CATALOGUE)}", remedy="correct the name")


def drills_for(pipeline: str, *, images: int = 1, dose: Dose = "moderate") -> list[Drill]:
    """The drills that a pipeline class with that many images a call can show, at a dose that they have."""
    return [one for one in CATALOGUE if pipeline in one.pipelines and one.images <= images and dose in one.doses]


__all__ = ["BOTH", "CATALOGUE", "FLUX", "QWEN", "drill", "drills_for"]
