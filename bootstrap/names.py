"""Names in the environment that look like settings and are none."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

MAX_EDITS: Final = 2
"""An unknown name at most so many edits from a setting is taken for that one, misspelt."""

_PREFIX: Final = "BILLING_"

_OF_OTHERS: Final = (
    "BILLING_SERVICE_", "BILLING_PORT_",  # Kubernetes, to whatever runs beside a service `billing`
    "BILLING_TEST_", "BILLING_FUZZ_",
)  # fmt: skip
"""How names begin that somebody else reads."""

_OTHERS: Final = frozenset({"BILLING_PORT"})

OF_COMMANDS: Final = frozenset({
    "BILLING_ADDRESS", "BILLING_TOKEN", "BILLING_TOKEN_FILE", "BILLING_TLS", "BILLING_TLS_CA",
    "BILLING_ENV_FILE",
})  # fmt: skip
"""What commands read in the place of a flag, and the service does not."""


class SettingsError(Exception):
    """A line for each setting that is missing, malformed or misspelt."""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that nobody reads. `meant` is the setting that it nearly is, if any."""

    name: str
    meant: str


def unknown_names(names: Iterable[str], known: Collection[str]) -> Iterator[UnknownName]:
    """Those of the names that begin as settings do, and are neither known nor somebody else's."""
    for name in sorted(names):
        upper = name.upper()  # settings are read in either case
        others = upper in _OTHERS or upper in OF_COMMANDS or upper.startswith(_OF_OTHERS)
        if upper.startswith(_PREFIX) and upper not in known and not others:
            edits, nearest = min((edit_distance(upper, one), one) for one in known)
            yield UnknownName(name, nearest if edits <= MAX_EDITS else "")


def edit_distance(one: str, other: str) -> int:
    """How many characters must be inserted, removed or replaced to make one text the other."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, 1):
        diagonal, row[0] = row[0], number
        for column, wanted in enumerate(other, 1):
            replaced = diagonal + (character != wanted)
            diagonal, row[column] = row[column], min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]
