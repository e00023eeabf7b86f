"""Stripe's customers in memory, with idempotency keys and every way of not answering."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

from typing_extensions import override

from application.customers.ports import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.mutations.stripe import REQUEST_TAG, Call, Unanswered
from domain.customers import Customer
from domain.errors import BillingError, NotFound
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from tests.support.fakes.stores import FakeClock, Pause, no_pause

Params = CustomerFields | CustomerChange | CustomerDeletion

TEXTS: Final = ("email", "name", "phone", "description")


class FakeCustomerGateway(CustomerGateway):
    """Customers by id. A request is sent a millisecond late and takes five.

    What is put into `refusals` is raised in turn, with nothing done and nothing kept for the key;
    what is put into `outcomes` is raised in turn and kept for the key, after the change was made
    where `made` says so. An Unanswered that was kept is raised as a replayed one.
    """

    def __init__(self, clock: FakeClock, pause: Pause = no_pause) -> None:
        self.pause = pause
        self.customers: dict[str, Customer] = {}
        self.deleted: set[str] = set()
        self.refusals: list[BillingError] = []
        self.outcomes: list[BillingError] = []
        self.made = False
        self.sends: list[tuple[str, Call, Params]] = []
        self.finds: list[Call] = []
        self._clock = clock
        self._kept: dict[str, tuple[Params, str | BillingError]] = {}

    @override
    async def create(self, call: Call, params: CustomerFields) -> Snapshot[Customer]:
        return await self._send("create", call, params)

    @override
    async def update(self, call: Call, params: CustomerChange) -> Snapshot[Customer]:
        return await self._send("update", call, params)

    @override
    async def delete(self, call: Call, params: CustomerDeletion) -> Snapshot[Customer]:
        return await self._send("delete", call, params)

    @override
    async def find_created(
        self, call: Call, params: CustomerFields, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        await self._look(call)
        tagged = [
            id_ for id_, one in self.customers.items() if one.metadata[REQUEST_TAG] == call.tag
        ]
        return self._snapshot(call, tagged[0]) if tagged else None

    @override
    async def find_updated(
        self, call: Call, params: CustomerChange, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        await self._look(call)
        found = self.customers[params.id]
        shown = _changed(found, params.fields) == found
        return self._snapshot(call, params.id) if shown else None

    @override
    async def find_deleted(
        self, call: Call, params: CustomerDeletion, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        await self._look(call)
        return self._snapshot(call, params.id) if params.id in self.deleted else None

    async def _look(self, call: Call) -> None:
        await self.pause("stripe.find")
        self.finds.append(call)

    async def _send(self, method: str, call: Call, params: Params) -> Snapshot[Customer]:
        await self.pause("stripe.request")
        self.sends.append((method, call, params))
        self._clock.advance(milliseconds=6)
        if self.refusals:
            raise self.refusals.pop(0)
        key = call.idempotency_key
        if key not in self._kept:
            outcome: str | BillingError
            if self.outcomes:
                outcome = self.outcomes.pop(0)
                if self.made:
                    self._make(call, params)
                self._kept[key] = (params, outcome)
                raise outcome
            self._kept[key] = (params, self._make(call, params))
        kept, outcome = self._kept[key]
        assert kept == params, "the same key with other parameters"
        if isinstance(outcome, Unanswered):
            raise Unanswered(outcome.message, replayed=True)
        if isinstance(outcome, BillingError):
            raise outcome
        await self.pause("stripe.answer")
        return self._snapshot(call, outcome)

    def _make(self, call: Call, params: Params) -> str:
        """Carry it out; the id of the customer that it is about."""
        match params:
            case CustomerFields():
                id_ = f"cus_{len(self.customers) + len(self.deleted) + 1}"
                metadata = {REQUEST_TAG: call.tag}
                blank = Customer(id_, self._clock.now().replace(microsecond=0), metadata=metadata)
                self.customers[id_] = _changed(blank, params)
                return id_
            case CustomerChange():
                if params.id not in self.customers:
                    raise NotFound("customer", params.id)
                self.customers[params.id] = _changed(self.customers[params.id], params.fields)
            case CustomerDeletion():
                self.customers.pop(params.id, None)
                self.deleted.add(params.id)
        return params.id

    def _snapshot(self, call: Call, id_: str) -> Snapshot[Customer]:
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms - 5)
        return Snapshot(call.stripe_account, id_, version, self.customers.get(id_))


def _changed(customer: Customer, fields: CustomerFields) -> Customer:
    texts = {name: getattr(fields, name) for name in TEXTS}
    written: dict[str, Any] = {
        name: text or None for name, text in texts.items() if text is not None
    }
    merged = {**customer.metadata, **(fields.metadata or {})}
    metadata = {key: value for key, value in merged.items() if value}
    return replace(customer, metadata=metadata, **written)
