"""Tasks: families, defaults, and every mistake with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.errors import UserError
from swapgate.tasks import choose, read_family, read_tasks

GOOD = """
width = 64
height = 64
seeds = [1, 2, 3]
reworded_seeds = [1]
rewordings = 2

[[task]]
id = "cup"
prompts = { en = "a red cup", zh = "红色的杯子" }
[[task.facets]]
name = "colour"
en = ["a red cup", "a blue cup"]
zh = ["红色的杯子", "蓝色的杯子"]

[[task]]
id = "cat"
prompts = { en = "a cat" }
seeds = [7]
reworded_seeds = []
usability_floor = 0.25
"""


def write(folder: Path, text: str, name: str = "toys") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task_takes_what_its_family_sets_unless_it_says_otherwise(tmp_path: Path) -> None:
    """Seeds, size and protocol are set once."""
    cup, cat = read_family(write(tmp_path, GOOD))
    assert (cup.family, cup.seeds, cup.width, cup.rewordings) == ("toys", (1, 2, 3), 64, 2)
    assert (cat.seeds, cat.usability_floor, list(cat.prompts)) == ((7,), 0.25, ["en"])
    assert (cup.protocol.images_per_round, cup.protocol.counted_index) == (1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds = [1, 2, 3]", "seeds = [1, 2, 2]"), "do not repeat"),
        (("seeds = [1, 2, 3]", "seeds = [-1]"), "whole numbers"),
        (("reworded_seeds = [1]", "reworded_seeds = [9]"), "subset of seeds"),
        (("width = 64", "width = 70"), "write 64 or 80"),
        (("width = 64", ""), "width and height"),
        (('id = "cup"', 'id = "cup/1"'), "letters, digits and hyphens"),
        (('id = "cup"', 'id = "all"'), "pool of all tasks"),
        (('id = "cat"', 'id = "cup"'), "used once"),
        (('prompts = { en = "a cat" }', "prompts = {}"), "a prompt in at least one"),
        (('prompts = { en = "a cat" }', 'prompts = { en = "  " }'), "not empty"),
        (('prompts = { en = "a cat" }', 'prompts = { de = "Katze" }'), "unknown key"),
        (('en = ["a red cup", "a blue cup"]', 'en = ["a red cup"]'), "at least one different counterfactual"),
        (('zh = ["红色的杯子", "蓝色的杯子"]', ""), "add `zh = …`"),
        (("rewordings = 2", 'rewordings = 2\nchecks = ["beauty"]'), "checks out of"),
        (("rewordings = 2", "rewordings = 2\nchecks = []"), "at least one check"),
        (("seeds = [7]", "seeds = [7]\nchecks = []"), "at least one check"),
        (("seeds = [7]", 'seeds = [7]\nchecks = ["facets"]'), "this task has no facets"),
        (("rewordings = 2", 'rewordings = 2\nchecks = ["facets"]'), "this task has no facets"),
        (("rewordings = 2", "rewordings = 2\nimages_per_round = 2\ncounted_index = 2"), "below images_per_round"),
        (("rewordings = 2", "rewording = 2"), "did you mean `rewordings`"),
        (("seeds = [7]", "seeds = []"), "at least one seed"),
        (("seeds = [7]", 'seeds = [7]\nchecks = ["text"]'), "this task has no text"),
        (("seeds = [7]", 'seeds = [7]\nchecks = ["health"]\ntext = { en = "CAT" }'), '"text" among them'),
        (("seeds = [7]", 'seeds = [7]\ntext = { en = "‘’ !" }'), "a letter or a digit"),
        (("seeds = [7]", 'seeds = [7]\ntext = { zh = "猫" }'), "add `en = …`"),
        (("seeds = [7]", 'seeds = [7]\ntext = { en = "CAT", zh = "猫" }'), "unknown key"),
    ],
)
def test_every_mistake_is_a_clear_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """Each error names file, rule and remedy."""
    with pytest.raises(UserError) as caught:
        read_family(write(tmp_path, GOOD.replace(*change, 1)))
    assert message in str(caught.value)
    assert "toys.toml" in str(caught.value)
    assert "remedy:" in str(caught.value)


def test_an_id_used_in_two_families_is_refused(tmp_path: Path) -> None:
    """Task ids name cells, baselines and options, so they are unique across families."""
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "more")
    with pytest.raises(UserError, match="a task id is used once"):
        read_tasks(tmp_path)


def test_choosing_names_what_exists(tmp_path: Path) -> None:
    """A task of another family is not chosen; an unknown one suggests the nearest."""
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace('"cup"', '"dog"').replace('"cat"', '"owl"'), "more")
    tasks = read_tasks(tmp_path)
    assert [task.id for task in choose(tasks, ("toys",), (), where="card")] == ["cup", "cat"]
    assert [task.id for task in choose(tasks, ("toys",), ("cat", "owl"), where="card")] == ["cat"]
    with pytest.raises(UserError, match="did you mean 'cup'"):
        choose(tasks, ("toys",), ("cupp",), where="card")
    with pytest.raises(UserError, match="a task family"):
        choose(tasks, ("nothing",), (), where="card")


def test_the_bundled_families_are_complete() -> None:
    """The comparison's six tasks and five workflows stand word for word, and the stand-ins have six of their own."""
    tasks = read_tasks(Path(__file__).parents[2] / "fixtures" / "tasks")
    article = {task.prompts["zh"] for task in tasks.values() if task.family == "article"}
    assert {
        "写实人像（亚洲女性，室内自然光）",
        "产品图（白色陶瓷杯，木桌，柔焦背景）",
        "创意场景（机械蝴蝶停在古籍书页上）",
        "一只橘猫坐在窗台，窗外有梧桐树和阳光，风格：水彩",
        "海报上写‘夏日限定’四个字",
        "一位穿靛蓝扎染衬衫的年轻设计师，坐在开放式咖啡馆靠窗位，手边摊开速写本，窗外是春日梧桐街景，柔焦，胶片质感，富士胶片 Pro 400H 扫描效果",
        "商品图增强",
        "写实人像生成",
        "中文提示直出",
        "多风格切换",
        "细节强化",
    } == article
    standin = [task for task in tasks.values() if task.family == "standin"]
    assert len(standin) >= 6
    assert all(set(task.prompts) == {"en", "zh"} and len(task.seeds) >= 5 for task in standin)


def test_a_text_that_must_be_readable_is_given_for_every_prompt(tmp_path: Path) -> None:
    """By the prompt's language; a task without one asks for none."""
    cup, cat = read_family(write(tmp_path, GOOD.replace("seeds = [7]", 'seeds = [7]\ntext = { en = "CAT" }')))
    assert dict(cup.text) == {}
    assert dict(cat.text) == {"en": "CAT"}


def test_the_articles_poster_asks_for_its_four_characters() -> None:
    """In both languages, and the check is required."""
    poster = next(task for task in read_family(Path(__file__).parents[2] / "fixtures" / "tasks" / "article.toml") if task.id == "article-text")
    assert dict(poster.text) == {"zh": "夏日限定", "en": "夏日限定"}
    assert "text" in poster.checks
    assert all("夏日限定" in prompt for prompt in poster.prompts.values())
