"""Charges at Stripe: what is given back of them, and the port that does it."""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from application.mutations.stripe import Call
from domain.mirror import Snapshot
from domain.refunds import Refund


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What is to be given back of a charge.

    `amount` in minor units of `currency`, the charge's own; None: all that is left of it. `reason`
    is in Stripe's word.
    """

    charge: str
    amount: int | None = None
    currency: str = ""
    reason: str | None = None
    metadata: dict[str, str] | None = None


class RefundGateway(Protocol):
    """Refunds of charges at Stripe. Each `…` is a `Send`, each `find_…` its `Find`."""

    async def refund(self, call: Call, params: RefundOrder) -> Snapshot[Refund]:
        """Give money back. A charge that its state does not let be refunded is WrongState.

        NotFound for an unknown charge; InvalidArgument naming `amount` for more than is left.
        """
        ...

    async def find_refund(
        self, call: Call, params: RefundOrder, sent_at: dt.datetime
    ) -> Snapshot[Refund] | None:
        """The refund that bears the call's tag, whatever has become of it since."""
        ...
