"""What is open and needs a connection: it is told before the connection is ended.

A capability whose work goes on by itself registers an `OpenWork`: a line in the list of
`bootstrap/containers/service.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.connections import Connection


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One thing that is open. `kind` and `state` are words of its capability, `id` its own."""

    kind: str
    id: str
    state: str

    @property
    def words(self) -> str:
        """For people: `reload reload_1f (charging)`."""
        return f"{self.kind} {self.id} ({self.state})"


class OpenWork(Protocol):
    """Finds what is open of one capability.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer: nothing is ended then.
    """

    async def needing(self, connection: Connection, *, limit: int) -> Sequence[OpenItem]:
        """What cannot end well without the connection, at most `limit` of it."""
        ...
