"""Scoring beside a plain loop of scikit-image and open_clip over the same files, in one process. Not a test.

    PYTHONPATH=tools python tests/benchmarks/scoring_table.py [--device=cpu|cuda] [--cores=2] [--judges=standin-clip,full-size]
        [--pairs=8] [--rounds=7] [--side=1024] [--json=FILE]

A row of Markdown for every comparison, printed as soon as it is made; n is rounds x pairs, and every spread is the whole one.

    plain     for one picture after the other: Pillow opens it and its reference, open_clip's own transform and model encode both,
              scikit-image compares them
    ours      `suite.scoring.Scorer` on a run folder: the same, and besides the hashes, health, PSNR, the facets' and strangers' cosines
    SSIM      scikit-image's loop beside `metrics.ssim.ssims`, on pixels in memory

Both arms take turns at going first, and every round has pictures that were never seen. Texts are encoded before, once, as in a run. The
judge "full-size" has the image tower of ViT-B-32-SigLIP2-256 with random weights, and the stand-in's tokenizer: nothing is downloaded.
The greatest differences are those from the plain loop's numbers on the CPU, whatever the device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "fixtures" / "weights" / "standin-clip"
ARCHITECTURE = "ViT-B-32-SigLIP2-256"
MODEL = "standin-qwen"  # whose tasks and texts are taken
GRAIN = 3.0  # standard deviation in levels of the noise in every picture: files of real pictures do not compress better
HEADER = "| what | judge | where | n | plain, ms a pair | ours, ms a pair | times faster | greatest difference |\n|---|---|---|--:|--:|--:|--:|---|"

Pair = tuple[Any, Any]


@dataclass(kw_only=True)
class Compared:
    """Seconds a pair by round, of both arms, and the greatest difference of each number."""

    what: str
    judge: str
    where: str
    pairs: int
    plain: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        return [plain / ours for plain, ours in zip(self.plain, self.ours, strict=True)]

    def row(self) -> str:
        apart = ", ".join(f"{name} {value:.0e}" for name, value in self.differences.items())
        cells = [self.what, self.judge, self.where, f"{len(self.plain)} x {self.pairs}", _spread(self.plain, 1000), _spread(self.ours, 1000)]
        return f"| {' | '.join([*cells, _spread(self.ratios), apart])} |"

    def record(self) -> dict[str, Any]:
        return {**vars(self), "ratios": self.ratios, "ratio": statistics.median(self.ratios)}

    def measure(self, number: int, plain: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any]:
        """One round; the arm that goes first changes."""
        found: dict[str, Any] = {}
        arms = [("plain", plain, self.plain), ("ours", ours, self.ours)]
        for name, arm, seconds in arms if number % 2 else reversed(arms):
            begin = time.perf_counter()
            found[name] = arm()
            if number:  # the first is for warming up
                seconds.append((time.perf_counter() - begin) / self.pairs)
        return found["plain"], found["ours"]

    def differ(self, name: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
        apart = float(np.abs(np.subtract(ours, theirs)).max())
        self.differences[name] = max(self.differences.get(name, 0.0), apart)


def _spread(values: Sequence[float], factor: float = 1.0) -> str:
    return f"{statistics.median(values) * factor:.1f} ({min(values) * factor:.1f} to {max(values) * factor:.1f})"


class Plain:
    """The loop that anybody would write."""

    def __init__(self, folder: Path, device: str, texts: Sequence[str]) -> None:
        import open_clip
        import torch

        source = f"local-dir:{folder}"
        self.device = device
        self.model, _, self.transform = open_clip.create_model_and_transforms(source, precision="fp32", device=device)
        self.model.eval()
        with torch.inference_mode():
            found = self.model.encode_text(open_clip.get_tokenizer(source)(list(texts)).to(device), normalize=True)
        self.texts = dict(zip(texts, found.cpu(), strict=True))

    def score(self, files: Sequence[tuple[Path, Path]], texts: Sequence[str]) -> list[tuple[float, float, float]]:
        """SSIM, the pictures' cosine, and the alignment, of each pair."""
        import torch
        from PIL import Image

        found = []
        for (file, reference), text in zip(files, texts, strict=True):
            pictures = [Image.open(one).convert("RGB") for one in (file, reference)]
            with torch.inference_mode():
                first, second = (
                    self.model.encode_image(self.transform(one).unsqueeze(0).to(self.device), normalize=True).cpu()[0] for one in pictures
                )
            pixels = tuple(np.asarray(one) for one in pictures)
            found.append((skimage_ssim(pixels), float(first @ second), float(first @ self.texts[text])))
        return found


def skimage_ssim(pair: Pair) -> float:
    """Wang et al. 2004, as scikit-image's documentation says that it is matched."""
    from skimage.metrics import structural_similarity

    measure: Any = structural_similarity
    return float(measure(*pair, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False))


def scored(scorer: Any, wanted: Any, pairs: Any, load: Any) -> tuple[Any, Any]:
    """What a run asks of its scorer: the scores of its pictures, and how they drift from their references."""
    return scorer.scores(wanted), scorer.drifts(pairs, load)


def whole(name: str, asked: argparse.Namespace, scratch: Path) -> Compared:
    """A run's scoring beside the loop."""
    from swapgate.config import find_config
    from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge
    from swapgate.runs.folder import RunFolder
    from swapgate.suite.options import Options
    from swapgate.suite.planning import build_plan, prepare
    from swapgate.suite.scoring import Scorer, Wanted

    folder = full_size(scratch / "judge") if name == "full-size" else STAND_IN
    setup = prepare(find_config(ROOT), Options(root=ROOT, models=(MODEL,), gates=("drift",)))
    run, card = RunFolder.create(scratch / name, {"plan": []}), setup.models[0]
    judge = OpenClipJudge(f"{LOCAL}{folder}", device=asked.device)
    scorer = Scorer(run, card, lambda _: judge, setup.prompts)
    tasks = {task.id: task for task in setup.tasks[MODEL]}
    requests = [call.first for call in build_plan(setup).calls[MODEL]]
    requests = [replace(requests[n % len(requests)], width=asked.side, height=asked.side) for n in range(asked.pairs)]
    texts = [tasks[one.task].prompts[one.language] for one in requests]
    facets = [text for task in tasks.values() for facet in task.facets for said in facet.statements.values() for text in said]
    judge.text_features([*(text for said in setup.prompts.values() for text in said), *facets])
    plain, exact = Plain(folder, asked.device, sorted(set(texts))), Plain(folder, "cpu", sorted(set(texts)))
    compared = Compared(what="health, CLIP, SSIM", judge=name, where=_where(asked), pairs=asked.pairs)
    for number in range(asked.rounds + 1):
        shas = [tuple(run.save_image(one) for one in pair) for pair in pictures(asked.side, asked.pairs, number)]
        files = [(run.image_path(ours), run.image_path(theirs)) for ours, theirs in shas]
        wanted = [Wanted(request=one, image=ours, task=tasks[one.task]) for one, (ours, _) in zip(requests, shas, strict=True)]
        pairs = [(f"{number}/{n}", *both) for n, both in enumerate(shas)]
        theirs, ours = compared.measure(number, partial(plain.score, files, texts), partial(scored, scorer, wanted, pairs, run.load_image))
        if asked.device != "cpu" and number == asked.rounds:  # once is enough: it is the slow one
            theirs = exact.score(files, texts)
        if asked.device == "cpu" or number == asked.rounds:
            compared.differ("SSIM", [one.ssim for one in ours[1]], [one[0] for one in theirs])
            compared.differ("cosine", [one.clip for one in ours[1]], [one[1] for one in theirs])
            compared.differ("alignment", [one["alignment"] for one in ours[0]], [one[2] for one in theirs])
    run.close()
    return compared


def ssim_alone(asked: argparse.Namespace) -> Compared:
    """SSIM of pixels in memory."""
    from swapgate.metrics.ssim import ssims

    compared = Compared(what="SSIM", judge="", where=_where(asked), pairs=asked.pairs)
    for number in range(asked.rounds + 1):
        pairs = pictures(asked.side, asked.pairs, number)
        theirs, ours = compared.measure(number, partial(list, map(skimage_ssim, pairs)), partial(ssims, pairs, device=asked.device))
        compared.differ("SSIM", ours, theirs)
    return compared


def pictures(side: int, pairs: int, seed: int) -> Sequence[Pair]:
    """Pictures of the picture world with grain, each beside one that is a little different."""
    import torch

    from swapgate.standins.render import render
    from swapgate.standins.scene import sample_codes

    generator, rng = torch.Generator().manual_seed(1000 + seed), np.random.default_rng(seed)
    found = []
    for drawn in render(sample_codes(pairs, generator), generator=generator, size=side):
        clean = drawn.permute(1, 2, 0).numpy() * 255
        grainy = [clean + rng.normal(0, GRAIN, clean.shape) for _ in range(2)]
        found.append(tuple(one.round().clip(0, 255).astype(np.uint8) for one in grainy))
    return found


def full_size(folder: Path) -> Path:
    """A judge's folder with a full-size image tower: random weights in the real layout."""
    import shutil

    import open_clip
    import torch
    from open_clip.model import CustomTextCLIP
    from safetensors.torch import save_file

    shutil.copytree(STAND_IN, folder, ignore=lambda *_: ["open_clip_model.safetensors"])
    stated = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    config: dict[str, Any] = {**(open_clip.get_model_config(ARCHITECTURE) or {}), "text_cfg": stated["model_cfg"]["text_cfg"]}
    torch.manual_seed(0)
    model = CustomTextCLIP(**{key: value for key, value in config.items() if key != "custom_text"})
    stated |= {"model_cfg": config, "preprocess_cfg": {**stated["preprocess_cfg"], "size": 256}}
    (folder / "open_clip_config.json").write_text(json.dumps(stated), encoding="utf-8")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


def _where(asked: argparse.Namespace) -> str:
    import torch

    cores = f"{asked.cores or len(os.sched_getaffinity(0))} cores"
    return cores if asked.device == "cpu" else f"{torch.cuda.get_device_name(asked.device)}, {cores}"


def _versions() -> str:
    from importlib.metadata import version

    names = ("torch", "open-clip-torch", "scikit-image", "numpy", "pillow")
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Scoring beside a plain loop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that both arms may use; 0: all")
    parser.add_argument("--judges", default="standin-clip,full-size")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure everything that was asked for."""
    asked = _arguments()
    if asked.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(f"{_versions()}; {' '.join(sys.argv)}\n\n{HEADER}", flush=True)
    done = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        comparisons: list[Callable[[], Compared]] = [partial(ssim_alone, asked)]
        comparisons += [partial(whole, name, asked, scratch) for name in asked.judges.split(",") if name]
        for compare in comparisons:
            done.append(compare())
            print(done[-1].row(), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([one.record() for one in done], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
