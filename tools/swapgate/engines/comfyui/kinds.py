"""What is known of node classes: which of their inputs hold a text, a seed, a size, and which inputs an output is made from.

From ComfyUI's nodes.py and comfy_extras/ (version 0.3.64), and from custom nodes that many workflows use. A class that is not here is
never taken for one that is: `mapping` asks for what its inputs are called, says so, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANY = -1  # every output of the class

Slots = Mapping[int, tuple[str, ...]]
"""Inputs that an output is made from, by the number of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Names of a sampler's inputs; "" for what it does not have. noise, guider, sigmas: links to nodes that hold seed, texts and steps."""

    seed: str = ""
    steps: str = ""
    positive: str = ""
    negative: str = ""
    latent: str = "latent_image"
    noise: str = ""
    guider: str = ""
    sigmas: str = ""
    cfg: str = "cfg"


_PLAIN = {"steps": "steps", "positive": "positive", "negative": "negative"}
SAMPLERS: Mapping[str, Sampler] = {
    "KSampler": Sampler(seed="seed", **_PLAIN),
    "KSamplerAdvanced": Sampler(seed="noise_seed", **_PLAIN),
    "SamplerCustom": Sampler(seed="noise_seed", positive="positive", negative="negative", sigmas="sigmas"),
    "SamplerCustomAdvanced": Sampler(noise="noise", guider="guider", sigmas="sigmas", cfg=""),
    "KSampler (Efficient)": Sampler(seed="seed", **_PLAIN),
    "KSampler Adv. (Efficient)": Sampler(seed="noise_seed", **_PLAIN),
    "FaceDetailer": Sampler(seed="seed", latent="image", **_PLAIN),
    "UltimateSDUpscale": Sampler(seed="seed", latent="image", **_PLAIN),
}
SPLIT = {"KSamplerAdvanced", "KSampler Adv. (Efficient)"}  # run from start_at_step to end_at_step of their steps
GUIDERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "BasicGuider": (("conditioning",), ()),
    "CFGGuider": (("positive",), ("negative",)),
    "DualCFGGuider": (("cond1", "cond2"), ("negative",)),
    "PerpNegGuider": (("positive",), ("negative",)),
}
"""Inputs that hold what is wanted, and what is not."""
NOISES = {"RandomNoise": "noise_seed", "DisableNoise": ""}
SCHEDULERS = {
    "BasicScheduler": "steps",
    "KarrasScheduler": "steps",
    "ExponentialScheduler": "steps",
    "PolyexponentialScheduler": "steps",
    "LaplaceScheduler": "steps",
    "SDTurboScheduler": "steps",
    "BetaSamplingScheduler": "steps",
    "VPScheduler": "steps",
    "AlignYourStepsScheduler": "steps",
    "GITSScheduler": "steps",
    "OptimalStepsScheduler": "steps",
    "LTXVScheduler": "steps",
    "Flux2Scheduler": "steps",
}
SIGMAS = {"SplitSigmas", "SplitSigmasDenoise", "FlipSigmas", "SetFirstSigma", "ExtendIntermediateSigmas"}

ENCODERS: Mapping[str, Slots] = {
    "CLIPTextEncode": {ANY: ("text",)},
    "CLIPTextEncodeFlux": {ANY: ("clip_l", "t5xxl")},
    "CLIPTextEncodeSDXL": {ANY: ("text_g", "text_l")},
    "CLIPTextEncodeSDXLRefiner": {ANY: ("text",)},
    "CLIPTextEncodeSD3": {ANY: ("clip_l", "clip_g", "t5xxl")},
    "CLIPTextEncodeHiDream": {ANY: ("clip_l", "clip_g", "t5xxl", "llama")},
    "CLIPTextEncodeHunyuanDiT": {ANY: ("bert", "mt5xl")},
    "CLIPTextEncodePixArtAlpha": {ANY: ("text",)},
    "CLIPTextEncodeLumina2": {ANY: ("user_prompt",)},
    "TextEncodeQwenImageEdit": {ANY: ("prompt",)},
    "TextEncodeQwenImageEditPlus": {ANY: ("prompt",)},
    "Efficient Loader": {1: ("positive",), 2: ("negative",)},
    "Eff. Loader SDXL": {0: ("positive",), 1: ("negative",)},
    "BNK_CLIPTextEncodeAdvanced": {ANY: ("text",)},
    "smZ CLIPTextEncode": {ANY: ("text",)},
    "CLIPTextEncode (BlenderNeko Advanced + NSP)": {ANY: ("text",)},
}
"""Inputs that hold a text, by output."""
_PAIR: Slots = {0: ("positive",), 1: ("negative",)}
_SELF: Slots = {ANY: ("conditioning",)}
CONDITIONINGS: Mapping[str, Slots] = {
    "FluxGuidance": _SELF,
    "FluxDisableGuidance": _SELF,
    "FluxKontextMultiReferenceLatentMethod": _SELF,
    "ReferenceLatent": _SELF,
    "ControlNetApply": _SELF,
    "ControlNetApplyAdvanced": _PAIR,
    "ControlNetApplySD3": _PAIR,
    "ControlNetInpaintingAliMamaApply": _PAIR,
    "InpaintModelConditioning": _PAIR,
    "InstructPixToPixConditioning": _PAIR,
    "SD_4XUpscale_Conditioning": _PAIR,
    "StyleModelApply": _SELF,
    "unCLIPConditioning": _SELF,
    "GLIGENTextBoxApply": {ANY: ("conditioning_to",)},
    "ConditioningSetArea": _SELF,
    "ConditioningSetAreaPercentage": _SELF,
    "ConditioningSetAreaStrength": _SELF,
    "ConditioningSetMask": _SELF,
    "ConditioningSetTimestepRange": _SELF,
    "ConditioningCombine": {ANY: ("conditioning_1", "conditioning_2")},
    "ConditioningConcat": {ANY: ("conditioning_to", "conditioning_from")},
    "ConditioningAverage": {ANY: ("conditioning_to", "conditioning_from")},
}
ZEROED = {"ConditioningZeroOut"}  # nothing of a text is left

VALUES = {
    "PrimitiveInt": "value",
    "PrimitiveFloat": "value",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
    "INTConstant": "value",
    "StringConstant": "string",
    "StringConstantMultiline": "string",
    "Text Multiline": "text",
    "String Literal": "string",
    "Int Literal": "int",
    "Seed (rgthree)": "seed",
    "easy seed": "seed",
    "CR Seed": "seed",
    "easy int": "value",
    "easy positive": "positive",
    "easy negative": "negative",
    "CR Text": "text",
    "ttN text": "text",
}
"""Nodes that only hold a value, and the input it stands in."""
PASSING = {"Reroute": "", "Reroute (rgthree)": "", "ShowText|pysssss": "text", "StringTrim": "string"}
"""Nodes that hand on what they are given; "" for their only input."""
JOINS = {
    "StringConcatenate": ("string_a", "string_b"),
    "Text Concatenate": ("text_a", "text_b", "text_c", "text_d"),
    "CR Text Concatenate": ("text1", "text2"),
    "JoinStrings": ("string1", "string2"),
    "StringFunction|pysssss": ("text_a", "text_b", "text_c"),
}
"""Nodes that join texts."""

EMPTY = {
    "EmptyLatentImage",
    "EmptySD3LatentImage",
    "EmptyHunyuanImageLatent",
    "EmptyChromaRadianceLatentImage",
    "EmptyFlux2LatentImage",
    "EmptyImage",
}
"""Where a picture begins: width, height and batch_size."""
LOADERS = {"LoadImage": "image", "LoadImageMask": "image", "LoadImageOutput": "image"}
"""Nodes that read a file of the server's, and the input with its name."""
MAIN: Mapping[str, str] = {
    "VAEDecode": "samples",
    "VAEDecodeTiled": "samples",
    "VAEEncode": "pixels",
    "VAEEncodeTiled": "pixels",
    "VAEEncodeForInpaint": "pixels",
    "SetLatentNoiseMask": "samples",
    "LatentUpscaleBy": "samples",
    "LatentUpscale": "samples",
    "LatentFromBatch": "samples",
    "LatentBatchSeedBehavior": "samples",
    "RepeatLatentBatch": "samples",
    "AddNoise": "latent_image",
    "ImageScaleBy": "image",
    "ImageScale": "image",
    "ImageUpscaleWithModel": "image",
    "ImageScaleToTotalPixels": "image",
    "FluxKontextImageScale": "image",
    "ImageSharpen": "image",
    "ImageBlur": "image",
    "ImageQuantize": "image",
    "ImageInvert": "image",
    "ImageCrop": "image",
    "ImagePadForOutpaint": "image",
    "ImageFromBatch": "image",
    "ImageColorMatch": "image",
    "InpaintModelConditioning": "pixels",
    "Efficient Loader": "",
    "Eff. Loader SDXL": "",
}
"""The input that a picture or latent comes in by."""
FACTORS = {"LatentUpscaleBy": "scale_by", "ImageScaleBy": "scale_by", "UltimateSDUpscale": "upscale_by"}  # multiply both sides
FIXED = {"LatentUpscale", "ImageScale", "ImageCrop"}  # set width and height
UNKNOWN_SIZE = {"ImageUpscaleWithModel", "ImageScaleToTotalPixels", "FluxKontextImageScale", "ImagePadForOutpaint"}
SIZED = {"ModelSamplingFlux": ("width", "height"), "Flux2Scheduler": ("width", "height")}
"""Nodes that have to be told the size of the picture beside the one that makes it."""

LORAS = {
    "LoraLoader": "lora_name",
    "LoraLoaderModelOnly": "lora_name",
    "NunchakuFluxLoraLoader": "lora_name",
    "NunchakuQwenImageLoraLoader": "lora_name",
}
SAVES = {"SaveImage": "images", "SaveImageWebsocket": "images", "Image Save": "images", "SaveAnimatedWEBP": "images", "SaveAnimatedPNG": "images"}
PREVIEWS = {"PreviewImage": "images"}
OVER_SOCKET = {"SaveImageWebsocket"}  # their pictures come over the websocket and are no files
OUTPUTS: Mapping[str, str] = {**SAVES, **PREVIEWS}

TEXT_STAGE = frozenset(ENCODERS)
DECODE_STAGE = frozenset({"VAEDecode", "VAEDecodeTiled"})
FILES: Mapping[str, str] = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "vae_name": "vae",
    "lora_name": "loras",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "model_name": "upscale_models",
}
"""Inputs that name a file of weights, and its folder below models/."""
WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".pkl")
