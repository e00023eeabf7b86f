"""Subscriptions of an account's Stripe connection."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from application.connections.use_cases import Connections
from application.mirror.nouns import SUBSCRIPTIONS
from application.mirror.ports import Filter
from application.mirror.reader import MirrorReader, equal_to, within
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.paging import Page, page_size_violations
from application.requests.violations import (
    CUSTOMER_ID,
    optional_id_violations,
    refuse,
    span_violations,
)
from application.subscriptions.commands import ListSubscriptions, UpdateSubscription
from application.subscriptions.fields import FIELDS
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    NewSubscription,
    ResumeCollection,
    ResumeSubscription,
    SubscriptionGateway,
    SubscriptionUpdate,
)
from application.subscriptions.violations import (
    cancellation_violations,
    change_violations,
    new_violations,
    pause_violations,
    statuses_violations,
    subscription_id_violations,
    taken_price_violations,
)
from domain.errors import FieldViolation, WrongState
from domain.subscriptions import Subscription

_SENT: Final = "send_invoice"
_SAFE: Final = "error_if_incomplete"
"""Nothing is left of what cannot be paid: no caller who saw only the failure finds a bill later."""


class Subscriptions:
    """Lists, gets, starts, changes, cancels, resumes and pauses subscriptions.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        gateway: SubscriptionGateway,
    ) -> None:
        self._reader = reader
        self._connections = connections
        self._gateway = gateway
        self._create = mutations.method(
            "SubscriptionService.CreateSubscription",
            NewSubscription, Subscription, self._create_steps,
        )  # fmt: skip
        self._update = mutations.method(
            "SubscriptionService.UpdateSubscription",
            SubscriptionUpdate, Subscription, self._update_steps,
        )  # fmt: skip
        self._cancel = mutations.method(
            "SubscriptionService.CancelSubscription",
            Cancellation, Subscription, self._cancel_steps,
        )  # fmt: skip
        self._resume = mutations.method(
            "SubscriptionService.ResumeSubscription",
            ResumeSubscription, Subscription, self._resume_steps,
        )  # fmt: skip
        self._pause = mutations.method(
            "SubscriptionService.PauseCollection",
            CollectionPause, Subscription, self._pause_steps,
        )  # fmt: skip
        self._collect = mutations.method(
            "SubscriptionService.ResumeCollection",
            ResumeCollection, Subscription, self._collect_steps,
        )  # fmt: skip

    async def list(
        self, caller: Caller, query: ListSubscriptions, violations: Sequence[FieldViolation] = ()
    ) -> Page[Subscription]:
        """A page of subscriptions in the mirror, newest first."""
        refuse(chain(violations, _list_violations(query)))
        connection = await self._connections.of(caller)
        return await self._reader.list(
            SUBSCRIPTIONS,
            connection.stripe_account,
            _filter(query),
            page_size=query.page_size,
            page_token=query.page_token,
        )

    async def get(self, caller: Caller, subscription_id: str) -> Subscription:
        """A subscription in the mirror. NotFound for an unknown one."""
        refuse(subscription_id_violations(subscription_id, "id"))
        connection = await self._connections.of(caller)
        return await self._reader.get(SUBSCRIPTIONS, connection.stripe_account, subscription_id)

    async def create(
        self,
        caller: Caller,
        request_id: str,
        wanted: NewSubscription,
        violations: Sequence[FieldViolation] = (),
    ) -> Subscription:
        """Start a subscription at Stripe."""
        refuse(chain(violations, request_id_violations(request_id), new_violations(wanted)))
        if wanted.collection_method != _SENT:
            wanted = replace(wanted, payment_behavior=wanted.payment_behavior or _SAFE)
        return await self._create.run(caller, request_id, wanted)

    async def update(
        self,
        caller: Caller,
        request_id: str,
        command: UpdateSubscription,
        violations: Sequence[FieldViolation] = (),
    ) -> Subscription:
        """Change the named fields and items of a subscription at Stripe."""
        change = _change(command)
        refuse(
            chain(
                violations,
                request_id_violations(request_id),
                change_violations(change, command.values, command.mask),
            )
        )
        return await self._update.run(caller, request_id, change)

    async def cancel(
        self, caller: Caller, request_id: str, cancellation: Cancellation
    ) -> Subscription:
        """End a subscription, now or with its current period. WrongState for one that has ended."""
        refuse(chain(request_id_violations(request_id), cancellation_violations(cancellation)))
        return await self._cancel.run(caller, request_id, cancellation)

    async def resume(self, caller: Caller, request_id: str, subscription_id: str) -> Subscription:
        """Take a scheduled cancellation back. WrongState for a subscription that has ended."""
        violations = subscription_id_violations(subscription_id, "id")
        refuse(chain(request_id_violations(request_id), violations))
        return await self._resume.run(caller, request_id, ResumeSubscription(subscription_id))

    async def pause_collection(
        self,
        caller: Caller,
        request_id: str,
        pause: CollectionPause,
        violations: Sequence[FieldViolation] = (),
    ) -> Subscription:
        """Pause the collection of payments. WrongState for a subscription that has ended."""
        refuse(chain(violations, request_id_violations(request_id), pause_violations(pause)))
        return await self._pause.run(caller, request_id, pause)

    async def resume_collection(
        self, caller: Caller, request_id: str, subscription_id: str
    ) -> Subscription:
        """Collect payments again. WrongState for a subscription that has ended."""
        violations = subscription_id_violations(subscription_id, "id")
        refuse(chain(request_id_violations(request_id), violations))
        return await self._collect.run(caller, request_id, ResumeCollection(subscription_id))

    async def _create_steps(self, steps: Steps, wanted: NewSubscription) -> Subscription:
        gateway = self._gateway
        return shown(
            SUBSCRIPTIONS,
            await steps.call("create", SUBSCRIPTIONS, wanted, gateway.create, gateway.find_created),
        )

    async def _update_steps(self, steps: Steps, change: SubscriptionUpdate) -> Subscription:
        gateway = self._gateway
        if change.items and not steps.was_sent("update"):
            standing = await _standing(steps, change.id)
            refuse(taken_price_violations(change.items, standing.items))
            if standing.collection_method != _SENT:  # else nothing is charged, so nothing declined
                change = replace(change, payment_behavior=change.payment_behavior or _SAFE)
            else:
                change = replace(change, payment_behavior="")
        return shown(
            SUBSCRIPTIONS,
            await steps.call("update", SUBSCRIPTIONS, change, gateway.update, gateway.find_updated),
        )

    async def _cancel_steps(self, steps: Steps, cancellation: Cancellation) -> Subscription:
        gateway = self._gateway
        if not steps.was_sent("cancel"):
            await _standing(steps, cancellation.id)
        return shown(
            SUBSCRIPTIONS,
            await steps.call(
                "cancel", SUBSCRIPTIONS, cancellation, gateway.cancel, gateway.find_canceled
            ),
        )

    async def _resume_steps(self, steps: Steps, wanted: ResumeSubscription) -> Subscription:
        gateway = self._gateway
        if not steps.was_sent("resume"):
            standing = await _standing(steps, wanted.id)
            wanted = replace(wanted, at_period_end=standing.cancel_at_period_end)
        return shown(
            SUBSCRIPTIONS,
            await steps.call("resume", SUBSCRIPTIONS, wanted, gateway.go_on, gateway.find_going_on),
        )

    async def _pause_steps(self, steps: Steps, pause: CollectionPause) -> Subscription:
        gateway = self._gateway
        return shown(
            SUBSCRIPTIONS,
            await steps.call("pause", SUBSCRIPTIONS, pause, gateway.pause, gateway.find_paused),
        )

    async def _collect_steps(self, steps: Steps, resume: ResumeCollection) -> Subscription:
        gateway = self._gateway
        return shown(
            SUBSCRIPTIONS,
            await steps.call(
                "collect", SUBSCRIPTIONS, resume, gateway.collect, gateway.find_collecting
            ),
        )


async def _standing(steps: Steps, subscription_id: str) -> Subscription:
    """The subscription as Stripe has it, before a first send. WrongState where it has ended.

    Stripe itself says of a second cancellation only that there is nothing to cancel.
    """
    standing = await steps.standing(SUBSCRIPTIONS, subscription_id, settled=lambda row: row.ended)
    if standing.ended:
        raise WrongState(SUBSCRIPTIONS.name, subscription_id, standing.status)
    return standing


def _filter(query: ListSubscriptions) -> Filter:
    return Filter(
        equals=equal_to(customer=query.customer),
        one_of={"status": query.statuses} if query.statuses else {},
        ranges=within("created", query.created_after, query.created_before),
    )


def _change(command: UpdateSubscription) -> SubscriptionUpdate:
    """The change as Stripe is to be told it."""
    fields = FIELDS.masked(command.values, command.mask)
    return SubscriptionUpdate(
        command.id, fields, command.items, command.proration_behavior, command.payment_behavior
    )


def _list_violations(query: ListSubscriptions) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from optional_id_violations(query.customer, "customer", CUSTOMER_ID)
    yield from statuses_violations(query.statuses)
    yield from span_violations(query.created_after, query.created_before)
