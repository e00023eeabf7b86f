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
from application.callers import Tenancy
from application.connections import Connections
from application.customers import Customers
from application.mirroring import Mirroring
from application.mutations import Mutations
from application.paging import PageTokens
from application.platform import Platform
from application.projector import Projector
from application.receiving import Receiver
from application.tasks import Tasks
from bootstrap.settings import Settings
from infrastructure.clock import SystemClock
from infrastructure.mongo.accounts import MongoAccounts
from infrastructure.mongo.analytics import MongoAnalytics
from infrastructure.mongo.connections import MongoConnections
from infrastructure.mongo.database import Database as MongoDatabase
from infrastructure.mongo.deployment import MongoDeployment
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.mirror import MongoMirror
from infrastructure.mongo.mutation_log import MongoMutationLog
from infrastructure.security.tokens import CallerTokens
from infrastructure.sqlite.accounts import SqliteAccounts
from infrastructure.sqlite.analytics import SqliteAnalytics
from infrastructure.sqlite.connections import SqliteConnections
from infrastructure.sqlite.database import Database as SqliteDatabase
from infrastructure.sqlite.deployment import SqliteDeployment
from infrastructure.sqlite.inbox import SqliteInbox
from infrastructure.sqlite.mirror import SqliteMirror
from infrastructure.sqlite.mutation_log import SqliteMutationLog
from infrastructure.stripe.accounts import StripeConnectedAccounts
from infrastructure.stripe.budget import RateBudget
from infrastructure.stripe.client import StripeApi, StripeSettings
from infrastructure.stripe.customers import StripeCustomers
from infrastructure.stripe.events import StripeEventReader
from infrastructure.stripe.objects import StripeObjectReader
from infrastructure.stripe.webhooks import StripeWebhookReader
from interfaces.grpc.analytics import AnalyticsServicer
from interfaces.grpc.connections import ConnectionServicer
from interfaces.grpc.customers import CustomerServicer
from interfaces.grpc.server import Server, ServerOptions, services


def _page_token_key(callers: Mapping[str, bytes]) -> bytes:
    """A key of its own for page tokens, the same in every process with the same settings."""
    return hmac.digest(next(iter(callers.values())), b"page tokens", hashlib.sha256)


def _stripe_settings(settings: Settings) -> StripeSettings:
    key = settings.stripe_secret_key.get_secret_value()
    if not settings.stripe_url:
        return StripeSettings(key)
    url = settings.stripe_url
    return StripeSettings(
        key, api_base=url, connect_base=url, files_base=url, meter_events_base=url
    )


def _projector_owner() -> str:
    """Who holds a lease: unique for each start of each process."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Container(containers.DeclarativeContainer):
    """Every object of one process, made on first use."""

    settings = providers.Dependency(instance_of=Settings)

    # --- shared by the whole process ---
    clock = providers.Singleton(SystemClock)
    tasks = providers.Singleton(Tasks)
    arrived = providers.Singleton(asyncio.Event)
    mode = settings.provided.mode

    # --- the store: both are declared, the selected one alone is made ---
    sqlite = providers.Singleton(SqliteDatabase, settings.provided.sqlite_path)
    mongo = providers.Singleton(
        MongoDatabase,
        settings.provided.mongo_url.get_secret_value.call(),
        settings.provided.mongo_database,
    )
    _store = settings.provided.store
    database = providers.Selector(_store, sqlite=sqlite, mongo=mongo)
    mirror = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteMirror, sqlite),
        mongo=providers.Singleton(MongoMirror, mongo),
    )
    inbox = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteInbox, sqlite),
        mongo=providers.Singleton(MongoInbox, mongo),
    )
    mutation_log = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteMutationLog, sqlite),
        mongo=providers.Singleton(MongoMutationLog, mongo),
    )
    accounts = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteAccounts, sqlite),
        mongo=providers.Singleton(MongoAccounts, mongo),
    )
    connection_repository = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteConnections, sqlite),
        mongo=providers.Singleton(MongoConnections, mongo),
    )
    deployment = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteDeployment, sqlite),
        mongo=providers.Singleton(MongoDeployment, mongo),
    )
    analytics = providers.Selector(
        _store,
        sqlite=providers.Singleton(SqliteAnalytics, sqlite),
        mongo=providers.Singleton(MongoAnalytics, mongo),
    )

    # --- Stripe ---
    budget = providers.Singleton(RateBudget, settings.provided.requests_per_second)
    stripe_api = providers.Singleton(
        StripeApi, providers.Singleton(_stripe_settings, settings), budget, clock
    )
    stripe_accounts = providers.Singleton(StripeConnectedAccounts, stripe_api)
    customer_gateway = providers.Singleton(StripeCustomers, stripe_api)
    object_reader = providers.Singleton(StripeObjectReader, stripe_api)
    event_reader = providers.Singleton(StripeEventReader)
    webhook_reader = providers.Singleton(
        StripeWebhookReader,
        platform_secrets=settings.provided.platform_webhook_secrets,
        connect_secrets=settings.provided.connect_webhook_secrets,
        mode=mode,
    )

    # --- callers ---
    caller_tokens = providers.Singleton(CallerTokens, settings.provided.callers, clock)
    tenancy = providers.Singleton(Tenancy, accounts)
    page_tokens = providers.Singleton(
        PageTokens, providers.Callable(_page_token_key, settings.provided.callers), clock
    )

    # --- use cases ---
    platform = providers.Singleton(Platform, deployment, stripe_accounts, mode)
    connections = providers.Singleton(
        Connections, connection_repository, stripe_accounts, clock, mode
    )
    mirroring = providers.Singleton(Mirroring, mirror)
    receiver = providers.Singleton(Receiver, webhook_reader, inbox, clock, arrived)
    projector = providers.Singleton(
        Projector,
        inbox,
        mirroring,
        event_reader,
        object_reader,
        platform,
        clock,
        arrived,
        providers.Callable(_projector_owner),
    )
    mutations = providers.Singleton(
        Mutations, mutation_log, connections, mirroring, clock, tasks, object_reader
    )
    customers = providers.Singleton(
        Customers, mirror, connections, page_tokens, mutations, customer_gateway
    )
    revenue_analytics = providers.Singleton(RevenueAnalytics, analytics, connections, clock)
    account_administration = providers.Singleton(
        AccountAdministration, accounts, connection_repository, clock, mode
    )

    # --- gRPC ---
    grpc_server = providers.Singleton(
        Server,
        providers.Callable(
            services,
            providers.Singleton(CustomerServicer, customers),
            providers.Singleton(AnalyticsServicer, revenue_analytics),
            providers.Singleton(ConnectionServicer, connections),
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
