"""Payment intents: what their statuses come to."""

import pytest

from domain.payment_intents import PaymentStanding, standing_of


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("requires_payment_method", PaymentStanding.ASKS),
        ("requires_confirmation", PaymentStanding.ASKS),
        ("requires_action", PaymentStanding.ASKS),
        ("processing", PaymentStanding.PENDING),
        ("requires_capture", PaymentStanding.AUTHORISED),
        ("succeeded", PaymentStanding.SUCCEEDED),
        ("canceled", PaymentStanding.CANCELED),
        ("something_new", PaymentStanding.ODD),
        ("", PaymentStanding.ODD),
    ],
)
def test_what_a_status_of_stripes_comes_to(status: str, standing: PaymentStanding) -> None:
    assert standing_of(status) is standing
