"""A store that does not answer is told by one typed error, whatever is asked of it."""

from collections.abc import Awaitable, Callable

import pytest

from application.analytics.metrics import GROSS_VOLUME
from application.contacts.ports import ContactLink, SourceVersion
from application.effects.waiting import WaitingEvent
from application.events.event_log import EventFilter
from application.events.inbox import EventState, Settled
from application.invoices.totals_port import TotalsFilter
from application.jobs.outbox import FailedJob
from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter
from application.mutations.ports import Lease, Step
from application.notes.ports import NoteFilter
from application.support.ports import SystemMessage
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import Contact, ContactField, ContactSync
from domain.errors import Reason, Unavailable
from domain.jobs import Job
from domain.notes import Note
from domain.rates import Rate
from domain.subscription_history import SubscriptionChange
from domain.subscriptions import Subscription
from domain.wallets import Buyer, WalletSettings
from tests.contract.samples import KEY, NOON, OURS, SECOND, charge, event, facet, record, snapshot
from tests.support.rooms.ledger import WALLET, grant
from tests.support.rooms.store import ADD_ON, cart, item, subscription
from tests.support.servers.stores import Opener, Stores

LEASE = Lease("one", NOON)
DAY = [NOON, NOON + 86_400 * SECOND]

RATE = Rate(NOON.date(), "eur", "1.1")
NOTE = Note("note_1", "acme", OURS, "cus_1", "ada", "hi", NOON, NOON)
JOB = Job("job-1", "support.payment_notice", "acme", NOON)
BILLING_EVENT = Job("event-1", "events.invoice_paid", "acme", NOON)
CHANGE = SubscriptionChange(
    OURS, "evt_1", "customer.subscription.created", NOON,
    Subscription("sub_1", NOON, "cus_1", "active"),
)  # fmt: skip

CALLS: dict[str, Callable[[Stores], Awaitable[object]]] = {
    "mirror.fetch": lambda s: s.mirror.fetch(CHARGES, OURS, ["ch_1"]),
    "mirror.replace": lambda s: s.mirror.replace(CHARGES, [(snapshot(charge()), 0)]),
    "mirror.derive": lambda s: s.mirror.derive(CHARGES, [facet("ch_1", fee=1)]),
    "mirror.list": lambda s: s.mirror.list(
        CHARGES, OURS, Filter(), order=NEWEST_FIRST, after=None, limit=1
    ),
    "mirror.search": lambda s: s.mirror.search(CUSTOMERS, OURS, [["ada"]], after=None, limit=1),
    "mirror.count": lambda s: s.mirror.count(CHARGES, OURS),
    "inbox.append": lambda s: s.inbox.append(event()),
    "inbox.claim": lambda s: s.inbox.claim("one", now=NOON, lease=SECOND, limit=1, max_bytes=1),
    "inbox.settle": lambda s: s.inbox.settle(
        "one", [Settled("evt_1", EventState.PROCESSED, "applied")]
    ),
    "inbox.backlog": lambda s: s.inbox.backlog(),
    "inbox.get": lambda s: s.inbox.get("evt_1"),
    "event_log.list": lambda s: s.event_log.list(EventFilter(), after=None, limit=1),
    "event_log.record": lambda s: s.event_log.record("evt_1"),
    "event_log.payload": lambda s: s.event_log.payload("evt_1"),
    "event_log.about": lambda s: s.event_log.about(OURS, "ch_1", after=None, limit=1),
    "event_log.retry": lambda s: s.event_log.retry(["evt_1"], now=NOON),
    "event_log.retry_dead": lambda s: s.event_log.retry_dead(EventFilter(), now=NOON, limit=1),
    "event_log.counts": lambda s: s.event_log.counts(None),
    "event_history.of_account": lambda s: s.event_history.of_account(OURS, after="", limit=1),
    "journal.append": lambda s: s.journal.append(WALLET, [grant("g", 1)]),
    "journal.head": lambda s: s.journal.head("acme"),
    "journal.by_keys": lambda s: s.journal.by_keys("acme", ["g"]),
    "journal.last_follower": lambda s: s.journal.last_follower("acme", "g"),
    "journal.list": lambda s: s.journal.list("acme", limit=1),
    "wallet_settings.get": lambda s: s.wallet_settings.get("acme"),
    "wallet_settings.put": lambda s: s.wallet_settings.put(WalletSettings("acme", NOON)),
    "wallet_settings.see": lambda s: s.wallet_settings.see("acme", available=1, sequence=1),
    "wallet_settings.list_short": lambda s: s.wallet_settings.list_short(after="", limit=1),
    "buyers.add": lambda s: s.buyers.add(Buyer("acme", OURS, "cus_1", NOON)),
    "buyers.get": lambda s: s.buyers.get("acme", OURS),
    "buyers.find": lambda s: s.buyers.find(OURS, "cus_1"),
    "carts.put": lambda s: s.carts.put("lily", item(ADD_ON), new_id="c", at=NOON),
    "carts.get": lambda s: s.carts.get("lily"),
    "carts.remove": lambda s: s.carts.remove(cart()),
    "store_catalogue.get": lambda s: s.store_catalogue.get("price_1"),
    "store_catalogue.list": lambda s: s.store_catalogue.list(after="", limit=1),
    "store_catalogue.put_product": lambda s: s.store_catalogue.put_product(ADD_ON.product),
    "store_catalogue.put_price": lambda s: s.store_catalogue.put_price(ADD_ON.price),
    "store_subscriptions.add": lambda s: s.store_subscriptions.add(subscription()),
    "store_subscriptions.put": lambda s: s.store_subscriptions.put(subscription()),
    "store_subscriptions.get": lambda s: s.store_subscriptions.get("lily", "co_1"),
    "store_subscriptions.list": lambda s: s.store_subscriptions.list("lily", after="", limit=1),
    "store_subscriptions.has_listing": lambda s: s.store_subscriptions.has_listing("lily"),
    "store_subscriptions.list_sold": lambda s: s.store_subscriptions.list_sold(
        "acme", after="", limit=1
    ),
    "store_subscriptions.find": lambda s: s.store_subscriptions.find(OURS, "sub_1"),
    "store_subscriptions.list_due": lambda s: s.store_subscriptions.list_due(now=NOON, limit=1),
    "log.begin": lambda s: s.mutation_log.begin(record(), LEASE, now=NOON),
    "log.save_step": lambda s: s.mutation_log.save_step(KEY, LEASE, Step("create", b"{}")),
    "log.finish": lambda s: s.mutation_log.finish(KEY, LEASE, reply=b"{}", failure=None),
    "log.release": lambda s: s.mutation_log.release(KEY, LEASE, retry_at=NOON),
    "log.find_open": lambda s: s.mutation_log.find_open(now=NOON, limit=1),
    "log.purge": lambda s: s.mutation_log.purge(before=NOON, limit=1),
    "accounts.get": lambda s: s.accounts.get("acme"),
    "accounts.add": lambda s: s.accounts.add(Account("acme", "Acme", "usd")),
    "accounts.list_all": lambda s: s.accounts.list_all(after="", limit=1),
    "connections.get": lambda s: s.connections.get("acme", Mode.TEST),
    "connections.find": lambda s: s.connections.find_by_stripe_account(OURS, Mode.TEST),
    "connections.put": lambda s: s.connections.put(
        Connection("acme", OURS, Mode.TEST, ConnectionKind.OAUTH, NOON)
    ),
    "connections.revoke": lambda s: s.connections.revoke(
        Connection("acme", OURS, Mode.TEST, ConnectionKind.OAUTH, NOON)
    ),
    "deployment.stamp": lambda s: s.deployment.stamp(Mode.TEST),
    "deployment.platform_account": lambda s: s.deployment.platform_account(),
    "deployment.keep": lambda s: s.deployment.keep_platform_account(OURS),
    "invoice_totals.totals": lambda s: s.invoice_totals.totals(
        OURS, TotalsFilter(), ["open"], now=NOON
    ),
    "rates.standing": lambda s: s.rates.standing("acme", "usd", [RATE.place]),
    "rates.add": lambda s: s.rates.add("acme", "usd", [RATE]),
    "rates.list": lambda s: s.rates.list("acme", "usd", None, after=None, limit=1),
    "rates.find": lambda s: s.rates.find("acme", "usd", ["eur"], NOON.date(), NOON.date()),
    "analytics.figures": lambda s: s.analytics.figures(GROSS_VOLUME, OURS, DAY),
    "outbox.append": lambda s: s.outbox.append([JOB, BILLING_EVENT]),
    "outbox.claim": lambda s: s.outbox.claim("one", now=NOON, lease=SECOND, limit=1),
    "outbox.mark_published": lambda s: s.outbox.mark_published("one", ["job-1"], now=NOON),
    "outbox.release": lambda s: s.outbox.release("one", [FailedJob("job-1", "", NOON)]),
    "outbox.counts": lambda s: s.outbox.counts(),
    "outbox.watch": lambda s: s.outbox.watch("acme", after=0, limit=1),
    "outbox.bounds": lambda s: s.outbox.bounds(),
    "outbox.purge": lambda s: s.outbox.purge(before=NOON, limit=1),
    "waiting_events.add": lambda s: s.waiting_events.add([WaitingEvent("evt_1", OURS, NOON)]),
    "waiting_events.of": lambda s: s.waiting_events.of(OURS, after="", limit=1),
    "waiting_events.remove": lambda s: s.waiting_events.remove(OURS, ["evt_1"]),
    "deployment.check": lambda s: s.deployment.check(),
    "waiting_events.next": lambda s: s.waiting_events.next_stripe_account(after=""),
    "waiting_events.count": lambda s: s.waiting_events.count(),
    "history.append": lambda s: s.subscription_history.append([CHANGE]),
    "history.of": lambda s: s.subscription_history.of_subscription(
        OURS, "sub_1", after=None, limit=1
    ),
    "support.post": lambda s: s.support.post(SystemMessage("m", "acme", "ada", "hi", NOON)),
    "support.messages": lambda s: s.support.messages("acme", "ada", limit=1),
    "contacts.sync_settings": lambda s: s.contacts.sync_settings("acme"),
    "contacts.put_sync_settings": lambda s: s.contacts.put_sync_settings(ContactSync("acme", {})),
    "contacts.get": lambda s: s.contacts.get("acme", "ada"),
    "contacts.with_email": lambda s: s.contacts.with_email("acme", "a@x.test", limit=1),
    "contacts.with_phone": lambda s: s.contacts.with_phone("acme", ["1"], limit=1),
    "contacts.custom_fields": lambda s: s.contacts.custom_fields("acme"),
    "contacts.put_field": lambda s: s.contacts.put_field("acme", ContactField("tier", "Tier")),
    "contacts.add": lambda s: s.contacts.add(Contact("bob", "acme")),
    "contacts.list_all": lambda s: s.contacts.list_all("acme", after="", limit=1),
    "contacts.linked": lambda s: s.contacts.linked("acme", OURS, ["ada"]),
    "notes.add": lambda s: s.notes.add(NOTE),
    "notes.get": lambda s: s.notes.get("acme", NOTE.id),
    "notes.replace": lambda s: s.notes.replace(NOTE.edited("new", "tag", NOON)),
    "notes.list": lambda s: s.notes.list("acme", NoteFilter(), after=None, limit=1),
    "contacts.fill": lambda s: s.contacts.fill(
        "acme", "ada", {}, SourceVersion(1, 1, 1), stripe_account=OURS, create=True
    ),
    "contacts.link": lambda s: s.contacts.link(ContactLink("acme", OURS, "cus_1", "ada", NOON)),
    "contacts.links": lambda s: s.contacts.links("acme", OURS, ["cus_1"]),
    "contacts.unlink": lambda s: s.contacts.unlink("acme", OURS, "cus_1"),
}


async def test_every_call_to_a_closed_store_is_unavailable(opener: Opener) -> None:
    async with opener() as stores:
        for call in CALLS.values():
            await call(stores)
    for name, call in CALLS.items():
        with pytest.raises(Unavailable) as refused:
            await call(stores)
        assert refused.value.reason is Reason.STORE_UNAVAILABLE, name
