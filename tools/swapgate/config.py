"""Where the files of a project lie: `[tool.swapgate]` in the nearest pyproject.toml, strictly read.

    [tool.swapgate]
    models = "fixtures/models"       # one TOML card per model
    tasks = "fixtures/tasks"         # one TOML file per task family
    wording = "fixtures/wording"     # approved edits; without that folder those of the package
    baselines = "baselines"          # accepted baselines
    images = "s3://bucket/prefix"    # their reference pictures, if they shall not lie beside them: any URL that fsspec opens
    runs = ".swapgate/runs"          # run folders; large, and not for version control
    default_models = ["standin"]     # what runs when no --model is given; all cards when absent
    scoring = "auto"                 # where judges and SSIM compute: "cpu", "cuda", "cuda:<n>", or "auto", a GPU without a model, else the CPU

    [tool.swapgate.policy]           # limits of the gates; read by them

Paths are relative to the folder of pyproject.toml. A folder may be a link to another disk; a path may not climb out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

from swapgate import bundled
from swapgate.errors import UserError
from swapgate.reading import Table, load_toml

FILE = "pyproject.toml"
MODELS, TASKS, WORDING = Path("fixtures/models"), Path("fixtures/tasks"), Path("fixtures/wording")
BASELINES, RUNS = Path("baselines"), Path(".swapgate/runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The layout of one project; every path but `root` is relative to `root`.

    images: URL of the reference pictures, "" where they lie beside the baselines.
    `policy` is the raw table [tool.swapgate.policy]; `policy_table` reads it with its place for error messages.
    """

    root: Path
    models: Path = MODELS
    tasks: Path = TASKS
    wording: Path = WORDING
    baselines: Path = BASELINES
    runs: Path = RUNS
    default_models: tuple[str, ...] = ()
    scoring: str = "auto"
    images: str = ""
    policy: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def wording_folder(self) -> Path:
        """Where the approved edits are: in the project, or with the package where the project has no folder at the usual place."""
        own = self.root / self.wording
        return bundled.WORDING if self.wording == WORDING and not own.exists() else own

    def policy_table(self) -> Table:
        """The policy as a strict reader whose errors name pyproject.toml and the full key."""
        return Table(self.policy, where=str(self.root / FILE), prefix="tool.swapgate.policy.")


def find_root(start: Path) -> Path:
    """The nearest folder from `start` upward that has a pyproject.toml; `start` itself when there is none."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), start)


def find_config(start: Path) -> Config:
    """The configuration that holds in `start`: defaults where the file, the table or a key is absent.

    Raises UserError for a file that does not parse, an unknown key, a value of another type, and a path that is
    absolute or leads out of the project.
    """
    root = find_root(start)
    if not (root / FILE).is_file():
        return Config(root=root)
    table = _own_table(root / FILE)
    if table is None:
        return Config(root=root)
    config = Config(
        root=root,
        models=_path(table, "models", MODELS),
        tasks=_path(table, "tasks", TASKS),
        wording=_path(table, "wording", WORDING),
        baselines=_path(table, "baselines", BASELINES),
        runs=_path(table, "runs", RUNS),
        default_models=_models(table),
        scoring=_scoring(table),
        images=_images(table),
        policy=MappingProxyType(table.take("policy", dict, {})),
    )
    table.finish()
    return config


def _own_table(path: Path) -> Table | None:
    tool = load_toml(path).take("tool", dict, {})
    if "swapgate" not in tool:
        return None
    if not isinstance(tool["swapgate"], dict):
        raise UserError(where=str(path), key="tool.swapgate", value=tool["swapgate"], rule="must be a table", remedy="write [tool.swapgate]")
    return Table(tool["swapgate"], where=str(path), prefix="tool.swapgate.")


def _path(table: Table, name: str, default: Path) -> Path:
    given = table.take(name, str, str(default))
    absolute = PurePosixPath(given).is_absolute() or PureWindowsPath(given).is_absolute() or given.startswith("~")
    if not given.strip() or absolute or ".." in PurePosixPath(given.replace("\\", "/")).parts:
        raise table.wrong(
            name,
            "a path relative to the folder of pyproject.toml, without `..`",
            "write a relative path; for another disk, link a folder from inside the project",
        )
    return Path(given)


def _models(table: Table) -> tuple[str, ...]:
    names = table.strings("default_models", ()) if table.has("default_models") else ()
    if len(set(names)) != len(names):
        raise table.wrong("default_models", "each model once", "remove the repetition")
    return names


def _images(table: Table) -> str:
    given = table.take("images", str, "")
    protocol, found, rest = given.partition("://")
    secret = "@" in rest.partition("/")[0] and ":" in rest.partition("@")[0]
    if table.has("images") and (not found or not re.fullmatch(r"[a-z][a-z0-9+.-]*", protocol) or not rest.strip("/") or secret or "?" in rest):
        raise table.wrong(
            "images",
            "a URL such as s3://bucket/prefix, hf://datasets/owner/name/prefix or file:///folder, without credentials",
            "leave it out to keep the pictures beside the baselines; credentials are the driver's (environment or its own files)",
            value="(not shown: it may hold a secret)" if secret or "?" in rest else given,
        )
    return given


def _scoring(table: Table) -> str:
    given = table.take("scoring", str, "auto")
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", given):
        raise table.wrong("scoring", 'one of "auto", "cpu", "cuda", "cuda:<n>"', 'leave it out for "auto": a GPU without a model, else the CPU')
    return given
