"""Reports of comparing the mirror with Stripe."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol

from domain.oddities import Oddities

MAX_FINDINGS: Final = 500
"""How many findings a report names; all are counted."""


class ReportKind(StrEnum):
    """What made the comparison."""

    RECONCILE = "reconcile"
    REBUILD = "rebuild"
    PROOF = "proof"


class Drift(StrEnum):
    """How a row of the mirror is wrong."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that is wrong: which, how, and for a DIFFERENT one in which fields.

    Values are not kept: they may be personal data.
    """

    noun: str
    id: str
    drift: Drift
    fields: tuple[str, ...] = ()
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class NounCounts:
    """What was compared of a noun (objects at Stripe), and how many rows were wrong.

    Those that are `not_understood` are not compared.
    """

    noun: str
    compared: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    repaired: int = 0
    not_understood: int = 0

    @property
    def drifted(self) -> int:
        """How many rows were wrong."""
        return self.missing + self.extra + self.different


class Check(StrEnum):
    """What a proof holds the books to (`application/upkeep/proof.py`)."""

    PARTS = "parts"
    FIGURES = "figures"
    SETTLEMENTS = "settlements"
    BANK = "bank"
    PAYOUTS = "payouts"
    FACTS = "facts"


@dataclass(frozen=True, slots=True)
class CheckCount:
    """How often something was checked, and how often it did not hold."""

    check: Check
    checked: int
    differed: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not hold: the id of a row, a month of UTC, or a stretch between two balances.

    `expected` and `found` are minor units; None: there is nothing, or it is no amount.
    """

    check: Check
    subject: str
    currency: str
    expected: int | None
    found: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """A finished comparison, or proof. `findings` and `differences` are its first MAX_FINDINGS.

    `oddities` are not understood: nothing is found about them, and their rows stay as they are.
    """

    id: str
    stripe_account: str
    kind: ReportKind
    repair: bool
    started_at: dt.datetime
    finished_at: dt.datetime
    counts: tuple[NounCounts, ...]
    findings: tuple[Finding, ...] = ()
    oddities: Oddities = field(default_factory=Oddities)
    checks: tuple[CheckCount, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def drifted(self) -> int:
        """How many rows were wrong."""
        return sum(counts.drifted for counts in self.counts)

    @property
    def differed(self) -> int:
        """How often a check of a proof did not hold."""
        return sum(count.differed for count in self.checks)


class Reports(Protocol):
    """Keeps reports. Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer."""

    async def put(self, report: Report) -> None:
        """Keep a report, durably; the same id again replaces it."""
        ...

    async def get(self, stripe_account: str, report_id: str) -> Report | None:
        """A report of a Stripe account, or None."""
        ...

    async def newest(
        self, stripe_account: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Report]:
        """Reports, the last started first, at most `limit` (1 to 100), after a position.

        A position is a report's start in milliseconds and its id.
        """
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """What came of a block of a proof, and where the next one begins (None: it was the last).

    `place` is plain data, as a checkpoint keeps it.
    """

    checked: int
    differences: Sequence[Difference]
    read: int
    place: Mapping[str, Any] | None


class Prover(Protocol):
    """Proves, with all else, what a room above keeps. The rooms above answer; a proof asks them."""

    check: ClassVar[Check]

    async def block(self, stripe_account: str, place: Mapping[str, Any]) -> Proved:
        """Prove the next of it, from a place on (empty: from the beginning). Repeatable.

        What changes meanwhile is looked at again before it counts as a difference. Raises
        Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...


class Unposted(Protocol):
    """Tells what figures still wait for that is no event: something that is posted by the clock.

    Closing asks it; the rooms above answer.
    """

    async def oldest(self, stripe_account: str) -> int | None:
        """Of which instant (milliseconds of Stripe's time) the oldest is; None: there is nothing.

        Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...
