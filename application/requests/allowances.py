"""How much a caller may ask for: how often, weighted by what it asks for, and how many streams."""

from dataclasses import dataclass
from typing import Final

MAX_PER_SECOND: Final = 100_000
MAX_STREAMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """A caller's bounds. `per_second` counts reads, a caller and account; `streams` are open ones.

    All of it is meant for one process.
    """

    per_second: int = 1_000
    streams: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.per_second <= MAX_PER_SECOND:
            raise ValueError(f"per_second: from 1 to {MAX_PER_SECOND}")
        if not 1 <= self.streams <= MAX_STREAMS:
            raise ValueError(f"streams: from 1 to {MAX_STREAMS}")


DEFAULT_ALLOWANCE: Final = Allowance()
"""What a caller has for whom nothing else was set."""
