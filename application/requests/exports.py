"""How many files are written for callers at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from domain.errors import RateLimited, Reason

MAX_EXPORTS: Final = 20
MAX_EXPORTS_OF_AN_ACCOUNT: Final = 5
"""So that one account's readers, who may be slow, do not take them all."""

PART_CHARACTERS: Final = 65_536
"""How much of a file is gathered before it is sent: with one long note more, below 256 KiB."""


class Exports:
    """Counts the exports of one kind that run in this process."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        """How many each account has; an account without any is not in it."""

    @contextmanager
    def running_for(self, account: str) -> Iterator[None]:
        """Counts an export of an account until the context is left.

        Raises RateLimited (OVERLOADED) where there are too many at once.
        """
        own = self.running[account]
        if self.running.total() >= MAX_EXPORTS or own >= MAX_EXPORTS_OF_AN_ACCOUNT:
            words = "too many exports at once; try again later"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=10)
        self.running[account] += 1
        try:
            yield
        finally:
            self.running -= Counter([account])  # accounts without any are dropped
