"""How text is searched: by the beginnings of its words.

An object is found by a query each of whose words begins one of the object's words. A word is a run
of letters and digits, with the marks that belong to them, of the text in compatibility form (NFKC,
Unicode Standard Annex #15) and folded case (Unicode Standard, section 3.13): `STRASSE` finds
`Straße`. Decimal digits of every script have their value. A telephone number is one word, of its
digits.

Whoever asks does not say what a word is of. So a query is read in every way that fits: `1-800` are
the words `1` and `800` of a name, or `1800`, with which a number begins.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

RULES: Final = 2
"""Grows when the same text gives other words than before: what is indexed is then indexed anew."""

MAX_WORD_CHARACTERS: Final = 32
"""Longer words are cut, in texts and in queries."""

MAX_WORDS: Final = 100
"""How many words of one object are searched; the others are not found."""

MAX_QUERY_WORDS: Final = 10
"""So many of a query's first words count: whoever pastes a long name finds it."""

MAX_READINGS: Final = 8
"""Ten words hold at most three runs of digits, each of two readings."""

_FLAG: Final = "="

_ASCII_WORDS: Final = re.compile(r"[0-9a-z]+")
_DOTTED_I: Final = re.compile("i\u0307+")
"""What folding makes of the Turkish capital, and nobody types."""


def words_of(text: str) -> list[str]:
    """The words of a text, in its order."""
    if text.isascii():  # most of them, and a tenth of the work
        return [word[:MAX_WORD_CHARACTERS] for word in _ASCII_WORDS.findall(text.lower())]
    folded = _DOTTED_I.sub("i", unicodedata.normalize("NFKC", text).casefold())
    # Folding may take a text out of its normal form.
    normal = unicodedata.normalize("NFKC", folded)
    spaced = "".join(_digit(one) or (one if _is_of_a_word(one) else " ") for one in normal)
    return [word[:MAX_WORD_CHARACTERS] for word in spaced.split()]


def digits_of(phone: str) -> str:
    """The digits of a telephone number as one word; empty where it has none."""
    return "".join(map(_digit, unicodedata.normalize("NFKC", phone)))[:MAX_WORD_CHARACTERS]


def object_words(texts: Iterable[str], phones: Iterable[str]) -> tuple[str, ...]:
    """The words by which an object of these texts and numbers is found: distinct, in order."""
    words = {word for text in texts for word in words_of(text)}
    words |= {digits_of(phone) for phone in phones}
    return tuple(sorted(words - {""}))[:MAX_WORDS]


def readings_of(query: str) -> list[list[str]]:
    """Every way to read a query, each the words that an object must have the beginnings of.

    None where the query asks for nothing. Words of digits that follow each other are words, or one
    number. A word that another one begins with is implied by it and left out.
    """
    readings: list[list[str]] = [[]]
    for is_number, run in groupby(words_of(query)[:MAX_QUERY_WORDS], str.isdecimal):
        words = list(run)
        ways = [words]
        if is_number and len(words) > 1:
            ways.append(["".join(words)[:MAX_WORD_CHARACTERS]])
        readings = [[*reading, *way] for reading in readings for way in ways]
    distinct = dict.fromkeys(tuple(_needed(reading)) for reading in readings)
    return [list(words) for words in distinct if words]


def flag(name: str, value: bool) -> str:
    """What stands among an object's words for a flag of it. No query has it: it is no word."""
    return f"{name}{_FLAG}{int(value)}"


def terms_of(words: Iterable[str]) -> frozenset[str]:
    """All beginnings of the words, and the flags: an object has exactly these in the index."""
    return frozenset(
        word[:end]
        for word in words
        for end in range(len(word) if _FLAG in word else 1, len(word) + 1)
    )


def _needed(words: Iterable[str]) -> list[str]:
    distinct = list(dict.fromkeys(words))
    return [word for word in distinct if not _implied(word, distinct)]


def _implied(word: str, words: Sequence[str]) -> bool:
    return any(other != word and other.startswith(word) for other in words)


def _digit(character: str) -> str:
    """The value of a decimal digit of any script; empty for another character."""
    return str(unicodedata.decimal(character)) if character.isdecimal() else ""


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
