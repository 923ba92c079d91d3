"""The approved edits of a project: fixtures/wording/<language>.toml, read once into a `WordingBook`.

One file a language:

    keep = ["film grain"]                 words that are known and never replaced
    [synonyms.objects]                    any number of classes; the class is for the reader
    cup = ["mug"]
    [clauses]
    openings = ["on", "with"]             a clause that begins so depends on what stands before it
    relations = ["left of"]               a clause that has this anywhere is tied to another one
    positions = ["on the left"]           a clause that is exactly this says where in the picture
    looks = ["film grain"]                a clause that has this anywhere is about the whole picture
    [[wrapper]]                           id, before, after, starts, unless, without (see `frames.Wrapper`)
    [[suffix]]                            id, text

and, drawn only where a task names the class in `reword_by`:

    adjectives = ["small", "red"]         two of these side by side may change places
    [measures]                            Chinese: a noun and the measure words that it may be counted with
    "女子" = ["个", "位"]
    [homophones]                          a word and others that sound the same
    "窗台" = ["窗抬"]
    [[edit]]                              a replacement of the project's own: id, kind, old, new

Simplified and traditional characters, numerals, normal forms, articles, 的 and typos need no data. An own edit belongs to the
class that its `kind` names, and has to keep what that class keeps (`preserve.KEEPS`); of a class that is always drawn from it
is drawn, too. Whoever adds a line approves it: the pair must name the same picture in every prompt that it may meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from swapgate.cards import LANGUAGES
from swapgate.errors import UserError
from swapgate.reading import Table, load_toml
from swapgate.wording.clauses import Bindings, clause_edit
from swapgate.wording.edits import INNOCENCE, ON_REQUEST, AppliedEdit, Edit, Kind
from swapgate.wording.frames import Suffix, Wrapper, suffix_edit, wrapper_edit
from swapgate.wording.layout import layout_edits
from swapgate.wording.noise import homophone_edits, typo_edits
from swapgate.wording.preserve import KEEPS, clash
from swapgate.wording.quotes import MARKS
from swapgate.wording.script import script_edits
from swapgate.wording.small_words import adjective_edit, small_word_edits
from swapgate.wording.synonyms import synonym_edits
from swapgate.wording.whole import literal_edit, translation_edits

_APOSTROPHES = frozenset("'’")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """What one language's file says. `synonyms` maps a word to its replacements, in file order."""

    language: str
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    keep: tuple[str, ...] = ()
    bindings: Bindings = field(default_factory=Bindings)
    wrappers: tuple[Wrapper, ...] = ()
    suffixes: tuple[Suffix, ...] = ()
    adjectives: tuple[str, ...] = ()
    measures: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    homophones: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    own: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingBook:
    """All approved edits of a project, by language, most innocent first."""

    edits: Mapping[str, tuple[Edit, ...]]
    where: str = "fixtures/wording"

    def of(self, language: str, approved: Iterable[str] | None = None) -> tuple[Edit, ...]:
        """The edits of a language.

        Args:
            language: "en" or "zh"; one without a file has no edits.
            approved: keep only these, each the name of a kind ("synonym") or of an edit ("synonym: cup→mug");
                None keeps all but the kinds of ON_REQUEST. UserError for a name that the language does not have.
        """
        edits = self.edits.get(language, ())
        if approved is None:
            return tuple(edit for edit in edits if edit.kind not in ON_REQUEST)
        wanted = tuple(approved)
        known = {kind.value for kind in Kind} | {_name(edit) for edit in edits}
        for name in wanted:
            if name not in known:
                raise UserError(
                    where=self.where, key="approved", value=name,
                    rule=f"a kind of edit ({', '.join(INNOCENCE)}) or `kind: edit` of language {language!r}",
                    remedy=f"correct the name, or add the edit to {language}.toml",
                )  # fmt: skip
        return tuple(edit for edit in edits if edit.kind in wanted or _name(edit) in wanted)

    def translated(self, prompts: Mapping[str, str]) -> WordingBook:
        """This book and the reference translations of one task: its prompts, each in place of the others."""
        more = translation_edits(prompts)
        edits = {language: _sorted((*found, *more.get(language, ()))) for language, found in self.edits.items()}
        return WordingBook(edits=MappingProxyType(edits), where=self.where)

    def parse(self, label: str, language: str) -> AppliedEdit:
        """The applied edit whose `str` is `label`; UserError when the book has no such edit."""
        name, _, place = label.rpartition(" @")
        for edit in self.edits.get(language, ()):
            if _name(edit) == name and place.isdecimal() and int(place) > 0:
                return AppliedEdit(edit=edit, place=int(place) - 1)
        raise UserError(
            where=self.where, key=language, value=label,
            rule="the label of an approved edit, such as `synonym: cup→mug @1`",
            remedy=f"correct the label, or add the edit to {language}.toml",
        )  # fmt: skip


def load(folder: Path) -> WordingBook:
    """The book of a folder (`<project>/fixtures/wording`). UserError on any mistake in its files."""
    if not folder.is_dir():
        raise UserError(where=str(folder), rule="the folder of approved edits must exist",
                        remedy="create it with en.toml or zh.toml, or correct the path")  # fmt: skip
    lexicons = [read_lexicon(path) for path in sorted(folder.glob("*.toml"))]
    return WordingBook(
        edits=MappingProxyType({lexicon.language: compiled(lexicon) for lexicon in lexicons}),
        where=str(folder),
    )


def compiled(lexicon: Lexicon) -> tuple[Edit, ...]:
    """The edits of one language, most innocent kind first."""
    language = lexicon.language
    edits = [
        *(edit for edit in layout_edits() if language in edit.languages),
        clause_edit(language, lexicon.bindings),
        *synonym_edits(language, dict(lexicon.synonyms), lexicon.keep),
        *(wrapper_edit(language, wrapper, lexicon.wrappers) for wrapper in lexicon.wrappers),
        *(suffix_edit(language, suffix) for suffix in lexicon.suffixes),
        *(edit for edit in script_edits() if language in edit.languages),
        adjective_edit(language, lexicon.adjectives),
        *small_word_edits(language, lexicon.measures),
        *typo_edits(language),
        *homophone_edits(language, lexicon.homophones),
        *lexicon.own,
    ]
    return _sorted(edits)


def _sorted(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    return tuple(sorted(edits, key=lambda edit: INNOCENCE.index(edit.kind)))


def read_lexicon(path: Path) -> Lexicon:
    """One language's file. UserError for an unknown key, a repeated or empty entry, a synonym of itself."""
    if path.stem not in LANGUAGES:
        raise UserError(
            where=str(path),
            rule=f"a file is named after a language: {', '.join(LANGUAGES)}",
            remedy="rename or remove it",
        )
    top = load_toml(path)
    clauses = top.table("clauses", {})
    lexicon = Lexicon(
        language=path.stem,
        synonyms=_synonyms(top.table("synonyms", {})),
        keep=_strings(top, "keep"),
        bindings=_bindings(clauses),
        wrappers=tuple(_wrapper(table) for table in top.tables("wrapper", [])),
        suffixes=tuple(_suffix(table) for table in top.tables("suffix", [])),
        adjectives=_strings(top, "adjectives"),
        measures=_lists(top.table("measures", {})),
        homophones=_lists(top.table("homophones", {})),
        own=tuple(_own(table, path.stem) for table in top.tables("edit", [])),
    )
    clauses.finish()
    top.finish()
    _once(top, "keep", [word.lower() for word in (*lexicon.keep, *lexicon.synonyms)])
    _once(top, "wrapper", [wrapper.id for wrapper in lexicon.wrappers])
    _once(top, "suffix", [suffix.id for suffix in lexicon.suffixes])
    _once(top, "edit", [_name(edit) for edit in compiled(lexicon)])
    return lexicon


def _bindings(table: Table) -> Bindings:
    return Bindings(
        openings=_strings(table, "openings"), relations=_strings(table, "relations"),
        positions=_strings(table, "positions"), looks=_strings(table, "looks"),
    )  # fmt: skip


def _synonyms(classes: Table) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in classes.names():
        table = classes.table(name)
        for word in table.names():
            if word.lower() in found:
                raise table.wrong(word, "a word stands in one class only", "join the two entries")
            found[word.lower()] = _replacements(table, word)
    classes.finish()
    return MappingProxyType(found)


def _replacements(table: Table, word: str) -> tuple[str, ...]:
    if not word.strip() or _marked(word):
        raise table.wrong(word, "a word without quotation marks", "correct the word")
    synonyms = _strings(table, word)
    if not synonyms:
        raise table.wrong(word, "at least one synonym", "add one or remove the word")
    for synonym in synonyms:
        if synonym.lower() == word.lower():
            raise table.wrong(word, "a synonym differs from its word", "remove it", synonym)
        if what := clash(word, synonym):
            raise table.wrong(word, f"a synonym names {what} as its word", "remove it", synonym)
    return synonyms


def _lists(table: Table) -> Mapping[str, tuple[str, ...]]:
    """A word to words that may stand for it or beside it; none of them the word itself."""
    found = {}
    for word in table.names():
        if not word.strip() or _marked(word):
            raise table.wrong(word, "a word without quotation marks", "correct the word")
        found[word] = _strings(table, word)
        if word in found[word]:
            raise table.wrong(word, "other words than the word itself", "remove it", word)
    table.finish()
    return MappingProxyType(found)


def _own(table: Table, language: str) -> Edit:
    """An edit of the project's own, which keeps what its class keeps."""
    kinds = tuple(kind.value for kind in Kind if kind is not Kind.LANGUAGE)
    name, kind = _id(table), Kind(table.choice("kind", kinds))
    old, new = table.take("old", str), table.take("new", str)
    if not old.strip() or old == new or _marked(old + new):
        raise table.wrong("old", "a text without quotation marks, and another than `new`", "write what is replaced", old)
    lost = next((reading.__name__ for reading in KEEPS[kind] if reading(old) != reading(new)), "")
    if lost:
        raise table.wrong("new", f"an edit of class {kind.value!r} keeps {lost}; {old!r} has others", "correct it, or name another kind")
    table.finish()
    return literal_edit(language, name, kind, old, new)


def _strings(table: Table, name: str) -> tuple[str, ...]:
    """Non-empty strings without repetition, quotation marks or space around them."""
    values = table.strings(name, [])
    for value in values:
        if value != value.strip() or _marked(value):
            raise table.wrong(name, "no quotation marks, and no space before or after", "correct the entry", value)
    _once(table, name, [value.lower() for value in values])
    return values


def _wrapper(table: Table) -> Wrapper:
    wrapper = Wrapper(
        id=_id(table), before=table.take("before", str), after=table.take("after", str, ""),
        starts=_strings(table, "starts"), unless=_strings(table, "unless"),
        without=_strings(table, "without"),
    )  # fmt: skip
    if not wrapper.before.strip() or _marked(wrapper.before + wrapper.after):
        raise table.wrong("before", "text in front of the prompt, without quotation marks", "write the request")
    table.finish()
    return wrapper


def _suffix(table: Table) -> Suffix:
    suffix = Suffix(id=_id(table), text=table.take("text", str))
    if not suffix.text.strip(" ,，.。") or _marked(suffix.text):
        raise table.wrong("text", "words to put behind the prompt, without quotation marks", "write the suffix")
    table.finish()
    return suffix


def _id(table: Table) -> str:
    name = table.take("id", str)
    if not name.strip() or name != name.strip() or " @" in name:
        raise table.wrong("id", "a readable name without ` @`", "name it after what it does")
    return name


def _once(table: Table, name: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise table.wrong(name, "every entry once", "remove the repetition", value)


def _marked(text: str) -> bool:
    """Whether the text holds a quotation mark; an apostrophe between letters is none."""
    bare = "".join(c for i, c in enumerate(text) if not (c in _APOSTROPHES and text[i - 1 : i].isalnum() and text[i + 1 : i + 2].isalnum()))
    return bool(MARKS.intersection(bare))


def _name(edit: Edit) -> str:
    return f"{edit.kind}: {edit.id}"
