"""Stripe accounts: from Stripe's payload to the domain's account."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.stripe_accounts import StripeAccount
from infrastructure.stripe.connections.translation import STRIPE_ACCOUNT
from tests.unit.stripe.samples import account, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[StripeAccount]:
    return STRIPE_ACCOUNT.observe(encoded(payload), "acct_1", VERSION)


def test_every_field_is_read() -> None:
    assert observed(account()) == Snapshot(
        "acct_1",
        "acct_1",
        VERSION,
        StripeAccount(
            id="acct_1",
            created=dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
            charges_enabled=True,
            payouts_enabled=False,
            details_submitted=True,
            default_currency="eur",
            country="DE",
            capabilities={"card_payments": "active", "transfers": "pending"},
        ),
    )


@pytest.mark.parametrize(
    "absent",
    """
    created charges_enabled payouts_enabled details_submitted default_currency country capabilities
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(account(), absent)).unknown == {absent}


def test_null_is_known_to_be_empty() -> None:
    snapshot = observed(account(default_currency=None, country=None, capabilities=None))
    assert snapshot.object is not None
    assert (snapshot.object.default_currency, snapshot.object.country) == (None, None)
    assert snapshot.object.capabilities == {}
    assert not snapshot.unknown


def test_unknown_statuses_and_capabilities_are_kept() -> None:
    found = observed(account(capabilities={"teleports": "sometimes"})).object
    assert found is not None
    assert found.capabilities == {"teleports": "sometimes"}


@pytest.mark.parametrize(
    "nonsense",
    [
        without(account(), "id"),
        account(id=""),
        account(created="yesterday"),
        account(charges_enabled="yes"),
        account(capabilities={"card_payments": 1}),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required"):
        observed(nonsense)
