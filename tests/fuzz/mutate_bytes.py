"""Mutations of a body as bytes: what a broken sender, a malicious one or the way makes of it."""

import re
from collections.abc import Callable
from typing import Final

from tests.fuzz.odd_values import Chance, odd_text

HUGE_BYTES: Final = 1_100_000
"""More than any body may have."""

_OPENING: Final = re.compile(rb"\{")
_NUMBER: Final = re.compile(rb"(?<=:)-?[0-9]+")
_STRING: Final = re.compile(rb'(?<=:")[^"\\]+')
_KEYS: Final = (b"id", b"object", b"data", b"type", b"created", b"livemode", b"account", b"amount")
_DEEP: Final = 100_000


def mutated(chance: Chance, body: bytes) -> tuple[bytes, str]:
    """A body that differs from the one given, and the name of what was done to it."""
    name = "huge" if chance.random() < 0.0005 else chance.choice(_NAMES)
    changed = _MUTATIONS[name](chance, body)
    return (changed, name) if changed != body else (body + b"\x00", "appended NUL")


def _flip_bits(chance: Chance, body: bytes) -> bytes:
    flipped = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        if flipped:
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _truncate(chance: Chance, body: bytes) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


def _cut_out(chance: Chance, body: bytes) -> bytes:
    start, end = _slice(chance, body)
    return body[:start] + body[end:]


def _repeat(chance: Chance, body: bytes) -> bytes:
    start, end = _slice(chance, body)
    return body[:end] + body[start:end] * chance.choice((1, 2, 20)) + body[end:]


def _insert(chance: Chance, body: bytes) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.randbytes(chance.choice((1, 2, 16))) + body[at:]


def _duplicate_key(chance: Chance, body: bytes) -> bytes:
    """A key twice: in front of its own object's fields, or behind them."""
    value = chance.choice((b'"evt_twice"', b"null", b"1", b"{}", b"true", b'"acct_1"'))
    pair = b'"%s":%s' % (chance.choice(_KEYS), value)
    if chance.random() < 0.3:
        return body[:-1] + b"," + pair + b"}"
    places = list(_OPENING.finditer(body))
    if not places:
        return body
    at = chance.choice(places).end()
    return body[:at] + pair + b"," + body[at:]


def _other_number(chance: Chance, body: bytes) -> bytes:
    tokens = (
        b"NaN",
        b"Infinity",
        b"1e999",
        b"9" * 30,
        b"-0",
        b"01",
        b"1.0",
        b"0x1",
        b'"1"',
        b"1e2",
    )
    return _substituted(chance, body, _NUMBER, chance.choice(tokens))


def _other_string(chance: Chance, body: bytes) -> bytes:
    tokens = (
        b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\\ud800", b"\\u0000", b"\x00", b"\n", b"\\q",
        b"\xf4\x90\x80\x80", b"", odd_text(chance).encode(),
    )  # fmt: skip
    return _substituted(chance, body, _STRING, chance.choice(tokens))


def _around(chance: Chance, body: bytes) -> bytes:
    """The same, in another encoding or with something around it."""
    return chance.choice(
        (
            b"\xef\xbb\xbf" + body, body + body, body + b"x", body + b" \n", b"\x00" + body,
            b"[" + body + b"]", b"payload=" + body, body.decode("latin-1").encode("utf-16"),
            body.replace(b'"', b"'"), body.replace(b":", b"="), b"//\n" + body, body + b"\x1a",
        )
    )  # fmt: skip


def _nothing_like_it(chance: Chance, _: bytes) -> bytes:
    return chance.choice(
        (
            b"", b" ", b"null", b"[]", b"{}", b'""', b'"evt_1"', b"0", b"true", b"-", b"[{}]",
            b"\x00", b"<xml/>", b"a=b&c=d", b"\x1f\x8b\x08\x00\x00", b'{"data":{"object":{}}}',
            b"{" * 1_000, b"[" * _DEEP, b"[" * _DEEP + b"]" * _DEEP, b'{"data":' * _DEEP,
            chance.randbytes(500), b'{"id":' * 30_000 + b"1" + b"}" * 30_000,
            b'"' + b"\\u0041" * 5_000 + b'"', b"1" * 6_000,
        )
    )  # fmt: skip


def _huge(_: Chance, body: bytes) -> bytes:
    return body + b" " * (HUGE_BYTES - len(body))


def _slice(chance: Chance, body: bytes) -> tuple[int, int]:
    start = chance.randrange(len(body) + 1)
    return start, min(len(body), start + chance.choice((1, 2, 10, 100)))


def _substituted(chance: Chance, body: bytes, pattern: re.Pattern[bytes], by: bytes) -> bytes:
    places = list(pattern.finditer(body))
    if not places:
        return body
    found = chance.choice(places)
    return body[: found.start()] + by + body[found.end() :]


_MUTATIONS: Final[dict[str, Callable[[Chance, bytes], bytes]]] = {
    "flip bits": _flip_bits,
    "truncate": _truncate,
    "cut out": _cut_out,
    "repeat": _repeat,
    "insert": _insert,
    "duplicate key": _duplicate_key,
    "other number": _other_number,
    "other string": _other_string,
    "around": _around,
    "nothing like it": _nothing_like_it,
    "huge": _huge,
}
_NAMES: Final = [name for name in _MUTATIONS if name != "huge"]
