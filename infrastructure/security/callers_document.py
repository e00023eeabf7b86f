"""The callers' file: TOML with one `[[callers]]` a caller, and JWKS (RFC 7517) beside it.

Every problem is told at once, by line and by name; no value of a secret is in any message.
"""

import base64
import binascii
import datetime as dt
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import jwt
import msgspec

from application.requests.allowances import (
    DEFAULT_ALLOWANCE,
    MAX_PER_SECOND,
    MAX_STREAMS,
    Allowance,
)
from domain.accounts import ACCOUNT_ID
from infrastructure.security.registered_callers import (
    ALGORITHMS,
    HS256,
    LONGEST,
    Callers,
    Key,
    RegisteredCaller,
)
from infrastructure.security.token_rules import KEY_NAME, MIN_SECRET_BYTES, SCOPE

MAX_BYTES: Final = 1_048_576
MAX_JWKS_BYTES: Final = 65_536
MAX_CALLERS: Final = 1_000
MAX_KEYS: Final = 20
MAX_LISTED: Final = 10_000

_CALLER_HEADER: Final = re.compile(r"\s*\[\[\s*callers\s*\]\]")
_TOML_LINE: Final = re.compile(r"\(at line (\d+)")
_ISSUER: Final = re.compile(r"[\x21-\x7e]{1,256}")
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")
_KNOWN: Final = frozenset(
    """
    name issuer scopes accounts operator longest_minutes not_before calls_per_second streams keys
    jwks_file
    """.split()
)
_KNOWN_OF_KEYS: Final = frozenset({"kid", "algorithm", "secret", "secret_file"})

ReadBeside = Callable[[str, int], bytes]
"""Reads a file that the document names, at most so many bytes. OSError where that fails."""


class CallersInvalid(Exception):
    """The document is not one of callers; a line a problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read_callers(content: bytes, read_beside: ReadBeside, scopes: Collection[str]) -> Callers:
    """The callers of a document, which may have those scopes. CallersInvalid with all problems."""
    try:
        text = content.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise CallersInvalid(["it is no text in UTF-8"]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = _TOML_LINE.search(str(error))
        raise CallersInvalid([f"line {line[1] if line else 1}: it is no TOML"]) from None
    given = document.get("callers")
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise CallersInvalid(["[[callers]] is needed, one a caller"])
    if not 0 < len(given) <= MAX_CALLERS:
        raise CallersInvalid([f"from 1 to {MAX_CALLERS:,} callers are needed"])
    lines = [n for n, line in enumerate(text.splitlines(), 1) if _CALLER_HEADER.match(line)]
    places = lines if len(lines) == len(given) else [0] * len(given)
    readers = [
        _Reader(entry, place, number, read_beside, scopes)
        for number, (entry, place) in enumerate(zip(given, places, strict=True), 1)
    ]
    callers = [caller for reader in readers if (caller := reader.caller())]
    problems = [f"{key}: is not known here" for key in document if key != "callers"]
    problems += [problem for reader in readers for problem in reader.problems]
    problems += _told_twice(readers)
    if problems:
        raise CallersInvalid(problems)
    return Callers(callers)


def _told_twice(readers: Sequence["_Reader"]) -> Iterator[str]:
    for unique in ("name", "issuer"):
        first: dict[str, _Reader] = {}
        for reader in readers:
            value = reader.entry.get(unique)
            if isinstance(value, str) and value in first:
                yield f"{reader.where}{unique}: {first[value].called} has the same"
            elif isinstance(value, str):
                first[value] = reader


@dataclass(slots=True)
class _Reader:
    """Reads one caller, and notes what is wrong with it."""

    entry: Mapping[str, Any]
    line: int
    number: int
    read_beside: ReadBeside
    scopes: Collection[str]
    problems: list[str] = field(default_factory=list)

    @property
    def called(self) -> str:
        """The caller's name where it has one, else its place."""
        name = self.entry.get("name")
        well_formed = isinstance(name, str) and KEY_NAME.fullmatch(name)
        return f"caller {name if well_formed else self.number}"

    @property
    def where(self) -> str:
        """How a problem of the caller begins."""
        return f"line {self.line}: {self.called}: " if self.line else f"{self.called}: "

    def caller(self) -> RegisteredCaller | None:
        """The caller, or None where something is wrong."""
        for name in self.entry:
            if name not in _KNOWN:
                near = get_close_matches(name, _KNOWN, n=1)
                self._wrong(name, f"is not known; is {near[0]} meant?" if near else "is not known")
        name = self._text("name", KEY_NAME, "letters, digits, - and _, 64 at most")
        issuer = self._text("issuer", _ISSUER, "text without spaces, 256 characters at most")
        scopes = self._listed("scopes", _SCOPES, self._scope)
        accounts = self._listed("accounts", _ACCOUNTS, self._account)
        operator = self._truth("operator")
        longest = self._number("longest_minutes", int(LONGEST.total_seconds() // 60), 60)
        per_second = self._number("calls_per_second", DEFAULT_ALLOWANCE.per_second, MAX_PER_SECOND)
        streams = self._number("streams", DEFAULT_ALLOWANCE.streams, MAX_STREAMS)
        not_before = self._not_before()
        keys = {key.id: key for key in self._keys()}
        if self.problems:
            return None
        return RegisteredCaller(
            name, issuer, keys, scopes, accounts, operator, dt.timedelta(minutes=longest),
            not_before, Allowance(per_second, streams), self.line,
        )  # fmt: skip

    def _wrong(self, field: str, rule: str) -> None:
        self.problems.append(f"{self.where}{field}: {rule}")

    def _text(self, field: str, pattern: re.Pattern[str], rule: str) -> str:
        value = self.entry.get(field)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self._wrong(field, f"is needed: {rule}")
        return ""

    def _truth(self, field: str) -> bool:
        value = self.entry.get(field, False)
        if not isinstance(value, bool):
            self._wrong(field, "must be true or false")
        return value is True

    def _number(self, field: str, default: int, most: int) -> int:
        value = self.entry.get(field, default)
        if type(value) is int and 1 <= value <= most:
            return value
        self._wrong(field, f"must be a whole number from 1 to {most:,}")
        return default

    def _listed(
        self, field: str, words: Mapping[str, frozenset[str] | None], check: Callable[[str], str]
    ) -> frozenset[str] | None:
        """The values of a list, or what a word stands for in its place."""
        value = self.entry.get(field)
        told = " or ".join(f'"{word}"' for word in words)
        if isinstance(value, str) and value in words:
            return words[value]
        if not isinstance(value, list) or not 0 < len(value) <= MAX_LISTED:
            self._wrong(field, f"is needed: {told}, or a list of them")
            return frozenset()
        for place, item in enumerate(value, 1):
            rule = check(item) if isinstance(item, str) else "must be text"
            if rule:
                self._wrong(f"{field}[{place}]", rule)
        return frozenset(str(item) for item in value)

    def _scope(self, scope: str) -> str:
        """What is wrong with a scope; empty where nothing is."""
        if scope in self.scopes:
            return ""
        near = get_close_matches(scope, self.scopes, n=3) if SCOPE.fullmatch(scope) else []
        hint = f"; is {' or '.join(near)} meant?" if near else ""
        return f"no method has such a scope{hint}"

    def _account(self, account: str) -> str:
        return "" if ACCOUNT_ID.fullmatch(account) else "is no account's id"

    def _not_before(self) -> dt.datetime | None:
        value = self.entry.get("not_before")
        if value is None or (isinstance(value, dt.datetime) and value.tzinfo is not None):
            return value
        self._wrong("not_before", "must be a time with its offset, such as 2026-11-01T09:00:00Z")
        return None

    def _keys(self) -> Iterator[Key]:
        given = self.entry.get("keys", [])
        if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
            self._wrong("keys", "must be [[callers.keys]], one a key")
            return
        found = [*(self._secret(entry, n) for n, entry in enumerate(given, 1)), *self._public()]
        keys = [key for key in found if key]
        if not found:
            self._wrong("keys", "is needed: [[callers.keys]] with a secret, or jwks_file")
        if len(found) > MAX_KEYS:
            self._wrong("keys", f"must be {MAX_KEYS} at most")
        seen: set[str] = set()
        for key in keys:
            if key.id in seen:
                self._wrong(f"key {key.id}", "its kid is there twice")
            seen.add(key.id)
        yield from keys

    def _secret(self, entry: Mapping[str, Any], number: int) -> Key | None:
        kid = entry.get("kid")
        named = isinstance(kid, str) and KEY_NAME.fullmatch(kid)
        where = f"key {kid if named else number}"
        before = len(self.problems)
        if not named:
            self._wrong(where, "kid is needed: letters, digits, - and _, 64 at most")
        if entry.get("algorithm", HS256) != HS256:
            rule = "a secret is for HS256 alone; public keys stand in jwks_file"
            self._wrong(where, rule)
        if not {*entry} <= _KNOWN_OF_KEYS:
            self._wrong(where, f"has {', '.join(sorted(_KNOWN_OF_KEYS))}, and nothing else")
        secret = self._secret_of(entry, where)
        if secret is not None and len(secret) < MIN_SECRET_BYTES:
            self._wrong(where, f"a secret of {MIN_SECRET_BYTES} bytes at least is needed")
        if len(self.problems) > before or secret is None:
            return None
        return Key(str(kid), HS256, secret)

    def _secret_of(self, entry: Mapping[str, Any], where: str) -> bytes | None:
        here, file = entry.get("secret"), entry.get("secret_file")
        if isinstance(here, str) and file is None:
            return here.encode()
        if isinstance(file, str) and here is None:
            content = self._beside(file, where, MAX_JWKS_BYTES)
            return None if content is None else content.removesuffix(b"\n").removesuffix(b"\r")
        self._wrong(where, "either secret or secret_file is needed, as text")
        return None

    def _beside(self, file: str, where: str, most: int) -> bytes | None:
        try:
            content = self.read_beside(file, most + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no path"
            self._wrong(where, f"its file cannot be read: {reason}")
            return None
        if len(content) > most:
            self._wrong(where, f"its file is longer than {most:,} bytes")
            return None
        return content

    def _public(self) -> list[Key | None]:
        file = self.entry.get("jwks_file")
        if file is None:
            return []
        if not isinstance(file, str):
            self._wrong("jwks_file", "must be the path of a file")
            return [None]
        content = self._beside(file, "jwks_file", MAX_JWKS_BYTES)
        if content is None:
            return [None]
        keys, problems = keys_of_jwks(content)
        for problem in problems:
            self._wrong("jwks_file", problem)
        return [*keys] or [None]


_SCOPES: Final[Mapping[str, frozenset[str] | None]] = {"all": None}
_ACCOUNTS: Final[Mapping[str, frozenset[str] | None]] = {"all": None, "none": frozenset()}

_CURVES: Final = {"EdDSA": ("OKP", "Ed25519", 32, 0), "ES256": ("EC", "P-256", 32, 32)}
"""Of each algorithm: the kind of its keys, their curve, and how long `x` and `y` are in bytes."""


def keys_of_jwks(content: bytes) -> tuple[Sequence[Key], Sequence[str]]:
    """The public keys of a JWK set, and what is wrong with it, by the place of the key."""
    try:
        document = msgspec.json.decode(content)
        entries = document["keys"]
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_KEYS:
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        return [], [f"is no JWK set of 1 to {MAX_KEYS} keys"]
    keys: list[Key] = []
    problems: list[str] = []
    for number, entry in enumerate(entries, 1):
        rule = _wrong_with(entry)
        if rule:
            problems.append(f"key {number}: {rule}")
            continue
        try:
            value = jwt.PyJWK(entry, algorithm=entry["alg"]).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            problems.append(f"key {number}: is no key of its algorithm")
            continue
        keys.append(Key(entry["kid"], entry["alg"], value))
    return keys, problems


def _wrong_with(entry: Any) -> str:
    """The rule that a JWK breaks; empty for none."""
    if not isinstance(entry, dict):
        return "is no JWK"
    kid, algorithm = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid):
        return "kid is needed"
    public = sorted(ALGORITHMS - {HS256})
    if not isinstance(algorithm, str) or algorithm not in public:
        return f"alg must be {' or '.join(public)}"
    if "d" in entry or "k" in entry:
        return "holds a private key, which nobody but its caller may have"
    if entry.get("use", "sig") != "sig":
        return "is not for signatures"
    kind, curve, *lengths = _CURVES[algorithm]
    if (entry.get("kty"), entry.get("crv")) != (kind, curve):
        return f"{algorithm} needs kty {kind} and crv {curve}"
    for name, length in zip(("x", "y"), lengths, strict=True):
        if length and _length(entry.get(name)) != length:
            return f"{name} must have {length} bytes"
    return ""


def _length(value: Any) -> int:
    """How many bytes a value of base64url has; -1 where it is none."""
    if not isinstance(value, str) or len(value) > 100:
        return -1
    try:
        return len(base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return -1
