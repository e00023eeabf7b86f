"""Stripe's side of the composition: which gateway stands behind each of its ports."""

from dependency_injector import containers, providers

from application.background.clock import Clock
from bootstrap.settings import Settings
from infrastructure.stripe.catalogue.gateway import StripeProducts
from infrastructure.stripe.catalogue.pictures import StripePictures
from infrastructure.stripe.catalogue.prices import StripePrices
from infrastructure.stripe.charges.gateway import StripeRefundGateway
from infrastructure.stripe.checkouts.country_specs import StripeCountrySpecs
from infrastructure.stripe.checkouts.renewals import StripeRenewals
from infrastructure.stripe.connecting.gateway import StripeOauth
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.customers.lookup import StripeCustomerLookup
from infrastructure.stripe.invoices.gateway import StripeInvoices
from infrastructure.stripe.invoices.previews import StripeInvoicePreviews
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from infrastructure.stripe.payouts.gateway import StripePayouts
from infrastructure.stripe.readers.discounts import StripeDiscountReader
from infrastructure.stripe.readers.events import StripeEventReader
from infrastructure.stripe.readers.lists import StripeLister
from infrastructure.stripe.readers.objects import StripeObjectReader
from infrastructure.stripe.readers.webhooks import StripeWebhookReader
from infrastructure.stripe.subscriptions.gateway import StripeSubscriptions


def _stripe_settings(settings: Settings) -> StripeSettings:
    key = settings.stripe_secret_key.get_secret_value()
    if not settings.stripe_url:
        return StripeSettings(key)
    url = settings.stripe_url
    # Stripe has a host of its own for files; what stands in for Stripe has it at a path.
    return StripeSettings(
        key, api_base=url, connect_base=url, files_base=f"{url}/files", meter_events_base=url
    )


class Stripe(containers.DeclarativeContainer):
    """Every gateway to Stripe, made on first use; all send through one API and its budget."""

    settings = providers.Dependency(instance_of=Settings)
    clock: providers.Dependency[Clock] = providers.Dependency()  # a protocol: not to be checked for
    mode = settings.provided.mode

    budget = providers.Singleton(RateBudget, settings.provided.requests_per_second)
    api = providers.Singleton(
        StripeApi, providers.Singleton(_stripe_settings, settings), budget, clock
    )
    accounts = providers.Singleton(StripeConnectedAccounts, api)
    oauth = providers.Singleton(StripeOauth, api, accounts, settings.provided.connect_client_id)
    country_specs = providers.Singleton(StripeCountrySpecs, api)
    customers = providers.Singleton(StripeCustomers, api)
    customer_lookup = providers.Singleton(StripeCustomerLookup, api)
    refunds = providers.Singleton(StripeRefundGateway, api)
    invoices = providers.Singleton(StripeInvoices, api)
    invoice_previews = providers.Singleton(StripeInvoicePreviews, api)
    payment_intents = providers.Singleton(
        StripePaymentIntents, api, settings.provided.connect_client_id
    )
    payment_methods = providers.Singleton(StripePaymentMethods, api)
    payouts = providers.Singleton(StripePayouts, api)
    subscriptions = providers.Singleton(StripeSubscriptions, api)
    renewals = providers.Singleton(StripeRenewals, api)
    products = providers.Singleton(StripeProducts, api)
    prices = providers.Singleton(StripePrices, api)
    pictures = providers.Singleton(StripePictures, api)
    objects = providers.Singleton(StripeObjectReader, api)
    lister = providers.Singleton(StripeLister, api, mode)
    events = providers.Singleton(StripeEventReader)
    discounts = providers.Singleton(StripeDiscountReader)
    webhooks = providers.Singleton(
        StripeWebhookReader,
        platform_secrets=settings.provided.platform_webhook_secrets,
        connect_secrets=settings.provided.connect_webhook_secrets,
        mode=mode,
    )
