"""Cards: what is read, and every mistake with its remedy, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.card_parts import Control, Lora, Quantisation, Refiner
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


@pytest.mark.parametrize("name", ["a model", "模型", "-x", ".hidden", "to\u202ey", "a\x1b[2J"])
def test_a_name_that_no_baseline_could_have_is_refused_before_a_run(tmp_path: Path, name: str) -> None:
    """Not when the run is judged, after all its images are made."""
    path = tmp_path / f"{name}.toml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_card(path, root=tmp_path, engines=ENGINES)
    assert (caught.value.where, caught.value.value) == (str(tmp_path), f"{name}.toml")
    assert "rename the file" in str(caught.value)


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


PARTS = """
weights = "dry"
architecture = "flux-1-dev"
download_gib = 31.4
gated = true
references = ["https://example.org/model"]
sizes = [[1328, 1328], [1664, 928]]
[scheduler]
base_shift = 1.1
shift_terminal = "none"
[[lora]]
source = "some/lora"
weight_name = "style.safetensors"
adapter = "style"
scale = 0.8
[[lora]]
source = "other/lora"
[control]
source = "some/control"
model = "FluxControlNetModel"
image = "edges.png"
end = 0.8
[refiner]
source = "some/refiner"
pipeline = "FluxInpaintPipeline"
region = [0.25, 0, 0.75, 1]
prompt = "en"
[refiner.call]
strength = 0.35
guidance_scale = 3.5
[quantisation]
method = "nf4"
components = ["transformer", "text_encoder_2"]
"""
HEAD, TABLES = GOOD.partition("[call]")[0], "[call]" + GOOD.partition("[call]")[2]


def with_parts(tmp_path: Path, *change: str) -> Card:
    """A card with every part, one thing in it changed."""
    (tmp_path / "edges.png").write_bytes(b"")
    (tmp_path / "model.gguf").write_bytes(b"")
    text = PARTS.replace(*change, 1) if change else PARTS
    assert not change or text != PARTS
    return read(tmp_path, HEAD + text + TABLES)


def test_a_card_holds_the_parts_that_it_names(tmp_path: Path) -> None:
    """Each with its defaults; an adapter without a name gets one."""
    card = with_parts(tmp_path)
    parts = card.parts
    assert (card.dry, card.gated, card.architecture, card.download_gib) == (True, True, "flux-1-dev", 31.4)
    assert (card.references, card.sizes) == (("https://example.org/model",), ((1328, 1328), (1664, 928)))
    assert dict(parts.scheduler) == {"base_shift": 1.1, "shift_terminal": "none"}
    assert parts.loras == (
        Lora(source="some/lora", weight_name="style.safetensors", adapter="style", scale=0.8),
        Lora(source="other/lora", adapter="card2"),
    )
    assert parts.control == Control(source="some/control", model="FluxControlNetModel", image="edges.png", end=0.8)
    call = {"guidance_scale": 3.5, "strength": 0.35}
    assert parts.refiner == Refiner(source="some/refiner", pipeline="FluxInpaintPipeline", region=(0.25, 0.0, 0.75, 1.0), prompt="en", call=call)
    assert parts.quantisation == Quantisation(method="nf4", components=("transformer", "text_encoder_2"))


def test_parts_belong_to_the_recipe_and_a_plain_card_has_none(tmp_path: Path) -> None:
    """What is loaded beside the model makes another cohort; where the facts are from does not."""
    plain, whole = read(tmp_path, GOOD), with_parts(tmp_path)
    assert set(whole.recipe()) - set(plain.recipe()) == {"loras", "control", "refiner", "quantisation", "scheduler", "weights"}
    assert with_parts(tmp_path, "scale = 0.8", "scale = 0.9").recipe() != whole.recipe()
    assert with_parts(tmp_path, "gated = true", "gated = false").recipe() == whole.recipe()


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (('weights = "dry"', 'weights = "drawn"'), "weights", "real, dry"),
        (('architecture = "flux-1-dev"', "architecture = 1"), "architecture", "a string"),
        (("download_gib = 31.4", "download_gib = -1"), "download_gib", "between 0 and"),
        (("gated = true", 'gated = "yes"'), "gated", "true or false"),
        (('["https://example.org/model"]', '"https://example.org/model"'), "references", "a list"),
        (('["https://example.org/model"]', '[""]'), "references", "non-empty strings"),
        (("sizes = [[1328, 1328], [1664, 928]]", "sizes = [1328, 1328]"), "sizes", "pairs of width and height"),
        (("sizes = [[1328, 1328], [1664, 928]]", "sizes = [[1328, 0]]"), "sizes", "pairs of width and height"),
        (("[1664, 928]", "[1664, 928, 3]"), "sizes", "pairs of width and height"),
        (("base_shift = 1.1", "base_shift = [1.1]"), "scheduler.base_shift", "a string, number or true/false"),
        (('source = "some/lora"\n', ""), "lora[0].source", "a string is required"),
        (("scale = 0.8", "scale = 1000"), "lora[0].scale", "between -100 and 100"),
        (('weight_name = "style.safetensors"', 'weights_name = "style.safetensors"'), "lora[0].weights_name", "did you mean `weight_name`"),
        (('source = "other/lora"', 'source = "other/lora"\nadaptor = "x"'), "lora[1].adaptor", "did you mean `adapter`"),
        (('model = "FluxControlNetModel"\n', ""), "control.model", "FluxControlNetModel"),
        (('image = "edges.png"', 'image = "none.png"'), "control.image", "a file that exists"),
        (("end = 0.8", "start = 0.9\nend = 0.8"), "control.end", "above start = 0.9"),
        (("end = 0.8", "scale = 11"), "control.scale", "between 0 and 10"),
        (('pipeline = "FluxInpaintPipeline"', 'pipeline = "FluxPipeline"'), "refiner.pipeline", "img2img or inpainting"),
        (('pipeline = "FluxInpaintPipeline"', 'pipeline = "FluxImg2ImgPipeline"'), "refiner.region", "none with any other"),
        (("region = [0.25, 0, 0.75, 1]\n", ""), "refiner.region", "four shares with an inpainting pipeline"),
        (("[0.25, 0, 0.75, 1]", "[0.75, 0, 0.25, 1]"), "refiner.region", "in that order"),
        (("[0.25, 0, 0.75, 1]", "[0.25, 0, 0.75]"), "refiner.region", "left, top, right, bottom"),
        (('prompt = "en"', 'prompt = "fr"'), "refiner.prompt", "same, en, zh"),
        (("strength = 0.35\n", ""), "refiner.call.strength", "must be given"),
        (("guidance_scale = 3.5\n", ""), "refiner.call.guidance_scale", "must be given"),
        (('method = "nf4"', 'method = "nf5"'), "quantisation.method", "did you mean 'nf4'"),
        (('method = "nf4"', 'method = "gguf"'), "quantisation.file", "the *.gguf file"),
        (('method = "nf4"', 'method = "gguf"\nfile = "model.gguf"'), "quantisation.components", "the transformer alone"),
        (('method = "nf4"\ncomponents = ["transformer", "text_encoder_2"]', 'method = "gguf"\nfile = "a/b"'), "quantisation.file", "a file that exists"),
        (('method = "nf4"', 'method = "torchao"'), "quantisation.kind", "configuration of torchao"),
        (('method = "nf4"', 'method = "nf4"\nkind = "Int8WeightOnlyConfig"'), "quantisation.kind", "nothing with any other"),
    ],
)  # fmt: skip
def test_every_mistake_in_a_part_is_a_clear_error(tmp_path: Path, change: tuple[str, str], key: str, message: str) -> None:
    """File, key, rule and remedy."""
    with pytest.raises(UserError) as caught:
        with_parts(tmp_path, *change)
    assert caught.value.key == key
    assert message in str(caught.value)
    assert caught.value.remedy


def test_a_stage_may_not_stand_still_longer_than_its_call(tmp_path: Path) -> None:
    """The call's own limit would end it anyway."""
    assert read(tmp_path, "timeout_seconds = 60\nstall_seconds = 30\n" + GOOD).stall_seconds == 30
    with pytest.raises(UserError, match="below timeout_seconds = 60"):
        read(tmp_path, "timeout_seconds = 60\nstall_seconds = 60\n" + GOOD)
