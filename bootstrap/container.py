"""The composition: which class stands behind which port. The graph is synchronous throughout.

Building it connects nothing; `bootstrap.process` opens what is used, and closes it in order.
"""

import asyncio
import hashlib
import hmac
import os
import socket
import uuid
from collections.abc import Mapping

from dependency_injector import containers, providers

from application.accounts import AccountAdministration
from application.analytics import RevenueAnalytics
from application.backfill import Backfill, BackfillWork
from application.balance_transactions import BalanceTransactions
from application.billing_events import BillingEvents
from application.callers import Tenancy
from application.catch_up import CatchUp
from application.charges import Charges
from application.comparing import Comparison
from application.connections import Connections
from application.contact_customers import ContactCustomers
from application.contact_link_jobs import ContactLinkJobs
from application.contact_linking import ContactLinking
from application.contact_links import ContactLinks
from application.contact_matching import ContactMatching
from application.contact_sync import ContactSyncing
from application.contacts import ContactAdministration
from application.customers import Customers
from application.deauthorizing import Deauthorizing
from application.effects import Effects
from application.enrichment import Enrichment
from application.events import Events
from application.fleet import Fleet
from application.importing import Importing
from application.invoice_payments import InvoicePayments
from application.invoices import Invoices
from application.leases import Leases
from application.mirror_access import MirrorAccess
from application.mirror_reader import MirrorReader
from application.mirror_reports import MirrorReports
from application.mirror_status import MirrorStatuses
from application.mirroring import Mirroring
from application.mutations import Mutations
from application.notes import Notes
from application.operation_log import OperationLog
from application.operations import Operations
from application.paging import PageTokens
from application.payment_links import PaymentLinks
from application.payment_methods import PaymentMethods
from application.payment_notices import PaymentNotices
from application.platform import Platform
from application.projector import Projector
from application.publishing import Publishing
from application.receiving import Receiver
from application.reconciling import Reconciliation, ReconciliationWork
from application.shadowing import ShadowRebuild
from application.store_health import StoreHealth
from application.subscription_changes import SubscriptionChanges
from application.subscriptions import Subscriptions
from application.taking_over import TakingOver
from application.tasks import Tasks
from application.watching import Watching
from bootstrap.settings import Settings
from bootstrap.stores import Stores
from bootstrap.stripe import Stripe
from infrastructure.clock import SystemClock
from infrastructure.internal_api.client import InternalApi
from infrastructure.internal_api.short_links import InternalShortLinks
from infrastructure.phones import NumberingPlans
from infrastructure.queue.embedded import EmbeddedPublisher
from infrastructure.queue.nats import NatsPublisher
from infrastructure.security.tokens import CallerTokens
from interfaces.grpc.analytics import AnalyticsServicer
from interfaces.grpc.charges import ChargeServicer
from interfaces.grpc.connections import ConnectionServicer
from interfaces.grpc.contact_links import ContactLinkServicer
from interfaces.grpc.contract import services
from interfaces.grpc.customers import CustomerServicer
from interfaces.grpc.events import EventServicer
from interfaces.grpc.invoices import InvoiceServicer
from interfaces.grpc.mirror import MirrorServicer
from interfaces.grpc.notes import NoteServicer
from interfaces.grpc.payment_links import PaymentLinkServicer
from interfaces.grpc.payment_methods import PaymentMethodServicer
from interfaces.grpc.server import Server, ServerOptions
from interfaces.grpc.subscriptions import SubscriptionServicer


def _page_token_key(callers: Mapping[str, bytes]) -> bytes:
    """A key of its own for page tokens, the same in every process with the same settings."""
    return hmac.digest(next(iter(callers.values())), b"page tokens", hashlib.sha256)


def _owner() -> str:
    """Who holds a lease: unique for each start of each process."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Container(containers.DeclarativeContainer):
    """Every object of one process, made on first use."""

    settings = providers.Dependency(instance_of=Settings)

    # --- shared by the whole process ---
    clock = providers.Singleton(SystemClock)
    tasks = providers.Singleton(Tasks)
    arrived = providers.Singleton(asyncio.Event)
    queued = providers.Singleton(asyncio.Event)
    owner = providers.Singleton(_owner)
    mode = settings.provided.mode
    phones = providers.Singleton(NumberingPlans)

    # --- the store and the queue ---
    stores = providers.Container(Stores, settings=settings)
    mirror = stores.mirror
    publisher = providers.Selector(
        settings.provided.queue,
        embedded=providers.Singleton(EmbeddedPublisher),
        nats=providers.Singleton(
            NatsPublisher,
            settings.provided.nats_url.get_secret_value.call(),
            replicas=settings.provided.nats_replicas,
        ),
    )

    store_health = providers.Singleton(StoreHealth, stores.deployment)

    # --- Stripe ---
    stripe = providers.Container(Stripe, settings=settings, clock=clock)
    stripe_api = stripe.api
    stripe_accounts = stripe.accounts
    object_reader = stripe.objects
    event_reader = stripe.events
    lister = stripe.lister

    # --- the platform's internal API ---
    internal_api = providers.Singleton(
        InternalApi, settings.provided.app_secret.get_secret_value.call(), clock
    )
    short_links = providers.Selector(
        settings.provided.short_links,
        off=providers.Object(None),
        internal_api=providers.Singleton(
            InternalShortLinks, internal_api, settings.provided.short_links_address
        ),
    )

    # --- callers ---
    caller_tokens = providers.Singleton(CallerTokens, settings.provided.callers, clock)
    tenancy = providers.Singleton(Tenancy, stores.accounts)
    page_tokens = providers.Singleton(
        PageTokens, providers.Callable(_page_token_key, settings.provided.callers), clock
    )

    # --- the mirror and what keeps it right ---
    platform = providers.Singleton(Platform, stores.deployment, stripe_accounts, mode)
    connections = providers.Singleton(
        Connections, stores.connections, stripe_accounts, mirror, clock, mode
    )
    fleet = providers.Singleton(Fleet, stores.connections, platform, mode)
    mirroring = providers.Singleton(Mirroring, mirror)
    enrichment = providers.Singleton(Enrichment, mirror)
    importing = providers.Singleton(Importing, mirroring, object_reader, enrichment)
    backfill = providers.Singleton(Backfill, lister, importing, stores.checkpoints, clock)
    comparison = providers.Singleton(Comparison, mirror, object_reader, importing)
    reconciliation = providers.Singleton(
        Reconciliation, lister, mirror, comparison, stores.checkpoints, stores.reports, clock
    )
    balance_transactions = providers.Singleton(
        BalanceTransactions, lister, importing, mirror, stores.checkpoints, fleet, clock
    )
    invoice_payments = providers.Singleton(
        InvoicePayments,
        lister,
        object_reader,
        importing,
        mirror,
        stores.checkpoints,
        fleet,
        clock,
    )
    catch_up = providers.Singleton(
        CatchUp,
        lister,
        stores.inbox,
        stores.checkpoints,
        fleet,
        backfill,
        reconciliation,
        clock,
        arrived,
    )

    rebuild = providers.Singleton(
        ShadowRebuild,
        stores.shadows,
        lister,
        object_reader,
        stores.event_log,
        event_reader,
        mirror,
        comparison,
        stores.checkpoints,
        stores.reports,
        platform,
        clock,
    )

    # --- contacts of the CRM ---
    contact_matching = providers.Singleton(ContactMatching, stores.contacts, mirror, phones, clock)
    contact_syncing = providers.Singleton(ContactSyncing, stores.contacts, mirror, contact_matching)
    contact_linking = providers.Singleton(
        ContactLinking,
        stores.contacts,
        mirror,
        contact_syncing,
        contact_matching,
        stores.connections,
        stores.checkpoints,
        clock,
        mode,
    )

    # --- events and what follows from them ---
    receiver = providers.Singleton(Receiver, stripe.webhooks, stores.inbox, clock, arrived)
    effects = providers.Singleton(
        Effects,
        followers=providers.List(
            balance_transactions,
            invoice_payments,
            providers.Singleton(SubscriptionChanges, stores.subscription_history),
        ),
        effects=providers.List(
            contact_syncing,
            providers.Singleton(
                PaymentNotices,
                stores.contacts,
                stores.support,
                mirror,
                stores.outbox,
                clock,
                queued,
            ),
            providers.Singleton(BillingEvents, stores.outbox, clock),
        ),
        inbox=stores.inbox,
        events=event_reader,
        mirror=mirror,
        connections=stores.connections,
        parked=stores.parked_events,
        clock=clock,
        mode=mode,
        max_age=settings.provided.effects_max_age,
    )
    projector = providers.Singleton(
        Projector,
        stores.inbox,
        mirroring,
        enrichment,
        event_reader,
        object_reader,
        platform,
        clock,
        arrived,
        owner,
        effects,
        providers.Singleton(Deauthorizing, stores.connections, stripe_accounts, connections, mode),
    )
    publishing = providers.Singleton(Publishing, stores.outbox, publisher, clock, queued, owner)
    watching = providers.Singleton(Watching, stores.outbox)
    events = providers.Singleton(
        Events,
        stores.event_log,
        mirror,
        event_reader,
        connections,
        platform,
        page_tokens,
        clock,
        arrived,
    )

    # --- long work ---
    operation_log = providers.Singleton(OperationLog, stores.checkpoints, clock)
    taking_over = providers.Singleton(TakingOver, stores.takeover, operation_log, clock)
    mirror_access = providers.Singleton(MirrorAccess, connections, platform)
    works = providers.List(
        providers.Singleton(BackfillWork, backfill),
        providers.Singleton(
            ReconciliationWork, reconciliation, stores.checkpoints, stores.reports, clock
        ),
        rebuild,
        contact_linking,
    )
    operations = providers.Singleton(Operations, operation_log, works, mirror_access, fleet, clock)
    mirror_reports = providers.Singleton(MirrorReports, stores.reports, mirror_access, page_tokens)
    mirror_statuses = providers.Singleton(
        MirrorStatuses,
        mirror,
        stores.event_log,
        stores.parked_events,
        catch_up,
        operation_log,
        mirror_access,
        platform,
    )

    # --- use cases ---
    mutations = providers.Singleton(
        Mutations, stores.mutation_log, connections, mirroring, clock, tasks, object_reader
    )
    mirror_reader = providers.Singleton(MirrorReader, mirror, page_tokens)
    customers = providers.Singleton(
        Customers, mirror_reader, connections, mutations, stripe.customers, stores.contacts
    )
    charges = providers.Singleton(Charges, mirror_reader, connections, mutations, stripe.charges)
    contact_links = providers.Singleton(
        ContactLinks, stores.contacts, mirror, mirror_reader, connections, mutations, page_tokens
    )
    contact_link_jobs = providers.Singleton(ContactLinkJobs, operations)
    notes = providers.Singleton(Notes, mirror_reader, stores.notes, mutations, page_tokens, clock)
    subscriptions = providers.Singleton(
        Subscriptions, mirror_reader, connections, mutations, stripe.subscriptions
    )
    payment_methods = providers.Singleton(
        PaymentMethods,
        mirror_reader,
        connections,
        mutations,
        stripe.payment_methods,
        page_tokens,
    )
    contact_customers = providers.Singleton(
        ContactCustomers,
        stores.contacts,
        contact_matching,
        mirror,
        stripe.customer_lookup,
        stripe.customers,
        phones,
        providers.Singleton(Leases, stores.checkpoints, clock),
        clock,
    )
    payment_links = providers.Singleton(
        PaymentLinks, mutations, contact_customers, stripe.invoices, short_links
    )
    invoices = providers.Singleton(
        Invoices,
        mirror_reader,
        connections,
        mutations,
        stripe.invoices,
        stripe.invoice_previews,
        stores.invoice_totals,
        object_reader,
        clock,
    )
    revenue_analytics = providers.Singleton(RevenueAnalytics, stores.analytics, connections, clock)
    contact_administration = providers.Singleton(
        ContactAdministration,
        stores.contacts,
        contact_links,
        stores.accounts,
        stores.connections,
        mode,
    )
    account_administration = providers.Singleton(
        AccountAdministration, stores.accounts, stores.connections, clock, mode
    )

    # --- gRPC ---
    grpc_server = providers.Singleton(
        Server,
        providers.Callable(
            services,
            providers.Singleton(CustomerServicer, customers),
            providers.Singleton(ChargeServicer, charges),
            providers.Singleton(InvoiceServicer, invoices),
            providers.Singleton(AnalyticsServicer, revenue_analytics),
            providers.Singleton(ConnectionServicer, connections),
            providers.Singleton(EventServicer, events, watching),
            providers.Singleton(MirrorServicer, operations, mirror_reports, mirror_statuses),
            providers.Singleton(PaymentMethodServicer, payment_methods),
            providers.Singleton(SubscriptionServicer, subscriptions),
            providers.Singleton(NoteServicer, notes),
            providers.Singleton(ContactLinkServicer, contact_links, contact_link_jobs),
            providers.Singleton(PaymentLinkServicer, payment_links),
        ),
        caller_tokens,
        tenancy,
        providers.Factory(
            ServerOptions,
            address=settings.provided.grpc_address,
            reuse_port=settings.provided.reuse_port,
            reflection=settings.provided.reflection,
        ),
    )
