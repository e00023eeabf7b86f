"""Which fields of the contract's requests hold ids, found in the descriptors, and of what."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.support.contract.tenant import METHODS, Fields

_DEPTH: Final = 5

ID_NAMES: Final[Mapping[str, str]] = {
    "customer": "customer", "contact": "contact", "product": "product", "price": "price",
    "charge": "charge", "subscription": "subscription", "payment_intent": "payment_intent",
    "payment_method": "payment_method", "default_payment_method": "payment_method",
    "default_price": "once", "lookup_key": "lookup_key", "stripe_account": "stripe_account",
    "object_id": "customer", "etag": "etag", "state": "state", "ids": "product",
    "quote": "quote", "cart": "cart", "seller": "account",
}  # fmt: skip
"""Fields that hold an id by what they are called, and of what."""

OWN_IDS: Final[Mapping[str, str]] = {
    "CatalogService": "product", "ChargeService": "charge", "CheckoutService": "checkout",
    "CustomerService": "customer", "EventService": "event", "InvoiceService": "invoice",
    "MirrorService": "report", "NoteService": "note", "PaymentMethodService": "payment_method",
    "PayoutService": "payout", "SubscriptionService": "subscription", "WalletService": "reload",
}  # fmt: skip
"""What `id` of a service's requests is the id of; of CatalogService also a price's."""

PLAIN: Final = frozenset(
    """
    author base_currency behavior city code collection_method country currency currency_options date
    description email error fields flat_amount_decimal footer images interval kinds line1 line2
    marketing_features memo metadata meter multipliers name nickname object_type payment_behavior
    payment_method_types phone postal_code proration_behavior query rate reason redirect_uri
    reporting_categories reporting_category request_id round series service session_digest
    statement_descriptor status statuses tax_behavior tax_code text tiers_mode time_zone type
    unit_amount_decimal unit_label url usage usage_type facts
    """.split()
)
"""Fields with texts that are no tenant's ids. A name that is in neither list fails the matrix.

A meter is not mirrored: Stripe looks for it on the Stripe account that is called. A code is an
owner's consent itself, and no name of anything.
"""

BESIDE: Final = frozenset({"account", "page_token", "resume_token"})
"""Fields whose matrix is another one: whose account, and where to go on."""

ADDRESS: Final = "address"
"""Its `state` is part of an address."""


def id_fields(name: str) -> Mapping[str, str]:
    """The fields with ids of a method's request: path, with `[]` where it is a list, and noun.

    AssertionError for a text of which it is not known whether it is an id.
    """
    return dict(_id_fields(METHODS[name][0].input_type, name, ()))


def _id_fields(kind: Descriptor, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for field in kind.fields:
        behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.OUTPUT_ONLY in behavior:
            continue
        path = (*above, f"{field.name}[]" if field.is_repeated else field.name)
        inner = field.message_type
        if inner is not None and not inner.GetOptions().map_entry:
            if not inner.full_name.startswith("google.") and len(path) < _DEPTH:
                yield from _id_fields(inner, name, path)
        elif inner is not None or field.type == FieldDescriptor.TYPE_STRING:
            noun = _noun_of(field.name, name, above)
            if noun:
                yield ".".join(path), noun


def _noun_of(field: str, name: str, above: tuple[str, ...]) -> str:
    """What a text is the id of; empty where it is none."""
    if field == "id":
        return _noun_of_id(name, above)
    if field in BESIDE or (field == "state" and above[-1:] == (ADDRESS,)):
        return ""
    if field in ID_NAMES:
        return ID_NAMES[field]
    assert field in PLAIN, f"{name}: is {field} an id? tests/support/contract/tenant_ids.py"
    return ""


def _noun_of_id(name: str, above: tuple[str, ...]) -> str:
    service, _, verb = name.partition(".")
    if above[-1:] == ("items[]",):
        return "item"
    if above:
        return above[-1]
    return "price" if service == "CatalogService" and "Price" in verb else OWN_IDS[service]


def with_id(fields: Fields, path: str, id_: str) -> Fields:
    """The fields with an id at a path; into lists it is put into their first element."""
    first, _, rest = path.partition(".")
    name, is_list = first.removesuffix("[]"), first.endswith("[]")
    value: Any = fields.get(name)
    if not rest:
        return {**fields, name: [id_] if is_list else id_}
    if is_list:
        head, *tail = value or [{}]
        return {**fields, name: [with_id(head, rest, id_), *tail]}
    return {**fields, name: with_id(value or {}, rest, id_)}
