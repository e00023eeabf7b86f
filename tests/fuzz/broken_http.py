"""Requests that are hardly HTTP any more, around a body that is rightly signed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from interfaces.http_webhook.app import MAX_BODY_BYTES, PATH
from tests.fuzz.deliveries import Delivery
from tests.fuzz.odd_values import Chance
from tests.fuzz.wire import request_bytes


@dataclass(frozen=True, slots=True)
class BrokenRequest:
    """Bytes to send; where `aborted`, the sender is gone at once and hears no answer."""

    how: str
    data: bytes
    aborted: bool


def broken(seed: int, delivery: Delivery) -> BrokenRequest:
    """What is made of a right delivery, by the seed and its index alone."""
    chance = random.Random(f"http:{seed}:{delivery.index}")  # noqa: S311 - to be repeated, no secret
    name = chance.choice(list(_MUTATIONS))
    data = _MUTATIONS[name](chance, delivery)
    return BrokenRequest(name, data, aborted=chance.random() < 0.1)


def _head(delivery: Delivery, *fields: bytes, start: bytes | None = None) -> bytes:
    """A request line and header lines, those of the signature last."""
    first = f"POST {PATH} HTTP/1.1".encode() if start is None else start
    lines = (first, b"Host: billing", *fields, *(b"%s: %s" % line for line in delivery.lines))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _odd_length(chance: Chance, delivery: Delivery) -> bytes:
    size = len(delivery.body)
    told = chance.choice(
        (
            b"", b"abc", b"-1", b"+%d" % size, b"0x%x" % size, b"%d, %d" % (size, size), b"9" * 40,
            b"%d" % (size + 1), b"%d" % (size - 1), b"0", b"1e3", b"%d " % size, b" %d" % size,
            b"%d" % (MAX_BODY_BYTES + 1), b"%d" % 2**63, b"\xd9\xa1", b"%d\x00" % size,
            b"00%d" % size,
        )
    )  # fmt: skip
    return _head(delivery, b"Content-Length: " + told) + delivery.body


def _two_lengths(chance: Chance, delivery: Delivery) -> bytes:
    """Two lengths, or a length and chunks: where a proxy and we might not agree."""
    size = b"Content-Length: %d" % len(delivery.body)
    other = chance.choice(
        (size, b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip")
    )
    fields = [size, other]
    chance.shuffle(fields)
    return _head(delivery, *fields) + delivery.body


def _odd_chunks(chance: Chance, delivery: Delivery) -> bytes:
    body = delivery.body
    right = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    chunks = chance.choice(
        (
            right, right[:-4], right[: len(right) // 2], body, b"zz\r\n" + right, b"-1\r\n" + right,
            b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(body), b"e=" * 40_000, body),
            b"f" * 20 + b"\r\n" + body, b"%x\r\n%s0\r\n\r\n" % (len(body), body),
            b"%x\n%s\n0\n\n" % (len(body), body), b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
            right[:-2] + b"Stripe-Signature: t=1\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n", b"\r\n" + right,
            right[:-2] + b"X: " + b"y" * 70_000 + b"\r\n\r\n", b"0\r\n\r\n", b"ffffffff\r\n" + body,
        )
    )  # fmt: skip
    encoding = chance.choice(
        (b"chunked", b"chunked", b"chunked", b"Chunked", b"chunked, chunked", b"x")
    )
    return _head(delivery, b"Transfer-Encoding: " + encoding) + chunks


def _too_large(chance: Chance, delivery: Delivery) -> bytes:
    """Beyond the limit, told before or only by its chunks."""
    block = b" " * 65_536
    count = MAX_BODY_BYTES // len(block) + 1
    if chance.random() < 0.5:
        return _head(delivery, b"Content-Length: %d" % (len(block) * count)) + block * count
    chunk = b"%x\r\n%s\r\n" % (len(block), block)
    return _head(delivery, b"Transfer-Encoding: chunked") + chunk * count + b"0\r\n\r\n"


def _cut(chance: Chance, delivery: Delivery) -> bytes:
    """A sender that stops in the middle of it."""
    whole = request_bytes(delivery.body, delivery.lines)
    return whole[: chance.randrange(len(whole))]


def _flipped(chance: Chance, delivery: Delivery) -> bytes:
    """Flipped bits anywhere, most of them in front of the body."""
    whole = bytearray(request_bytes(delivery.body, delivery.lines))
    for _ in range(chance.choice((1, 2, 5))):
        end = chance.choice((len(whole), len(whole) - len(delivery.body)))
        whole[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(whole)


def _odd_start(chance: Chance, delivery: Delivery) -> bytes:
    path = PATH.encode()
    start = chance.choice(
        (
            b"POST", b"POST " + path, b"POST " + path + b" HTTP/0.9",
            b"POST " + path + b" HTTP/2.0", b"POST " + path + b" HTTP/9.9",
            b"post " + path + b" HTTP/1.1", b"P\x00ST / HTTP/1.1",
            b"POST http://billing" + path + b" HTTP/1.1", b"POST //" + path + b" HTTP/1.1",
            b"POST " + path + b"?" + b"q" * 9_000 + b" HTTP/1.1", b"POST /%00%ff HTTP/1.1",
            b"POST /../" + path + b" HTTP/1.1", b"POST \xff\xfe HTTP/1.1", b"OPTIONS * HTTP/1.1",
            b"CONNECT billing:443 HTTP/1.1", b"PRI * HTTP/2.0", b"GET " + path + b" HTTP/1.1",
            b"POST " + path + b" HTTP/1.0", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"",
            b"HEAD /healthz HTTP/1.1", b"TRACE " + path + b" HTTP/1.1", b"X" * 9_000,
            b"POST " + path + b"\tHTTP/1.1", b"POST http://[::1 HTTP/1.1", b"POST :80 HTTP/1.1",
        )
    )  # fmt: skip
    return _head(delivery, b"Content-Length: %d" % len(delivery.body), start=start) + delivery.body


def _odd_fields(chance: Chance, delivery: Delivery) -> bytes:
    field = chance.choice(
        (
            b"no colon", b": no name", b"A b: c", b"X: \x00", b"X: a\r\n folded", b"\xc3\xa9: 1",
            b"Expect: 100-continue", b"Expect: a miracle", b"Connection: close",
            b"Connection: upgrade",
            b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x", b"Host: other",
            b"\r\n".join(b"X-%d: y" % number for number in range(5_000)), b"X: " + b"y" * 100_000,
            b"Content-Length : 5", b"Content-Encoding: gzip", b"X: \r", b"X:\ny: z", b"Host: \x7f",
            b"Connection: Content-Length", b"Connection: keep-alive, close", b"Cookie: \xff=\xfe",
        )
    )  # fmt: skip
    return _head(delivery, field, b"Content-Length: %d" % len(delivery.body)) + delivery.body


def _pipelined(chance: Chance, delivery: Delivery) -> bytes:
    """The same several times without waiting, perhaps with garbage between."""
    one = request_bytes(delivery.body, delivery.lines)
    between = chance.choice((b"", b"\r\n", b"garbage", b"\x00", b"\r\n\r\n\r\n"))
    return (one + between) * chance.choice((2, 20))


def _bare_newlines(_: Chance, delivery: Delivery) -> bytes:
    head, _end, body = request_bytes(delivery.body, delivery.lines).partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + b"\n\n" + body


def _noise(chance: Chance, _delivery: Delivery) -> bytes:
    return chance.randbytes(chance.choice((1, 100, 20_000)))


_MUTATIONS: Final[dict[str, Callable[[Chance, Delivery], bytes]]] = {
    "odd length": _odd_length,
    "two lengths": _two_lengths,
    "odd chunks": _odd_chunks,
    "too large": _too_large,
    "cut": _cut,
    "flipped": _flipped,
    "odd start": _odd_start,
    "odd fields": _odd_fields,
    "pipelined": _pipelined,
    "bare newlines": _bare_newlines,
    "noise": _noise,
}
