"""Money."""

from billing_client.v1 import money_pb2


def money_message(amount: int, currency: str) -> money_pb2.Money:
    """An amount in minor units of a currency."""
    return money_pb2.Money(amount=amount, currency=currency)
