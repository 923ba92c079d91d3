"""Where a project's files lie: discovery of [tool.swapgate], its defaults and its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.config import BASELINES, Config, find_config, find_root
from swapgate.errors import UserError


def project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_without_any_pyproject_the_start_folder_is_the_root(tmp_path: Path) -> None:
    """A folder outside every project gets the defaults, rooted where the user stands."""
    assert find_config(tmp_path) == Config(root=tmp_path.resolve())


def test_a_pyproject_without_our_table_gives_the_defaults(tmp_path: Path) -> None:
    """The layout of the README needs no configuration at all."""
    config = find_config(project(tmp_path, '[project]\nname = "x"\n'))
    assert (config.models, config.baselines, config.runs) == (Path("fixtures/models"), Path("baselines"), Path(".swapgate/runs"))
    assert config.default_models == ()
    assert not config.policy


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key lands in the field of its name, relative to the root."""
    keys = ("models", "tasks", "wording", "baselines", "runs")
    text = "[tool.swapgate]\n" + "".join(f'{key} = "q/{key}"\n' for key in keys) + 'default_models = ["a", "b"]\n'
    config = find_config(project(tmp_path, text + "[tool.swapgate.policy]\nfalse_alarms = 0.02\n"))
    assert [getattr(config, key) for key in keys] == [Path("q") / key for key in keys]
    assert config.default_models == ("a", "b")
    assert config.policy_table().number("false_alarms", low=0.0, high=1.0) == 0.02


def test_the_nearest_pyproject_upward_is_taken(tmp_path: Path) -> None:
    """From deep inside, the nearest file wins over one further up."""
    project(tmp_path, '[tool.swapgate]\nbaselines = "outer"\n')
    inner = project(tmp_path / "inner", '[tool.swapgate]\nbaselines = "near"\n')
    deep = inner / "tests" / "gates"
    deep.mkdir(parents=True)
    assert find_config(deep).baselines == Path("near")
    assert find_root(deep) == inner.resolve()


def test_an_unknown_key_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    """A misspelt key is never ignored."""
    with pytest.raises(UserError, match=r"(?s)tool\.swapgate\.baseline .*did you mean `baselines`"):
        find_config(project(tmp_path, '[tool.swapgate]\nbaseline = "x"\n'))


def test_where_scores_are_computed_is_read_and_is_auto_by_default(tmp_path: Path) -> None:
    """A device as torch names it."""
    assert find_config(project(tmp_path, "[tool.swapgate]\n")).scoring == "auto"
    for given_device in ("auto", "cpu", "cuda", "cuda:1", "cuda:12"):
        assert find_config(project(tmp_path, f"[tool.swapgate]\nscoring = '{given_device}'\n")).scoring == given_device


@pytest.mark.parametrize("given_device", ["gpu", "cuda:", "cuda:x", "cuda:1,2", "CPU", "", "cuda:-1"])
def test_another_device_for_scores_is_an_error(tmp_path: Path, given_device: str) -> None:
    """With what can be written."""
    with pytest.raises(UserError, match=r'tool\.swapgate\.scoring(.|\n)*"cuda:<n>"'):
        find_config(project(tmp_path, f"[tool.swapgate]\nscoring = '{given_device}'\n"))


@pytest.mark.parametrize("given_path", ["/etc", "../other", "a/../../b", "~/x", "C:\\x", "a\\..\\b", " "])
def test_a_path_out_of_the_project_is_refused(tmp_path: Path, given_path: str) -> None:
    """Absolute paths and climbing ones would make baselines depend on one machine."""
    with pytest.raises(UserError, match="relative to the folder"):
        find_config(project(tmp_path, f"[tool.swapgate]\nbaselines = '{given_path}'\n"))


def test_a_link_to_another_disk_is_allowed(tmp_path: Path) -> None:
    """Runs are large: the folder may be a link, as the error's remedy says."""
    root = project(tmp_path / "project", '[tool.swapgate]\nruns = "runs"\n')
    (tmp_path / "disk").mkdir()
    (root / "runs").symlink_to(tmp_path / "disk")
    assert find_config(root).runs == Path("runs")


@pytest.mark.parametrize(
    "text",
    ["[tool]\nswapgate = 3\n", "[tool.swapgate]\nmodels = 3\n", "[tool.swapgate]\npolicy = 3\n", "[tool.swapgate]\ndefault_models = ['a', 'a']\n",
     "[tool.swapgate]\ndefault_models = 'a'\n", "[tool.swapgate\n"],
)  # fmt: skip
def test_values_of_another_kind_are_errors_with_their_place(tmp_path: Path, text: str) -> None:
    """Every mistake names the file it is in."""
    with pytest.raises(UserError) as caught:
        find_config(project(tmp_path, text))
    assert "pyproject.toml" in caught.value.where
    assert caught.value.remedy


def test_errors_in_the_policy_name_the_full_key(tmp_path: Path) -> None:
    """The gates read the policy later; its errors still point at the file."""
    config = find_config(project(tmp_path, "[tool.swapgate.policy]\nfalse_alarm = 2\n"))
    with pytest.raises(UserError, match=r"tool\.swapgate\.policy\.false_alarm"):
        config.policy_table().finish()


@given(parts=st.lists(st.text("abcxyz-_.", min_size=1, max_size=6), min_size=1, max_size=4))
def test_an_accepted_path_never_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    """Whatever is written, either it is refused or it stays inside."""
    root = project(tmp_path_factory.getbasetemp() / "any", f"[tool.swapgate]\nbaselines = '{'/'.join(parts)}'\n")
    try:
        config = find_config(root)
    except UserError:
        assert ".." in parts
    else:
        assert (root / config.baselines).resolve().is_relative_to(root.resolve())


def test_the_default_is_the_documented_folder() -> None:
    """The name that the README promises."""
    assert Path("baselines") == BASELINES
