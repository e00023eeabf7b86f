"""Back-off: how long to leave alone what has just failed."""

from dataclasses import dataclass
from typing import Final

_MAX_DOUBLINGS: Final = 60
"""More than any pause needs; the bound keeps the power a number."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses in seconds that double, from the first to the last."""

    first_seconds: float
    last_seconds: float

    def longest(self, retries: int) -> float:
        """The pause after so many retries that failed; 0 is the first try."""
        return min(self.first_seconds * 2.0 ** min(retries, _MAX_DOUBLINGS), self.last_seconds)

    def pause(self, retries: int, chance: float) -> float:
        """Between half of the longest and the whole; `chance` is random, of [0, 1).

        So what failed together does not come again together.
        """
        return self.longest(retries) * (0.5 + 0.5 * chance)
