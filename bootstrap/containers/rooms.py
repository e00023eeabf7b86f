"""The rooms: what callers ask for, and the gRPC services that they ask by."""

from dependency_injector import containers, providers

from application.accounts import AccountAdministration
from application.analytics import RevenueAnalytics
from application.charges import Charges
from application.connections import Connections
from application.contact_customers import CustomerOfContact
from application.contact_link_jobs import ContactLinkJobs
from application.contact_links import ContactLinks
from application.contact_matching import ContactMatching
from application.contacts import ContactAdministration
from application.customers import Customers
from application.events import Events
from application.invoices import Invoices
from application.leases import Leases
from application.mirror_reader import MirrorReader
from application.mirror_reports import MirrorReports
from application.mirror_status import MirrorStatuses
from application.mutations import Mutations
from application.notes import Notes
from application.operations import Operations
from application.paging import PageTokens
from application.payment_links import PaymentLinks
from application.payment_methods import PaymentMethods
from application.ports.clock import Clock
from application.ports.phones import PhoneNumbers
from application.ports.short_links import ShortLinks
from application.subscriptions import Subscriptions
from application.watching import Watching
from domain.connections import Mode
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
from interfaces.grpc.subscriptions import SubscriptionServicer


class Rooms(containers.DeclarativeContainer):
    """A use case and a servicer for each service of the contract.

    What stands beneath them all (the store, Stripe, mutations, the mirror and what keeps it right)
    comes from the container of the process.
    """

    stores = providers.DependenciesContainer()
    mirror = stores.mirror
    stripe = providers.DependenciesContainer()
    object_reader = stripe.objects
    # Ports are protocols, which are not checked for.
    clock: providers.Dependency[Clock] = providers.Dependency()
    phones: providers.Dependency[PhoneNumbers] = providers.Dependency()
    short_links: providers.Dependency[ShortLinks | None] = providers.Dependency()
    mode = providers.Dependency(instance_of=Mode)
    page_tokens = providers.Dependency(instance_of=PageTokens)
    connections = providers.Dependency(instance_of=Connections)
    mutations = providers.Dependency(instance_of=Mutations)
    mirror_reader = providers.Dependency(instance_of=MirrorReader)
    contact_matching = providers.Dependency(instance_of=ContactMatching)
    events = providers.Dependency(instance_of=Events)
    watching = providers.Dependency(instance_of=Watching)
    operations = providers.Dependency(instance_of=Operations)
    mirror_reports = providers.Dependency(instance_of=MirrorReports)
    mirror_statuses = providers.Dependency(instance_of=MirrorStatuses)

    # --- use cases ---
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
        providers.Singleton(Leases, stores.checkpoints, clock),
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
    offered = providers.Callable(
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
    )
