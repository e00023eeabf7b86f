"""The declaration of every mirrored noun: what of it is filtered, ordered, searched and ranked."""

from collections.abc import Mapping
from typing import Any, Final

from application.mirror.ports import (
    FIRST_KNOWN,
    NEWEST_FIRST,
    Column,
    Counted,
    Noun,
    Order,
    Search,
)
from domain.attempts import ATTEMPTS
from domain.attribution import FIRST, INVOICE
from domain.balance_transactions import PAYMENTS, PAYOUT, BalanceTransaction
from domain.charges import Charge
from domain.coupons import Coupon
from domain.customers import Customer
from domain.disputes import Dispute
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.payment_intents import PaymentIntent
from domain.payouts import Payout
from domain.prices import Price
from domain.products import Product
from domain.refunds import Refund
from domain.reporting_categories import REVERSAL, SETTLEMENT
from domain.stripe_accounts import StripeAccount
from domain.subscriptions import Subscription

_CREATED: Final = Column("created", "object.created")
_FIRST: Final = (
    Column("first_at", f"derived.{FIRST}.at"),
    Column("first_currency", f"derived.{FIRST}.currency"),
)
"""When money was first taken, and what it settled in."""

CUSTOMERS: Final = Noun(
    name="customer",
    type=Customer,
    collection="billing.customers",
    columns=(_CREATED, Column("email", "object.email")),
    indexes=(("created",), ("email", "created")),
    search=Search(texts=("name", "email"), phones=("phone",)),
    last=("name",),
    reading=1,
)

COUPONS: Final = Noun(
    name="coupon",
    type=Coupon,
    collection="billing.coupons",
    columns=(_CREATED,),
    indexes=(("created",),),
    # A coupon that is deleted goes on where it was given.
    last=(
        "duration",
        "duration_in_months",
        "percent_off",
        "amount_off",
        "currency",
        "currency_options",
        "applies_to",
    ),
)

CHARGES: Final = Noun(
    name="charge",
    type=Charge,
    collection="billing.charges",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("currency", "object.amount.currency"),
        Column("amount_captured", "object.amount_captured.amount"),
        Column("customer", "object.customer"),
        # Empty: the charge stands for itself.
        Column("payment_intent", "object.payment_intent", absent=""),
        Column("outcome_type", "object.outcome_type"),
        Column("failure_code", "object.failure_code"),
        Column("risk_level", "object.risk_level"),
        # When it counts. `settled_in` is empty where no transaction says so: then it may change.
        Column("counted_at", (f"derived.{SETTLEMENT}.created", "object.created")),
        Column("settled_in", f"derived.{SETTLEMENT}.currency", absent=""),
        Column("billing_reason", f"derived.{INVOICE}.billing_reason"),
    ),
    # What stands behind an id covers figures: no row is read for them.
    indexes=(
        # Attempts, and the risk that they were thought to be.
        ("created", "id", "currency", "status", "outcome_type", "risk_level"),
        ("customer", "created"),
        ("customer", "status", "created"),
        # Payments without an intent.
        (
            "payment_intent",
            "created",
            "id",
            "currency",
            "status",
            "outcome_type",
            "amount_captured",
        ),
        # Failures and their reasons.
        ("status", "created", "id", "currency", "outcome_type", "failure_code"),
        # Gross volume and its split; and who spent it.
        (
            "status",
            "counted_at",
            "id",
            "currency",
            "amount_captured",
            "settled_in",
            "billing_reason",
        ),
        ("status", "counted_at", "id", "currency", "customer", "amount_captured"),
    ),
    counted=Counted(
        dates=("created", "counted_at"),
        columns=(
            "status",
            "currency",
            "amount_captured",
            "customer",
            "payment_intent",
            "outcome_type",
            "failure_code",
            "risk_level",
            "settled_in",
            "billing_reason",
        ),
    ),
)

REFUNDS: Final = Noun(
    name="refund",
    type=Refund,
    collection="billing.refunds",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("charge", "object.charge"),
        *_FIRST,
    ),
    indexes=(("created",), ("charge", "created"), ("first_at", "id", "first_currency")),
    counted=Counted(dates=("first_at",), columns=("first_currency",)),
)

DISPUTES: Final = Noun(
    name="dispute",
    type=Dispute,
    collection="billing.disputes",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("charge", "object.charge"),
        *_FIRST,
    ),
    indexes=(
        ("created",),
        ("status", "created"),
        ("charge", "created"),
        ("first_at", "id", "first_currency", "status"),
    ),
    rank=lambda dispute: len(dispute.balance_transactions),
    counted=Counted(dates=("first_at",), columns=("first_currency", "status")),
)

_INVOICE_PAYMENT_RANKS: Final = {"open": 0, "paid": 1, "canceled": 1}
_INVOICE_RANKS: Final = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}

INVOICES: Final = Noun(
    name="invoice",
    type=Invoice,
    collection="billing.invoices",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("customer", "object.customer"),
        Column("subscription", "object.subscription"),
        Column("currency", "object.currency"),
        Column("due_date", "object.due_date"),
        Column("counted", "object.counted.amount"),
    ),
    indexes=(
        ("created",),
        ("status", "created"),
        ("customer", "created"),
        ("customer", "status", "created"),
        ("subscription", "created"),
        ("subscription", "status", "created"),
        # Covers the totals: no row is read for them.
        ("status", "created", "currency", "due_date", "counted"),
    ),
    rank=lambda invoice: _INVOICE_RANKS.get(invoice.status),
    reading=1,
)

INVOICE_PAYMENTS: Final = Noun(
    name="invoice_payment",
    type=InvoicePayment,
    collection="billing.invoice_payments",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("invoice", "object.invoice"),
        Column("payment_intent", "object.payment_intent"),
        Column("charge", "object.charge"),
    ),
    indexes=(
        ("created",),
        ("status", "created"),  # what becomes of the open ones no event tells
        ("invoice", "created"),
        # A charge has no invoice of its own: it finds it by its intent, an old one by itself.
        ("payment_intent", "created"),
        ("charge", "created"),
    ),
    rank=lambda payment: _INVOICE_PAYMENT_RANKS.get(payment.status),
)

STRIPE_ACCOUNTS: Final = Noun(
    name="account",
    type=StripeAccount,
    collection="billing.stripe_accounts",
    columns=(_CREATED,),
    indexes=(("created",),),
)

SUBSCRIPTIONS: Final = Noun(
    name="subscription",
    type=Subscription,
    collection="billing.subscriptions",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("customer", "object.customer"),
        Column("prices", "object.items[].price", many=True),
    ),
    indexes=(
        ("created",),
        ("status", "created"),
        ("customer", "created"),
        ("customer", "status", "created"),
        ("prices", "status"),  # the subscribers of a price, and of a product by its prices
    ),
    rank=lambda subscription: int(subscription.ended),
    reading=1,
)

PRODUCTS: Final = Noun(
    name="product",
    type=Product,
    collection="billing.products",
    columns=(_CREATED, Column("active", "object.active")),
    # The second covers the counts of filters, too.
    indexes=(("created",), ("active", "created")),
    search=Search(texts=("name",), flags=("active",)),
    last=("name",),
    reading=1,
)

PRICES: Final = Noun(
    name="price",
    type=Price,
    collection="billing.prices",
    columns=(
        _CREATED,
        Column("active", "object.active"),
        Column("product", "object.product"),
        Column("type", "object.type"),
        Column("currency", "object.currency"),
        Column("lookup_key", "object.lookup_key"),
    ),
    indexes=(
        ("created", "id", "active", "type", "currency"),
        ("active", "created", "id", "type", "currency"),
        ("product", "created", "id", "active", "type", "currency"),
        ("product", "active", "created"),
        ("lookup_key", "created", "id", "active", "product", "type", "currency"),
        # Covers the counts of filters.
        ("active", "type", "currency", "created"),
    ),
    last=(
        "product",
        "nickname",
        "currency",
        "type",
        "billing_scheme",
        "unit_amount",
        "unit_amount_decimal",
        "recurring",
    ),
    reading=1,
)

PAYOUTS: Final = Noun(
    name="payout",
    type=Payout,
    collection="billing.payouts",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("arrival_date", "object.arrival_date"),
        Column("automatic", "object.automatic"),
        Column("currency", "object.amount.currency"),
        Column("amount", "object.amount.amount"),
        Column("returned_at", f"derived.{REVERSAL}.created"),
    ),
    indexes=(
        ("created", "id", "status", "automatic", "currency", "arrival_date"),
        ("arrival_date", "id", "status", "automatic", "currency", "created"),
        ("status", "created", "id", "automatic", "currency", "arrival_date"),
        # What arrived, what is on its way; and what came back.
        (
            "status",
            "arrival_date",
            "id",
            "automatic",
            "currency",
            "created",
            "amount",
            "returned_at",
        ),
        ("status", "returned_at", "id", "currency", "amount", "arrival_date"),
    ),
    orders=(NEWEST_FIRST, Order("arrival_date")),
    reading=1,
    counted=Counted(
        dates=("arrival_date", "returned_at"),
        columns=("status", "automatic", "currency", "created", "amount"),
    ),
)

PAYMENT_INTENTS: Final = Noun(
    name="payment_intent",
    type=PaymentIntent,
    collection="billing.payment_intents",
    columns=(
        _CREATED,
        Column("customer", "object.customer"),
        *(
            Column(name, f"derived.{ATTEMPTS}.{value}")
            for name, value in (
                ("first_attempt", "first_attempt"),
                ("attempt_currency", "currency"),
                ("outcome", "outcome"),
                ("recovered", "recovered"),
                ("attempt_count", "count"),
                ("captured", "captured"),
            )
        ),
    ),
    indexes=(
        ("created",),
        ("customer", "created"),
        # Payments by what became of them.
        (
            "first_attempt",
            "id",
            "attempt_currency",
            "outcome",
            "recovered",
            "attempt_count",
            "captured",
        ),
    ),
    rank=lambda intent: int(intent.status in ("succeeded", "canceled")),
    counted=Counted(
        dates=("first_attempt",),
        columns=("attempt_currency", "outcome", "recovered", "attempt_count", "captured"),
    ),
)

BALANCE_TRANSACTIONS: Final = Noun(
    name="balance_transaction",
    type=BalanceTransaction,
    collection="billing.balance_transactions",
    columns=(
        _CREATED,
        Column("type", "object.type"),
        Column("status", "object.status"),
        Column("source", "object.source"),
        Column("reporting_category", "object.reporting_category"),
        Column("currency", "object.amount.currency"),
        Column("amount", "object.amount.amount"),
        Column("fee", "object.fee.amount"),
        Column("net", "object.net.amount"),
        # Rows of an earlier API version tell no balance.
        Column("balance_type", "object.balance_type", absent=PAYMENTS),
        Column("fee_application", "object.application_fee"),
        Column("fee_tax", "object.tax_fee"),
        Column("first_known_at", FIRST_KNOWN),
        Column("payout", f"derived.{PAYOUT}.payout"),
    ),
    indexes=(
        ("created",),
        ("type", "created"),
        ("status", "created"),  # the pending ones are listed again until they are available
        ("source", "created"),
        ("payout", "created", "id", "reporting_category"),
        # Covers the summary of a payout: no row is read for it.
        ("payout", "reporting_category", "amount", "fee", "net"),
        # Covers what a balance has changed by.
        ("balance_type", "created", "currency", "net"),
        # Cover the figures of the ledger, also as they were known, and the rows of one part.
        (
            "balance_type",
            "created",
            "id",
            "currency",
            "reporting_category",
            "status",
            "amount",
            "fee",
            "fee_application",
            "fee_tax",
            "first_known_at",
        ),
        (
            "reporting_category",
            "created",
            "id",
            "currency",
            "source",
            "amount",
            "fee",
            "status",
            "balance_type",
            "first_known_at",
        ),
    ),
    reading=1,
    kept=(
        "created",
        "currency",
        "reporting_category",
        "balance_type",
        "amount",
        "fee",
        "fee_application",
        "fee_tax",
    ),
    counted=Counted(
        dates=("created",),
        columns=(
            "balance_type",
            "currency",
            "reporting_category",
            "status",
            "source",
            "amount",
            "fee",
            "fee_application",
            "fee_tax",
        ),
    ),
)

NOUNS: Final[tuple[Noun[Any], ...]] = (
    BALANCE_TRANSACTIONS,
    CHARGES,
    COUPONS,
    CUSTOMERS,
    DISPUTES,
    INVOICE_PAYMENTS,
    INVOICES,
    PAYMENT_INTENTS,
    PAYOUTS,
    PRICES,
    PRODUCTS,
    REFUNDS,
    STRIPE_ACCOUNTS,
    SUBSCRIPTIONS,
)
NOUN_BY_NAME: Final[Mapping[str, Noun[Any]]] = {noun.name: noun for noun in NOUNS}
