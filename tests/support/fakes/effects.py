"""In-memory fakes of the ports behind the effects, as in `tests/support/fakes/stores.py`."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from typing_extensions import override

from application.contacts.ports import ContactDirectory, ContactLink, SourceVersion
from application.effects.waiting import WaitingEvent, WaitingEvents
from application.jobs.outbox import ClaimedJob, FailedJob, Outbox, OutboxCounts, WatchedJob
from application.subscriptions.history import SubscriptionHistory
from application.support.ports import PostedMessage, SupportInbox, SystemMessage
from domain.contacts import Contact, ContactField, ContactSync, folded
from domain.errors import AlreadyExists, Reason
from domain.jobs import Job
from domain.subscription_history import SubscriptionChange
from tests.support.fakes.lists import FakeCheckpoints
from tests.support.fakes.logs import FakeInbox
from tests.support.fakes.stores import (
    Fake,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    Pause,
    no_pause,
)
from tests.support.servers.stores import Stores

_NEVER: Final = SourceVersion(-1, -1, -1)


class FakeContacts(Fake, ContactDirectory):
    """Contacts, links and settings in dictionaries."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.contacts: dict[tuple[str, str], Contact] = {}
        self.linked_to: dict[tuple[str, str, str], ContactLink] = {}
        self.settings: dict[str, ContactSync] = {}
        self.custom: dict[tuple[str, str], ContactField] = {}
        self._filled: dict[tuple[str, str], tuple[str, SourceVersion]] = {}

    @override
    async def sync_settings(self, account: str) -> ContactSync | None:
        async with self._step("contacts.sync_settings"):
            return self.settings.get(account)

    @override
    async def put_sync_settings(self, settings: ContactSync) -> bool:
        async with self._step("contacts.put_sync_settings"):
            present = self.settings.get(settings.account)
            if (present.revision if present else 0) != settings.revision - 1:
                return False
            self.settings[settings.account] = settings
        return True

    @override
    async def custom_fields(self, account: str) -> Sequence[ContactField]:
        async with self._step("contacts.custom_fields"):
            own = [one for (owner, _), one in self.custom.items() if owner == account]
        return sorted(own, key=lambda one: one.name)

    @override
    async def put_field(self, account: str, field: ContactField) -> None:
        async with self._step("contacts.put_field"):
            self.custom[account, field.name] = replace(field, custom=True)

    @override
    async def add(self, contact: Contact) -> None:
        key = (contact.account, contact.id)
        async with self._step("contacts.add"):
            if key in self.contacts:
                raise AlreadyExists(Reason.ALREADY_EXISTS, "the contact is there already")
            self.contacts[key] = contact

    @override
    async def list_all(self, account: str, *, after: str, limit: int) -> Sequence[Contact]:
        async with self._step("contacts.list_all"):
            return [one for one in self._own(account) if one.id > after][:limit]

    @override
    async def get(self, account: str, contact: str) -> Contact | None:
        async with self._step("contacts.get"):
            return self.contacts.get((account, contact))

    @override
    async def with_email(self, account: str, email: str, *, limit: int) -> Sequence[Contact]:
        async with self._step("contacts.with_email"):
            own = [(one, one.fields.get("email")) for one in self._own(account)]
        return [one for one, its in own if its and folded(its) == folded(email)][:limit]

    @override
    async def with_phone(
        self, account: str, spellings: Sequence[str], *, limit: int
    ) -> Sequence[Contact]:
        async with self._step("contacts.with_phone"):
            own = self._own(account)
        return [one for one in own if one.fields.get("phone") in spellings][:limit]

    @override
    async def fill(
        self, account: str, contact: str, fields: Mapping[str, str], version: SourceVersion,
        *, stripe_account: str, create: bool,
    ) -> bool:  # fmt: skip
        key = (account, contact)
        async with self._step("contacts.fill"):
            source, filled = self._filled.get(key, ("", _NEVER))
            late = source == stripe_account and filled > version
            if late or (key not in self.contacts and not create):
                return False
            found = self.contacts.get(key) or Contact(contact, account)
            self.contacts[key] = replace(found, fields={**found.fields, **fields})
            self._filled[key] = (stripe_account, version)
        return True

    @override
    async def link(self, link: ContactLink) -> ContactLink | None:
        key = (link.account, link.stripe_account, link.customer)
        async with self._step("contacts.link"):
            taken = any(
                (one.account, one.stripe_account, one.contact) == (*key[:2], link.contact)
                for one in self.linked_to.values()
            )
            if key not in self.linked_to and not taken:
                self.linked_to[key] = link
            return self.linked_to.get(key)

    @override
    async def links(
        self, account: str, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, ContactLink]:
        async with self._step("contacts.links"):
            keys = {customer: (account, stripe_account, customer) for customer in customers}
            return {one: self.linked_to[key] for one, key in keys.items() if key in self.linked_to}

    @override
    async def link_of(self, account: str, stripe_account: str, contact: str) -> ContactLink | None:
        async with self._step("contacts.link_of"):
            found = (
                one for (*owner, _), one in self.linked_to.items()
                if owner == [account, stripe_account] and one.contact == contact
            )  # fmt: skip
            return next(found, None)

    @override
    async def linked(
        self, account: str, stripe_account: str, contacts: Sequence[str]
    ) -> frozenset[str]:
        async with self._step("contacts.linked"):
            of = (account, stripe_account)
            own = [one for key, one in self.linked_to.items() if key[:2] == of]
        return frozenset(one.contact for one in own if one.contact in contacts)

    @override
    async def unlink(self, account: str, stripe_account: str, customer: str) -> bool:
        async with self._step("contacts.unlink"):
            return self.linked_to.pop((account, stripe_account, customer), None) is not None

    def _own(self, account: str) -> Sequence[Contact]:
        return [one for (owner, _), one in sorted(self.contacts.items()) if owner == account]


class FakeSupport(Fake, SupportInbox):
    """Messages by id; each contact has one conversation."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.posted: dict[tuple[str, str], PostedMessage] = {}

    @override
    async def post(self, message: SystemMessage) -> PostedMessage:
        async with self._step("support.post"):
            made = PostedMessage(f"conversation of {message.contact}", message)
            return self.posted.setdefault((message.account, message.id), made)

    @override
    async def messages(self, account: str, contact: str, *, limit: int) -> Sequence[PostedMessage]:
        async with self._step("support.messages"):
            own = [
                one
                for (owner, _), one in self.posted.items()
                if (owner, one.message.contact) == (account, contact)
            ]
        return own[::-1][:limit]


class FakeSubscriptionHistory(Fake, SubscriptionHistory):
    """Changes by Stripe account and event."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.changes: dict[tuple[str, str], SubscriptionChange] = {}

    @override
    async def append(self, changes: Sequence[SubscriptionChange]) -> None:
        async with self._step("history.append"):
            for one in changes:
                self.changes.setdefault((one.stripe_account, one.event_id), one)

    @override
    async def of_subscription(
        self,
        stripe_account: str,
        subscription: str,
        *,
        after: tuple[dt.datetime, str] | None,
        limit: int,
    ) -> Sequence[SubscriptionChange]:
        async with self._step("history.of_subscription"):
            own = [
                one
                for (owner, _), one in self.changes.items()
                if (owner, one.subscription.id) == (stripe_account, subscription)
                and (after is None or (one.at, one.event_id) > after)
            ]
        return sorted(own, key=lambda one: (one.at, one.event_id))[:limit]


class FakeOutbox(Fake, Outbox):
    """Jobs in the order of their arrival. There is one publisher, so nobody leases anything."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.jobs: dict[str, Job] = {}
        self._positions: dict[str, int] = {}
        self._attempts: Counter[str] = Counter()
        self._published: dict[str, dt.datetime] = {}

    @override
    async def append(self, jobs: Sequence[Job]) -> None:
        async with self._step("outbox.append"):
            for job in jobs:
                self.jobs.setdefault(job.id, job)
                self._positions.setdefault(job.id, len(self._positions) + 1)

    @override
    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int
    ) -> Sequence[ClaimedJob]:
        async with self._step("outbox.claim"):
            return [ClaimedJob(job, self._attempts[job.id]) for job in self._waiting()[:limit]]

    @override
    async def mark_published(self, owner: str, ids: Sequence[str], *, now: dt.datetime) -> int:
        async with self._step("outbox.mark_published"):
            ended = [job.id for job in self._waiting() if job.id in ids]
            self._published |= dict.fromkeys(ended, now)
        return len(ended)

    @override
    async def release(self, owner: str, failures: Sequence[FailedJob]) -> int:
        async with self._step("outbox.release"):
            self._attempts.update(one.job_id for one in failures)
        return len(failures)

    @override
    async def counts(self) -> OutboxCounts:
        async with self._step("outbox.counts"):
            waiting = self._waiting()
        return OutboxCounts(len(waiting), min((job.created_at for job in waiting), default=None))

    @override
    async def watch(self, account: str, *, after: int, limit: int) -> Sequence[WatchedJob]:
        async with self._step("outbox.watch"):
            found = [one for one in self._watched() if one.position > after]
        return [one for one in found if one.job.account == account][:limit]

    @override
    async def bounds(self) -> tuple[int, int]:
        async with self._step("outbox.bounds"):
            positions = [one.position for one in self._watched()]
        return (positions[0], positions[-1]) if positions else (0, 0)

    @override
    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        async with self._step("outbox.purge"):
            old = [id_ for id_, at in self._published.items() if at < before][:limit]
            seen = [one.job for one in self._watched()[:-1] if one.job.created_at < before][:limit]
            for id_ in (*old, *(job.id for job in seen)):
                del self.jobs[id_]
        return len(old) + len(seen)

    def _waiting(self) -> list[Job]:
        jobs = self.jobs.values()
        return [job for job in jobs if not job.watched and job.id not in self._published]

    def _watched(self) -> list[WatchedJob]:
        found = [job for job in self.jobs.values() if job.watched]
        return [WatchedJob(self._positions[job.id], job) for job in found]


class FakeWaitingEvents(Fake, WaitingEvents):
    """Waiting events by id."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.waiting: dict[str, WaitingEvent] = {}

    @override
    async def add(self, events: Sequence[WaitingEvent]) -> None:
        async with self._step("waiting_events.add"):
            for one in events:
                self.waiting.setdefault(one.event_id, one)

    @override
    async def of(self, stripe_account: str, *, after: str, limit: int) -> Sequence[WaitingEvent]:
        async with self._step("waiting_events.of"):
            own = [one for one in self.waiting.values() if one.stripe_account == stripe_account]
        own.sort(key=lambda one: one.event_id)
        return [one for one in own if one.event_id > after][:limit]

    @override
    async def remove(self, stripe_account: str, event_ids: Sequence[str]) -> None:
        async with self._step("waiting_events.remove"):
            for event_id in event_ids:
                self.waiting.pop(event_id, None)

    @override
    async def next_stripe_account(self, *, after: str) -> str | None:
        async with self._step("waiting_events.next_stripe_account"):
            waiting = {one.stripe_account for one in self.waiting.values()}
        return min((one for one in waiting if one > after), default=None)

    @override
    async def count(self) -> int:
        async with self._step("waiting_events.count"):
            return len(self.waiting)


def memory_stores() -> Stores:
    """The ports that events go through, in memory; the other ports are not there."""
    there: dict[str, Any] = {
        "kind": "memory",
        "mirror": FakeMirror(),
        "checkpoints": FakeCheckpoints(),
        "inbox": FakeInbox(),
        "connections": FakeConnections(),
        "deployment": FakeDeployment(),
        "outbox": FakeOutbox(),
        "waiting_events": FakeWaitingEvents(),
        "contacts": FakeContacts(),
        "support": FakeSupport(),
        "subscription_history": FakeSubscriptionHistory(),
    }
    ports: dict[str, Any] = {one.name: there.get(one.name) for one in fields(Stores)}
    return Stores(**ports)
