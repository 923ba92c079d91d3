"""Workflows of many shapes: each is mapped to exactly the places that hold its roles, or refused with the reason. None is mapped wrongly.

The shapes are those of ComfyUI's public examples and of custom nodes in common use; the workflows are written here. `CASES` holds for each
what is expected of every role: places, or "kept", "absent", or what the reason of a refusal says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swapgate.engines.comfyui.graph import read_workflow, workflow_of
from swapgate.engines.comfyui.mapping import ROLES, Mapping, map_workflow

FIXTURES = Path(__file__).parents[4] / "fixtures" / "comfyui"
Graph = dict[str, Any]


def node(kind: str, title: str = "", **inputs: Any) -> Graph:
    """A node; a link is written as a tuple."""
    made = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
    return {"class_type": kind, "inputs": made, **({"_meta": {"title": title}} if title else {})}


def sampler(**more: Any) -> Graph:
    given: Graph = {"seed": 1, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, "model": ("ck", 0)}
    given |= {"positive": ("pos", 0), "negative": ("neg", 0), "latent_image": ("size", 0)}
    return node("KSampler", **(given | more))


def advanced(**more: Any) -> Graph:
    given: Graph = {"add_noise": "enable", "noise_seed": 1, "steps": 25, "cfg": 8.0, "start_at_step": 0, "end_at_step": 10_000, "model": ("ck", 0)}
    given |= {"return_with_leftover_noise": "disable", "positive": ("pos", 0), "negative": ("neg", 0), "latent_image": ("size", 0)}
    return node("KSamplerAdvanced", **(given | more))


def plain(**changed: Graph | None) -> Graph:
    """A checkpoint, two prompts, one sampler; nodes are changed, added, or taken out with None."""
    made: Graph = {
        "ck": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
        "pos": node("CLIPTextEncode", text="a cat", clip=("ck", 1)),
        "neg": node("CLIPTextEncode", text="bad, worst quality", clip=("ck", 1)),
        "size": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "k": sampler(),
        "vae": node("VAEDecode", samples=("k", 0), vae=("ck", 2)),
        "save": node("SaveImage", filename_prefix="x", images=("vae", 0)),
    }
    return {name: value for name, value in (made | changed).items() if value is not None}


def custom(**changed: Graph | None) -> Graph:
    """FLUX with noise, guider, method and steps as nodes of their own."""
    made = plain(
        neg=None,
        guide=node("FluxGuidance", guidance=3.5, conditioning=("pos", 0)),
        guider=node("BasicGuider", model=("ck", 0), conditioning=("guide", 0)),
        noise=node("RandomNoise", noise_seed=5),
        method=node("KSamplerSelect", sampler_name="euler"),
        plan=node("BasicScheduler", scheduler="simple", steps=28, denoise=1.0, model=("ck", 0)),
        size=node("EmptySD3LatentImage", width=1024, height=1024, batch_size=1),
        k=node(
            "SamplerCustomAdvanced", noise=("noise", 0), guider=("guider", 0), sampler=("method", 0), sigmas=("plan", 0), latent_image=("size", 0)
        ),
    )
    return {name: value for name, value in (made | changed).items() if value is not None}


PLAIN = {
    "prompt": ["pos.text"], "negative_prompt": ["neg.text"], "seed": ["k.seed"], "width": ["size.width"], "height": ["size.height"],
    "batch": ["size.batch_size"], "steps": ["k.steps"], "lora": "absent", "output": ["save."],
}  # fmt: skip
CUSTOM = PLAIN | {"negative_prompt": "absent", "seed": ["noise.noise_seed"], "steps": ["plan.steps"]}
LOADED = {"width": "kept", "height": "kept", "batch": "absent"}

CASES: dict[str, tuple[Graph, Graph]] = {
    "text to image": (plain(), PLAIN),
    "a prompt that reads like a negative one": (plain(pos=node("CLIPTextEncode", text="ugly, bad, worst", clip=("ck", 1))), PLAIN),
    "negative before positive": (plain(k=sampler(positive=("neg", 0), negative=("pos", 0))), PLAIN | {"prompt": ["neg.text"], "negative_prompt": ["pos.text"]}),
    "one text for both sides": (plain(neg=None, k=sampler(negative=("pos", 0))), PLAIN | {"negative_prompt": "absent"}),
    "negative set to zero": (
        plain(neg=node("ConditioningZeroOut", conditioning=("pos", 0))), PLAIN | {"negative_prompt": "absent"},
    ),
    "only a preview": (plain(save=node("PreviewImage", images=("vae", 0))), PLAIN),
    "saved and previewed": (plain(look=node("PreviewImage", images=("vae", 0))), PLAIN),
    "saved twice": (plain(second=node("SaveImage", images=("vae", 0))), {"output": "2 nodes save pictures"}),
    "over the websocket": (plain(save=node("SaveImageWebsocket", images=("vae", 0))), PLAIN),
    "advanced sampler": (plain(k=advanced()), PLAIN | {"seed": ["k.noise_seed"]}),
    "base and refiner": (
        plain(
            ck2=node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors"),
            pos2=node("CLIPTextEncode", text="a cat", clip=("ck2", 1)),
            neg2=node("CLIPTextEncode", text="bad, worst quality", clip=("ck2", 1)),
            base=advanced(end_at_step=20, return_with_leftover_noise="enable"),
            k=advanced(add_noise="disable", start_at_step=20, positive=("pos2", 0), negative=("neg2", 0), latent_image=("base", 0), model=("ck2", 0)),
        ),
        PLAIN | {
            "prompt": ["pos2.text", "pos.text"], "negative_prompt": ["neg2.text", "neg.text"], "seed": ["k.noise_seed", "base.noise_seed"], "steps": "kept",
        },
    ),
    "refiner with another prompt": (
        plain(pos2=node("CLIPTextEncode", text="a dog", clip=("ck", 1)), base=sampler(), k=sampler(positive=("pos2", 0), latent_image=("base", 0), denoise=0.3)),
        {"prompt": "different texts"},
    ),
    "refiner by one primitive": (
        plain(
            words=node("PrimitiveStringMultiline", value="a cat"),
            pos=node("CLIPTextEncode", text=("words", 0), clip=("ck", 1)),
            pos2=node("CLIPTextEncode", text=("words", 0), clip=("ck", 1)),
            base=sampler(),
            k=sampler(positive=("pos2", 0), latent_image=("base", 0), denoise=0.3),
        ),
        PLAIN | {"prompt": ["words.value"], "seed": ["k.seed", "base.seed"], "steps": ["k.steps", "base.steps"]},
    ),
    "twice as large by latents": (
        plain(up=node("LatentUpscaleBy", scale_by=1.5, samples=("k1", 0)), k1=sampler(), k=sampler(latent_image=("up", 0), denoise=0.5)),
        PLAIN | {"seed": ["k.seed", "k1.seed"], "steps": ["k.steps", "k1.steps"], "scale": 1.5},
    ),
    "second pass with fewer steps": (
        plain(up=node("LatentUpscaleBy", scale_by=2, samples=("k1", 0)), k1=sampler(), k=sampler(latent_image=("up", 0), steps=10)),
        PLAIN | {"seed": ["k.seed", "k1.seed"], "steps": "kept", "scale": 2.0},
    ),
    "larger to a size of its own": (
        plain(up=node("LatentUpscale", width=1024, height=1536, samples=("k1", 0)), k1=sampler(), k=sampler(latent_image=("up", 0))),
        {"width": "changes it to another", "height": "changes it to another"},
    ),
    "larger by a model": (
        plain(
            big=node("ImageUpscaleWithModel", upscale_model=("loader", 0), image=("vae", 0)),
            loader=node("UpscaleModelLoader", model_name="4x.pth"),
            save=node("SaveImage", images=("big", 0)),
        ),
        {"width": "changes it to another", "height": "changes it to another"},
    ),
    "larger picture by a factor": (plain(big=node("ImageScaleBy", scale_by=2.0, image=("vae", 0)), save=node("SaveImage", images=("big", 0))), PLAIN | {"scale": 2.0}),
    "sharpened": (plain(sharp=node("ImageSharpen", sharpen_radius=1, image=("vae", 0)), save=node("SaveImage", images=("sharp", 0))), PLAIN),
    "an unknown change of the picture": (
        plain(odd=node("OddFilter", image=("vae", 0)), save=node("SaveImage", images=("odd", 0))), {"width": "OddFilter", "height": "OddFilter"},
    ),
    "picture to picture": (
        plain(load=node("LoadImage", image="in.png"), size=node("VAEEncode", pixels=("load", 0), vae=("ck", 2)), k=sampler(denoise=0.6)), PLAIN | LOADED,
    ),
    "picture to picture of a set size": (
        plain(
            load=node("LoadImage", image="in.png"),
            fit=node("ImageScale", width=1024, height=768, crop="center", image=("load", 0)),
            size=node("VAEEncode", pixels=("fit", 0), vae=("ck", 2)),
        ),
        PLAIN | {"width": ["fit.width"], "height": ["fit.height"], "batch": "absent"},
    ),
    "picture scaled with its proportions": (
        plain(
            load=node("LoadImage", image="in.png"),
            fit=node("ImageScale", width=1024, height=0, image=("load", 0)),
            size=node("VAEEncode", pixels=("fit", 0), vae=("ck", 2)),
        ),
        {"width": "proportions", "height": "proportions"},
    ),
    "picture scaled to megapixels": (
        plain(
            load=node("LoadImage", image="in.png"),
            fit=node("ImageScaleToTotalPixels", megapixels=1.0, image=("load", 0)),
            size=node("VAEEncode", pixels=("fit", 0), vae=("ck", 2)),
        ),
        PLAIN | LOADED,
    ),
    "several of one latent": (
        plain(
            load=node("LoadImage", image="in.png"),
            one=node("VAEEncode", pixels=("load", 0), vae=("ck", 2)),
            size=node("RepeatLatentBatch", amount=1, samples=("one", 0)),
        ),
        PLAIN | LOADED | {"batch": ["size.amount"]},
    ),
    "a batch set twice": (
        plain(many=node("RepeatLatentBatch", amount=2, samples=("size", 0)), k=sampler(latent_image=("many", 0))), PLAIN | {"batch": "kept"},
    ),
    "inpainting by conditioning": (
        plain(
            load=node("LoadImage", image="in.png"),
            fill=node("InpaintModelConditioning", positive=("pos", 0), negative=("neg", 0), pixels=("load", 0), mask=("load", 1), vae=("ck", 2)),
            k=sampler(positive=("fill", 0), negative=("fill", 1), latent_image=("fill", 2)),
        ),
        PLAIN | LOADED,
    ),
    "inpainting by a mask": (
        plain(
            load=node("LoadImage", image="in.png"),
            hole=node("LoadImageMask", image="mask.png", channel="red"),
            size=node("VAEEncodeForInpaint", pixels=("load", 0), mask=("hole", 0), vae=("ck", 2)),
        ),
        PLAIN | LOADED,
    ),
    "control of both sides": (
        plain(
            lines=node("LoadImage", image="lines.png"),
            net=node("ControlNetLoader", control_net_name="canny.safetensors"),
            cn=node("ControlNetApplyAdvanced", strength=0.8, positive=("pos", 0), negative=("neg", 0), control_net=("net", 0), image=("lines", 0)),
            k=sampler(positive=("cn", 0), negative=("cn", 1)),
        ),
        PLAIN,
    ),
    "two controls, one after the other": (
        plain(
            lines=node("LoadImage", image="lines.png"),
            net=node("ControlNetLoader", control_net_name="canny.safetensors"),
            c1=node("ControlNetApplyAdvanced", positive=("pos", 0), negative=("neg", 0), control_net=("net", 0), image=("lines", 0)),
            c2=node("ControlNetApplyAdvanced", positive=("c1", 0), negative=("c1", 1), control_net=("net", 0), image=("lines", 0)),
            k=sampler(positive=("c2", 0), negative=("c2", 1)),
        ),
        PLAIN,
    ),
    "control of the prompt alone": (
        plain(
            lines=node("LoadImage", image="lines.png"),
            net=node("ControlNetLoader", control_net_name="depth.safetensors"),
            cn=node("ControlNetApply", strength=1.0, conditioning=("pos", 0), control_net=("net", 0), image=("lines", 0)),
            k=sampler(positive=("cn", 0)),
        ),
        PLAIN,
    ),
    "a style from a picture": (
        plain(
            like=node("LoadImage", image="like.png"),
            style=node("StyleModelApply", conditioning=("pos", 0), style_model=("sm", 0), clip_vision_output=("cv", 0)),
            sm=node("StyleModelLoader", style_model_name="redux.safetensors"),
            cv=node("CLIPVisionEncode", clip_vision=("cvl", 0), image=("like", 0)),
            cvl=node("CLIPVisionLoader", clip_name="vision.safetensors"),
            k=sampler(positive=("style", 0)),
        ),
        PLAIN,
    ),
    "one LoRA": (
        plain(l1=node("LoraLoader", lora_name="a.safetensors", strength_model=1.0, strength_clip=1.0, model=("ck", 0), clip=("ck", 1)), k=sampler(model=("l1", 0))),
        PLAIN | {"lora": ["l1.lora_name"]},
    ),
    "three LoRAs in a row": (
        plain(
            l1=node("LoraLoader", lora_name="a.safetensors", model=("ck", 0), clip=("ck", 1)),
            l2=node("LoraLoader", lora_name="b.safetensors", model=("l1", 0), clip=("l1", 1)),
            l3=node("LoraLoaderModelOnly", lora_name="c.safetensors", model=("l2", 0)),
            pos=node("CLIPTextEncode", text="a cat", clip=("l2", 1)),
            k=sampler(model=("l3", 0)),
        ),
        PLAIN | {"lora": ["l3.lora_name", "l2.lora_name", "l1.lora_name"]},
    ),
    "a LoRA that nothing uses": (plain(l1=node("LoraLoaderModelOnly", lora_name="a.safetensors", model=("ck", 0))), PLAIN),
    "a stack of LoRAs in one node": (
        plain(
            l1=node("Power Lora Loader (rgthree)", lora_1={"on": True, "lora": "a"}, lora_2={"on": False, "lora": "b"}, model=("ck", 0), clip=("ck", 1)),
            k=sampler(model=("l1", 0)),
        ),
        PLAIN | {"lora": ["l1.lora_1"]},
    ),
    "everything by primitives": (
        plain(
            w=node("PrimitiveInt", value=512), h=node("PrimitiveInt", value=768), s=node("PrimitiveInt", value=9), n=node("PrimitiveInt", value=30),
            words=node("PrimitiveString", value="a cat"),
            pos=node("CLIPTextEncode", text=("words", 0), clip=("ck", 1)),
            size=node("EmptyLatentImage", width=("w", 0), height=("h", 0), batch_size=1),
            k=sampler(seed=("s", 0), steps=("n", 0)),
        ),
        PLAIN | {"prompt": ["words.value"], "seed": ["s.value"], "width": ["w.value"], "height": ["h.value"], "steps": ["n.value"]},
    ),
    "reroutes": (
        plain(r1=node("Reroute", **{"": ("pos", 0)}), r2=node("Reroute", **{"": ("r1", 0)}), k=sampler(positive=("r2", 0))), PLAIN,
    ),
    "a seed node": (plain(s=node("Seed (rgthree)", seed=-1), k=sampler(seed=("s", 0))), PLAIN | {"seed": ["s.seed"]}),
    "an unknown seed node": (plain(s=node("MySeed", seed=7), k=sampler(seed=("s", 0))), PLAIN | {"seed": ["s.seed"]}),
    "a seed that is drawn": (plain(s=node("RandomInteger", low=0, high=99), k=sampler(seed=("s", 0))), {"seed": "no known class"}),
    "a seed from a number of another meaning": (plain(s=node("Counter", start=7), k=sampler(seed=("s", 0))), {"seed": "no known class"}),
    "a size from a list of shapes": (
        plain(shape=node("AspectPicker", shape="2:3", multiple=64), size=node("EmptyLatentImage", width=("shape", 0), height=("shape", 1), batch_size=1)),
        {"width": "no known class", "height": "no known class"},
    ),
    "texts joined": (
        plain(
            style=node("PrimitiveString", value="film photo of "), words=node("PrimitiveString", value="a cat"),
            both=node("StringConcatenate", string_a=("style", 0), string_b=("words", 0), delimiter=""),
            pos=node("CLIPTextEncode", text=("both", 0), clip=("ck", 1)),
        ),
        {"prompt": "joins 2 texts"},
    ),
    "a text joined with nothing": (
        plain(
            words=node("PrimitiveString", value="a cat"),
            both=node("StringConcatenate", string_a=("words", 0), string_b="", delimiter=", "),
            pos=node("CLIPTextEncode", text=("both", 0), clip=("ck", 1)),
        ),
        PLAIN | {"prompt": ["words.value"]},
    ),
    "a text chosen by a switch": (
        plain(
            a=node("PrimitiveString", value="a cat"), b=node("PrimitiveString", value="a dog"),
            either=node("TextSwitch", index=1, text_1=("a", 0), text_2=("b", 0)),
            pos=node("CLIPTextEncode", text=("either", 0), clip=("ck", 1)),
        ),
        {"prompt": "TextSwitch"},
    ),
    "a text drawn from wildcards": (
        plain(cards=node("WildcardText", text="a __animal__", seed=3), pos=node("CLIPTextEncode", text=("cards", 0), clip=("ck", 1))), {"prompt": "WildcardText", "seed": "WildcardText"},
    ),
    "a text written by a language model": (
        plain(llm=node("PromptEnhancer", prompt="a cat", temperature=0.7, max_tokens=200), pos=node("CLIPTextEncode", text=("llm", 0), clip=("ck", 1))),
        {"prompt": "PromptEnhancer"},
    ),
    "two prompts for two regions": (
        plain(
            right=node("CLIPTextEncode", text="a dog", clip=("ck", 1)),
            area=node("ConditioningSetArea", width=256, height=512, x=256, y=0, strength=1.0, conditioning=("right", 0)),
            both=node("ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("area", 0)),
            k=sampler(positive=("both", 0)),
        ),
        {"prompt": "puts together"},
    ),
    "an encoder of no known class": (plain(pos=node("FancyEncode", text="a cat", weighting="comfy", clip=("ck", 1))), PLAIN),
    "an encoder with two texts": (
        plain(pos=node("FancyEncode", text="a cat", prompt="a dog", clip=("ck", 1))), {"prompt": "no known class"},
    ),
    "SDXL's two texts alike": (
        plain(pos=node("CLIPTextEncodeSDXL", text_g="a cat", text_l="a cat", width=1024, height=1024, clip=("ck", 1))), PLAIN | {"prompt": ["pos.text_g", "pos.text_l"]},
    ),
    "SDXL's two texts apart": (plain(pos=node("CLIPTextEncodeSDXL", text_g="a cat", text_l="film grain", clip=("ck", 1))), {"prompt": "different texts"}),
    "SD3's three texts": (
        plain(pos=node("CLIPTextEncodeSD3", clip_l="a cat", clip_g="a cat", t5xxl="a cat", empty_padding="none", clip=("ck", 1))),
        PLAIN | {"prompt": ["pos.clip_l", "pos.clip_g", "pos.t5xxl"]},
    ),
    "FLUX with one sampler node": (
        plain(pos=node("CLIPTextEncodeFlux", clip_l="", t5xxl="a cat", guidance=3.5, clip=("ck", 1)), neg=node("ConditioningZeroOut", conditioning=("pos", 0))),
        PLAIN | {"prompt": ["pos.t5xxl"], "negative_prompt": "absent"},
    ),
    "FLUX with nodes of its own": (custom(), CUSTOM),
    "FLUX told its size twice": (
        custom(shift=node("ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=1024, height=1024, model=("ck", 0)), plan=node("BasicScheduler", steps=28, model=("shift", 0))),
        CUSTOM | {"width": ["size.width", "shift.width"], "height": ["size.height", "shift.height"]},
    ),
    "FLUX told another size": (
        custom(shift=node("ModelSamplingFlux", width=768, height=1024, model=("ck", 0)), plan=node("BasicScheduler", steps=28, model=("shift", 0))),
        CUSTOM | {"height": ["size.height", "shift.height"]},
    ),
    "FLUX Kontext": (
        custom(
            photo=node("LoadImage", image="in.png"),
            fit=node("FluxKontextImageScale", image=("photo", 0)),
            like=node("VAEEncode", pixels=("fit", 0), vae=("ck", 2)),
            ref=node("ReferenceLatent", conditioning=("pos", 0), latent=("like", 0)),
            guide=node("FluxGuidance", guidance=2.5, conditioning=("ref", 0)),
        ),
        CUSTOM,
    ),
    "guidance with a negative prompt": (
        custom(neg=node("CLIPTextEncode", text="bad", clip=("ck", 1)), guider=node("CFGGuider", cfg=4.0, model=("ck", 0), positive=("pos", 0), negative=("neg", 0))),
        CUSTOM | {"negative_prompt": ["neg.text"]},
    ),
    "guidance by two prompts": (
        custom(
            neg=node("CLIPTextEncode", text="bad", clip=("ck", 1)), more=node("CLIPTextEncode", text="a dog", clip=("ck", 1)),
            guider=node("DualCFGGuider", cond1=("pos", 0), cond2=("more", 0), negative=("neg", 0), model=("ck", 0)),
        ),
        {"prompt": "puts together"},
    ),
    "a guider of no known class": (custom(guider=node("OddGuider", model=("ck", 0), conditioning=("pos", 0))), {"prompt": "OddGuider", "negative_prompt": "OddGuider"}),
    "noise of no known class": (custom(noise=node("ColouredNoise", seed=5, colour="pink")), {"seed": "ColouredNoise"}),
    "no noise at all": (custom(noise=node("DisableNoise")), {"seed": "no sampler draws noise"}),
    "steps of no known class": (custom(plan=node("OddScheduler", num_steps=9, model=("ck", 0))), CUSTOM | {"steps": "kept"}),
    "steps in two parts": (
        custom(
            cut=node("SplitSigmas", step=14, sigmas=("plan", 0)),
            k1=node("SamplerCustomAdvanced", noise=("noise", 0), guider=("guider", 0), sampler=("method", 0), sigmas=("cut", 0), latent_image=("size", 0)),
            quiet=node("DisableNoise"),
            k=node("SamplerCustomAdvanced", noise=("quiet", 0), guider=("guider", 0), sampler=("method", 0), sigmas=("cut", 1), latent_image=("k1", 0)),
        ),
        CUSTOM | {"steps": "kept"},
    ),
    "custom sampler without a guider": (
        plain(
            plan=node("KarrasScheduler", steps=24, sigma_max=14.6, sigma_min=0.03, rho=7.0), method=node("KSamplerSelect", sampler_name="euler"),
            k=node("SamplerCustom", add_noise=True, noise_seed=3, cfg=8.0, model=("ck", 0), positive=("pos", 0), negative=("neg", 0), sampler=("method", 0), sigmas=("plan", 0), latent_image=("size", 0)),
        ),
        PLAIN | {"seed": ["k.noise_seed"], "steps": ["plan.steps"]},
    ),
    "a turbo model": (
        plain(
            plan=node("SDTurboScheduler", steps=1, denoise=1.0, model=("ck", 0)), method=node("KSamplerSelect", sampler_name="euler_ancestral"),
            k=node("SamplerCustom", add_noise=True, noise_seed=3, cfg=1.0, model=("ck", 0), positive=("pos", 0), negative=("neg", 0), sampler=("method", 0), sigmas=("plan", 0), latent_image=("size", 0)),
        ),
        PLAIN | {"seed": ["k.noise_seed"], "steps": ["plan.steps"]},
    ),
    "Qwen-Image edits a picture": (
        plain(
            photo=node("LoadImage", image="in.png"),
            pos=node("TextEncodeQwenImageEdit", prompt="make it blue", clip=("ck", 1), vae=("ck", 2), image=("photo", 0)),
            neg=node("TextEncodeQwenImageEdit", prompt="", clip=("ck", 1), vae=("ck", 2), image=("photo", 0)),
            size=node("VAEEncode", pixels=("photo", 0), vae=("ck", 2)),
        ),
        PLAIN | LOADED | {"prompt": ["pos.prompt"], "negative_prompt": ["neg.prompt"]},
    ),
    "Lumina's system prompt": (
        plain(pos=node("CLIPTextEncodeLumina2", system_prompt="superior", user_prompt="a cat", clip=("ck", 1))), PLAIN | {"prompt": ["pos.user_prompt"]},
    ),
    "the efficient pair": (
        {
            "load": node("Efficient Loader", ckpt_name="a.safetensors", positive="a cat", negative="bad", empty_latent_width=512, empty_latent_height=768, batch_size=1),
            "k": node("KSampler (Efficient)", seed=1, steps=20, cfg=7.0, model=("load", 0), positive=("load", 1), negative=("load", 2), latent_image=("load", 3)),
            "save": node("SaveImage", images=("k", 5)),
        },
        PLAIN | {
            "prompt": ["load.positive"], "negative_prompt": ["load.negative"], "width": ["load.empty_latent_width"], "height": ["load.empty_latent_height"],
            "batch": ["load.batch_size"],
        },
    ),
    "faces drawn over": (
        plain(
            face=node("FaceDetailer", seed=4, steps=20, cfg=8.0, denoise=0.5, image=("vae", 0), positive=("pos", 0), negative=("neg", 0), model=("ck", 0)),
            save=node("SaveImage", images=("face", 0)),
        ),
        PLAIN | {"seed": ["face.seed", "k.seed"], "steps": ["face.steps", "k.steps"]},
    ),
    "something else that draws": (
        plain(grain=node("FilmGrain", seed=4, strength=0.2, image=("vae", 0)), save=node("SaveImage", images=("grain", 0))),
        {"seed": "FilmGrain", "width": "FilmGrain", "height": "FilmGrain"},
    ),
    "a sampler of no known class": (
        plain(k=node("TurboSampler", seed=4, steps=8, positive=("pos", 0), negative=("neg", 0), latent_image=("size", 0), model=("ck", 0))), {"seed": "TurboSampler"},
    ),
    "one node that does it all": (
        {"gen": node("StudioTextToImage", prompt="a cat", negative_prompt="bad", seed=1, width=512, height=512, steps=8), "save": node("SaveImage", images=("gen", 0))},
        PLAIN | {
            "prompt": ["gen.prompt"], "negative_prompt": ["gen.negative_prompt"], "seed": ["gen.seed"], "width": ["gen.width"], "height": ["gen.height"],
            "batch": "absent", "steps": ["gen.steps"],
        },
    ),
    "one node without a size": (
        {"gen": node("CloudTextToImage", prompt="a cat", seed=1, aspect="1:1"), "save": node("SaveImage", images=("gen", 0))},
        PLAIN | LOADED | {"prompt": ["gen.prompt"], "negative_prompt": "absent", "seed": ["gen.seed"], "steps": "absent"},
    ),
    "one node without a seed": (
        {"gen": node("CloudTextToImage", prompt="a cat"), "save": node("SaveImage", images=("gen", 0))}, {"seed": "no sampler of a known class"},
    ),
    "one node with two prompts": (
        {"gen": node("CloudTextToImage", prompt="a cat", text="a dog", seed=1), "save": node("SaveImage", images=("gen", 0))}, {"prompt": "prompt and text"},
    ),
    "no sampler": ({"e": node("EmptyImage", width=64, height=64, batch_size=1, color=0), "save": node("SaveImage", images=("e", 0))}, {"seed": "0 nodes with a seed"}),
    "a video": (plain(save=None, out=node("SaveVideo", video=("vae", 0))), {"output": "no node that is known to save"}),
    "nodes of a subgraph": (
        {f"57:{name}": {**value, "inputs": {key: [f"57:{one[0]}", one[1]] if isinstance(one, list) else one for key, one in value["inputs"].items()}} for name, value in plain().items()},
        {role: [f"57:{place}" for place in places] if isinstance(places, list) else places for role, places in PLAIN.items()},
    ),
}  # fmt: skip


def seen(found: Mapping, role: str) -> list[str] | str:
    one = found.role(role)
    return [str(place) for place in one.places] if one.state == "mapped" else one.state


@pytest.mark.parametrize("name", [name for name, (_, expected) in CASES.items() if set(expected) >= set(ROLES)])
def test_mapped(name: str) -> None:
    """Every role of the workflow, and no other place, is what it should be."""
    graph, expected = CASES[name]
    found = map_workflow(workflow_of(graph, Path("w.json")))
    assert {role: seen(found, role) for role in ROLES} == {role: expected[role] for role in ROLES}
    assert found.scale == expected.get("scale", 1.0)
    assert found.ok


@pytest.mark.parametrize("name", [name for name, (_, expected) in CASES.items() if not set(expected) >= set(ROLES)])
def test_refused(name: str) -> None:
    """It says why, of the role that it cannot tell, and refuses no other that it can."""
    graph, expected = CASES[name]
    found = map_workflow(workflow_of(graph, Path("w.json")))
    refused = {role.name: role.why for role in found.roles if role.state == "refused"}
    assert set(refused) == set(expected)
    assert not found.ok
    for role, words in expected.items():
        assert words in refused[role]


def test_there_are_many_shapes() -> None:
    assert len(CASES) >= 60
    assert sum(set(expected) >= set(ROLES) for _, expected in CASES.values()) >= 30


@pytest.mark.parametrize("name", list(CASES))
def test_every_place_and_candidate_stands_in_the_workflow(name: str) -> None:
    found = map_workflow(workflow_of(CASES[name][0], Path("w.json")))
    for role in found.roles:
        for place in (*role.places, *role.candidates):
            assert place.node in found.workflow.nodes
            assert not place.name or place.name in found.workflow.nodes[place.node].inputs


def test_candidates_of_a_refusal_are_named() -> None:
    def candidates(name: str, role: str) -> list[str]:
        return [str(place) for place in map_workflow(workflow_of(CASES[name][0], Path("w.json"))).role(role).candidates]

    assert candidates("refiner with another prompt", "prompt") == ["pos2.text", "pos.text"]
    assert candidates("texts joined", "prompt") == ["style.value", "words.value"]
    assert candidates("saved twice", "output") == ["save.", "second."]
    assert candidates("something else that draws", "seed") == ["k.seed", "grain.seed"]
    assert candidates("larger to a size of its own", "width") == ["up.width", "size.width"]
    assert candidates("noise of no known class", "seed") == ["noise.seed"]


def test_an_output_can_be_chosen() -> None:
    workflow = workflow_of(CASES["saved twice"][0], Path("w.json"))
    found = map_workflow(workflow, "second")
    assert found.ok
    assert seen(found, "output") == ["second."]
    missing = map_workflow(workflow, "third")
    assert [str(place) for place in missing.role("output").candidates] == ["save.", "second."]


def test_what_was_taken_on_trust_is_said() -> None:
    def remarks(name: str) -> str:
        found = map_workflow(workflow_of(CASES[name][0], Path("w.json")))
        return " ".join((*found.remarks, *(role.why for role in found.roles)))

    assert "MySeed) is of no known class: its only int, seed, is taken" in remarks("an unknown seed node")
    assert "FancyEncode) is of no known class" in remarks("an encoder of no known class")
    assert "StudioTextToImage) is of no known class: roles are taken by the names" in remarks("one node that does it all")
    assert "keeps its own width" in remarks("FLUX told another size")
    assert "cfg = 1, so its negative prompt does nothing" in remarks("a turbo model")
    assert "the empty ones stay empty" in remarks("FLUX with one sampler node")


EXPECTED: dict[str, Graph] = {
    "product-enhancement": {"prompt": ["6.text"], "seed": ["3.seed"], "width": ["71.width"], "height": ["71.height"], "batch": "absent", "lora": "absent"},
    "realistic-portrait": {"prompt": ["6.text"], "negative_prompt": "absent", "seed": ["25.noise_seed"], "width": ["34.value"], "height": ["35.value"], "lora": ["40.lora_name"]},
    "direct-chinese": {"prompt": ["6.text"], "negative_prompt": ["7.text"], "seed": ["3.seed"], "width": ["58.width"], "steps": ["3.steps"], "lora": "absent"},
    "style-switch": {"prompt": ["75.value"], "seed": ["3.seed"], "lora": ["74.lora_name", "73.lora_name"], "output": ["60."]},
    "detail-enhancement": {"prompt": ["6.text"], "seed": ["78.seed", "3.seed"], "width": ["58.width"], "steps": ["78.steps", "3.steps"]},
    "standin-qwen": {
        "prompt": ["2.prompt"], "negative_prompt": ["2.negative_prompt"], "seed": ["2.seed"], "width": ["2.width"], "height": ["2.height"],
        "batch": ["2.batch_size"], "steps": ["2.steps"], "output": ["3."],
    },
    "qwen-flux-hybrid": {"prompt": "refused", "negative_prompt": ["7.text"], "seed": ["25.noise_seed", "3.seed"], "width": ["58.width"], "steps": "kept", "output": ["9."]},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_the_bundled_workflows(name: str) -> None:
    """The five workflows of the article, and the hybrid, whose refiner has a prompt of its own that only a person can give it."""
    found = map_workflow(read_workflow(FIXTURES / f"{name}.json"))
    assert {role: seen(found, role) for role in EXPECTED[name]} == EXPECTED[name]
    assert found.ok == (name != "qwen-flux-hybrid")
    assert found.scale == (2.0 if name == "detail-enhancement" else 1.0)
