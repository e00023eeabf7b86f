"""Signed headers as Stripe makes them, and mutations of which it is known what has to follow."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from infrastructure.stripe.readers.webhooks import MAX_HEADER_CHARACTERS, MAX_SIGNATURES, TOLERANCE
from tests.fuzz.odd_values import Chance
from tests.support.fakes.stores import NOON

PLATFORM_SECRET: Final = "whsec_platform"
CONNECT_SECRET: Final = "whsec_connect"
NOW: Final = int(NOON.timestamp())

HeaderLines = Sequence[tuple[bytes, bytes]]

_NAME: Final = b"Stripe-Signature"
_TOLERANCE: Final = int(TOLERANCE.total_seconds())
_TAKEN: Final = frozenset({200})
_REFUSED: Final = frozenset({400})
_EITHER: Final = _TAKEN | _REFUSED


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines of a delivery, and the statuses of which one has to be the answer."""

    lines: HeaderLines
    expected: frozenset[int] = _EITHER
    how: str = ""


@dataclass(frozen=True, slots=True)
class _Signing:
    """A body with the secret of its scope and the other scope's."""

    body: bytes
    secret: str
    other: str
    parts: Mapping[str, str] = field(default_factory=dict)

    def v1(self, at: object = NOW, secret: str | None = None) -> str:
        message = f"{at}.".encode() + self.body
        return hmac.digest((secret or self.secret).encode(), message, "sha256").hex()


def signed(body: bytes, secret: str) -> HeaderLines:
    """As Stripe signs now."""
    return [(_NAME, f"t={NOW},v1={_Signing(body, secret, '').v1()}".encode())]


def mutated(chance: Chance, body: bytes, *, connect: bool) -> Headers:
    """Headers for a body that is right, of one scope."""
    secrets = (CONNECT_SECRET, PLATFORM_SECRET)
    signing = _Signing(body, *(secrets if connect else secrets[::-1]))
    name = chance.choice(list(_MUTATIONS))
    found = _MUTATIONS[name](chance, signing)
    return Headers(found.lines, found.expected, name)


def _one(value: str, expected: frozenset[int]) -> Headers:
    return Headers([(_NAME, value.encode())], expected)


def _other_time(chance: Chance, signing: _Signing) -> Headers:
    """Rightly signed at another time: refused beyond the tolerance, either way."""
    distance = chance.choice((1, _TOLERANCE - 1, _TOLERANCE, _TOLERANCE + 1, 3_600, 10**8, NOW))
    at = NOW + chance.choice((-1, 1)) * distance
    expected = _TAKEN if distance <= _TOLERANCE else _REFUSED
    return _one(f"t={at},v1={signing.v1(at)}", expected)


def _no_time(chance: Chance, signing: _Signing) -> Headers:
    """No time, or none that is one, although it is what was signed."""
    at = chance.choice(
        (
            "", "-1", "now", "NaN", "0x10", "1e9", f" {NOW}", f"{NOW} ", f"+{NOW}", f"{NOW}.0",
            "9" * 12, "9" * 900, "\u0661\u0662", "t", "-",
        )
    )  # fmt: skip
    text = chance.choice(
        (f"t={at},v1={signing.v1(at)}", f"v1={signing.v1('')}", f"v1={signing.v1()}")
    )
    return _one(text, _REFUSED)


def _two_times(chance: Chance, signing: _Signing) -> Headers:
    other = chance.choice((NOW, NOW - 1, 0))
    return _one(f"t={NOW},t={other},v1={signing.v1()}", _REFUSED)


def _other_scheme(chance: Chance, signing: _Signing) -> Headers:
    """The right signature, not under `v1`."""
    scheme = chance.choice(("v0", "v2", "V1", "v1 ", " v1", "v", "v11", "", "t1", "v\u0661"))
    return _one(f"t={NOW},{scheme}={signing.v1()}", _REFUSED)


def _more_schemes(chance: Chance, signing: _Signing) -> Headers:
    """The right one among those of schemes that nobody knows: they are left alone."""
    others = [f"{chance.choice(('v0', 'v2', 'x'))}={chance.randrange(10**9)}" for _ in range(5)]
    pairs = [f"t={NOW}", f"v1={signing.v1()}", *others]
    chance.shuffle(pairs)
    return _one(",".join(pairs), _TAKEN)


def _many_signatures(chance: Chance, signing: _Signing) -> Headers:
    """Many `v1`, the right one among them: taken up to the bound."""
    count = chance.choice((2, MAX_SIGNATURES, MAX_SIGNATURES + 1, 12, 200))
    signatures = [signing.v1(secret=f"whsec_{number}") for number in range(count - 1)]
    signatures.insert(chance.randrange(count), signing.v1())
    text = ",".join((f"t={NOW}", *(f"v1={one}" for one in signatures)))
    return _one(text, _TAKEN if count <= MAX_SIGNATURES else _REFUSED)


def _wrong_signature(chance: Chance, signing: _Signing) -> Headers:
    right = signing.v1()
    wrong = chance.choice(
        (
            right[:-1], right + "0", right.upper() + "A", right[::-1], "0" * 64, "", right[:32],
            right.encode().hex(), f'"{right}"', f" {right}", "\u0660" * 64, f"{right};",
            f"{right}\t0", signing.v1(NOW - 1), signing.v1(""), signing.v1(f"{NOW}."),
        )
    )  # fmt: skip
    return _one(f"t={NOW},v1={wrong}", _REFUSED)


def _other_secret(chance: Chance, signing: _Signing) -> Headers:
    """Signed with the other scope's secret, or one that is nobody's."""
    secret = chance.choice((signing.other, signing.other, "whsec_", signing.secret + " ", "\x00"))
    return _one(f"t={NOW},v1={signing.v1(secret=secret)}", _REFUSED)


def _both_secrets(_: Chance, signing: _Signing) -> Headers:
    """Signed by both scopes, as no endpoint of Stripe's is: at least never taken for the other."""
    text = f"t={NOW},v1={signing.v1()},v1={signing.v1(secret=signing.other)}"
    return _one(text, _EITHER)


def _too_long(_: Chance, signing: _Signing) -> Headers:
    text = f"t={NOW},v1={signing.v1()},x="
    return _one(text + "x" * (MAX_HEADER_CHARACTERS + 1 - len(text)), _REFUSED)


def _none_at_all(chance: Chance, _: _Signing) -> Headers:
    lines = chance.choice(([], [(_NAME, b"")], [(_NAME, b",,,")], [(b"Stripe_Signature", b"t=1")]))
    return Headers(lines, _REFUSED)


def _garbage(chance: Chance, _: _Signing) -> Headers:
    """Any bytes but those that end a line."""
    junk = chance.randbytes(chance.choice((1, 20, 300))).translate(None, b"\r\n")
    return Headers([(_NAME, junk)], _REFUSED)


def _control_byte(chance: Chance, signing: _Signing) -> Headers:
    byte = chance.choice((b"\x00", b"\x01", b"\x7f", b"\xff", b"\x0b", b"\xc2\x85"))
    return Headers([(_NAME, b"t=%d,v1=%s" % (NOW, byte) + signing.v1().encode())], _REFUSED)


def _several_headers(chance: Chance, signing: _Signing) -> Headers:
    """Several header lines, the right one among them."""
    right = f"t={NOW},v1={signing.v1()}".encode()
    lines = [(_NAME, right), *((_NAME, b"t=1,v1=" + b"0" * 64) for _ in range(3))]
    chance.shuffle(lines)
    return Headers(lines)


def _other_spelling(chance: Chance, signing: _Signing) -> Headers:
    """The name of a header has no case, and blanks around its value are none of it."""
    name = chance.choice((b"stripe-signature", b"STRIPE-SIGNATURE", b"sTRIPE-sIGNATURE"))
    right = f"t={NOW},v1={signing.v1()}".encode()
    return Headers([(name, chance.choice((right, b"  " + right, right + b" \t")))], _TAKEN)


def _neighbours(chance: Chance, signing: _Signing) -> Headers:
    """Other headers say odd things; the body is what its bytes are."""
    right = (_NAME, f"t={NOW},v1={signing.v1()}".encode())
    other = chance.choice(
        (
            (b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br, deflate, x"),
            (b"Content-Type", b"text/plain; charset=\xff"),
            (b"Content-Type", b"multipart/form-data"),
            (b"Content-Type", b"application/json; charset=utf-16"),
            (b"Content-Type", b"\xc3\xa9/;;="), (b"Cookie", b"=;=;" * 200),
            (b"Range", b"bytes=0-1"), (b"Upgrade", b"h2c"), (b"Origin", b"null"),
            (b"X-Forwarded-For", b"\xe2\x80\xae"), (b"Authorization", b"Basic !"),
            (b"If-Match", b"*"), (b"X-HTTP-Method-Override", b"DELETE"),
            (b"Stripe-Account", b"acct_2"),
        )
    )  # fmt: skip
    return Headers([other, right], _TAKEN)


def _huge_header(chance: Chance, signing: _Signing) -> Headers:
    """Larger than the server reads: refused before anything else."""
    right = (_NAME, f"t={NOW},v1={signing.v1()}".encode())
    return Headers([right, (b"X-Huge", b"x" * chance.choice((9_000, 70_000)))], _REFUSED)


_MUTATIONS: Final[dict[str, Callable[[Chance, _Signing], Headers]]] = {
    "other time": _other_time,
    "no time": _no_time,
    "two times": _two_times,
    "other scheme": _other_scheme,
    "more schemes": _more_schemes,
    "many signatures": _many_signatures,
    "wrong signature": _wrong_signature,
    "other secret": _other_secret,
    "both secrets": _both_secrets,
    "too long": _too_long,
    "none at all": _none_at_all,
    "garbage": _garbage,
    "control byte": _control_byte,
    "several headers": _several_headers,
    "other spelling": _other_spelling,
    "neighbours": _neighbours,
    "huge header": _huge_header,
}
