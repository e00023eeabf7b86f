"""Codes on their way to Stripe: in memory, for as long as somebody waits for what they give."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from domain.errors import OutcomeUnknown

MOST: Final = 1_000
"""How many codes are held at most; of more the oldest is given up, as if the process had died."""

CodeKey: TypeAlias = tuple[str, str, str]
"""Whose request brings it, which one, and the digest of the code."""


class Codes:
    """Holds codes beside mutations: those are kept, and keep no secret."""

    def __init__(self) -> None:
        self._codes: OrderedDict[CodeKey, str] = OrderedDict()

    @contextmanager
    def held(self, key: CodeKey, code: str) -> Iterator[None]:
        """Hold a code while its call waits, and longer where that ends before its outcome."""
        self._codes[key] = code
        while len(self._codes) > MOST:
            self._codes.popitem(last=False)
        try:
            yield
        except OutcomeUnknown:
            raise  # the mutation goes on without its caller
        except BaseException:
            self._codes.pop(key, None)
            raise
        self._codes.pop(key, None)

    def get(self, key: CodeKey) -> str | None:
        """The code, unless the process that it was brought to has died."""
        return self._codes.get(key)
