"""Cards: what is read, and every mistake with its remedy, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.cards import Card, read_card, read_cards
from swapgate.errors import UserError

ENGINES = ("diffusers", "scripted")
GOOD = """
engine = "scripted"
source = "scripted"
tasks = ["toys"]
judge = { source = "scripted" }
usability_floor = 0.5
expected_forwards = 16
[call]
num_inference_steps = 8
true_cfg_scale = 4.0
[negative_prompt]
en = " "
[ceilings.cpu]
seconds_per_image = 2
[ceilings.nvidia-h200]
memory_mib = 1000
[ceilings.cuda]
memory_mib = 2000
"""


def read(tmp_path: Path, text: str) -> Card:
    path = tmp_path / "model.toml"
    path.write_text(text, encoding="utf-8")
    return read_card(path, root=tmp_path, engines=ENGINES)


def test_a_card_holds_what_it_says(tmp_path: Path) -> None:
    """The id is the file's name; a whole number may stand for seconds."""
    card = read(tmp_path, GOOD)
    assert (card.id, card.engine, card.expected_forwards) == ("model", "scripted", 16)
    assert dict(card.call) == {"num_inference_steps": 8, "true_cfg_scale": 4.0}
    assert card.negative_prompt["en"] == " "
    assert card.ceilings_on("cpu-amd-epyc").seconds_per_image == 2.0


def test_the_accelerators_own_ceiling_comes_before_that_of_its_kind(tmp_path: Path) -> None:
    """An unknown GPU takes the table of all GPUs; a card without any has no limits."""
    card = read(tmp_path, GOOD)
    assert card.ceilings_on("nvidia-h200").memory_mib == 1000
    assert card.ceilings_on("nvidia-l4").memory_mib == 2000
    floored = read(tmp_path, GOOD.replace("seconds_per_image = 2", "seconds_per_image = 2\ncompute_floor_seconds = 0.5"))
    assert floored.ceilings_on("cpu-amd-epyc").compute_floor_seconds == 0.5
    assert card.ceilings_on("cpu-amd-epyc").compute_floor_seconds is None
    bare = read(tmp_path, GOOD.split("[ceilings.cpu]", maxsplit=1)[0])
    assert bare.ceilings_on("nvidia-l4").memory_mib is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('engine = "scripted"', 'engine = "scriptd"'), "did you mean 'scripted'"),
        (('tasks = ["toys"]', ""), "add `tasks = …`"),
        (("usability_floor = 0.5", "usability_floor = 50"), "between 0 and 1"),
        (("expected_forwards = 16", "expected_forwards = 0"), "between 1 and"),
        (("seconds_per_image = 2", "seconds_an_image = 2"), "did you mean `seconds_per_image`"),
        (("seconds_per_image = 2", "seconds_per_image = 2\ncompute_floor_seconds = 3"), "below seconds_per_image = 2"),
        (("seconds_per_image = 2", "compute_floor_seconds = -1"), "between 0 and"),
        (("num_inference_steps = 8", "num_inference_steps = [8]"), "a string, number or true/false"),
        (('en = " "', 'fr = " "'), "unknown key"),
        (('judge = { source = "scripted" }', 'judge = { source = "nowhere" }'), "open_clip_config.json"),
        (('judge = { source = "scripted" }', 'judge = { source = "../judge" }'), "inside the project"),
        (('source = "scripted"\n', 'source = "scripted"\ndtype = { cuda = "fp16" }\n'), "dtype.cuda"),
        (('source = "scripted"\n', 'source = "scripted"\ncolour = "red"\n'), "unknown key"),
    ],
)
def test_every_mistake_is_a_clear_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """Each error names the file, the rule and the remedy."""
    with pytest.raises(UserError) as caught:
        read(tmp_path, GOOD.replace(*change, 1))
    text = str(caught.value)
    assert message in text
    assert "model.toml" in text
    assert "rule:" in text
    assert "remedy:" in text


@pytest.mark.parametrize("source", ["weights/none", "../elsewhere", "/etc"])
def test_a_local_source_must_exist_inside_the_project(tmp_path: Path, source: str) -> None:
    """A path that leaves the project is refused before anybody looks whether it exists."""
    text = GOOD.replace('engine = "scripted"\nsource = "scripted"', f'engine = "diffusers"\nsource = "{source}/x/y"')
    with pytest.raises(UserError, match="source"):
        read(tmp_path, text)


def test_a_hub_id_is_taken_as_it_is(tmp_path: Path) -> None:
    """`owner/name` that is no folder here is a Hub id; nothing is looked up while reading."""
    card = read(tmp_path, GOOD.replace('engine = "scripted"\nsource = "scripted"', 'engine = "diffusers"\nsource = "Qwen/Qwen-Image-2512"'))
    assert card.source == "Qwen/Qwen-Image-2512"


def test_a_missing_folder_of_cards_says_where_to_set_it(tmp_path: Path) -> None:
    """The remedy names the table in pyproject.toml."""
    with pytest.raises(UserError, match=r"tool\.swapgate"):
        read_cards(tmp_path / "none", root=tmp_path, engines=ENGINES)


def test_the_recipe_changes_with_the_call_and_not_with_the_title(tmp_path: Path) -> None:
    """A cohort is what was declared about loading and calling."""
    card = read(tmp_path, GOOD)
    assert read(tmp_path, GOOD + "\n").recipe() == card.recipe()
    assert read(tmp_path, 'title = "x"' + GOOD).recipe() == card.recipe()
    assert read(tmp_path, GOOD.replace("num_inference_steps = 8", "num_inference_steps = 9")).recipe() != card.recipe()


@pytest.mark.parametrize("figure", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("table", ["call", "options"])
def test_what_a_pipeline_is_called_with_is_finite(tmp_path: Path, figure: str, table: str) -> None:
    """A request is hashed as JSON, which has no word for it."""
    with pytest.raises(UserError, match=rf"{table}\.strength = {figure}") as caught:
        read(tmp_path, f"{GOOD.partition('[call]')[0]}[{table}]\nstrength = {figure}\n")
    assert caught.value.rule == "a finite number"


def test_a_stage_may_stand_still_for_less_than_the_whole_call(tmp_path: Path) -> None:
    """A limit that the whole time-out would always come before could never act."""
    assert read(tmp_path, GOOD).stall_seconds is None
    assert read(tmp_path, "stall_seconds = 20\n" + GOOD).stall_seconds == 20
    with pytest.raises(UserError, match="below timeout_seconds = 600, which ends the call anyway"):
        read(tmp_path, "stall_seconds = 600\n" + GOOD)
