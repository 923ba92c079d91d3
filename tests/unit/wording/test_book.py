"""Reading approved edits, with every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.errors import UserError
from swapgate.wording import INNOCENCE, AppliedEdit, Kind, load

GOOD = """
keep = ["orange juice"]
[synonyms.objects]
cup = ["mug", "beaker"]
[synonyms.colours]
red = ["scarlet"]
[clauses]
openings = ["on"]
relations = ["left of"]
[[wrapper]]
id = "please"
before = "Please: "
[[suffix]]
id = "sharp"
text = ", sharp"
"""


def write(folder: Path, text: str, name: str = "en.toml") -> Path:
    """A wording folder with one file."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_reads_all_classes(tmp_path: Path) -> None:
    """Every entry becomes an edit of its kind, most innocent kind first."""
    edits = load(write(tmp_path, GOOD)).of("en")
    names = [edit.id for edit in edits]
    assert {
        "cup→mug",
        "cup→beaker",
        "red→scarlet",
        "please",
        "sharp",
        "clauses swapped",
        "full stop added",
    } <= set(names)
    ranks = [INNOCENCE.index(edit.kind) for edit in edits]
    assert ranks == sorted(ranks)


def test_a_language_without_a_file_has_no_edits(tmp_path: Path) -> None:
    """Nothing is approved for it."""
    assert load(write(tmp_path, GOOD)).of("zh") == ()


def test_approval_by_kind_and_by_edit(tmp_path: Path) -> None:
    """A prompt's own list narrows the book."""
    book = load(write(tmp_path, GOOD))
    assert {edit.kind for edit in book.of("en", ["synonym"])} == {Kind.SYNONYM}
    assert [edit.id for edit in book.of("en", ["synonym: cup→mug", "quality suffix"])] == ["cup→mug", "sharp"]
    assert book.of("en", []) == ()


def test_unknown_approval_names_the_rule(tmp_path: Path) -> None:
    """A misspelt kind would silently approve nothing."""
    with pytest.raises(UserError, match="synonyms") as caught:
        load(write(tmp_path, GOOD)).of("en", ["synonyms"])
    assert "synonym" in caught.value.rule


def test_labels_are_read_back(tmp_path: Path) -> None:
    """`str` and `parse` are inverse for every edit of the book."""
    book = load(write(tmp_path, GOOD))
    for edit in book.of("en"):
        for place in (0, 11):
            applied = AppliedEdit(edit=edit, place=place)
            assert book.parse(str(applied), "en") == applied
    assert str(AppliedEdit(edit=book.of("en", ["synonym: cup→mug"])[0], place=1)) == "synonym: cup→mug @2"


@pytest.mark.parametrize("label", ["synonym: cup→mug @0", "synonym: cup→mug", "synonym: cup→jug @1", "", "synonym: cup→mug @x"])
def test_unknown_labels_are_refused(tmp_path: Path, label: str) -> None:
    """Places begin at 1, and the edit must be in the book."""
    with pytest.raises(UserError):
        load(write(tmp_path, GOOD)).parse(label, "en")


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ("keeps = []", "keeps", "unknown key"),
        ('[clauses]\nopening = ["on"]', "clauses.opening", "unknown key"),
        ('[synonyms.a]\ncup = ["mug"]\n[synonyms.b]\nCup = ["mug"]', "synonyms.b.Cup", "one class"),
        ('[synonyms.a]\ncup = ["mug", "Mug"]', "synonyms.a.cup", "once"),
        ('[synonyms.a]\ncup = ["Cup"]', "synonyms.a.cup", "differs"),
        ('[synonyms.a]\ncup = [""]', "synonyms.a.cup", "non-empty"),
        ("[synonyms.a]\ncup = []", "synonyms.a.cup", "at least one"),
        ('[synonyms.a]\ncup = [" mug"]', "synonyms.a.cup", "no space"),
        ('[synonyms.a]\ncup = ["‘mug’"]', "synonyms.a.cup", "quotation"),
        ('[synonyms.a]\ncup = "mug"', "synonyms.a.cup", "list"),
        ('[synonyms]\ncup = ["mug"]', "synonyms.cup", "table"),
        ('keep = ["cup"]\n[synonyms.a]\ncup = ["mug"]', "keep", "once"),
        ('[[wrapper]]\nid = "a"\nbefore = "x "\nafterwards = ""', "wrapper[0].afterwards", "unknown key"),
        ('[[wrapper]]\nid = "a"\nbefore = ""', "wrapper[0].before", "in front"),
        ('[[wrapper]]\nid = "a"\nbefore = "x "\n[[wrapper]]\nid = "a"\nbefore = "y "', "wrapper", "once"),
        ('[[suffix]]\nid = "a"\ntext = ", "', "suffix[0].text", "words"),
        ('[[suffix]]\nid = "a @1"\ntext = ", sharp"', "suffix[0].id", "readable"),
        ('[[suffix]]\ntext = ", sharp"', "suffix[0].id", "required"),
    ],
)
def test_mistakes_name_file_key_and_rule(tmp_path: Path, text: str, key: str, rule: str) -> None:
    """Each mistake is one error that says where it is and what would be right."""
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, text))
    assert caught.value.key == key
    assert rule in caught.value.rule
    assert caught.value.where.endswith("en.toml")
    assert caught.value.remedy


def test_a_file_of_no_language_is_refused(tmp_path: Path) -> None:
    """A misnamed file would silently approve nothing."""
    with pytest.raises(UserError, match=r"english\.toml"):
        load(write(tmp_path, GOOD, "english.toml"))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """Without a book there is no rewording."""
    with pytest.raises(UserError, match="must exist"):
        load(tmp_path / "wording")


def test_apostrophes_are_allowed(tmp_path: Path) -> None:
    """An apostrophe between letters is no quotation mark."""
    book = load(write(tmp_path, '[synonyms.a]\nbouquet = ["bride\'s flowers"]'))
    assert book.of("en", ["synonym"])[0].apply("a bouquet", 0) == "a bride's flowers"
