"""How text is searched: by the beginnings of its words.

An object is found by a query each of whose words begins one of the object's words. A word is a run
of letters and digits, with the marks that belong to them, of the text in compatibility form (NFKC,
Unicode Standard Annex #15) and folded case (Unicode Standard, section 3.13): `STRASSE` finds
`Straße`. A telephone number is one word, of its digits.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

RULES: Final = 1
"""Grows when the same text gives other words than before: what is indexed is then indexed anew."""

MAX_WORD_CHARACTERS: Final = 32
"""Longer words are cut, in texts and in queries."""

MAX_WORDS: Final = 100
"""How many words of one object are searched; the others are not found."""

MAX_QUERY_WORDS: Final = 10

_ASCII_WORDS: Final = re.compile(r"[0-9a-z]+")
_PHONE_CHARACTERS: Final = frozenset("0123456789+-(). ")


def words_of(text: str) -> list[str]:
    """The words of a text, in its order."""
    if text.isascii():  # most of them, and a tenth of the work
        return [word[:MAX_WORD_CHARACTERS] for word in _ASCII_WORDS.findall(text.lower())]
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding may take a text out of its normal form.
    normal = unicodedata.normalize("NFKC", folded)
    spaced = "".join(one if _is_of_a_word(one) else " " for one in normal)
    return [word[:MAX_WORD_CHARACTERS] for word in spaced.split()]


def digits_of(phone: str) -> str:
    """The digits of a telephone number as one word; empty where it has none."""
    # In compatibility form, since numbers are also written in full-width digits.
    normal = unicodedata.normalize("NFKC", phone)
    return "".join(one for one in normal if "0" <= one <= "9")[:MAX_WORD_CHARACTERS]


def object_words(texts: Iterable[str], phones: Iterable[str]) -> tuple[str, ...]:
    """The words by which an object of these texts and numbers is found: distinct, in order."""
    words = {word for text in texts for word in words_of(text)}
    words |= {digits_of(phone) for phone in phones}
    return tuple(sorted(words - {""}))[:MAX_WORDS]


def query_words(query: str) -> list[str]:
    """The words that an object must have the beginnings of; none where the query asks for nothing.

    A query of digits and of what telephone numbers are written with (`+`, `-`, brackets, full stop,
    space) is one word. A word that another one begins with is implied by it and left out.
    """
    if digits_of(query) and _PHONE_CHARACTERS.issuperset(unicodedata.normalize("NFKC", query)):
        return [digits_of(query)]
    words = list(dict.fromkeys(words_of(query)))
    return [word for word in words if not _implied(word, words)]


def terms_of(words: Iterable[str]) -> frozenset[str]:
    """All beginnings of the words: an object has exactly these in the index."""
    return frozenset(word[:end] for word in words for end in range(1, len(word) + 1))


def _implied(word: str, words: Sequence[str]) -> bool:
    return any(other != word and other.startswith(word) for other in words)


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
