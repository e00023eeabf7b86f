"""Values that no well-behaved sender writes, for any place in an event."""

import random
from collections.abc import Callable
from typing import Any, Final

Chance = random.Random

SECRET_WORD: Final = "hunter2@example.com"
"""Stands for personal data: it may be in a payload, never in an error or an answer."""

_DEEP: Final = 60_000

_TOKENS: Final[tuple[bytes, ...]] = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1E400",
    b"-0",
    b"00",
    b"0x10",
    b"1_000",
    b"+1",
    b".5",
    b"1.",
    b"1.0",
    b"1e3",
    b"9" * 400,
    b"9" * 5_000,
    b"-" + b"9" * 25,
    b"0." + b"3" * 3_000,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"',
    b'"a\x00b"',
    b'"\\x41"',
    b'"\\u12"',
    b"'a'",
    b"undefined",
    b"None",
    b"/**/1",
    b"[1,]",
    b'{"a":1,}',
    b'{"a":1,"a":"2","a":null}',
    b'{"":{"":{"":{}}}}',
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    b"[" * 500 + b"]" * 500,
    b'{"data":' * 90 + b"1" + b"}" * 90,
    b"[" * _DEEP,
)
"""What a JSON encoder cannot write. In a tree a token stands as the text that `token` gives."""

_TEXTS: Final = (
    "",
    " ",
    "0",
    "null",
    "\x00",
    "a\x00b",
    "\u202eRTL\u202c",
    "\U0001f9fe" * 40,
    "e\u0301" * 100,
    "\ufeff",
    "\u2028",
    "usd",
    "USD",
    "xxx",
    "zzzzzzzz",
    "endive",
    "'; DROP TABLE events; --",
    "$where",
    "../../etc/passwd",
    "%s%n{0}",
    "x" * 255,
    "x" * 256,
    "\U0001f9fe" * 255,
    "x" * 20_000,
    SECRET_WORD,
    "2026-10-28.endive",
    "acct_1",
    "cus_1",
    "1.000000000000000000000000000001",
    "-",
)

_NUMBERS: Final = (
    0,
    -1,
    1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64,
    253_402_300_799,
    253_402_300_800,
    -62_135_596_801,
    0.1,
    1.5,
    1e308,
    5e-324,
)


def token(number: int) -> str:
    """The text that stands for a token in a tree."""
    return f"<token {number}>"


def written(body: bytes) -> bytes:
    """The body with the tokens that its tree asks for."""
    if b'"<token ' not in body:
        return body
    for number, raw in enumerate(_TOKENS):
        body = body.replace(f'"{token(number)}"'.encode(), raw)
    return body


def odd_value(chance: Chance) -> Any:
    """One of them."""
    return chance.choice(_KINDS)(chance)


def odd_text(chance: Chance) -> str:
    """An odd string."""
    return chance.choice(_TEXTS)


def odd_number(chance: Chance) -> float:
    """An odd number."""
    return chance.choice(_NUMBERS)


def _token(chance: Chance) -> Any:
    return token(chance.randrange(len(_TOKENS)))


def _nested(chance: Chance) -> Any:
    value: Any = odd_text(chance)
    for _ in range(chance.choice((1, 2, 5, 60, 400))):
        value = [value] if chance.random() < 0.5 else {chance.choice(("a", "id", "")): value}
    return value


def _container(chance: Chance) -> Any:
    return chance.choice(
        ([], {}, [None], [[]], {"id": None}, {"data": []}, [0] * 2_000, {"object": "list"})
    )


def _keyed(chance: Chance) -> Any:
    return {odd_text(chance): odd_text(chance) for _ in range(chance.choice((1, 3, 200)))}


def _many(chance: Chance) -> Any:
    return {"object": "list", "has_more": chance.random() < 0.5, "data": [odd_text(chance)] * 50}


_KINDS: Final[tuple[Callable[[Chance], Any], ...]] = (
    odd_text,
    odd_text,
    odd_number,
    odd_number,
    _token,
    _token,
    _nested,
    _container,
    _keyed,
    _many,
    lambda _: None,
    lambda chance: chance.random() < 0.5,
)
