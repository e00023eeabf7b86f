"""The nouns that the emulator speaks of; a new one is its file and a line here."""

from typing import Final

from sandbox.emulator import (
    accounts,
    balance,
    balance_transactions,
    charges,
    coupons,
    customers,
    disputes,
    events,
    invoice_lines,
    invoice_payments,
    invoice_previews,
    invoices,
    meters,
    oauth,
    payment_intents,
    payment_methods,
    payouts,
    prices,
    products,
    refunds,
    setup_intents,
    sources,
    subscription_items,
    subscriptions,
    tax_rates,
    webhook_endpoints,
)
from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator.core.call import Nouns

NOUNS: Final = Nouns(
    (
        accounts.NOUN,
        balance.NOUN,
        balance_transactions.NOUN,
        charges.NOUN,
        coupons.DISCOUNT,
        coupons.NOUN,
        customers.NOUN,
        disputes.NOUN,
        events.NOUN,
        invoice_lines.NOUN,
        invoice_payments.NOUN,
        invoice_previews.LINE,
        invoiceitems.NOUN,
        invoices.NOUN,
        meters.NOUN,
        oauth.NOUN,
        payment_intents.NOUN,
        payment_methods.NOUN,
        payouts.NOUN,
        prices.NOUN,
        products.NOUN,
        refunds.NOUN,
        setup_intents.NOUN,
        sources.NOUN,
        subscription_items.NOUN,
        subscriptions.NOUN,
        tax_rates.NOUN,
        webhook_endpoints.NOUN,
    )
)
