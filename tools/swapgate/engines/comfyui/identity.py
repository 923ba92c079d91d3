"""What a server has run a workflow with: its version, the custom nodes that the workflow uses, the files of weights that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swapgate.canonical import digest
from swapgate.engines.comfyui.binding import Binding
from swapgate.engines.comfyui.kinds import FILES, LOADERS, WEIGHTS
from swapgate.engines.comfyui.server import Server
from swapgate.engines.weights import file_hash
from swapgate.errors import UserError
from swapgate.runs.environment import git_state

HASH_MODELS = "SWAPGATE_HASH_MODELS"
"""Set by `pytest --hash-models`: files of weights are read and hashed, where the server's folder is at hand."""
CUSTOM = "custom_nodes."
_WHERE = (
    "--port",
    "--listen",
    "--base-directory",
    "--output-directory",
    "--input-directory",
    "--temp-directory",
    "--user-directory",
    "--database-url",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Identity of the files that a workflow names; notes: by what they are known."""

    identity: str
    notes: tuple[str, ...]


def check_classes(server: Server, binding: Binding) -> dict[str, str]:
    """The module of every class of the workflow by class. UserError for a class that the server does not have, or a file that it does not."""
    modules: dict[str, str] = {}
    told: dict[str, dict[str, Any]] = {}
    for node in binding.workflow.nodes.values():
        if node.kind not in told:
            told[node.kind] = server.node_class(node.kind)
        if not told[node.kind]:
            rule = f"a class that the server has; it does not have that of {node}"
            raise _wrong(binding, node.id, node.kind, rule, "install the custom node that brings it, on the server, and start it again")
        modules[node.kind] = str(told[node.kind].get("python_module") or "")
        for name, value in node.inputs.items():
            offered = _choices(told[node.kind], name)
            if offered is not None and isinstance(value, str) and value.endswith(WEIGHTS) and value not in offered:
                rule = f"a file that the server has; for {node} it has {', '.join(map(str, offered[:5])) or 'none'}"
                raise _wrong(binding, f"{node.id}.{name}", value, rule, "put the file into the server's folder of models, or correct its name")
    return modules


def versions(server: Server, binding: Binding, modules: dict[str, str]) -> dict[str, str]:
    """Version of ComfyUI and what it runs on, its switches, the workflow, and the commit of every custom node that is used."""
    system = server.stats().get("system")
    told: dict[str, Any] = system if isinstance(system, dict) else {}
    used = {node.kind for node in binding.behind}
    names = sorted({modules[kind].removeprefix(CUSTOM).partition(".")[0] for kind in used if modules[kind].startswith(CUSTOM)})
    arguments = told.get("argv")
    words = [word for word in arguments[1:] if isinstance(word, str)] if isinstance(arguments, list) else []
    switches = [word for word in words if word.startswith("--") and word not in _WHERE]
    return {
        "comfyui": str(told.get("comfyui_version") or "not told"),
        "torch": str(told.get("pytorch_version") or "not told"),
        "python": str(told.get("python_version") or "not told").partition(" ")[0],
        "server switches": " ".join(sorted(switches)) or "none",
        "workflow": digest(_bare(binding))[:16],
        **{f"custom node {name}": _commit(binding, name) for name in names},
    }


def weights(binding: Binding) -> Weights:
    """The identity of the files of weights that the workflow names: by their content with --hash-models, else by name and size."""
    folder = Path(binding.given.folder) / "models" if binding.given.folder else None
    hashing = os.environ.get(HASH_MODELS) == "1"
    if hashing and folder is None:
        raise _wrong(binding, "comfyui.folder", None, "the server's folder on this machine, for --hash-models", "write folder, or run without it")
    found, notes = [], []
    for name, place in sorted(set(named_files(binding))):
        file = _file(folder, place, name) if folder else None
        if hashing and file is None and name.endswith(WEIGHTS):
            raise _wrong(
                binding, "comfyui.folder", binding.given.folder, f"a folder with models/{place}/{name}, for --hash-models", "correct the folder"
            )
        known = [name] if file is None else [name, file.stat().st_size] if not hashing else [file_hash(file)]
        found.append(known)
        notes.append(f"weights: {name}, by {'its name alone' if file is None else f'SHA-256 {known[0]}' if hashing else 'name and size'}")
    return Weights(identity=digest(sorted(map(str, found))), notes=tuple(notes))


def named_files(binding: Binding) -> Iterator[tuple[str, str]]:
    """Files of weights that nodes before the output name, each with its folder below models/ ("" where that is not known).

    A file that the card's [call] names takes the place of the workflow's.
    """
    call = {place: binding.card.call[role] for role, places in binding.places.items() if role in binding.card.call for place in places}
    for node in binding.behind:
        for name, held in node.inputs.items():
            value = next((value for place, value in call.items() if (place.node, place.name) == (node.id, name)), held)
            value = value.get("lora") if isinstance(value, dict) and value.get("on") else value
            if isinstance(value, str) and node.kind not in LOADERS and (value.endswith(WEIGHTS) or name in FILES):
                yield value, FILES.get(name, "")


def _bare(binding: Binding) -> dict[str, Any]:
    """The workflow without what requests write into it."""
    graph = binding.workflow.as_json()
    for places in binding.places.values():
        for place in places:
            graph[place.node]["inputs"].pop(place.name, None)
    return {name: {"class_type": node["class_type"], "inputs": node["inputs"]} for name, node in graph.items()}


def _choices(told: dict[str, Any], name: str) -> list[Any] | None:
    """What an input may be chosen from; None where it is no choice. Two ways to write that are in use."""
    for group in ("required", "optional"):
        inputs = told.get("input")
        spec = inputs.get(group, {}).get(name) if isinstance(inputs, dict) and isinstance(inputs.get(group, {}), dict) else None
        if isinstance(spec, list) and spec:
            if isinstance(spec[0], list):
                return spec[0]
            if spec[0] == "COMBO" and len(spec) > 1 and isinstance(spec[1], dict) and isinstance(spec[1].get("options"), list):
                return list(spec[1]["options"])
    return None


def _commit(binding: Binding, name: str) -> str:
    if not binding.given.folder:
        return "commit not known: the card names no folder of the server"
    place = Path(binding.given.folder) / "custom_nodes" / name
    state = git_state(place) if place.is_dir() else None
    if state is None:
        return "commit not known: not in the server's folder, or not under git"
    return f"{state['commit']}{' with changes' if state['dirty'] else ''}"


def _file(folder: Path, place: str, name: str) -> Path | None:
    """Below the folder of its kind, else the only file of that name."""
    direct = folder / place / name
    if direct.is_file():
        return direct
    found = [path for path in folder.rglob(Path(name).name) if path.is_file() and path.as_posix().endswith(name)]
    return found[0] if len(found) == 1 else None


def _wrong(binding: Binding, key: str, value: object, rule: str, remedy: str) -> UserError:
    where = binding.card.path if key.startswith("comfyui") else binding.workflow.path
    return UserError(where=str(where), key=key, value=value, rule=rule, remedy=remedy)
