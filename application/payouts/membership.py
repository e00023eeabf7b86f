"""Whether it is known which transactions a payout holds, and what to say where it is not."""

from enum import StrEnum
from typing import Final

from application.payouts.ports import MembershipReading
from domain.errors import FailedPrecondition, NotYet, Reason
from domain.mirror import Facet, Row
from domain.payouts import MEMBERSHIP, Payout

AT_STRIPE_SECONDS: Final = 600
"""When to ask again while Stripe reconciles a payout, which takes hours."""

READING_SECONDS: Final = 5
"""When to ask again while we read it."""

_INSTANT: Final = "instant"
_NOT_APPLICABLE: Final = "not_applicable"


class Membership(StrEnum):
    """How far it is known what a payout holds. The names are those of the contract."""

    READ = "READ"
    NOT_READ = "NOT_READ"
    NOT_RECONCILED = "NOT_RECONCILED"
    NOT_RECONCILABLE = "NOT_RECONCILABLE"


def membership_of(payout: Payout, facet: Facet | None) -> Membership:
    """What is known of a payout whose facet MEMBERSHIP is this one."""
    told = payout.reconciliation_status != _NOT_APPLICABLE and payout.method != _INSTANT
    if not (payout.automatic and told):
        return Membership.NOT_RECONCILABLE
    if not payout.tells_transactions:
        return Membership.NOT_RECONCILED
    return Membership.READ if facet is not None and facet.values else Membership.NOT_READ


class Memberships:
    """Sees to it that only a payout whose transactions are all known is told of."""

    def __init__(self, reading: MembershipReading) -> None:
        self._reading = reading

    async def require_read(self, row: Row[Payout], payout: Payout) -> Facet:
        """The facet of a payout that was read; one that could be is read soon.

        Raises FailedPrecondition (NOT_RECONCILABLE) and NotYet (PAYOUT_NOT_RECONCILED).
        """
        facet = row.derived.get(MEMBERSHIP)
        match membership_of(payout, facet):
            case Membership.NOT_RECONCILABLE:
                raise FailedPrecondition(
                    Reason.NOT_RECONCILABLE,
                    "Stripe does not tell what a manual or instant payout holds",
                    subject="payout",
                    metadata={"id": payout.id},
                )
            case Membership.NOT_RECONCILED:
                words = "Stripe is still reconciling the payout"
                raise _not_yet(payout.id, words, AT_STRIPE_SECONDS)
            case Membership.NOT_READ:
                await self._reading.ask(row.stripe_account, [payout.id])
                raise _not_yet(payout.id, _BEING_READ, READING_SECONDS)
            case Membership.READ:
                assert facet is not None  # noqa: S101 - as membership_of says
                return facet

    async def require_whole(self, facet: Facet, count: int) -> None:
        """Refuse a sum of so many transactions where it is that of a payout being read again.

        Those of a page are told before the payout is: so while it is read, there may be more of
        them than the payout says. Raises NotYet (PAYOUT_NOT_RECONCILED).
        """
        transactions = facet.values["transactions"]
        if transactions - facet.values["not_understood"] <= count <= transactions:
            return
        if await self._reading.is_due(facet.stripe_account, facet.id):
            raise _not_yet(facet.id, _BEING_READ, READING_SECONDS)


_BEING_READ: Final = "the payout's transactions are being read"


def _not_yet(payout: str, words: str, seconds: int) -> NotYet:
    return NotYet(
        Reason.PAYOUT_NOT_RECONCILED,
        words,
        subject="payout",
        retry_after_seconds=seconds,
        metadata={"id": payout},
    )
