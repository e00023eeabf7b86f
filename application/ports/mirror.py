"""The mirror of Stripe's objects, and the declaration of every noun in it.

All mirrored objects are one kind of thing, so there is one port, and one implementation a store,
driven by the declarations here. Adding a noun adds a declaration and no store code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.customers import Customer
from domain.disputes import Dispute
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.mirror import Facet, MirroredObject, Rank, Row, Snapshot
from domain.payment_intents import PaymentIntent
from domain.payouts import Payout
from domain.prices import Price
from domain.products import Product
from domain.refunds import Refund
from domain.stripe_accounts import StripeAccount
from domain.subscriptions import Subscription

T = TypeVar("T", bound=MirroredObject)

Scalar = str | int | bool


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a row that is filtered, ordered or summed by the store.

    `path` leads to it from the row: `object.…` into the snapshot, `derived.<facet>.…` into the
    derived half. An instant is kept as integer milliseconds. The columns of a tombstone, and of a
    row without snapshot, are null: no list and no sum sees them.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Order:
    """A stable order: by `column`, then by id, both in the same direction. Never null when live."""

    column: str
    descending: bool = True


NEWEST_FIRST: Final = Order("created")


@dataclass(frozen=True, slots=True)
class Search:
    """By which words of an object it is found, as `domain.search` says.

    Attributes of the object: `texts` are split into words, `phones` are reduced to their digits.
    None and empty have no words.
    """

    texts: tuple[str, ...]
    phones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Noun(Generic[T]):
    """The declaration of a mirrored noun.

    `name` is Stripe's own (`object` in its payloads). `indexes` are tuples of column names: each
    makes an index that starts with the Stripe account and ends with the id, in both stores; a list
    may use only filters and orders that one of them serves. `rank` grows as an object goes a way
    that has no return: of two observations at the same time the further one is the later. `search`
    is there where the noun is searched; it needs the column `created`.
    """

    name: str
    type: type[T]
    collection: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...]
    orders: tuple[Order, ...] = (NEWEST_FIRST,)
    rank: Rank[T] | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        known = {column.name for column in self.columns}
        named = {name for index in self.indexes for name in index}
        named |= {order.column for order in self.orders}
        if self.search is not None:
            named.add(NEWEST_FIRST.column)
        if not named <= known:
            raise ValueError(f"{self.name}: no such column: {sorted(named - known)}")


_CREATED: Final = Column("created", "object.created")

CUSTOMERS: Final = Noun(
    name="customer",
    type=Customer,
    collection="billing.customers",
    columns=(_CREATED, Column("email", "object.email")),
    indexes=(("created",), ("email", "created")),
    search=Search(texts=("name", "email"), phones=("phone",)),
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
        Column("payment_intent", "object.payment_intent"),
    ),
    indexes=(
        ("created",),
        ("customer", "created"),
        ("customer", "status", "created"),
        ("payment_intent", "created"),
        ("status", "created"),
        # Covers gross volume and the counts of payments: no row is read for them.
        ("status", "created", "currency", "amount_captured"),
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
    ),
    indexes=(("created",), ("charge", "created")),
)

DISPUTES: Final = Noun(
    name="dispute",
    type=Dispute,
    collection="billing.disputes",
    columns=(
        _CREATED,
        Column("status", "object.status"),
        Column("charge", "object.charge"),
    ),
    indexes=(("created",), ("status", "created"), ("charge", "created")),
    rank=lambda dispute: len(dispute.balance_transactions),
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
    ),
    indexes=(
        ("created",),
        ("status", "created"),
        ("customer", "created"),
        ("customer", "status", "created"),
    ),
    rank=lambda subscription: int(subscription.status in ("canceled", "incomplete_expired")),
)

PRODUCTS: Final = Noun(
    name="product",
    type=Product,
    collection="billing.products",
    columns=(_CREATED, Column("active", "object.active")),
    indexes=(("created",), ("active", "created")),
)

PRICES: Final = Noun(
    name="price",
    type=Price,
    collection="billing.prices",
    columns=(
        _CREATED,
        Column("active", "object.active"),
        Column("product", "object.product"),
    ),
    indexes=(("created",), ("product", "created"), ("product", "active", "created")),
)

PAYOUTS: Final = Noun(
    name="payout",
    type=Payout,
    collection="billing.payouts",
    columns=(_CREATED, Column("status", "object.status")),
    indexes=(("created",), ("status", "created")),
)

PAYMENT_INTENTS: Final = Noun(
    name="payment_intent",
    type=PaymentIntent,
    collection="billing.payment_intents",
    columns=(_CREATED, Column("customer", "object.customer")),
    indexes=(("created",), ("customer", "created")),
    rank=lambda intent: int(intent.status in ("succeeded", "canceled")),
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
    ),
    indexes=(
        ("created",),
        ("type", "created"),
        ("status", "created"),  # the pending ones are listed again until they are available
        ("source", "created"),
    ),
)

NOUNS: Final[tuple[Noun[Any], ...]] = (
    BALANCE_TRANSACTIONS,
    CHARGES,
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


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; all conditions hold at once. Names are those of columns.

    `ranges` maps a column to `(low, high)`: low inclusive, high exclusive, None for no bound.
    Instants are integer milliseconds. Empty `one_of` values match nothing.
    """

    equals: Mapping[str, Scalar] = field(default_factory=dict)
    one_of: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the order column's value and the id of its last row."""

    value: Scalar
    id: str


@dataclass(frozen=True, slots=True)
class RowPage(Generic[T]):
    """One page of live rows, and the position after which the next starts (None: the last)."""

    rows: Sequence[Row[T]]
    next: Position | None


class Mirror(Protocol):
    """The local copy of Stripe's objects, keyed by (Stripe account, id).

    The boundary is cut where two databases differ: rows in, rows out, no rule about which
    observation stands. That rule is `domain.mirror.resolve`; the store promises only that nobody
    overwrites a row that he has not seen.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. What a
    method returned after writing is durable: it survives the loss of the process and of power.
    """

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        """The rows of the ids, tombstones and rows of facets alone included; absent ids left out.

        At most 1,000 ids a call.
        """
        ...

    async def replace(
        self, noun: Noun[T], snapshots: Sequence[tuple[Snapshot[T], int]]
    ) -> Sequence[tuple[str, str]]:
        """Store each snapshot whose row still has the revision that comes with it (0: no snapshot).

        Returns the keys (Stripe account, id) of those that were not stored, because somebody else
        stored one meanwhile: fetch again and decide again. Each row is replaced atomically and
        independently of the others; the derived half is untouched. One snapshot a key and at most
        1,000 a call; rows of several Stripe accounts may be mixed.
        """
        ...

    async def derive(self, noun: Noun[T], facets: Sequence[Facet]) -> None:
        """Set facets of derived halves, each only where its stored version is not a later one.

        Later is the greater (high, low). A row that does not exist yet is made, without snapshot.
        Idempotent. At most 1,000 a call, of one or several Stripe accounts.
        """
        ...

    async def list(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        order: Order,
        after: Position | None,
        limit: int,
    ) -> RowPage[T]:
        """Live rows that match, in `order`, from after a position, at most `limit` (1 to 1,000).

        A row that was there all the while is listed exactly once over the pages, whatever was
        written between them. Served by an index of the declaration.
        """
        ...

    async def search(
        self,
        noun: Noun[T],
        stripe_account: str,
        words: Sequence[str],
        *,
        after: Position | None,
        limit: int,
    ) -> RowPage[T]:
        """Live rows each of whose objects has a word beginning with each of `words`, newest first.

        `words` are those of `domain.search.query_words`, 1 to MAX_QUERY_WORDS of them. Paging as
        `list` promises. Served by an index; ValueError where the noun declares no search.
        """
        ...

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        """How many live rows there are."""
        ...
