"""Every noun that is read from Stripe: a new one adds its file and a line here."""

from collections.abc import Mapping
from typing import Any, Final

from infrastructure.stripe.balance_transactions import BALANCE_TRANSACTION
from infrastructure.stripe.charges.refund_translation import REFUND
from infrastructure.stripe.charges.translation import CHARGE
from infrastructure.stripe.connections.translation import STRIPE_ACCOUNT
from infrastructure.stripe.core.shapes import Translation
from infrastructure.stripe.coupons import COUPON
from infrastructure.stripe.customers.translation import CUSTOMER
from infrastructure.stripe.disputes import DISPUTE
from infrastructure.stripe.invoice_payments import INVOICE_PAYMENT
from infrastructure.stripe.invoices.translation import INVOICE
from infrastructure.stripe.payment_intents.translation import PAYMENT_INTENT
from infrastructure.stripe.payouts.translation import PAYOUT
from infrastructure.stripe.prices import PRICE
from infrastructure.stripe.products import PRODUCT
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION

TRANSLATIONS: Final[Mapping[str, Translation[Any, Any]]] = {
    translation.noun.name: translation
    for translation in (
        BALANCE_TRANSACTION,
        CHARGE,
        COUPON,
        CUSTOMER,
        DISPUTE,
        INVOICE,
        INVOICE_PAYMENT,
        PAYMENT_INTENT,
        PAYOUT,
        PRICE,
        PRODUCT,
        REFUND,
        STRIPE_ACCOUNT,
        SUBSCRIPTION,
    )
}
"""By Stripe's own name of the noun (`object` in its payloads)."""
