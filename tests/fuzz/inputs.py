"""Hostile inputs that come by other ways than calls and webhooks: each by its index."""

import json
import logging
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from typing_extensions import override

from tests.fuzz import mutate_bytes
from tests.fuzz.odd_values import Chance, odd_value, written
from tests.fuzz.settings import FIRST, INPUTS, inputs_again
from tests.property.seed import SEED

MARK: Final = "Hunter2Xyzzy"
"""Stands in every input for what is secret: no exception and no log may hold it."""

MOST_SECONDS: Final = 5.0
"""No input takes longer: it is patience for a busy machine, not what they take."""


class Kept(logging.Handler):
    """Keeps the lines that are logged, a bounded number of them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < 10_000:
            self.lines.append(f"{record.getMessage()} {record.__dict__}")


class Tried:
    """One input. Within it: no secret is logged, it ends in time, and a failure tells its index."""

    def __init__(self, kind: str, index: int, kept: Kept) -> None:
        self._chance = random.Random(f"{kind}:{SEED}:{index}")  # noqa: S311 - to be repeated
        self._again = inputs_again(index)
        self._kept = kept
        self._began = 0.0

    def __enter__(self) -> Chance:
        self._kept.lines.clear()
        self._began = time.monotonic()
        return self._chance

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            error.add_note(f"again: {self._again}")
            return
        assert time.monotonic() - self._began < MOST_SECONDS, self._again
        assert not [line for line in self._kept.lines if MARK in line], self._again


def tries(kind: str) -> Iterator[Tried]:
    """Every input of a kind in a run."""
    kept, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    try:
        for index in range(FIRST, FIRST + INPUTS):
            yield Tried(kind, index, kept)
    finally:
        root.removeHandler(kept)
        root.setLevel(before)


def hostile_json(chance: Chance, right: Mapping[str, Any]) -> bytes:
    """A JSON document that is right, odd in some of its fields, or broken as bytes."""
    document = {**right, "secret": MARK}
    for name in chance.sample(sorted(document), chance.choice((0, 1, 1, 2))):
        if chance.random() < 0.2:
            del document[name]
        else:
            document[name] = odd_value(chance)
    body = written(json.dumps(document).encode())
    return mutate_bytes.mutated(chance, body)[0] if chance.random() < 0.5 else body


def hostile_text(chance: Chance, right: str) -> bytes:
    """A text that is right but for some of its bytes."""
    return mutate_bytes.mutated(chance, right.encode())[0]


def tells_nothing(error: BaseException) -> None:
    """AssertionError where an exception, or one that it shows with it, holds what is secret."""
    shown: BaseException | None = error
    while shown is not None:
        told = f"{shown} {shown!r} {shown.args}"
        assert MARK not in told, type(shown).__name__
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
