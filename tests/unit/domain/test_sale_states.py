"""Checkouts: how a completed sale stands by what of it is lost."""

import pytest

from domain.checkouts import CheckoutState, state_at_rest
from domain.reloads import Lost


@pytest.mark.parametrize(
    ("lost", "holds", "state"),
    [
        (Lost(), {}, "completed"),
        (Lost(gone=5), {}, "partly_refunded"),
        (Lost(gone=9), {"returned": True}, "refunded"),
        (Lost(), {"returned": True}, "refunded"),
        (Lost(withheld=5), {}, "disputed"),
        (Lost(gone=5, withheld=4), {"lapsed": True}, "disputed"),
        (Lost(gone=5), {"lapsed": True}, "lapsed"),
        (Lost(gone=9), {"returned": True, "lapsed": True}, "refunded"),
        (Lost(withheld=4), {"refunding": True}, "refunding"),
    ],
)
def test_the_first_state_that_fits(lost: Lost, holds: dict[str, bool], state: str) -> None:
    what = {"refunding": False, "returned": False, "lapsed": False, **holds}
    assert state_at_rest(lost, **what) is CheckoutState(state)
