"""Charges of an account's Stripe connection, and what is given back of them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from application.charges.commands import ListCharges, ListRefunds
from application.charges.ports import RefundGateway, RefundOrder
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES, REFUNDS
from application.mirror.ports import Filter
from application.mirror.reader import MirrorReader, equal_to, within
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.paging import Page, page_size_violations
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    metadata_violations,
    optional_id_violations,
    refuse,
    span_violations,
)
from domain.charges import Charge
from domain.errors import FieldViolation, InvalidArgument
from domain.refunds import Refund

REFUND_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")
"""What a caller may give as the reason of a refund (API reference, "Create a refund")."""

STATUSES: Final = ("succeeded", "pending", "failed")

_MOST: Final = 10**12 - 1
"""No charge is larger: Stripe's amounts have 12 digits at most."""


class Charges:
    """Lists and gets charges, lists and makes refunds.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        gateway: RefundGateway,
    ) -> None:
        self._reader = reader
        self._connections = connections
        self._gateway = gateway
        self._refund = mutations.method(
            "ChargeService.RefundCharge", RefundOrder, Refund, self._refund_steps
        )

    async def list(
        self, caller: Caller, query: ListCharges, violations: Sequence[FieldViolation] = ()
    ) -> Page[Charge]:
        """A page of charges in the mirror, newest first."""
        refuse(chain(violations, _list_violations(query)))
        connection = await self._connections.of(caller)
        equals = equal_to(
            customer=query.customer, payment_intent=query.payment_intent, status=query.status
        )
        return await self._reader.list(
            CHARGES,
            connection.stripe_account,
            Filter(equals, ranges=within("created", query.created_after, query.created_before)),
            page_size=query.page_size,
            page_token=query.page_token,
        )

    async def get(self, caller: Caller, charge_id: str) -> Charge:
        """A charge in the mirror. NotFound for an unknown one."""
        refuse(_charge_violations(charge_id, "id"))
        connection = await self._connections.of(caller)
        return await self._reader.get(CHARGES, connection.stripe_account, charge_id)

    async def refunds(
        self, caller: Caller, query: ListRefunds, violations: Sequence[FieldViolation] = ()
    ) -> Page[Refund]:
        """A page of refunds in the mirror, newest first."""
        refuse(chain(violations, _refunds_violations(query)))
        connection = await self._connections.of(caller)
        return await self._reader.list(
            REFUNDS,
            connection.stripe_account,
            Filter(
                equal_to(charge=query.charge),
                ranges=within("created", query.created_after, query.created_before),
            ),
            page_size=query.page_size,
            page_token=query.page_token,
        )

    async def refund(
        self,
        caller: Caller,
        request_id: str,
        order: RefundOrder,
        violations: Sequence[FieldViolation] = (),
    ) -> Refund:
        """Give a charge's money back at Stripe, whole or in part."""
        refuse(chain(violations, request_id_violations(request_id), _order_violations(order)))
        return await self._refund.run(caller, request_id, order)

    async def _refund_steps(self, steps: Steps, order: RefundOrder) -> Refund:
        if order.amount is not None and not steps.was_sent("refund"):
            await _check_currency(steps, order)
        refund = await steps.call(
            "refund", REFUNDS, order, self._gateway.refund, self._gateway.find_refund
        )
        await steps.read_back(CHARGES, order.charge)
        return shown(REFUNDS, refund)


async def _check_currency(steps: Steps, order: RefundOrder) -> None:
    """InvalidArgument for an amount in another currency: Stripe is told the number alone."""
    # A charge never changes its currency, so any row of the mirror tells it.
    charge = await steps.standing(CHARGES, order.charge, settled=lambda _: True)
    if order.currency != charge.amount.currency:
        rule = f"must be the charge's own, {charge.amount.currency}"
        raise InvalidArgument([FieldViolation("amount.currency", rule)])


def _list_violations(query: ListCharges) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from optional_id_violations(query.customer, "customer", CUSTOMER_ID)
    yield from optional_id_violations(
        query.payment_intent, "payment_intent", "pi_3MtwBwLkdIwHu7ix28a3tqPa"
    )
    if query.status and query.status not in STATUSES:
        yield FieldViolation("status", f"one of {', '.join(STATUSES)}")
    if query.payment_intent and (query.customer or query.status):
        yield FieldViolation("payment_intent", "not together with customer or status")
    yield from span_violations(query.created_after, query.created_before)


def _refunds_violations(query: ListRefunds) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    if query.charge:
        yield from _charge_violations(query.charge, "charge")
    yield from span_violations(query.created_after, query.created_before)


def _order_violations(order: RefundOrder) -> Iterator[FieldViolation]:
    yield from _charge_violations(order.charge, "id")
    if order.amount is not None:
        if not 1 <= order.amount <= _MOST:
            yield FieldViolation("amount", f"from 1 to {_MOST:,} minor units; not set: all")
        code = order.currency
        if not (len(code) == 3 and code.isascii() and code.isalpha() and code.islower()):
            yield FieldViolation("amount.currency", "the charge's, in three lower-case letters")
    if order.reason is not None and order.reason not in REFUND_REASONS:
        yield FieldViolation("reason", f"one of {', '.join(REFUND_REASONS)}")
    yield from metadata_violations(order.metadata or {}, "metadata")


def _charge_violations(charge_id: str, field: str) -> Iterator[FieldViolation]:
    return id_violations(charge_id, field, "ch_3MmlLrLkdIwHu7ix0snN0B15")
