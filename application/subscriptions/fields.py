"""The fields of a subscription that callers may change; its items are changed one by one."""

from typing import Final

from application.payment_methods.fields import DEFAULT_METHOD
from application.requests.fields import FieldTable, metadata, text
from application.subscriptions.ports import SubscriptionFields

FIELDS: Final = FieldTable(
    "subscription", SubscriptionFields, (DEFAULT_METHOD, text("description", 500), metadata())
)
