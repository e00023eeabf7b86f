"""MongoDB behind the ports of the store."""

from dependency_injector import containers, providers

from bootstrap.settings import Settings
from infrastructure.mongo.accounts import MongoAccounts
from infrastructure.mongo.analytics.engine import MongoAnalytics
from infrastructure.mongo.analytics.facts import MongoFactFigures
from infrastructure.mongo.balance_readings import MongoBalanceReadings
from infrastructure.mongo.buyers import MongoBuyers
from infrastructure.mongo.carts import MongoCarts
from infrastructure.mongo.checkpoints import MongoCheckpoints
from infrastructure.mongo.connections import MongoConnections
from infrastructure.mongo.contacts import MongoContactDirectory
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.deployment import MongoDeployment
from infrastructure.mongo.dues import MongoDues
from infrastructure.mongo.event_log import MongoEventLog
from infrastructure.mongo.evidence import MongoEvidenceStore
from infrastructure.mongo.fact_stocks import MongoFactStocks
from infrastructure.mongo.facts import MongoFactStore
from infrastructure.mongo.inbox import MongoInbox
from infrastructure.mongo.invoice_totals import MongoInvoiceTotals
from infrastructure.mongo.journal import MongoJournal
from infrastructure.mongo.mirror.changes import MongoChanges
from infrastructure.mongo.mirror.mirror import MongoMirror
from infrastructure.mongo.mutation_log import MongoMutationLog
from infrastructure.mongo.notes import MongoNotes
from infrastructure.mongo.oauth_states import MongoOauthStates
from infrastructure.mongo.outbox import MongoOutbox
from infrastructure.mongo.preparation import prepare
from infrastructure.mongo.process_log import MongoProcessLog
from infrastructure.mongo.rates import MongoRates
from infrastructure.mongo.remembered_figures import MongoRememberedFigures
from infrastructure.mongo.reports import MongoReports
from infrastructure.mongo.shadows import MongoShadows
from infrastructure.mongo.store_catalogue import MongoStoreCatalogue
from infrastructure.mongo.store_subscriptions import MongoStoreSubscriptions
from infrastructure.mongo.subscription_history import MongoSubscriptionHistory
from infrastructure.mongo.support import MongoSupportInbox
from infrastructure.mongo.waiting_events import MongoWaitingEvents
from infrastructure.mongo.wallet_settings import MongoWalletSettings
from infrastructure.stripe.readers.befores import read_before


class MongoStores(containers.DeclarativeContainer):
    """What stands behind each port of the store, with BILLING_STORE=mongo."""

    settings = providers.Dependency(instance_of=Settings)

    database = providers.Singleton(
        Database,
        settings.provided.mongo_url.get_secret_value.call(),
        settings.provided.mongo_database,
        prepare,
    )
    accounts = providers.Singleton(MongoAccounts, database)
    analytics = providers.Singleton(MongoAnalytics, database)
    balance_readings = providers.Singleton(MongoBalanceReadings, database)
    buyers = providers.Singleton(MongoBuyers, database)
    carts = providers.Singleton(MongoCarts, database)
    store_catalogue = providers.Singleton(MongoStoreCatalogue, database)
    store_subscriptions = providers.Singleton(MongoStoreSubscriptions, database)
    changes = providers.Singleton(MongoChanges, database)
    checkpoints = providers.Singleton(MongoCheckpoints, database)
    connections = providers.Singleton(MongoConnections, database)
    contacts = providers.Singleton(MongoContactDirectory, database)
    deployment = providers.Singleton(MongoDeployment, database)
    dues = providers.Singleton(MongoDues, database)
    event_log = providers.Singleton(MongoEventLog, database)
    evidence = providers.Singleton(MongoEvidenceStore, database)
    fact_stocks = providers.Singleton(MongoFactStocks, database)
    facts = providers.Singleton(MongoFactStore, database)
    fact_figures = providers.Singleton(MongoFactFigures, database)
    inbox = providers.Singleton(MongoInbox, database)
    invoice_totals = providers.Singleton(MongoInvoiceTotals, database)
    journal = providers.Singleton(MongoJournal, database)
    mirror = providers.Singleton(MongoMirror, database, read_before)
    mutation_log = providers.Singleton(MongoMutationLog, database)
    notes = providers.Singleton(MongoNotes, database)
    oauth_states = providers.Singleton(MongoOauthStates, database)
    outbox = providers.Singleton(MongoOutbox, database)
    wallet_settings = providers.Singleton(MongoWalletSettings, database)
    waiting_events = providers.Singleton(MongoWaitingEvents, database)
    process_log = providers.Singleton(MongoProcessLog, database)
    rates = providers.Singleton(MongoRates, database)
    remembered_figures = providers.Singleton(MongoRememberedFigures, database)
    reports = providers.Singleton(MongoReports, database)
    shadows = providers.Singleton(MongoShadows, database, read_before)
    subscription_history = providers.Singleton(MongoSubscriptionHistory, database)
    support = providers.Singleton(MongoSupportInbox, database)
    # Others may be at work on the same store: there a lease ends by itself.
    takeover: providers.Object[None] = providers.Object(None)
