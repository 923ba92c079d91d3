"""English words and wordings for scenes.

Every value has two to four synonyms; the first is the canonical one. No synonym says anything about another
attribute (a "kitten" would be small), and a caption says only what the scene holds.
"""

from __future__ import annotations

from random import Random

from swapgate.standins.scene import Scene

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "person": (("woman", "women"), ("person", "people"), ("lady", "ladies")),
    "cup": (("cup", "cups"), ("mug", "mugs"), ("teacup", "teacups"), ("ceramic cup", "ceramic cups")),
    "butterfly": (("butterfly", "butterflies"), ("winged butterfly", "winged butterflies")),
    "cat": (("cat", "cats"), ("sitting cat", "sitting cats"), ("house cat", "house cats")),
    "book": (("book", "books"), ("hardback book", "hardback books"), ("closed book", "closed books")),
    "leaf": (("leaf", "leaves"), ("tree leaf", "tree leaves")),
    "lamp": (("lamp", "lamps"), ("table lamp", "table lamps"), ("desk lamp", "desk lamps")),
    "fish": (("fish", "fish"), ("round fish", "round fish"), ("swimming fish", "swimming fish")),
    "flower": (("flower", "flowers"), ("blossom", "blossoms"), ("blooming flower", "blooming flowers")),
    "house": (("house", "houses"), ("country house", "country houses"), ("home", "homes")),
    "boat": (("boat", "boats"), ("sailing boat", "sailing boats"), ("sailboat", "sailboats")),
    "umbrella": (("umbrella", "umbrellas"), ("open umbrella", "open umbrellas"), ("brolly", "brollies")),
}

WORDS: dict[str, dict[str | int, tuple[str, ...]]] = {
    "colour": {
        "red": ("red", "crimson", "scarlet"),
        "orange": ("orange", "tangerine"),
        "yellow": ("yellow", "lemon yellow", "bright yellow"),
        "green": ("green", "emerald", "deep green"),
        "turquoise": ("turquoise", "teal", "cyan"),
        "blue": ("blue", "royal blue", "cobalt"),
        "purple": ("purple", "violet"),
        "pink": ("pink", "rose pink", "rosy"),
        "brown": ("brown", "chestnut", "chocolate brown"),
        "white": ("white", "snow-white", "pure white"),
    },
    "background": {
        "studio": ("in front of a studio backdrop", "against a grey studio background", "in a photo studio"),
        "table": ("on a wooden table", "on a wooden tabletop", "on a table made of wood"),
        "window": ("by a sunlit window", "in front of a sunny window", "at a window with sunlight"),
        "night": ("under a starry night sky", "at night under the stars", "against the night sky"),
        "meadow": ("in a green meadow", "on a meadow", "in a grassy field", "on spring grass"),
    },
    "position": {
        "centre": ("in the centre", "in the middle", "at the centre of the picture"),
        "left": ("on the left", "on the left side", "to the left of the picture"),
        "right": ("on the right", "on the right side", "to the right of the picture"),
        "top": ("at the top", "in the upper part", "near the top of the picture"),
        "bottom": ("at the bottom", "in the lower part", "near the bottom of the picture"),
    },
    "size": {
        "small": ("small", "little", "tiny"),
        "medium": ("medium-sized", "middle-sized"),
        "large": ("large", "big", "huge"),
    },
    "count": {
        1: ("a", "one", "a single"),
        2: ("two", "2", "a pair of"),
        3: ("three", "3", "a group of three"),
    },
    "finish": {
        "flat": ("flat illustration", "clean flat style", "plain digital drawing"),
        "grain": ("film grain", "grainy film look", "vintage film photo", "analogue film texture"),
        "watercolour": (
            "watercolour painting",
            "watercolour style",
            "painted in watercolour",
            "style: watercolour",
        ),
    },
}

OPENINGS = (
    "",
    "",
    "",
    "",
    "A picture of ",
    "An image of ",
    "Please draw ",
    "Draw ",
    "Create an image of ",
    "Show ",
)
ENDINGS = (".", ".", "", "")
ORDERS = ("npbf", "nbpf", "nbpf", "bnpf", "fnbp", "pnbf", "npfb", "fbnp")
"""Clause orders: n the objects, b background, p position, f finish. A clause keeps its words in order."""
NARROW_ORDERS = ("nbpf", "fnbp")
SUFFIX = "Ultra HD, 4K, cinematic composition."


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" or word.startswith("umbrella") else "a"


def objects(scene: Scene, say: dict[str, bool], words: dict[str, int]) -> str:
    """The objects with count, size and colour: "two small red cups", "a woman in red".

    Args:
        scene: what to name.
        say: whether to mention an attribute that has its default value.
        words: for each attribute, which synonym (taken modulo the number of synonyms).
    """
    nouns = NOUNS[scene.object]
    noun = nouns[words["object"] % len(nouns)][scene.count > 1]
    colour = pick("colour", scene.colour, words)
    size = pick("size", scene.size, words) if say["size"] else ""
    if scene.object == "person":
        dress = ("in", "wearing", "dressed in")[words["dress"] % 3]
        head = [size, noun, dress, colour]
    else:
        head = [size, colour, noun]
    phrase = " ".join(part for part in head if part)
    count = pick("count", scene.count, words) if say["count"] or scene.count > 1 else "a"
    return f"{_article(phrase) if count == 'a' else count} {phrase}"


def pick(attribute: str, value: str | int, words: dict[str, int]) -> str:
    """The chosen synonym of a value."""
    choices = WORDS[attribute][value]
    return choices[words[attribute] % len(choices)]


def compose(scene: Scene, say: dict[str, bool], words: dict[str, int], rng: Random | None, narrow: bool) -> str:
    """A caption without suffix; rng None is the canonical wording."""
    clauses = {"n": objects(scene, say, words)}
    for key, attribute in (("b", "background"), ("p", "position"), ("f", "finish")):
        if say[attribute]:
            clauses[key] = pick(attribute, getattr(scene, attribute), words)
    order, opening, ending, separator = "nbpf", "", ".", ", "
    if rng is not None:
        order = rng.choice(NARROW_ORDERS if narrow else ORDERS)
    if rng is not None and not narrow:
        opening, ending = rng.choice(OPENINGS), rng.choice(ENDINGS)
        order = order if not opening else "n" + order.replace("n", "")
        separator = rng.choice((", ", ", ", " | ", "; "))
    text = separator.join(clauses[key] for key in order if key in clauses)
    if "b" in clauses and (rng is None or narrow or rng.random() < 0.6):
        text = text.replace(f"{clauses['n']}{separator}{clauses['b']}", f"{clauses['n']} {clauses['b']}")
    text = opening + text
    if rng is None or narrow or rng.random() < 0.7:
        text = text[0].upper() + text[1:]
    return text + ending


def facet(scene: Scene, attribute: str) -> str:
    """A short statement of one attribute, such as "the cup is red"."""
    one, many = NOUNS[scene.object][0]
    noun, verb = (one, "is") if scene.count == 1 else (many, "are")
    word = "" if attribute == "object" else WORDS[attribute][getattr(scene, attribute)][0]
    if attribute == "object":
        return f"a picture of {_article(one)} {one}" if scene.count == 1 else f"a picture of {many}"
    if attribute == "count":
        return f"there is one {one}" if scene.count == 1 else f"there are {word} {many}"
    if attribute == "finish":
        return f"the picture is a {word}" if word != "film grain" else "the picture has film grain"
    if attribute == "colour" and scene.object == "person":
        return f"the {noun} {verb} dressed in {word}"
    return f"the {noun} {verb} {word}"
