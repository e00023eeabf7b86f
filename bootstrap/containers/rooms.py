"""The rooms: what callers ask for, and the gRPC services that they ask by."""

import asyncio
from typing import Any, ClassVar

from dependency_injector import containers, providers

from application.accounts.administration import AccountAdministration
from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.customers import CustomerAnalytics
from application.analytics.explanation import Explaining
from application.analytics.fact_figures import FactFigures
from application.analytics.fact_rows import FactLists
from application.analytics.ledger import Ledger
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.product_revenue import ProductAnalytics
from application.analytics.rates import ExchangeRates
from application.analytics.remembering import RememberedAnalytics
from application.analytics.restatements import Restatements
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.tie_out import TieOuts
from application.analytics.trust import Standings, TrustAnswers
from application.analytics.use_cases import RevenueAnalytics
from application.background.clock import Clock
from application.background.leases import Leases
from application.background.tasks import Tasks
from application.catalogue.hydration import Hydration
from application.catalogue.pictures import ProductPictures
from application.catalogue.price_changes import PriceChanges
from application.catalogue.product_changes import ProductChanges
from application.catalogue.replacement import PriceReplacement
from application.catalogue.subscribers import Subscribers
from application.catalogue.use_cases import Catalogue
from application.charges.use_cases import Charges
from application.checkouts.checkout_process import Checkouts
from application.checkouts.cost_leg import CostLegs
from application.checkouts.currencies import TakenCurrencies
from application.checkouts.executing import CheckoutCalls
from application.checkouts.following import Following
from application.checkouts.freezing import CheckoutFreezing
from application.checkouts.lapsing import Lapses
from application.checkouts.lately import MINUTE, MOMENT, Lately
from application.checkouts.multipliers import Multipliers
from application.checkouts.number_prices import NumberPrices
from application.checkouts.paying import AskedMethods, MethodChoice
from application.checkouts.previews import Previews
from application.checkouts.pricing import Pricing
from application.checkouts.quotes import Quotes
from application.checkouts.quoting import QuoteSigner
from application.checkouts.refunding import SaleRefunds
from application.checkouts.remembered_methods import PresentDefaults, RememberedMethods
from application.checkouts.renewing import Renewals
from application.checkouts.sale_leg import SaleLeg
from application.checkouts.sale_returns import SaleReturns
from application.checkouts.sellers import Sellers
from application.checkouts.setup_fees import SetupFees
from application.checkouts.store_jobs import StoreJobs
from application.checkouts.telling import Telling
from application.checkouts.use_cases import StoreProducts
from application.connecting.disconnecting import Disconnecting
from application.connecting.use_cases import Connecting
from application.connections.listing import ConnectionLists
from application.connections.platform import Platform
from application.connections.ports import FirstBackfill
from application.connections.use_cases import Connections
from application.contacts.administration import ContactAdministration
from application.contacts.link_all_calls import ContactLinkJobs
from application.contacts.matching import ContactMatching
from application.contacts.phones import PhoneNumbers
from application.contacts.use_cases import ContactLinks
from application.customers.use_cases import Customers
from application.events.use_cases import Events
from application.events.watch import Watching
from application.invoices.use_cases import Invoices
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.notes.use_cases import Notes
from application.operations.use_cases import Operations
from application.payment_links.customer_of_contact import CustomerOfContact
from application.payment_links.short_links import ShortLinks
from application.payment_links.use_cases import PaymentLinks
from application.payment_methods.use_cases import PaymentMethods
from application.payouts.balance import Balances
from application.payouts.membership import Memberships
from application.payouts.use_cases import Payouts
from application.processes.processes import Processes
from application.requests.paging import PageTokens
from application.subscriptions.use_cases import Subscriptions
from application.upkeep.payout_membership import PayoutMembership
from application.upkeep.reports import MirrorReports
from application.upkeep.status import MirrorStatuses
from application.wallet.adjustments import Adjustments
from application.wallet.aftermath import Aftermath
from application.wallet.buying import Buying
from application.wallet.costs import Costs
from application.wallet.freezing import Freezing
from application.wallet.posting import Posting
from application.wallet.preparing import MethodPreparation
from application.wallet.prices import PriceList
from application.wallet.rebilling import Rebillings
from application.wallet.reload_process import Reloads
from application.wallet.reloading import ReloadCalls
from application.wallet.statements import Statements
from application.wallet.usage import Usage
from application.wallet.use_cases import AccountWallets
from application.wallet.whose import Wallets
from domain.connections import Mode
from interfaces.grpc.analytics.servicer import Analyses, AnalyticsServicer
from interfaces.grpc.catalogue.servicer import CatalogServicer
from interfaces.grpc.charges.servicer import ChargeServicer
from interfaces.grpc.checkouts.servicer import CheckoutServicer
from interfaces.grpc.connections.servicer import ConnectionServicer
from interfaces.grpc.contacts.servicer import ContactLinkServicer
from interfaces.grpc.contract import services
from interfaces.grpc.customers.servicer import CustomerServicer
from interfaces.grpc.events.servicer import EventServicer
from interfaces.grpc.invoices.servicer import InvoiceServicer
from interfaces.grpc.mirror.servicer import MirrorServicer
from interfaces.grpc.notes.servicer import NoteServicer
from interfaces.grpc.payment_links.servicer import PaymentLinkServicer
from interfaces.grpc.payment_methods.servicer import PaymentMethodServicer
from interfaces.grpc.payouts.servicer import PayoutServicer
from interfaces.grpc.subscriptions.servicer import SubscriptionServicer
from interfaces.grpc.wallet.servicer import WalletServicer


class Rooms(containers.DeclarativeContainer):
    """A use case and a servicer for each service of the contract.

    What stands beneath them all (the store, Stripe, mutations, the mirror and what keeps it right)
    comes from the container of the process.
    """

    stores = providers.DependenciesContainer()
    mirror = stores.mirror
    stripe = providers.DependenciesContainer()
    # Ports are protocols, which are not checked for.
    clock: providers.Dependency[Clock] = providers.Dependency()
    phones: providers.Dependency[PhoneNumbers] = providers.Dependency()
    short_links: providers.Dependency[ShortLinks | None] = providers.Dependency()
    standings: providers.Dependency[Standings] = providers.Dependency()
    fact_figures: providers.Dependency[FactFigures] = providers.Dependency()
    mode = providers.Dependency(instance_of=Mode)
    base_currency = providers.Dependency(instance_of=str)
    setup_product = providers.Dependency(instance_of=str)
    remembered_figures = providers.Dependency(instance_of=int)
    page_tokens = providers.Dependency(instance_of=PageTokens)
    connections = providers.Dependency(instance_of=Connections)
    mutations = providers.Dependency(instance_of=Mutations)
    tasks = providers.Dependency(instance_of=Tasks)
    mirror_writer = providers.Dependency(instance_of=MirrorWriter)
    mirror_reader = providers.Dependency(instance_of=MirrorReader)
    contact_matching = providers.Dependency(instance_of=ContactMatching)
    events = providers.Dependency(instance_of=Events)
    watching = providers.Dependency(instance_of=Watching)
    operations = providers.Dependency(instance_of=Operations)
    first_backfill: providers.Dependency[FirstBackfill] = providers.Dependency()
    open_work = providers.Dependency(instance_of=list)
    redirect_uris = providers.Dependency(instance_of=tuple)
    mirror_reports = providers.Dependency(instance_of=MirrorReports)
    mirror_statuses = providers.Dependency(instance_of=MirrorStatuses)
    payout_membership = providers.Dependency(instance_of=PayoutMembership)
    balances = providers.Dependency(instance_of=Balances)
    tie_outs = providers.Dependency(instance_of=TieOuts)
    platform = providers.Dependency(instance_of=Platform)
    buying = providers.Dependency(instance_of=Buying)
    reloads = providers.Dependency(instance_of=Reloads)
    processes = providers.Dependency(instance_of=Processes)
    wallets = providers.Dependency(instance_of=Wallets)
    wallet_costs = providers.Dependency(instance_of=Costs)
    wallet_aftermath = providers.Dependency(instance_of=Aftermath)
    price_list: providers.Dependency[PriceList] = providers.Dependency()
    number_prices: providers.Dependency[NumberPrices] = providers.Dependency()
    quote_signer: providers.Dependency[QuoteSigner] = providers.Dependency()
    queued = providers.Dependency(instance_of=asyncio.Event)

    # --- use cases ---
    leases = providers.Singleton(Leases, stores.checkpoints, clock)
    customers = providers.Singleton(
        Customers, mirror_reader, connections, mutations, stripe.customers, stores.contacts
    )
    charges = providers.Singleton(Charges, mirror_reader, connections, mutations, stripe.refunds)
    contact_links = providers.Singleton(
        ContactLinks, stores.contacts, mirror, mirror_reader, connections, mutations, page_tokens
    )
    contact_link_jobs = providers.Singleton(ContactLinkJobs, operations)
    notes = providers.Singleton(Notes, mirror_reader, stores.notes, mutations, page_tokens, clock)
    subscriptions = providers.Singleton(
        Subscriptions, mirror_reader, connections, mutations, stripe.subscriptions
    )
    subscribers = providers.Singleton(Subscribers, mirror)
    hydration = providers.Singleton(
        Hydration, mirror_writer, stripe.products, stripe.objects, tasks
    )
    catalogue = providers.Singleton(
        Catalogue, mirror_reader, mirror, connections, hydration, subscribers
    )
    product_changes = providers.Singleton(
        ProductChanges, mutations, mirror, stripe.products, stripe.prices
    )
    price_changes = providers.Singleton(PriceChanges, mutations, stripe.prices, stripe.products)
    price_replacement = providers.Singleton(
        PriceReplacement,
        connections,
        mutations,
        hydration,
        subscribers,
        stripe.prices,
        stripe.products,
        leases,
    )
    product_pictures = providers.Singleton(
        ProductPictures, mutations, stripe.products, stripe.pictures, leases, clock
    )
    payment_methods = providers.Singleton(
        PaymentMethods,
        mirror_reader,
        connections,
        mutations,
        stripe.payment_methods,
        page_tokens,
    )
    customer_of_contact = providers.Singleton(
        CustomerOfContact,
        stores.contacts,
        contact_matching,
        mirror,
        stripe.customer_lookup,
        stripe.customers,
        phones,
        leases,
        clock,
    )
    payment_links = providers.Singleton(
        PaymentLinks, mutations, customer_of_contact, stripe.invoices, short_links
    )
    invoices = providers.Singleton(
        Invoices,
        mirror_reader,
        connections,
        mutations,
        stripe.invoices,
        stripe.invoice_previews,
        stores.invoice_totals,
        clock,
    )
    analytics = providers.Singleton(
        RememberedAnalytics, stores.analytics, stores.remembered_figures, clock, remembered_figures
    )
    base_totals = providers.Singleton(BaseTotals, stores.rates, base_currency)
    trust = providers.Singleton(TrustAnswers, standings)
    ledger = providers.Singleton(Ledger, stores.analytics, stores.changes)
    asking = providers.Singleton(Asking, analytics, connections, clock, base_totals, trust, ledger)
    revenue_analytics = providers.Singleton(RevenueAnalytics, asking)
    net_analytics = providers.Singleton(NetAnalytics, asking)
    payment_analytics = providers.Singleton(PaymentAnalytics, asking)
    return_analytics = providers.Singleton(ReturnAnalytics, asking, fact_figures)
    payout_analytics = providers.Singleton(PayoutAnalytics, asking, stores.balance_readings)
    subscriber_analytics = providers.Singleton(SubscriberAnalytics, asking, fact_figures, clock)
    analyses = providers.Singleton(
        Analyses,
        revenue_analytics,
        net_analytics,
        payment_analytics,
        return_analytics,
        payout_analytics,
        providers.Singleton(CustomerAnalytics, asking, mirror, page_tokens),
        providers.Singleton(
            OverviewAnalytics,
            asking,
            revenue_analytics,
            net_analytics,
            payment_analytics,
            return_analytics,
            payout_analytics,
            subscriber_analytics,
        ),
        tie_outs,
        subscriber_analytics,
        providers.Singleton(ProductAnalytics, asking, fact_figures, mirror),
        providers.Singleton(
            FactLists, stores.facts, fact_figures, connections, page_tokens, clock, trust
        ),
    )
    restatements = providers.Singleton(
        Restatements, stores.changes, connections, page_tokens, trust
    )
    explaining = providers.Singleton(
        Explaining, ledger, mirror, connections, page_tokens, clock, trust
    )
    exchange_rates = providers.Singleton(ExchangeRates, stores.rates, page_tokens, base_currency)
    payouts = providers.Singleton(
        Payouts,
        mirror,
        mirror_reader,
        connections,
        stripe.payouts,
        providers.Singleton(Memberships, payout_membership),
    )
    wallet_posting = providers.Singleton(Posting, stores.journal, wallet_aftermath, clock)
    wallet_usage = providers.Singleton(
        Usage,
        wallets,
        stores.journal,
        stores.wallet_settings,
        price_list,
        wallet_posting,
        clock,
    )
    wallet_adjustments = providers.Singleton(Adjustments, wallets, wallet_posting, clock)
    account_wallets = providers.Singleton(
        AccountWallets,
        wallets,
        stores.journal,
        stores.wallet_settings,
        buying,
        stripe.payment_methods,
        mutations,
        page_tokens,
        clock,
    )
    method_preparation = providers.Singleton(
        MethodPreparation, wallets, buying, mutations, stripe.payment_methods
    )
    reload_calls = providers.Singleton(
        ReloadCalls,
        wallets,
        providers.Singleton(
            Freezing,
            wallets,
            buying,
            stripe.payment_intents,
            stripe.payment_methods,
            stores.rates,
            clock,
            mode,
        ),
        reloads,
        processes,
        stores.process_log,
        mutations,
        stripe.payment_intents,
        stores.journal,
        page_tokens,
        clock,
    )
    rebillings = providers.Singleton(
        Rebillings, wallets, stores.journal, wallet_costs, account_wallets, clock
    )
    statements = providers.Singleton(Statements, wallets, stores.journal)
    multipliers = providers.Singleton(Multipliers, wallets, stores.wallet_settings)
    setup_fees = providers.Singleton(SetupFees, platform, hydration, setup_product)
    store_products = providers.Singleton(
        StoreProducts, stores.accounts, stores.store_catalogue, multipliers, page_tokens
    )
    taken_currencies = providers.Singleton(
        TakenCurrencies, stripe.country_specs, stripe.accounts, mirror, clock
    )
    asked_methods = providers.Singleton(
        AskedMethods, stripe.payment_intents, stripe.payment_methods
    )
    remembered_methods = providers.Singleton(RememberedMethods, asked_methods, mirror, clock)
    # A preview tells what was true a moment ago, a purchase what is true. Of payment methods, but
    # for the default, both go by the last minute: Stripe refuses one that is not the buyer's.
    priced_by: ClassVar[dict[str, Any]] = {
        "carts": stores.carts,
        "subscriptions": stores.store_subscriptions,
        "multipliers": multipliers,
        "number_prices": number_prices,
        "setup_fees": setup_fees,
        "wallets": wallets,
        "rates": stores.rates,
        "currencies": taken_currencies,
        "clock": clock,
    }
    sold_by: ClassVar[dict[str, Any]] = {
        "journal": stores.journal,
        "methods": remembered_methods,
        "outbox": stores.outbox,
        "clock": clock,
        "queued": queued,
    }
    asked_sellers = providers.Singleton(
        Sellers,
        connections,
        platform,
        stores.journal.provided.head,
        stores.buyers.provided.get,
        **sold_by,
    )
    pricing = providers.Singleton(
        Pricing,
        stores.accounts.provided.get,
        stores.store_catalogue.provided.get,
        stores.buyers.provided.get,
        sellers=asked_sellers,
        methods=providers.Singleton(
            MethodChoice,
            providers.Singleton(PresentDefaults, asked_methods, remembered_methods),
        ),
        **priced_by,
    )
    buyers_lately = providers.Singleton(Lately, stores.buyers.provided.get, clock, MINUTE)
    quotes = providers.Singleton(Quotes, quote_signer, clock)
    previews = providers.Singleton(
        Previews,
        providers.Singleton(
            Pricing,
            providers.Singleton(Lately, stores.accounts.provided.get, clock, MOMENT),
            providers.Singleton(Lately, stores.store_catalogue.provided.get, clock, MOMENT),
            buyers_lately,
            sellers=providers.Singleton(
                Sellers,
                connections,
                platform,
                providers.Singleton(Lately, stores.journal.provided.head, clock, MOMENT),
                buyers_lately,
                **sold_by,
            ),
            methods=providers.Singleton(MethodChoice, remembered_methods),
            **priced_by,
        ),
        stores.carts,
        quotes,
        clock,
    )
    store_jobs = providers.Singleton(StoreJobs, stores.outbox, clock, queued)
    checkouts = providers.Singleton(
        Checkouts,
        providers.Singleton(SaleLeg, buying, stripe.payment_intents, stripe.refunds),
        providers.Singleton(
            CostLegs,
            stores.journal,
            wallet_aftermath,
            stripe.subscriptions,
            stripe.payment_intents,
            stripe.refunds,
            asked_sellers,
            stores.accounts,
            clock,
        ),
        providers.Singleton(
            Renewals,
            stores.store_subscriptions,
            stripe.products,
            stripe.renewals,
            store_jobs,
            clock,
        ),
        providers.Singleton(
            Following,
            providers.Singleton(
                SaleReturns,
                stripe.payment_intents,
                stripe.refunds,
                stores.journal,
                wallet_aftermath,
                store_jobs,
                clock,
            ),
            providers.Singleton(
                Lapses,
                stores.store_subscriptions,
                stripe.renewals,
                stripe.subscriptions,
                stores.journal,
                store_jobs,
            ),
        ),
        providers.Singleton(Telling, stores.outbox, stores.carts, clock, queued),
    )
    checkout_calls = providers.Singleton(
        CheckoutCalls,
        providers.Singleton(
            CheckoutFreezing,
            pricing,
            quotes,
            stores.carts,
            wallets,
            platform,
            mode,
            setup_product,
        ),
        checkouts,
        processes,
        stores.process_log,
        mutations,
        quote_signer,
        providers.Singleton(MethodChoice, asked_methods),
        stripe.payment_intents,
        page_tokens,
        clock,
    )
    sale_refunds = providers.Singleton(SaleRefunds, checkout_calls, processes, mutations)
    contact_administration = providers.Singleton(
        ContactAdministration,
        stores.contacts,
        stores.accounts,
        stores.connections,
        mode,
    )
    account_administration = providers.Singleton(
        AccountAdministration,
        stores.accounts,
        stores.connections,
        stripe.accounts,
        first_backfill,
        clock,
        mode,
    )
    connecting = providers.Singleton(
        Connecting,
        stripe.oauth,
        stores.oauth_states,
        stores.connections,
        connections,
        first_backfill,
        mutations,
        clock,
        mode,
        redirect_uris,
    )
    disconnecting = providers.Singleton(
        Disconnecting, stripe.oauth, stores.connections, connections, open_work, mutations
    )
    connection_lists = providers.Singleton(ConnectionLists, stores.connections, page_tokens, mode)

    # --- gRPC ---
    offered = providers.Callable(
        services,
        providers.Singleton(CustomerServicer, customers),
        providers.Singleton(ChargeServicer, charges),
        providers.Singleton(InvoiceServicer, invoices),
        providers.Singleton(AnalyticsServicer, analyses, exchange_rates, restatements, explaining),
        providers.Singleton(
            ConnectionServicer, connections, connecting, disconnecting, connection_lists
        ),
        providers.Singleton(EventServicer, events, watching),
        providers.Singleton(MirrorServicer, operations, mirror_reports, mirror_statuses),
        providers.Singleton(PaymentMethodServicer, payment_methods),
        providers.Singleton(SubscriptionServicer, subscriptions),
        providers.Singleton(
            CatalogServicer,
            catalogue,
            product_changes,
            price_changes,
            price_replacement,
            product_pictures,
        ),
        providers.Singleton(NoteServicer, notes),
        providers.Singleton(ContactLinkServicer, contact_links, contact_link_jobs),
        providers.Singleton(PaymentLinkServicer, payment_links),
        providers.Singleton(PayoutServicer, payouts, balances),
        providers.Singleton(
            CheckoutServicer, store_products, previews, checkout_calls, sale_refunds
        ),
        providers.Singleton(
            WalletServicer,
            account_wallets,
            wallet_usage,
            wallet_adjustments,
            rebillings,
            method_preparation,
            statements,
            reload_calls,
        ),
    )
