"""A real ComfyUI for tests: found by two environment variables, run on the CPU in a folder of its own, with our nodes and small random models.

    SWAPGATE_COMFYUI         a checkout of ComfyUI
    SWAPGATE_COMFYUI_PYTHON  a Python with its requirements, and with diffusers, transformers and peft for the node that runs the stand-in

Nothing is written into the checkout: models, nodes, input, output and database are in the folder given. It listens on the loopback interface.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHECKOUT, PYTHON = "SWAPGATE_COMFYUI", "SWAPGATE_COMFYUI_PYTHON"
START_SECONDS = 300.0
WIDTH, CONTEXT = 320, 768  # what Stable Diffusion 1.5 is known by: channels of its first layer, and of its text encoder

Shapes = dict[str, tuple[int, ...]]


def missing() -> str:
    """Why there is no real ComfyUI here; "" where there is one."""
    checkout, python = os.environ.get(CHECKOUT, ""), os.environ.get(PYTHON, "")
    if not checkout or not python:
        return f"a real ComfyUI is named by {CHECKOUT} (its checkout) and {PYTHON} (a Python with its requirements); not both are set"
    if not (Path(checkout) / "main.py").is_file():
        return f"{CHECKOUT} = {checkout} has no main.py"
    return "" if Path(python).is_file() else f"{PYTHON} = {python} is no file"


def command(base: Path) -> list[str]:
    """The command of a server whose files are in `base`, with {port} where its port goes."""
    main = str(Path(os.environ[CHECKOUT]) / "main.py")
    own = ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    quiet = ["--disable-auto-launch", "--disable-api-nodes", "--preview-method", "latent2rgb"]
    return [os.environ[PYTHON], main, "--cpu", "--listen", "127.0.0.1", "--port", "{port}", *own, *quiet]


def folder(base: Path) -> Path:
    """A server's folder with the stand-ins' nodes."""
    for name in ("custom_nodes", "input", "output", "temp", "user", "models/loras", "models/vae", "models/diffusion_models", "models/text_encoders"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "swapgate_standins").symlink_to(ROOT / "fixtures" / "comfyui" / "nodes")
    return base


@contextmanager
def serving(base: Path) -> Iterator[Any]:
    """A server that runs in `base`; gives its `Server`."""
    import pytest

    from swapgate.engines.comfyui.server import Server
    from swapgate.engines.comfyui.started import Started
    from swapgate.engines.servers.client import Client
    from swapgate.hosts.running import ALLOCATOR
    from swapgate.runs.environment import RUN_FOLDER

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"OMP_NUM_THREADS": "1", **ALLOCATOR}.items():  # as a host's: left to itself glibc's resident memory wanders by 175 MiB
            patch.setenv(name, value)
        patch.setenv(RUN_FOLDER, str(base))
        started = Started(command(base), "", "comfyui")
    try:
        with Client(started.address) as client:
            server = Server(client, started.address)
            started.wait(server.stats, START_SECONDS)
            yield server
    finally:
        started.close(failed=False)


def write_random_models(base: Path) -> None:
    """A diffusion model, a text encoder and a VAE that the built-in loaders take for Stable Diffusion 1.5's, small and of random weights.

    The diffusion model has one level of one block instead of four of two; the VAE is of the layout of TAESD (github.com/madebyollin/taesd).
    """
    for place, shapes in (("diffusion_models", _unet()), ("text_encoders", _text_encoder()), ("vae", _vae())):
        _save(base / "models" / place / "random.safetensors", shapes)


def _save(path: Path, shapes: Shapes) -> None:
    """Each layer keeps the size of what goes through it."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(1)
    found = {}
    for name, shape in shapes.items():
        fan_in = max(1, int(torch.tensor(shape[1:]).prod())) if len(shape) > 1 else 1
        plain = torch.zeros(shape) if name.endswith(("bias", "shift")) else torch.ones(shape)
        found[name] = (torch.randn(shape, generator=generator) / fan_in**0.5 if len(shape) > 1 else plain).half()
    save_file(found, path)


def _layer(name: str, *shape: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if bias else {})}


def _residual(name: str, taken: int = WIDTH) -> Shapes:
    skip = _layer(f"{name}.skip_connection", WIDTH, taken, 1, 1) if taken != WIDTH else {}
    return {
        **_layer(f"{name}.in_layers.0", taken),
        **_layer(f"{name}.in_layers.2", WIDTH, taken, 3, 3),
        **_layer(f"{name}.emb_layers.1", WIDTH, 4 * WIDTH),
        **_layer(f"{name}.out_layers.0", WIDTH),
        **_layer(f"{name}.out_layers.3", WIDTH, WIDTH, 3, 3),
        **skip,
    }


def _attention(name: str) -> Shapes:
    block = f"{name}.transformer_blocks.0"
    found = {**_layer(f"{name}.norm", WIDTH), **_layer(f"{name}.proj_in", WIDTH, WIDTH, 1, 1), **_layer(f"{name}.proj_out", WIDTH, WIDTH, 1, 1)}
    for kind, seen in (("attn1", WIDTH), ("attn2", CONTEXT)):
        found |= _layer(f"{block}.{kind}.to_q", WIDTH, WIDTH, bias=False) | _layer(f"{block}.{kind}.to_out.0", WIDTH, WIDTH)
        found |= _layer(f"{block}.{kind}.to_k", WIDTH, seen, bias=False) | _layer(f"{block}.{kind}.to_v", WIDTH, seen, bias=False)
    for number in (1, 2, 3):
        found |= _layer(f"{block}.norm{number}", WIDTH)
    return found | _layer(f"{block}.ff.net.0.proj", 8 * WIDTH, WIDTH) | _layer(f"{block}.ff.net.2", WIDTH, 4 * WIDTH)


def _unet() -> Shapes:
    found = _layer("time_embed.0", 4 * WIDTH, WIDTH) | _layer("time_embed.2", 4 * WIDTH, 4 * WIDTH) | _layer("input_blocks.0.0", WIDTH, 4, 3, 3)
    for name, taken in (("input_blocks.1", WIDTH), ("output_blocks.0", 2 * WIDTH), ("output_blocks.1", 2 * WIDTH)):
        found |= _residual(f"{name}.0", taken) | _attention(f"{name}.1")
    found |= _residual("middle_block.0") | _attention("middle_block.1") | _residual("middle_block.2")
    return found | _layer("out.0", WIDTH) | _layer("out.2", 4, WIDTH, 3, 3)


def _text_encoder() -> Shapes:
    """CLIP-L's, of full size: ComfyUI knows no smaller one."""
    found: Shapes = {
        "text_model.embeddings.token_embedding.weight": (49408, CONTEXT),
        "text_model.embeddings.position_embedding.weight": (77, CONTEXT),
    }
    for number in range(12):
        layer = f"text_model.encoder.layers.{number}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= _layer(f"{layer}.self_attn.{name}", CONTEXT, CONTEXT)
        found |= _layer(f"{layer}.layer_norm1", CONTEXT) | _layer(f"{layer}.layer_norm2", CONTEXT)
        found |= _layer(f"{layer}.mlp.fc1", 4 * CONTEXT, CONTEXT) | _layer(f"{layer}.mlp.fc2", CONTEXT, 4 * CONTEXT)
    return found | _layer("text_model.final_layer_norm", CONTEXT)


def _vae() -> Shapes:
    """Convolutions by number, "b" for a block of three, "u" for one after a change of size, which has no bias; "-" for what has no weights."""
    found: Shapes = {"vae_scale": (), "vae_shift": ()}
    for side, first, plan, last in (("encoder", (64, 3), "b" + "ubbb" * 3, (4, 64)), ("decoder", (64, 4), "-" + "bbb-u" * 3 + "b", (3, 64))):
        begin = 1 if side == "decoder" else 0  # its first part limits values
        found |= _layer(f"taesd_{side}.{begin}", *first, 3, 3)
        for number, kind in enumerate(plan, start=begin + 1):
            name = f"taesd_{side}.{number}"
            if kind == "b":
                for part in (0, 2, 4):
                    found |= _layer(f"{name}.conv.{part}", 64, 64, 3, 3)
            elif kind == "u":
                found |= _layer(name, 64, 64, 3, 3, bias=False)
        found |= _layer(f"taesd_{side}.{begin + len(plan) + 1}", *last, 3, 3)
    return found
