"""MRR: levels, movements of a customer, pauses, discounts that end."""

import datetime as dt
from dataclasses import replace
from fractions import Fraction

import pytest

from domain.facts import Series
from domain.mrr import due_at, statements_of
from domain.mrr_levels import level_of
from domain.prices import Recurrence, Tier, TransformQuantity
from tests.unit.domain.evidence_samples import (
    CUSTOMER,
    MONTH,
    NOW,
    YEAR,
    canceled,
    coupon,
    customers,
    day,
    discount,
    item,
    life,
    line,
    moved,
    of,
    paid,
    seen,
    subscription,
    told,
)

TIERS = (Tier(5, unit_amount=700), Tier(10, unit_amount=650), Tier(None, 100, unit_amount=600))


@pytest.mark.parametrize(
    ("found", "monthly"),
    [
        (item(1_000, Recurrence("day", 1)), Fraction(365_000, 12)),
        (item(1_000, Recurrence("week", 2)), Fraction(26_000, 12)),
        (item(1_000, Recurrence("month", 3)), Fraction(1_000, 3)),
        (item(1_000, YEAR), Fraction(1_000, 12)),
        (item(1_000, quantity=3), 3_000),
        (item(1_000, quantity=None), 1_000),
        (item(None, unit_amount_decimal="0.5", quantity=7), Fraction(7, 2)),
        (item(1_000, quantity=11, transform_quantity=TransformQuantity(5, "up")), 3_000),
        (item(1_000, quantity=11, transform_quantity=TransformQuantity(5, "down")), 2_000),
        (item(1_000, Recurrence("month", 1, "metered")), 0),
        (item(1_000, None), 0),
    ],
)
def test_what_an_item_brings_a_month(found: object, monthly: Fraction) -> None:
    level = level_of(subscription(found), None, {}, NOW)  # type: ignore[arg-type]
    assert sum(level.after.values()) == monthly
    assert not level.oddities


@pytest.mark.parametrize(
    ("mode", "quantity", "monthly"),
    [
        ("volume", 6, 3_900), ("volume", 11, 6_700), ("volume", 0, 0),
        ("graduated", 6, 4_150), ("graduated", 11, 7_450), ("graduated", 5, 3_500),
    ],
)  # fmt: skip
def test_tiers_at_the_quantity(mode: str, quantity: int, monthly: int) -> None:
    tiered = item(None, billing_scheme="tiered", tiers_mode=mode, tiers=TIERS, quantity=quantity)
    assert sum(level_of(subscription(tiered), None, {}, NOW).after.values()) == monthly


def test_the_first_tier_s_flat_amount_is_due_for_no_unit() -> None:
    tiers = (Tier(5, 900, unit_amount=1), Tier(None, 100, unit_amount=0))
    for mode in ("volume", "graduated"):
        tiered = item(None, billing_scheme="tiered", tiers_mode=mode, tiers=tiers, quantity=0)
        assert level_of(subscription(tiered), None, {}, NOW).after == {"usd": 900}


@pytest.mark.parametrize(
    ("status", "monthly"),
    [
        ("active", 1_000), ("past_due", 1_000), ("trialing", 0), ("incomplete", 0),
        ("incomplete_expired", 0), ("unpaid", 0), ("paused", 0), ("canceled", 0),
    ],
)  # fmt: skip
def test_the_statuses_that_count(status: str, monthly: int) -> None:
    level = level_of(subscription(status=status), None, {}, NOW)
    assert sum(level.after.values()) == monthly
    assert not level.oddities


def test_what_nobody_can_price_is_counted_apart() -> None:
    odd = subscription(
        item(1_000, Recurrence("fortnight", 1), "si_a"),
        item(None, MONTH, "si_b", billing_scheme="tiered", tiers_mode="volume"),
        item(1_000, MONTH, "si_c"),
        discounts=("di_unseen",),
    )
    statements = told(of(*life((day(2), odd), (day(3), canceled(odd, day(3))))))
    apart = [(s.at, s.cause, s.source, s.count) for s in statements if s.kind == "unpriced"]
    assert apart == [
        (at, cause, source, count)
        for at, count in ((day(2), 1), (day(3), -1))
        for cause, source in (("coupon", "di_unseen"), ("interval", "si_a"), ("price", "si_b"))
    ]
    assert [s.amount for s in statements if s.kind == "new"] == [1_000 * 10_000]
    assert level_of(subscription(status="of_tomorrow"), None, {}, NOW).oddities == {
        ("status", "sub_1")
    }


# --- discounts ---


@pytest.mark.parametrize(
    ("off", "monthly"),
    [
        (coupon("forever", percent_off="25"), 750),
        (coupon("forever", percent_off="33.3"), 667),
        (coupon("forever", amount_off=300, currency="usd"), 700),
        (coupon("forever", amount_off=300, currency="eur"), 1_000),
        (coupon("forever", amount_off=1, currency="eur", currency_options={"usd": 400}), 600),
        (coupon("forever", amount_off=3_000, currency="usd"), 0),
        (coupon("once", percent_off="50"), 1_000),
        (coupon("forever", percent_off="50", applies_to=("prod_other",)), 1_000),
        (coupon("forever", percent_off="50", applies_to=("prod_si_1",)), 500),
    ],
)
def test_what_a_discount_leaves(off: object, monthly: int) -> None:
    given = discount(off)  # type: ignore[arg-type]
    found = subscription(discounts=("di_1",), discount_details=(given,))
    level = level_of(found, None, {"di_1": given}, NOW)
    assert level.after == {"usd": monthly}
    assert level.before == {"usd": 1_000}


def test_an_amount_is_off_each_billing() -> None:
    given = discount(coupon("forever", amount_off=1_200, currency="usd"))
    found = subscription(item(12_000, YEAR), discounts=("di_1",))
    assert level_of(found, None, {"di_1": given}, NOW).after == {"usd": 900}
    mixed = subscription(item(12_000, YEAR), item(500, MONTH, "si_2"), discounts=("di_1",))
    assert level_of(mixed, None, {"di_1": given}, NOW).after == {"usd": 1_000}


def test_an_item_s_discount_goes_first_and_the_customer_s_only_where_there_is_no_other() -> None:
    half = discount(coupon("forever", percent_off="50"), id_="di_half")
    less = discount(coupon("forever", amount_off=100, currency="usd"), id_="di_less")
    known = {"di_half": half, "di_less": less}
    both = subscription(item(discounts=("di_half",)), discounts=("di_less",))
    assert level_of(both, half, known, NOW).after == {"usd": 400}
    assert level_of(subscription(), half, known, NOW).after == {"usd": 500}
    assert level_of(subscription(discounts=("di_less",)), half, known, NOW).after == {"usd": 900}


def test_a_coupon_ends_without_an_event() -> None:
    given = discount(coupon(percent_off="50"), day(5))
    found = subscription(discounts=("di_1",), discount_details=(given,))
    evidence = of(*life((day(2), found)))
    assert moved(evidence, day(4)) == [("02-01", "new", 500, 1)]
    assert due_at(evidence, day(4)) == day(5)
    assert moved(evidence) == [("02-01", "new", 500, 1), ("05-01", "expansion", 500, 0)]
    assert [s.cause for s in told(evidence) if s.at == day(5)] == ["discount_ended", ""]
    assert sum(s.amount for s in told(evidence) if s.kind == "discount") == 0
    assert due_at(evidence, day(5)) is None


def test_a_coupon_of_a_canceled_subscription_ends_nothing() -> None:
    given = discount(coupon(percent_off="50"), day(5))
    found = subscription(discounts=("di_1",), discount_details=(given,))
    evidence = of(*life((day(2), found), (day(6), canceled(found, day(4)))))
    assert moved(evidence) == [("02-01", "new", 500, 1), ("04-01", "churn", -500, -1)]


def test_the_customer_s_discount_comes_and_goes() -> None:
    given = discount(coupon("forever", percent_off="10"))
    evidence = of(
        *life((day(2), subscription())),
        discounts=(customers(day(3), given), customers(day(4), None)),
    )
    assert moved(evidence) == [
        ("02-01", "new", 1_000, 1),
        ("03-01", "contraction", -100, 0),
        ("04-01", "expansion", 100, 0),
    ]


def test_a_coupon_that_was_learnt_later_was_off_all_the_time() -> None:
    bare = subscription(discounts=("di_1",))
    full = replace(bare, discount_details=(discount(coupon("forever", percent_off="50")),))
    evidence = of(*life((day(2), bare), (day(3), full)))
    assert moved(evidence) == [("02-01", "new", 500, 1)]


# --- movements ---


def test_an_annual_upgrade_midway() -> None:
    evidence = of(*life((day(1), subscription()), (day(4, 16), subscription(item(24_000, YEAR)))))
    assert moved(evidence) == [("01-01", "new", 1_000, 1), ("04-16", "expansion", 1_000, 0)]


def test_unpaid_then_recovered_then_canceled() -> None:
    found = subscription()
    evidence = of(
        *life(
            (day(1), found),
            (day(2), replace(found, status="past_due")),
            (day(3), replace(found, status="unpaid")),
            (day(4), found),
            (day(5), canceled(found, day(5))),
            (day(6), canceled(found, day(5))),
        )
    )
    assert moved(evidence) == [
        ("01-01", "new", 1_000, 1),
        ("03-01", "churn", -1_000, -1),
        ("04-01", "reactivation", 1_000, 1),
        ("05-01", "churn", -1_000, -1),
    ]
    assert [s.cause for s in told(evidence) if s.kind == "churn"] == ["involuntary", "voluntary"]


def test_canceled_after_unpaid_is_no_second_churn() -> None:
    found = subscription()
    states = ((day(1), found), (day(3), replace(found, status="unpaid")))
    evidence = of(*life(*states, (day(4), canceled(found, day(4)))))
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "churn"]


def test_two_subscriptions_swapped_in_a_second_are_an_expansion() -> None:
    old = subscription()
    new = subscription(item(1_500), id_="sub_2")
    evidence = of(
        *life((day(1), old), (day(3), canceled(old, day(3)))),
        *life((day(3), new)),
    )
    assert moved(evidence) == [("01-01", "new", 1_000, 1), ("03-01", "expansion", 500, 0)]


def test_a_second_subscription_and_one_of_two_ended() -> None:
    second = subscription(id_="sub_2")
    evidence = of(
        *life((day(1), subscription())),
        *life((day(2), second), (day(3), canceled(second, day(3), "payment_failed"))),
    )
    assert moved(evidence) == [
        ("01-01", "new", 1_000, 1),
        ("02-01", "expansion", 1_000, 0),
        ("03-01", "contraction", -1_000, 0),
    ]


def test_two_currencies_of_a_customer_are_one_subscriber() -> None:
    euros = subscription(item(2_000, currency="eur"), id_="sub_2")
    evidence = of(
        *life((day(1), subscription()), (day(3), canceled(subscription(), day(3)))),
        *life((day(2), euros), (day(4), canceled(euros, day(4)))),
    )
    assert [(s.at, s.kind, s.currency, s.count) for s in told(evidence)] == [
        (day(1), "new", "usd", 1),
        (day(2), "expansion", "eur", 0),
        (day(3), "contraction", "usd", 0),
        (day(4), "churn", "eur", -1),
    ]


def test_new_is_once_in_a_life_over_all_currencies() -> None:
    euros = subscription(item(2_000, currency="eur"), id_="sub_2")
    evidence = of(
        *life((day(1), subscription()), (day(2), canceled(subscription(), day(2)))),
        *life((day(4), euros)),
    )
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "churn", "reactivation"]


def test_a_free_month_for_a_payer_is_a_pause_and_no_trial() -> None:
    found = subscription()
    gift = replace(found, status="trialing", trial_start=day(3), trial_end=day(4))
    evidence = of(*life((day(1), found), (day(3), gift), (day(4), replace(gift, status="active"))))
    assert moved(evidence) == [
        ("01-01", "new", 1_000, 1),
        ("03-01", "paused", -1_000, -1),
        ("04-01", "resumed", 1_000, 1),
    ]
    assert not [s for s in statements_of(evidence, NOW) if s.series is Series.TRIAL]


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible"])
def test_collection_that_is_paused_brings_nothing(behavior: str) -> None:
    found = subscription()
    evidence = of(
        *life((day(1), found), (day(2), replace(found, pause_behavior=behavior)), (day(3), found))
    )
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "paused", "resumed"]


def test_drafts_that_are_kept_are_billed_later() -> None:
    found = subscription()
    evidence = of(*life((day(1), found), (day(2), replace(found, pause_behavior="keep_as_draft"))))
    assert [kind for _, kind, *_ in moved(evidence)] == ["new"]


def test_a_trial_that_begins_after_churn_makes_no_pause_of_it() -> None:
    found = subscription()
    trial = subscription(id_="sub_2", status="trialing", trial_start=day(2), trial_end=day(4))
    evidence = of(
        *life((day(1), found), (day(3), canceled(found, day(3)))),
        *life((day(2), trial), (day(4), replace(trial, status="active"))),
    )
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "churn", "reactivation"]


def test_what_is_scheduled_stands_apart() -> None:
    found = subscription()
    evidence = of(
        *life(
            (day(1), found),
            (day(2), replace(found, cancel_at_period_end=True)),
            (day(3), canceled(found, day(3))),
        )
    )
    apart = [(s.amount, s.count) for s in told(evidence) if s.kind == "scheduled_cancellation"]
    assert apart == [(1_000 * 10_000, 1), (-1_000 * 10_000, -1)]
    assert [kind for _, kind, *_ in moved(evidence)] == ["new", "churn"]


def test_levels_are_rounded_once_a_customer_and_currency() -> None:
    third = item(100, Recurrence("month", 3))
    evidence = of(
        *life((day(1), subscription(third))), *life((day(1), subscription(third, id_="sub_2")))
    )
    assert [s.amount for s in told(evidence)] == [666_667]


def test_what_was_not_told_is_as_before() -> None:
    bare = replace(subscription(status="past_due"), items=())
    first, second = life((day(1), subscription(item(700))), (day(2), bare))
    evidence = of(first, replace(second, unknown=frozenset({"items"})))
    assert moved(evidence) == [("01-01", "new", 700, 1)]


def test_the_first_time_that_a_customer_came_and_paid() -> None:
    evidence = replace(of(), created=day(1), first_paid=day(2))
    assert [(s.series, s.subject, s.at, s.count) for s in statements_of(evidence, NOW)] == [
        (Series.NEW_CUSTOMER, CUSTOMER, day(1), 1),
        (Series.FIRST_PAYMENT, CUSTOMER, day(2), 1),
    ]


# --- trials ---


def trial_kinds(evidence: object) -> list[tuple[dt.datetime, str]]:
    return [
        (s.at, s.kind)
        for s in statements_of(evidence, NOW)  # type: ignore[arg-type]
        if s.series is Series.TRIAL
    ]


def test_a_trial_counts_at_its_end_and_is_pending_until_something_is_paid() -> None:
    trial = subscription(status="trialing", trial_start=day(1), trial_end=day(2))
    active = replace(trial, status="active")
    running = life((day(1), trial))
    assert trial_kinds(of(*running)) == []
    ended = life((day(1), trial), (day(2), active))
    assert trial_kinds(of(*ended)) == [(day(2), "pending")]
    free = paid(day(2), line(0, day(2), day(3)))
    assert trial_kinds(of(*ended, invoices=(free,))) == [(day(2), "pending")]
    setup = paid(day(1), line(500, day(1), day(1)), id_="in_setup")
    assert trial_kinds(of(*ended, invoices=(setup,))) == [(day(2), "pending")]
    first = paid(day(2), line(1_000, day(2), day(3)))
    assert trial_kinds(of(*ended, invoices=(first,))) == [(day(2), "converted")]
    over = life((day(1), trial), (day(1, 15), canceled(trial, day(1, 15))))
    assert trial_kinds(of(*over)) == [(day(1, 15), "not_converted")]


# --- the connection ---


def test_what_was_seen_first_after_the_invoices_told_less_is_a_seam() -> None:
    found = subscription(item(1_500))
    evidence = of(
        seen(day(3, 15), found, "read"),
        invoices=(
            paid(day(1), line(1_000, day(1), day(2))),
            paid(day(2), line(1_000, day(2), day(3), "il_2")),
            paid(day(3), line(1_000, day(3), day(4), "il_3")),
        ),
    )
    assert moved(evidence) == [("01-01", "new", 1_000, 1), ("03-15", "seam", 500, 0)]
    assert [s.basis.value for s in told(evidence)] == ["reconstructed", "reconstructed"]


def test_a_subscription_without_invoices_comes_with_the_seam() -> None:
    evidence = of(seen(day(3), subscription(), "read"))
    assert moved(evidence) == [("03-01", "seam", 1_000, 1)]
    assert [each.cause for each in told(evidence)] == ["new"], "his cohort is that of March"
