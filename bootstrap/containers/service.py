"""The composition: which class stands behind which port. The graph is synchronous throughout.

Building it connects nothing; `bootstrap.process` opens what is used, and closes it in order.
"""

import asyncio
import hashlib
import hmac
import os
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dependency_injector import containers, providers

from application.accounts.tenancy import Tenancy
from application.analytics.remembered_facts import RememberedFactFigures
from application.analytics.tie_out import TieOuts
from application.analytics.trust import TrustAnswers
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.tasks import Tasks
from application.checkouts.number_prices import NumberPrices
from application.checkouts.renewal_costs import RenewalCosts
from application.checkouts.standing_renewals import StandingRenewals
from application.connections.access import MirrorAccess
from application.connections.deauthorization import Deauthorizing
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.connections.store_health import StoreHealth
from application.connections.use_cases import Connections
from application.contacts.link_all import LinkAll
from application.contacts.matching import ContactMatching
from application.contacts.sync import ContactSyncing
from application.effects.billing_events import BillingEvents
from application.effects.effects import Effects
from application.events.receiver import Receiver
from application.events.use_cases import Events
from application.events.watch import Watching
from application.facts.clock import DueFacts, JoinedFacts
from application.facts.first_reads import FirstReads
from application.facts.follower import FactsOfEvents
from application.facts.gathering import Gathering
from application.facts.posting import Posting
from application.facts.pricing import Pricing
from application.facts.proof import FactsProof
from application.facts.rebuild import FactsRebuild
from application.facts.walk import FactsWalk
from application.jobs.publisher import Publisher
from application.jobs.publishing import Publishing
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.reader import MirrorReader
from application.mirror.rereader import Rereader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.operations.first_backfill import RequestedBackfill
from application.operations.log import OperationLog
from application.operations.taking_over import TakingOver
from application.operations.use_cases import Operations
from application.payment_links.short_links import ShortLinks
from application.payouts.balance import Balances
from application.processes.open_processes import OpenProcesses
from application.processes.processes import Processes
from application.processes.wakes import ProcessWakes
from application.projection.projector import Projector
from application.requests.paging import PageTokens
from application.requests.tokens import TokenVerifier
from application.subscriptions.changes import SubscriptionChanges
from application.support.payment_notices import PaymentNotices
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.backfill import Backfill, BackfillWork
from application.upkeep.catch_up import CatchUp
from application.upkeep.closing import AnnouncedClosings, Closing
from application.upkeep.comparison import Comparison
from application.upkeep.deriving import Deriving
from application.upkeep.payout_membership import PayoutMembership
from application.upkeep.proof import Proof, ProofWork
from application.upkeep.reconciliation import Reconciliation, ReconciliationWork
from application.upkeep.refresh_balance_transactions import BalanceTransactions
from application.upkeep.refresh_invoice_payments import InvoicePayments
from application.upkeep.relisting import Relisting
from application.upkeep.reports import MirrorReports
from application.upkeep.shadow_rebuild import RebuildInShadow
from application.upkeep.status import MirrorStatuses
from application.upkeep.unsettled import Unsettled
from application.upkeep.upgrade import Upgrade
from application.wallet.administration import WalletAdministration
from application.wallet.aftermath import Aftermath
from application.wallet.arming import Arming
from application.wallet.auto_reload import AutoReloads
from application.wallet.buying import Buying
from application.wallet.costs import Costs
from application.wallet.debts import WalletDebts
from application.wallet.low import LowBalances
from application.wallet.prices import PriceList
from application.wallet.reload_process import Reloads
from application.wallet.reversals import Reversals
from application.wallet.ties import ReloadTies
from application.wallet.whose import Wallets
from bootstrap.containers.rooms import Rooms
from bootstrap.containers.stripe import Stripe
from bootstrap.settings import Settings
from bootstrap.tls import grpc_credentials, webhook_tls
from infrastructure.clock import SystemClock
from infrastructure.number_price_file import NoNumberPrices, NumberPriceFile
from infrastructure.phones import NumberingPlans
from infrastructure.price_file import NoPrices, PriceFile
from infrastructure.security.quotes import HmacQuotes
from infrastructure.security.tokens import CallerTokens
from interfaces.grpc.server import Server, ServerOptions

if TYPE_CHECKING:
    from infrastructure.internal_api.client import InternalApi


def _key_for(stripe_key: str, use: str) -> bytes:
    """A key of its own for a use, the same in every process with the same settings."""
    return hmac.digest(stripe_key.encode(), use.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Callers:
    """Who verifies callers' tokens, and the loop that follows their file, where there is one."""

    tokens: TokenVerifier
    loop: Loop | None = None


def _callers(settings: Settings, clock: Clock) -> _Callers:
    if settings.callers_path is None:
        return _Callers(CallerTokens(settings.callers, clock))
    from bootstrap.signing import registered
    from bootstrap.tokens import list_scopes
    from infrastructure.security.callers_file import CallersFile, FollowedCallers
    from infrastructure.security.registered_tokens import RegisteredTokens

    file = CallersFile(settings.callers_path, list_scopes())
    callers, digest = registered(file)
    tokens = RegisteredTokens(callers, clock)
    return _Callers(tokens, FollowedCallers(file, tokens, digest).loop)


def _owner() -> str:
    """Who holds a lease: unique for each start of each process."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


# What only some settings need is imported where it is chosen: `serve` starts without the rest.


def _stores(settings: Settings) -> containers.DeclarativeContainer:
    if settings.store == "mongo":
        from bootstrap.containers.stores_mongo import MongoStores

        return MongoStores(settings=settings)
    from bootstrap.containers.stores_sqlite import SqliteStores

    return SqliteStores(settings=settings)


def _embedded_publisher() -> Publisher:
    from infrastructure.queue.embedded import EmbeddedPublisher

    return EmbeddedPublisher()


def _nats_publisher(url: str, *, replicas: int) -> Publisher:
    from infrastructure.queue.nats import NatsPublisher

    return NatsPublisher(url, replicas=replicas)


def _internal_api(secret: str, clock: Clock) -> "InternalApi":
    from infrastructure.internal_api.client import InternalApi

    return InternalApi(secret, clock)


def _internal_short_links(api: "InternalApi", url: str) -> ShortLinks:
    from infrastructure.internal_api.short_links import InternalShortLinks

    return InternalShortLinks(api, url)


def _internal_prices(api: "InternalApi", url: str, currency: str) -> PriceList:
    from infrastructure.internal_api.prices import InternalPrices

    return InternalPrices(api, url, currency)


def _internal_number_prices(api: "InternalApi", url: str) -> NumberPrices:
    from infrastructure.internal_api.number_prices import InternalNumberPrices

    return InternalNumberPrices(api, url)


class Container(containers.DeclarativeContainer):
    """Every object of one process, made on first use."""

    settings = providers.Dependency(instance_of=Settings)

    # --- shared by the whole process ---
    clock = providers.Singleton(SystemClock)
    tasks = providers.Singleton(Tasks)
    arrived = providers.Singleton(asyncio.Event)
    queued = providers.Singleton(asyncio.Event)
    woken = providers.Singleton(asyncio.Event)
    short = providers.Singleton(asyncio.Event)
    operations_left = providers.Singleton(asyncio.Event)
    owner = providers.Singleton(_owner)
    mode = settings.provided.mode
    phones = providers.Singleton(NumberingPlans)

    # --- the store and the queue ---
    stores = providers.DependenciesContainer()
    mirror = stores.mirror
    publisher = providers.Selector(
        settings.provided.queue,
        embedded=providers.Singleton(_embedded_publisher),
        nats=providers.Singleton(
            _nats_publisher,
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
        _internal_api, settings.provided.app_secret.get_secret_value.call(), clock
    )
    short_links = providers.Selector(
        settings.provided.short_links,
        off=providers.Object(None),
        internal_api=providers.Singleton(
            _internal_short_links, internal_api, settings.provided.short_links_address
        ),
    )

    price_list = providers.Selector(
        settings.provided.price_list,
        off=providers.Singleton(NoPrices),
        file=providers.Singleton(
            PriceFile, settings.provided.price_list_file, settings.provided.base_currency
        ),
        internal_api=providers.Singleton(
            _internal_prices,
            internal_api,
            settings.provided.price_list_address,
            settings.provided.base_currency,
        ),
    )

    number_prices = providers.Selector(
        settings.provided.phone_numbers,
        off=providers.Singleton(NoNumberPrices),
        file=providers.Singleton(NumberPriceFile, settings.provided.phone_numbers_file),
        internal_api=providers.Singleton(
            _internal_number_prices, internal_api, settings.provided.phone_numbers_address
        ),
    )

    # --- callers ---
    callers = providers.Singleton(_callers, settings, clock)
    caller_tokens = callers.provided.tokens
    tenancy = providers.Singleton(Tenancy, stores.accounts)
    page_tokens = providers.Singleton(
        PageTokens,
        providers.Callable(
            _key_for, settings.provided.stripe_secret_key.get_secret_value.call(), "page tokens"
        ),
        clock,
    )
    quote_signer = providers.Singleton(
        HmacQuotes,
        providers.Callable(
            _key_for, settings.provided.stripe_secret_key.get_secret_value.call(), "quotes"
        ),
    )

    # --- the mirror and what keeps it right ---
    platform = providers.Singleton(Platform, stores.deployment, stripe_accounts, mode)
    connections = providers.Singleton(
        Connections,
        stores.connections,
        stripe_accounts,
        mirror,
        clock,
        mode,
        accounts=stores.accounts,
    )
    mirrored_accounts = providers.Singleton(MirroredAccounts, stores.connections, platform, mode)
    closings = providers.Singleton(AnnouncedClosings, stores.checkpoints)
    mirror_writer = providers.Singleton(MirrorWriter, mirror, closings)
    enrichment = providers.Singleton(
        Enrichment,
        mirror,
        providers.List(providers.Singleton(JoinedFacts, mirror, stores.dues)),
    )
    importer = providers.Singleton(Importer, mirror_writer, object_reader, enrichment)
    backfill = providers.Singleton(Backfill, lister, importer, stores.checkpoints, clock)
    comparison = providers.Singleton(Comparison, mirror, object_reader, importer)
    reconciliation = providers.Singleton(
        Reconciliation, lister, mirror, comparison, stores.checkpoints, stores.reports, clock
    )
    balance_transactions = providers.Singleton(
        BalanceTransactions, lister, importer, mirror, stores.checkpoints, mirrored_accounts, clock
    )
    invoice_payments = providers.Singleton(
        InvoicePayments,
        lister,
        object_reader,
        importer,
        mirror,
        stores.checkpoints,
        mirrored_accounts,
        clock,
    )
    catch_up = providers.Singleton(
        CatchUp,
        lister,
        stores.inbox,
        stores.checkpoints,
        mirrored_accounts,
        backfill,
        reconciliation,
        clock,
        arrived,
    )

    payout_membership = providers.Singleton(
        PayoutMembership,
        lister,
        importer,
        mirror,
        stores.checkpoints,
        mirrored_accounts,
        clock,
    )
    balances = providers.Singleton(
        Balances,
        connections,
        mirrored_accounts,
        stripe.payouts,
        balance_transactions,
        mirror,
        stores.balance_readings,
        clock,
    )
    upgrade = providers.Singleton(
        Upgrade,
        providers.Singleton(Deriving, mirror, stores.checkpoints, clock),
        backfill,
        mirrored_accounts,
    )

    # --- facts ---
    facts_posting = providers.Singleton(
        Posting,
        providers.Singleton(Gathering, stores.evidence, mirror),
        stores.facts,
        stores.dues,
        clock,
        closings,
    )
    facts_pricing = providers.Singleton(
        Pricing, mirror, providers.Singleton(Rereader, mirror_writer, enrichment, object_reader)
    )
    facts_walk = providers.Singleton(
        FactsWalk, mirror, stores.evidence, facts_pricing, facts_posting, clock
    )
    fact_figures = providers.Singleton(
        RememberedFactFigures, stores.fact_figures, stores.fact_stocks, clock
    )
    due_facts = providers.Singleton(DueFacts, stores.dues, facts_posting, clock)
    first_reads = providers.Singleton(
        FirstReads,
        facts_walk,
        stores.dues,
        backfill,
        stores.checkpoints,
        mirrored_accounts,
        clock,
    )

    closing = providers.Singleton(
        Closing,
        stores.checkpoints,
        backfill,
        catch_up,
        stores.event_log,
        mirrored_accounts,
        platform,
        clock,
        providers.List(first_reads),
    )
    anchors = providers.Singleton(
        BalanceAnchors, stores.balance_readings, backfill, stores.checkpoints, clock
    )
    tie_outs = providers.Singleton(
        TieOuts,
        stores.analytics,
        mirror,
        anchors,
        connections,
        providers.Singleton(TrustAnswers, closing),
    )
    relisting = providers.Singleton(
        Relisting, tie_outs, lister, importer, stores.checkpoints, mirrored_accounts, clock
    )
    unsettled = providers.Singleton(
        Unsettled,
        lister,
        importer,
        mirror,
        stores.checkpoints,
        backfill,
        mirrored_accounts,
        clock,
    )
    rebuild = providers.Singleton(
        RebuildInShadow,
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
    link_all = providers.Singleton(
        LinkAll,
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
            payout_membership,
            providers.Singleton(SubscriptionChanges, stores.subscription_history),
            providers.Singleton(
                FactsOfEvents,
                stores.evidence,
                facts_pricing,
                facts_posting,
                stores.dues,
                stripe.discounts,
                clock,
            ),
            providers.Singleton(ProcessWakes, stores.process_log, clock, woken),
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
        waiting=stores.waiting_events,
        clock=clock,
        mode=mode,
        max_age=settings.provided.effects_max_age,
    )
    projector = providers.Singleton(
        Projector,
        stores.inbox,
        mirror_writer,
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

    # --- wallets ---
    wallets = providers.Singleton(Wallets, stores.accounts, settings.provided.base_currency)
    wallet_costs = providers.Singleton(Costs, stores.journal, clock)
    wallet_aftermath = providers.Singleton(
        Aftermath,
        stores.accounts,
        wallets,
        stores.journal,
        wallet_costs,
        providers.Singleton(
            LowBalances, stores.wallet_settings, stores.outbox, clock, queued, short
        ),
        clock,
    )

    wallet_administration = providers.Singleton(
        WalletAdministration,
        stores.accounts,
        wallets,
        stores.journal,
        providers.Singleton(
            ReloadTies, stores.journal, stores.process_log, stripe.payment_intents, clock
        ),
        clock,
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
        link_all,
        providers.Singleton(
            ProofWork,
            providers.Singleton(
                Proof,
                mirror,
                stores.analytics,
                anchors,
                stores.checkpoints,
                stores.reports,
                clock,
                providers.List(
                    providers.Singleton(FactsProof, facts_posting, stores.evidence, mirror)
                ),
            ),
            stores.checkpoints,
            stores.reports,
            clock,
        ),
        providers.Singleton(FactsRebuild, facts_walk, mirror, stores.checkpoints, clock),
    )
    operations = providers.Singleton(
        Operations,
        operation_log,
        works,
        mirror_access,
        mirrored_accounts,
        clock,
        wake=operations_left,
    )
    first_backfill = providers.Singleton(RequestedBackfill, operation_log, clock, operations_left)
    mirror_reports = providers.Singleton(MirrorReports, stores.reports, mirror_access, page_tokens)
    mirror_statuses = providers.Singleton(
        MirrorStatuses,
        mirror,
        stores.event_log,
        stores.waiting_events,
        catch_up,
        operation_log,
        mirror_access,
        platform,
    )

    # --- what every call to a room needs ---
    mutations = providers.Singleton(
        Mutations, stores.mutation_log, connections, mirror_writer, clock, tasks, object_reader
    )
    processes = providers.Singleton(
        Processes, stores.process_log, mirror_writer, object_reader, clock, tasks, woken
    )
    mirror_reader = providers.Singleton(MirrorReader, mirror, page_tokens)

    # --- reloads of wallets ---
    buying = providers.Singleton(
        Buying, wallets, connections, platform, stores.buyers, stripe.customers
    )
    wallet_arming = providers.Singleton(
        Arming, stores.wallet_settings, stores.outbox, clock, queued
    )
    reloads = providers.Singleton(
        Reloads,
        stripe.payment_intents,
        stores.journal,
        wallet_aftermath,
        providers.Singleton(
            Reversals,
            stripe.payment_intents,
            stripe.refunds,
            stores.journal,
            wallet_aftermath,
            stores.outbox,
            clock,
            queued,
        ),
        wallet_arming,
        stores.outbox,
        clock,
        queued,
    )
    auto_reloads = providers.Singleton(
        AutoReloads,
        wallets,
        buying,
        reloads,
        processes,
        stores.process_log,
        stores.journal,
        stores.wallet_settings,
        wallet_arming,
        clock,
        mode,
        short,
    )

    # --- what the store sold ---
    renewal_costs = providers.Singleton(
        RenewalCosts, stores.store_subscriptions, wallets, stores.journal, wallet_aftermath, clock
    )

    # What is open and needs a connection, in the order in which it is told: a capability adds its
    # own here.
    open_work = providers.List(
        providers.Singleton(OpenProcesses, stores.process_log),
        providers.Singleton(StandingRenewals, stores.store_subscriptions),
        providers.Singleton(WalletDebts, stores.accounts, wallets, stores.journal),
    )

    # --- the rooms ---
    rooms = providers.Container(
        Rooms,
        stores=stores,
        stripe=stripe,
        clock=clock,
        mode=mode,
        phones=phones,
        base_currency=settings.provided.base_currency,
        setup_product=settings.provided.setup_product,
        remembered_figures=settings.provided.remembered_figures,
        page_tokens=page_tokens,
        short_links=short_links,
        connections=connections,
        mutations=mutations,
        tasks=tasks,
        mirror_reader=mirror_reader,
        mirror_writer=mirror_writer,
        contact_matching=contact_matching,
        events=events,
        watching=watching,
        operations=operations,
        first_backfill=first_backfill,
        open_work=open_work,
        redirect_uris=settings.provided.redirect_uris,
        mirror_reports=mirror_reports,
        mirror_statuses=mirror_statuses,
        payout_membership=payout_membership,
        balances=balances,
        tie_outs=tie_outs,
        standings=closing,
        fact_figures=fact_figures,
        platform=platform,
        buying=buying,
        reloads=reloads,
        processes=processes,
        wallets=wallets,
        wallet_costs=wallet_costs,
        wallet_aftermath=wallet_aftermath,
        price_list=price_list,
        number_prices=number_prices,
        quote_signer=quote_signer,
        queued=queued,
    )
    account_administration = rooms.account_administration
    contact_administration = rooms.contact_administration

    # --- gRPC ---
    grpc_server = providers.Singleton(
        Server,
        rooms.offered,
        caller_tokens,
        tenancy,
        providers.Factory(
            ServerOptions,
            address=settings.provided.grpc_address,
            reuse_port=settings.provided.reuse_port,
            reflection=settings.provided.reflection,
            credentials=providers.Callable(grpc_credentials, settings),
        ),
    )
    webhook_tls = providers.Singleton(webhook_tls, settings)


def compose(settings: Settings) -> Container:
    """Every object of one process, on the store that the settings name; no other is imported."""
    return Container(settings=settings, stores=_stores(settings))
