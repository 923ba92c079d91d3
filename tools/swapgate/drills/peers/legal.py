"""Set B: the honest model again with one legal thing changed, each as a whole run that this suite's gates judge as well.

    threads        another number of CPU threads
    larger-round   every call makes one picture more, and the extra one is not looked at
    attention-…    another attention backend of diffusers
    precision      the weights in another floating-point type (bfloat16 for float32 on a CPU, float32 for a small model on a GPU)

They lie in <out>/legal/<name>. One that cannot be made on this machine is left out with its reason: a backend that refuses
the model is no harmless change. Times and peaks of these runs are those of another recipe, and are not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.hosts.process import Host, HostFailed
from swapgate.plan import Call
from swapgate.runs.records import Loaded
from swapgate.suite.generate import pending, record
from swapgate.suite.options import Options
from swapgate.suite.progress import Progress
from swapgate.suite.session import Suite
from swapgate.suite.witnesses import DONE

BACKENDS = ("native", "_native_math", "_native_efficient", "_native_flash", "_native_cudnn")
CPU_BACKENDS = ("native", "_native_math")
SMALL = 2 * 2**30  # bytes of weight files up to which a model on a GPU is also run in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Legal:
    """One variation. about: what is changed, for a reader; card: the card as it is loaded; extra: pictures more in every call."""

    name: str
    about: str
    card: Card
    threads: int | None = None
    extra: int = 0


def variations(card: Card, loaded: Loaded) -> tuple[Legal, ...]:
    """Those that make sense of a card that was loaded so."""
    on_cpu = loaded.accelerator.startswith("cpu")
    found = [Legal(name="larger-round", about="one picture more in every call", card=card, extra=1)]
    if on_cpu:
        threads = 1 if loaded.threads > 1 else 2
        found.append(Legal(name="threads", about=f"{threads} CPU threads instead of {loaded.threads}", card=card, threads=threads))
    if card.engine != "diffusers":
        return tuple(found)
    for backend in CPU_BACKENDS if on_cpu else BACKENDS:
        if backend != loaded.attention:
            changed = replace(card, options={**card.options, "attention": backend})
            found.append(
                Legal(name=f"attention-{backend.strip('_')}", about=f"attention backend {backend} instead of {loaded.attention}", card=changed)
            )
    other = _other_precision(card, loaded.dtype, on_cpu=on_cpu)
    if other:
        kinds = {"cpu" if on_cpu else "cuda": other}
        found.append(Legal(name="precision", about=f"{other} instead of {loaded.dtype}", card=replace(card, dtype={**card.dtype, **kinds})))
    return tuple(found)


def make(config: Config, options: Options, policy: Policy, legal: Legal, path: Path, progress: Progress) -> None:
    """Make and judge the run of a variation in `path`, or go on with it; nothing when it is finished.

    Raises UserError where the variation cannot be loaded, or a picture cannot be made with it.
    """
    if (path / "verdicts.json").is_file():
        return
    progress.note(f"a harmless change: {legal.about}")
    begun = (path / "manifest.json").is_file()
    suite = Suite.open(config, replace(options, resume=path) if begun else replace(options, run_dir=path), policy, progress)
    try:
        _generate(suite, legal)
        suite.judge_all()
    finally:
        suite.run.close()


def _generate(suite: Suite, legal: Legal) -> None:
    card, run = suite.setup.models[0], suite.run
    left = pending(run, card, [suite.plan.calls[card.id]]).calls
    if left:
        run.append({"event": "legal", "model": card.id, "variation": legal.about})
        with Host(legal.card, threads=legal.threads) as host:
            try:
                run.add_loaded(host.start())
            except HostFailed as error:
                raise _refused(path=run.path, legal=legal, said=error.failure.message) from None
            for call in left:
                results = host.make(_larger(call, legal.extra))[: len(call.requests)]
                failed = next((generation.failure for generation, _ in results if generation.failure), None)
                if failed:
                    raise _refused(path=run.path, legal=legal, said=failed.message)
                record(run, results)
    # Reworded prompts are not searched for the smallest one that breaks: that would load the model as its card says.
    run.append({"event": DONE, "model": card.id})


def _larger(call: Call, extra: int) -> Call:
    last = call.requests[-1]
    return Call(requests=(*call.requests, *(replace(last, index=last.index + n) for n in range(1, extra + 1))))


def _refused(*, path: Path, legal: Legal, said: str) -> UserError:
    lines: Sequence[str] = said.splitlines() or [""]
    return UserError(where=str(path), key=legal.name, rule=f"{legal.about}: {lines[-1]}", remedy="nothing to do: the variation is left out")


def _other_precision(card: Card, dtype: str, *, on_cpu: bool) -> str:
    if on_cpu:
        return "bfloat16" if dtype == "float32" else ""
    folder = place(card.root, card.source)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) if folder.is_dir() else SMALL + 1
    return "float32" if dtype != "float32" and size <= SMALL else ""
