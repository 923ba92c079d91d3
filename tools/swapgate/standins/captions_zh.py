"""Chinese words and wordings for scenes; the counterpart of `captions_en` with the same functions."""

from __future__ import annotations

from random import Random

from swapgate.standins.scene import Scene

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "person": (("女子", "个"), ("人", "个"), ("女性", "位"), ("人物", "位")),
    "cup": (("杯子", "只"), ("陶瓷杯", "个"), ("茶杯", "只"), ("马克杯", "个")),
    "butterfly": (("蝴蝶", "只"), ("彩蝶", "只")),
    "cat": (("猫", "只"), ("猫咪", "只"), ("坐着的猫", "只")),
    "book": (("书", "本"), ("书本", "本"), ("精装书", "本")),
    "leaf": (("叶子", "片"), ("树叶", "片")),
    "lamp": (("台灯", "盏"), ("灯", "盏"), ("桌灯", "盏")),
    "fish": (("鱼", "条"), ("游鱼", "条")),
    "flower": (("花", "朵"), ("鲜花", "朵"), ("花朵", "朵")),
    "house": (("房子", "座"), ("房屋", "栋"), ("屋子", "间")),
    "boat": (("帆船", "艘"), ("船", "条"), ("船只", "艘")),
    "umbrella": (("雨伞", "把"), ("伞", "把"), ("撑开的伞", "把")),
}
"""Nouns with their measure words."""

WORDS: dict[str, dict[str | int, tuple[str, ...]]] = {
    "colour": {
        "red": ("红色", "正红色", "鲜红色"),
        "orange": ("橙色", "橘色", "橘黄色"),
        "yellow": ("黄色", "柠檬黄色", "明黄色"),
        "green": ("绿色", "翠绿色", "深绿色"),
        "turquoise": ("青色", "青绿色", "绿松石色"),
        "blue": ("蓝色", "宝蓝色", "湛蓝色"),
        "purple": ("紫色", "紫罗兰色"),
        "pink": ("粉色", "粉红色", "玫粉色"),
        "brown": ("棕色", "褐色", "咖啡色"),
        "white": ("白色", "雪白色", "纯白色"),
    },
    "background": {
        "studio": ("在影棚背景前", "在灰色背景前", "在摄影棚里"),
        "table": ("在木桌上", "在木质桌面上", "在木头桌子上"),
        "window": ("在阳光窗边", "在洒满阳光的窗前", "在窗前，窗外有阳光"),
        "night": ("在星空下", "在夜晚的星空下", "在夜空下"),
        "meadow": ("在草地上", "在绿色草地上", "在春天的草地上", "在青青草地上"),
    },
    "position": {
        "centre": ("在画面中央", "在画面正中", "居中"),
        "left": ("在画面左侧", "在左边", "位于画面左边"),
        "right": ("在画面右侧", "在右边", "位于画面右边"),
        "top": ("在画面上方", "在上面", "位于画面顶部"),
        "bottom": ("在画面下方", "在下面", "位于画面底部"),
    },
    "size": {
        "small": ("小小的", "小型", "很小的"),
        "medium": ("中等大小的", "不大不小的"),
        "large": ("大大的", "大型", "很大的"),
    },
    "count": {1: ("一", "1"), 2: ("两", "2"), 3: ("三", "3")},
    "finish": {
        "flat": ("扁平插画", "平涂风格", "干净的数码插画"),
        "grain": ("胶片颗粒", "胶片质感", "复古胶片照片"),
        "watercolour": ("水彩画", "水彩风格", "用水彩绘制", "风格：水彩"),
    },
}

BARE = {
    "studio": ("影棚背景", "灰色影棚背景"),
    "table": ("木桌", "木桌背景"),
    "window": ("阳光窗边", "窗外有阳光"),
    "night": ("星空", "夜空背景"),
    "meadow": ("草地", "草地背景"),
}
"""Backgrounds as a bare item of a list."""

OPENINGS = ("", "", "", "", "请画一张图：", "画", "请画", "一张图片：", "生成图片：", "帮我画")
ENDINGS = ("。", "。", "", "")
ORDERS = ("npbf", "nbpf", "nbpf", "bnpf", "fnbp", "pnbf", "npfb", "fbnp")
NARROW_ORDERS = ("nbpf", "fnbp")
SUFFIX = "超清，4K，电影级构图。"


def pick(attribute: str, value: str | int, words: dict[str, int]) -> str:
    """The chosen synonym of a value."""
    choices = WORDS[attribute][value]
    return choices[words[attribute] % len(choices)]


def objects(scene: Scene, say: dict[str, bool], words: dict[str, int]) -> str:
    """The objects with count, measure word, size and colour: 两只小小的红色的杯子, 一个穿红色衣服的女子.

    Args as `captions_en.objects`; `words["dress"]` also chooses whether 的 stands between colour and noun.
    """
    nouns = NOUNS[scene.object]
    noun, measure = nouns[words["object"] % len(nouns)]
    colour = pick("colour", scene.colour, words)
    size = pick("size", scene.size, words) if say["size"] else ""
    if scene.object == "person":
        colour = ("穿{}衣服的", "身穿{}上衣的", "穿着{}衣服的")[words["dress"] % 3].format(colour)
    elif words["dress"] % 2 == 0:
        colour += "的"
    number = pick("count", scene.count, words) + measure if say["count"] or scene.count > 1 else ""
    return f"{number}{size}{colour}{noun}"


def compose(scene: Scene, say: dict[str, bool], words: dict[str, int], rng: Random | None, narrow: bool) -> str:
    """A caption without suffix; rng None is the canonical wording."""
    clauses = {"n": objects(scene, say, words)}
    for key, attribute in (("b", "background"), ("p", "position"), ("f", "finish")):
        if say[attribute]:
            clauses[key] = pick(attribute, getattr(scene, attribute), words)
    order, opening, ending, separator, joined = "nbpf", "", "。", "，", True
    if rng is not None:
        order = rng.choice(NARROW_ORDERS if narrow else ORDERS)
    if rng is not None and not narrow:
        opening, ending = rng.choice(OPENINGS), rng.choice(ENDINGS)
        order = order if not opening else "n" + order.replace("n", "")
        separator, joined = rng.choice(("，", "，", ",", " ", "")), rng.random() < 0.5
        if not joined and "b" in clauses and rng.random() < 0.5:
            bare = BARE[scene.background]
            clauses["b"] = bare[words["background"] % len(bare)]
            separator = separator or "，"
    text = separator.join(clauses[key] for key in order if key in clauses)
    if joined and "b" in clauses:
        text = text.replace(f"{clauses['n']}{separator}{clauses['b']}", clauses["n"] + clauses["b"])
        text = text.replace(f"{clauses['b']}{separator}{clauses['n']}", f"{clauses['b']}有{clauses['n']}")
    return opening + text + ending


def facet(scene: Scene, attribute: str) -> str:
    """A short statement of one attribute, such as 红色的杯子."""
    noun, measure = NOUNS[scene.object][0]
    if attribute == "object":
        return f"画里有{noun}"
    word = WORDS[attribute][getattr(scene, attribute)][0]
    if attribute == "colour":
        return f"穿{word}衣服的{noun}" if scene.object == "person" else f"{word}的{noun}"
    if attribute == "count":
        return f"{word}{measure}{noun}"
    if attribute == "size":
        return f"{word}{noun}"
    return word if attribute == "finish" else f"{noun}{word}"
