"""How text becomes words, and queries too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.search import (
    MAX_QUERY_WORDS,
    MAX_READINGS,
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
    digits_of,
    object_words,
    readings_of,
    terms_of,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" - @ .", []),
        ("Ada Lovelace", ["ada", "lovelace"]),
        ("ada.lovelace+shop@Example.COM", ["ada", "lovelace", "shop", "example", "com"]),
        ("O'Neil-Smith", ["o", "neil", "smith"]),
        ("3M 2nd_floor", ["3m", "2nd", "floor"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ÉCOLE E\u0301cole", ["école", "école"]),
        ("ﬁrst \uff46\uff55\uff4c\uff4c Ⅷ", ["first", "full", "viii"]),
        ("Σίσυφος", ["σίσυφοσ"]),
        ("हिन्दी", ["हिन्दी"]),
        ("東京 タワー", ["東京", "タワー"]),
        ("a\u00adb a\u200bb", ["a", "b", "a", "b"]),
        ("\u0130zmir I\u0307zmir i\u0307zmir IZMIR", ["izmir"] * 4),
        ("\u0131zmir \u017baba z\u0307aba", ["\u0131zmir", "\u017caba", "\u017caba"]),
        ("Caf\u00e9 \u0665\u0661 A\u0967", ["caf\u00e9", "51", "a1"]),
    ],
)
def test_words_are_runs_of_letters_and_digits_in_folded_case(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_long_word_is_cut_in_texts_and_queries_alike() -> None:
    cut = "x" * MAX_WORD_CHARACTERS
    assert [words_of(cut + "yz")] == [[cut]] == readings_of(cut + "other")
    assert words_of("é" * 40) == ["é" * MAX_WORD_CHARACTERS]
    number = "1" * MAX_WORD_CHARACTERS
    assert digits_of("1" * 40) == number
    assert readings_of("1" * 40) == [[number]]
    assert readings_of("1" * 20 + "-" + "1" * 20)[1] == [number]


@pytest.mark.parametrize(
    ("phone", "digits"),
    [
        ("+1 (555) 010-9999", "15550109999"),
        ("", ""),
        ("n/a", ""),
        ("\uff0b\uff14\uff13 1", "431"),
        ("+966 \u0665\u0665\u0665 0100", "9665550100"),
    ],
)
def test_a_phone_is_its_digits(phone: str, digits: str) -> None:
    assert digits_of(phone) == digits


@pytest.mark.parametrize(
    ("query", "readings"),
    [
        ("Ada Love", [["ada", "love"]]),
        ("+1 (555) 010", [["1", "555", "010"], ["1555010"]]),
        ("555.010 99", [["555", "010", "99"], ["55501099"]]),
        ("0660/12", [["0660", "12"], ["066012"]]),
        ("1-800-Roses", [["1", "800", "roses"], ["1800", "roses"]]),
        ("54 Studio", [["54", "studio"]]),
        (
            "1 2 a 3 4",
            [["1", "2", "a", "3", "4"], ["1", "2", "a", "34"], ["12", "a", "3", "4"],
             ["12", "a", "34"]],
        ),
        ("+\u0664\u0663", [["43"]]),
        ("()+ -", []),
        ("@", []),
        ("", []),
        ("love ada LOVE", [["love", "ada"]]),
        ("a ada ad", [["ada"]]),
        ("1 1", [["1"], ["11"]]),
        ("straße", [["strasse"]]),
        ("a b c d e f g h i j k", [list("abcdefghij")]),
    ],
)  # fmt: skip
def test_a_query_has_a_reading_of_distinct_words_for_each_way_that_digits_are_meant(
    query: str, readings: list[list[str]]
) -> None:
    assert readings_of(query) == readings


@given(st.text(st.sampled_from("1\u0662a-İ")))
def test_readings_are_bounded(query: str) -> None:
    readings = readings_of(query)
    assert len(readings) <= MAX_READINGS
    assert all(1 <= len(words) <= MAX_QUERY_WORDS for words in readings)
    assert bool(readings) is bool(words_of(query))


def test_an_object_is_indexed_by_all_beginnings_of_its_words() -> None:
    words = object_words(["Ada", "ada@x.at"], ["+1 5", ""])
    assert words == ("15", "ada", "at", "x")
    assert terms_of(words) == {"1", "15", "a", "ad", "ada", "at", "x"}


def test_an_object_has_a_bounded_number_of_words() -> None:
    assert len(object_words([" ".join(map(str, range(MAX_WORDS * 2)))], [])) == MAX_WORDS


@given(st.text(), st.data())
def test_every_beginning_of_every_word_finds_its_text(text: str, data: st.DataObject) -> None:
    words = words_of(text)
    terms = terms_of(object_words([text], []))
    for word in words[:MAX_WORDS]:
        end = data.draw(st.integers(1, len(word)))
        if len(set(words)) <= MAX_WORDS:
            assert word[:end] in terms


@given(
    st.one_of(
        st.text(), st.text(st.sampled_from("iI\u0130\u0131j\u0307\u0301\u0323\u0315\u0663x "))
    )
)
def test_words_are_words_again(text: str) -> None:
    """Whoever copies a word out of an answer finds it."""
    assert all(words_of(word) == [word] for word in words_of(text) if len(word) < 20)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_split_as_any_text_is(text: str) -> None:
    assert words_of(text) == words_of(f"é {text}")[1:]
