"""The rules of a wallet's ledger: postings of each kind of entry, and what is refused."""

import datetime as dt
import hashlib
import json
from dataclasses import replace

import pytest

from domain.ledger_commands import (
    PostNote,
    PostOpening,
    PostRelease,
    PostReload,
    PostRenewal,
    PostReversal,
    PostWriteOff,
    costs_of,
    renewal_key,
    renewals_of,
)
from domain.ledger_entries import (
    FIRST_DIGEST,
    Entry,
    EntryKind,
    Refunded,
    Targets,
    as_json,
    chained,
)
from domain.ledger_outcomes import Appended, Refusal, Refused, Standing
from domain.money import Money
from domain.wallets import MAX_AMOUNT, Wallet
from tests.support.rooms.ledger import (
    NOON,
    Books,
    capture,
    command,
    cost,
    grant,
    hold,
    moved,
    overdraft,
    refund,
    release,
    reload,
    renewal,
    reversal,
    usage,
)

SECOND = dt.timedelta(seconds=1)


def books(available: int = 1_000) -> Books:
    """A wallet with a grant."""
    made = Books()
    made.append(grant("start", available))
    return made


# --- postings -------------------------------------------------------------------------------------


def test_a_reload_in_the_wallet_s_currency() -> None:
    entry = Books().append(reload("r", 500))
    assert moved(entry) == {"available": 500, "stripe": -500}
    assert (entry.sequence, entry.available_after, entry.held_after) == (1, 500, 0)


def test_a_reload_in_another_currency_balances_over_fx() -> None:
    entry = Books().append(reload("r", 543, Money(500, "eur"), "1.0858"))
    assert moved(entry) == {"available": 543, "stripe eur": -500, "fx eur": 500, "fx": -543}
    assert entry.rate == "1.0858"


def test_a_reload_in_the_wallet_s_currency_credits_what_was_charged() -> None:
    assert Books().refuse(reload("r", 501, Money(500, "usd"))) is Refusal.WRONG_CURRENCY


def test_a_hold_and_its_release() -> None:
    made = books()
    assert moved(made.append(hold("h", 300))) == {"available": -300, "held": 300}
    assert (made.available, made.held) == (700, 300)
    entry = made.append(release("h"))
    assert moved(entry) == {"available": 300, "held": -300}
    assert (entry.kind, entry.reference) == (EntryKind.RELEASE, "hold/h")
    assert (made.available, made.held) == (1_000, 0)


@pytest.mark.parametrize(("amount", "rest"), [(300, 0), (120, 180), (1, 299)])
def test_a_capture_gives_the_rest_back(amount: int, rest: int) -> None:
    made = books()
    entry = made.append(hold("h", 300), capture("h", amount))
    wanted = {"held": -300, "sales": amount, "available": rest}
    assert moved(entry) == {account: value for account, value in wanted.items() if value}


def test_usage_and_cost() -> None:
    made = books()
    assert moved(made.append(usage("a", 30))) == {"available": -30, "usage": 30}
    posted = made.append(cost("lily/7", 12))
    assert moved(posted) == {"available": -12, "cost": 12}
    assert posted.reference == costs_of("lily")


def test_a_grant_a_debt_and_its_write_off() -> None:
    made = books(10)
    made.append(cost("lily/1", 60))
    entry = made.append(command(PostWriteOff, "w", amount=50))
    assert moved(entry) == {"available": 50, "written_off": -50}
    assert made.available == 0


@pytest.mark.parametrize("amount", [700, -700])
def test_an_opening_of_either_sign(amount: int) -> None:
    entry = Books().append(command(PostOpening, "opening/old", amount=amount))
    assert moved(entry) == {"available": amount, "grants": -amount}


def test_notes_overdrafts_and_an_opening_of_nothing_post_nothing() -> None:
    made = books()
    made.append(
        command(PostNote, "n", details={"service": "number"}),
        overdraft("o", 40),
        command(PostOpening, "opening/none", amount=0),
    )
    assert [entry.postings for entry in made.entries[1:]] == [(), (), ()]
    assert made.entries[1].details == {"service": "number"}
    assert [entry.overdraft_after for entry in made.entries] == [0, 0, 40, 40]
    assert made.available == 1_000


# --- fractions ------------------------------------------------------------------------------------


def test_fractions_are_carried_for_usage_and_cost_alike() -> None:
    made = books()
    made.append(*(usage(f"u{n}", exact=750_000) for n in range(3)), cost("l/1", exact=750_000))
    assert [entry.carry_after for entry in made.entries[1:]] == [750_000, 500_000, 250_000, 0]
    assert [moved(entry) for entry in made.entries[1:]] == [
        {}, {"available": -1, "usage": 1}, {"available": -1, "usage": 1},
        {"available": -1, "cost": 1},
    ]  # fmt: skip


def test_a_refund_is_a_negative_price_through_the_same_floor() -> None:
    made = books()
    made.append(usage("other", exact=600_000), usage("a", exact=500_000))
    assert (made.available, made.entries[-1].carry_after) == (999, 100_000)
    entry = made.append(refund("back", "a", 1))
    assert (entry.kind, entry.exact, entry.carry_after) == (
        EntryKind.USAGE_REFUND, -500_000, 600_000,
    )  # fmt: skip
    assert moved(entry) == {"available": 1, "usage": -1}


def test_refunds_in_parts_add_up_to_exactly_what_it_was() -> None:
    made = books()
    made.append(usage("a", exact=1_000_001, quantity=3))
    parts = [made.append(refund(f"b{n}", "a", 1)) for n in range(3)]
    assert [part.exact for part in parts] == [-333_334, -333_333, -333_334]
    assert [part.refunded for part in parts] == [
        Refunded(1, 333_334), Refunded(2, 666_667), Refunded(3, 1_000_001),
    ]  # fmt: skip
    assert (made.available, made.entries[-1].carry_after) == (1_000, 0)
    assert made.refuse(refund("b4", "a", 1)) is Refusal.REFUND_TOO_LARGE


def test_a_renewal_is_a_sale_that_goes_below_the_overdraft_and_leaves_the_carry() -> None:
    made = books()
    made.append(usage("a", exact=1))
    entry = made.append(renewal("co_1/2", 1_500))
    assert (entry.kind, moved(entry)) == (EntryKind.RENEWAL, {"available": -1_500, "sales": 1_500})
    assert (entry.reference, entry.carry_after, entry.exact) == (
        renewals_of("co_1"), 1, 1_500_000_000
    )  # fmt: skip
    assert entry.key == renewal_key("co_1", 2)
    assert made.refuse(hold("h", 1)) is Refusal.BALANCE_TOO_LOW
    for key in ("cost/co_1/2", "renewals/co_1/2"):
        with pytest.raises(ValueError, match="key"):
            command(PostRenewal, key, amount=1)


def test_refunds_of_cost_and_sale() -> None:
    made = books()
    made.append(cost("lily/1", 40, quantity=4), hold("h", 300), capture("h", 200))
    entry = made.append(refund("c", "cost/lily/1", 3, EntryKind.COST))
    assert (entry.kind, moved(entry)) == (EntryKind.COST_REFUND, {"available": 30, "cost": -30})
    entry = made.append(refund("s", "settled/h", 150, EntryKind.CAPTURE))
    assert (entry.kind, moved(entry)) == (EntryKind.SALE_REFUND, {"available": 150, "sales": -150})
    assert made.refuse(refund("s2", "settled/h", 51, EntryKind.CAPTURE)) is Refusal.REFUND_TOO_LARGE


def test_a_refund_finds_only_the_kind_that_it_may_give_back() -> None:
    made = books()
    made.append(usage("a", 5), cost("lily/1", 5), hold("h", 5), release("h"))
    for refunded in ("cost/lily/1", "settled/h", "start", "nothing"):
        assert made.refuse(refund("b", refunded, 1)) is Refusal.NOT_FOUND
    assert made.refuse(refund("b", "settled/h", 1, EntryKind.CAPTURE)) is Refusal.NOT_FOUND
    assert made.refuse(refund("b", "a", 1, EntryKind.COST)) is Refusal.NOT_FOUND


# --- the overdraft --------------------------------------------------------------------------------


def test_debits_and_holds_stop_at_the_overdraft() -> None:
    made = books(10)
    assert made.refuse(usage("a", 11)) is Refusal.BALANCE_TOO_LOW
    assert made.refuse(hold("h", 11)) is Refusal.BALANCE_TOO_LOW
    made.append(overdraft("o", 5), usage("b", 12))
    assert made.available == -2
    assert made.refuse(hold("h", 4)) is Refusal.BALANCE_TOO_LOW
    made.append(hold("h", 3))
    assert made.refuse(usage("c", exact=1_000_000)) is Refusal.BALANCE_TOO_LOW


def test_a_refusal_tells_what_is_available() -> None:
    (outcome,) = books(10).post(usage("a", 11))
    assert outcome == Refused(Refusal.BALANCE_TOO_LOW, 10)


def test_costs_and_reversals_pass_the_overdraft_and_then_nothing_is_spent() -> None:
    made = Books()
    made.append(reload("r", 100), usage("a", 80), cost("lily/1", 50), reversal("r", 1, 100))
    assert made.available == -130
    assert made.refuse(usage("b", exact=1)) is Refusal.BALANCE_TOO_LOW
    assert made.refuse(hold("h", 1)) is Refusal.BALANCE_TOO_LOW
    made.append(grant("g", 130), usage("b", exact=1))


def test_a_smaller_overdraft_takes_nothing_back() -> None:
    made = books(10)
    made.append(overdraft("o", 100), usage("a", 90), overdraft("p", 0))
    assert made.available == -80
    assert made.refuse(usage("b", exact=1)) is Refusal.BALANCE_TOO_LOW


@pytest.mark.parametrize(("available", "amount"), [(10, 1), (-10, 11)])
def test_no_more_is_written_off_than_is_owed(available: int, amount: int) -> None:
    made = Books()
    made.append(command(PostOpening, "opening/old", amount=available))
    assert made.refuse(command(PostWriteOff, "w", amount=amount)) is Refusal.NO_SUCH_DEBT


# --- keys and holds -------------------------------------------------------------------------------


def test_a_key_stands_once_for_good() -> None:
    made = books()
    first = made.append(usage("a", 5))
    made.append(usage("b", 5))
    assert made.stands(usage("a", 5)) == first
    assert made.refuse(usage("a", 6, payload_hash="other")) is Refusal.KEY_REUSED


def test_under_our_own_keys_the_entry_that_stands_is_the_answer() -> None:
    made = books()
    made.append(hold("h", 300))
    ended = made.append(release("h"))
    assert made.stands(capture("h", 300, payload_hash="other")) == ended
    assert made.stands(release("h", payload_hash="third")) == ended
    assert (made.available, made.held) == (1_000, 0)


def test_what_stands_is_the_answer_also_where_it_would_be_refused_now() -> None:
    made = books(10)
    spent = made.append(usage("a", 10))
    assert made.stands(usage("a", 10)) == spent


def test_a_refused_key_may_come_again() -> None:
    made = books(10)
    assert made.refuse(usage("a", 11)) is Refusal.BALANCE_TOO_LOW
    made.append(grant("g", 1), usage("a", 11))


def test_a_hold_that_is_not_there_does_not_end() -> None:
    made = books()
    made.append(command(PostNote, "hold/n"))
    for name in ("none", "n"):
        assert made.refuse(release(name)) is Refusal.NOT_FOUND
        assert made.refuse(capture(name, 1)) is Refusal.NOT_FOUND


def test_no_more_is_captured_than_is_held() -> None:
    made = books()
    made.append(hold("h", 300))
    assert made.refuse(capture("h", 301)) is Refusal.CAPTURE_TOO_LARGE
    made.append(capture("h", 300))


def test_commands_of_one_batch_see_each_other() -> None:
    made = Books()
    outcomes = made.post(
        grant("g", 10), hold("h", 6), usage("a", 5), usage("b", 4), capture("h", 2),
        refund("r", "b", 1), refund("r2", "b", 1), usage("b", 4), usage("c", 8),
    )  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [
        Appended, Appended, Refused, Appended, Appended, Appended, Refused, Standing, Appended,
    ]  # fmt: skip
    assert (made.available, made.held) == (0, 0)
    assert [entry.sequence for entry in made.entries] == [*range(1, 7)]


# --- reversals ------------------------------------------------------------------------------------


def test_a_reversal_posts_the_difference_of_its_targets() -> None:
    made = Books()
    made.append(reload("r", 1_000))
    assert moved(made.append(reversal("r", 1, 0, 400))) == {"available": -400, "disputed": 400}
    entry = made.append(reversal("r", 2, 400))
    assert moved(entry) == {"disputed": -400, "stripe": 400}
    assert entry.targets == Targets(2, 400, 0)
    assert moved(made.append(reversal("r", 3, 100, 200))) == {
        "available": 100, "disputed": 200, "stripe": -300,
    }  # fmt: skip
    assert moved(made.append(reversal("r", 4, 0))) == {
        "available": 300, "disputed": -200, "stripe": -100,
    }  # fmt: skip
    assert made.sums() == {("available", "usd"): 1_000, ("stripe", "usd"): -1_000}


def test_a_reversal_whose_targets_stand_already_posts_nothing() -> None:
    made = Books()
    made.append(reload("r", 1_000), reversal("r", 1, 10))
    assert made.append(reversal("r", 2, 10)).postings == ()


def test_parts_of_a_converted_reload_add_up_to_what_was_credited() -> None:
    made = Books()
    made.append(reload("r", 1_001, Money(700, "eur"), "1.43"))
    for number in range(1, 701):
        made.append(reversal("r", number, number))
    assert made.sums() == {}
    assert made.entries[1].posted(made.entries[1].postings[0].account) == -1


def test_a_reload_of_less_than_a_minor_unit_each_is_never_given_back_twice() -> None:
    made = Books()
    made.append(reload("r", 3, Money(700, "jpy"), "0.0043"))
    for number in range(1, 701):
        made.append(reversal("r", number, number))
        assert 0 <= made.available <= 3
    assert made.sums() == {}


def test_targets_are_posted_in_their_order() -> None:
    made = Books()
    made.append(reload("r", 1_000), reversal("r", 1, 10))
    assert made.refuse(reversal("r", 3, 30)) is Refusal.OUT_OF_ORDER
    made.append(reversal("r", 2, 20))
    assert made.stands(reversal("r", 1, 999, payload_hash="other")).targets == Targets(1, 10, 0)
    assert made.available == 980


def test_no_more_is_lost_than_was_paid() -> None:
    made = Books()
    made.append(reload("r", 1_001, Money(700, "eur"), "1.43"))
    assert made.refuse(reversal("r", 1, 701)) is Refusal.REVERSAL_TOO_LARGE
    assert made.refuse(reversal("r", 1, 350, 351)) is Refusal.REVERSAL_TOO_LARGE
    assert made.refuse(reversal("other", 1, 1)) is Refusal.NOT_FOUND


def test_a_reversal_out_of_a_hold_ends_it() -> None:
    made = Books()
    made.append(reload("r", 1_000), hold("h", 300))
    entry = made.append(reversal("r", 1, 300, hold="h"))
    assert (entry.key, moved(entry)) == ("settled/h", {"held": -300, "stripe": 300})
    assert made.stands(release("h")) == entry
    made.append(hold("i", 300))
    entry = made.append(reversal("r", 2, 500, 50, hold="i"))
    assert moved(entry) == {"held": -300, "available": 50, "disputed": 50, "stripe": 200}
    assert made.refuse(reversal("r", 3, 500, hold="none")) is Refusal.NOT_FOUND


def test_a_converted_reversal_out_of_a_hold_balances_over_fx() -> None:
    made = Books()
    made.append(reload("r", 1_000, Money(500, "eur"), "2"), hold("h", 300))
    assert moved(made.append(reversal("r", 1, 100, hold="h"))) == {
        "held": -300, "available": 100, "stripe eur": 100, "fx eur": -100, "fx": 200,
    }  # fmt: skip


# --- the chain ------------------------------------------------------------------------------------


def test_each_digest_holds_the_one_before_it() -> None:
    made = books()
    made.append(usage("a", 1), usage("b", 2))
    before = FIRST_DIGEST
    for entry in made.entries:
        assert entry.digest == chained(before, entry)
        before = entry.digest


CHANGED = {
    "wallet": "rival", "sequence": 9, "key": "z", "payload_hash": "z", "kind": EntryKind.NOTE,
    "postings": (), "currency": "eur", "available_after": 9, "held_after": 9, "overdraft_after": 9,
    "exact": 9, "carry_after": 9, "quantity": 9, "reference": "z", "rate": "9", "actor": "z",
    "created_at": NOON + dt.timedelta(milliseconds=1), "details": {"z": "z"},
    "refunded": Refunded(1, 1), "targets": Targets(1, 1, 1),
}  # fmt: skip


def test_a_digest_covers_every_field() -> None:
    entry = books().entries[0]
    assert {*CHANGED, "digest"} == {*Entry.__dataclass_fields__}
    for name, value in CHANGED.items():
        assert chained(FIRST_DIGEST, replace(entry, **{name: value})) != entry.digest, name


def test_a_digest_is_the_same_for_good() -> None:
    entry = Books().append(
        grant("first", 5, details={"reason": "Grüße"}, at=NOON + dt.timedelta(microseconds=1_999))
    )
    assert entry.created_at == NOON + dt.timedelta(milliseconds=1)
    assert entry.digest == hashlib.sha256(f"{'0' * 64}\n{ENTRY_AS_JSON}".encode()).hexdigest()
    assert entry.digest == "57eace2bdd45501dc967a93fb1e762f03af9fbf19040d9fc63d23bd6915eab64"


def test_what_is_digested_is_json_with_sorted_keys_and_no_spaces() -> None:
    made = Books()
    made.append(
        reload("r", 543, Money(500, "eur"), "1.0858", details={"z": 'a "quote"\n\0', "b": "ß🂡"}),
        reversal("r", 1, 10, 20),
        usage("u", exact=1, quantity=2),
        refund("b", "u", 1),
    )
    for entry in made.entries:
        told = json.loads(as_json(entry))
        assert {*told, "digest"} == {*Entry.__dataclass_fields__}
        assert json.dumps(told, sort_keys=True, separators=(",", ":")) == as_json(entry)
        assert told["details"] == entry.details
        assert told["postings"] == [[p.account, p.amount, p.currency] for p in entry.postings]


ENTRY_AS_JSON = (
    '{"actor":"ada","available_after":5,"carry_after":0,"created_at":1793620800001,"currency":"usd",'
    '"details":{"reason":"Gr\\u00fc\\u00dfe"},"exact":0,"held_after":0,"key":"first","kind":"grant",'
    '"overdraft_after":0,"payload_hash":"h","postings":[["available",5,"usd"],["grants",-5,"usd"]],'
    '"quantity":0,"rate":"","reference":"","refunded":null,"sequence":1,"targets":null,'
    '"wallet":"acme"}'
)


def test_times_never_go_back() -> None:
    made = books()
    made.append(usage("a", 1, at=NOON + SECOND), usage("b", 1, at=NOON))
    assert [entry.created_at for entry in made.entries] == [NOON, NOON + SECOND, NOON + SECOND]


# --- bounds ---------------------------------------------------------------------------------------


def test_a_wallet_stays_in_its_currency() -> None:
    made = books()
    made.wallet = Wallet("acme", None, "eur")
    assert made.refuse(grant("g", 1)) is Refusal.WRONG_CURRENCY


def test_a_balance_stays_within_what_stores_hold() -> None:
    made = Books()
    for number in range(1_000):
        made.append(grant(f"g{number}", MAX_AMOUNT))
    assert made.refuse(grant("more", 1)) is Refusal.BALANCE_TOO_LARGE


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (PostReload, {"key": "r", "charged": Money(1, "usd"), "credited": 1}),
        (PostReload, {"key": "reload/r", "charged": Money(0, "usd"), "credited": 1}),
        (PostReload, {"key": "reload/r", "charged": Money(1, "usd"), "credited": 0}),
        (PostReload, {"key": "reload/r", "charged": Money(1, "usd"), "credited": 1, "rate": "-1"}),
        (PostReversal, {"key": "x", "reload": "r", "number": 1, "gone": 0, "withheld": 0}),
        (PostReversal, {"key": "reversal/r/1", "reload": "r", "number": 1, "gone": -1,
                        "withheld": 0}),
        (PostReversal, {"key": "reversal/r/1", "reload": "r", "number": 1, "gone": 0,
                        "withheld": 0, "hold": "h"}),
        (PostRelease, {"key": "settled/i", "hold": "h"}),
        (PostNote, {"key": ""}),
        (PostNote, {"key": "n", "at": NOON.replace(tzinfo=None)}),
        (PostNote, {"key": "n", "actor": "\ud800"}),
        (PostNote, {"key": "n", "details": {"Service": "x"}}),
        (PostNote, {"key": "n", "details": {"service": "x" * 1_001}}),
        (PostNote, {"key": "n", "details": {f"d{n}": "" for n in range(17)}}),
    ],
)  # fmt: skip
def test_what_no_entry_could_hold_is_no_command(
    kind: type[PostNote], values: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r".+: .+"):
        command(kind, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1, True])
def test_amounts_are_integers_above_zero(amount: int) -> None:
    for make in (grant, hold):
        with pytest.raises(ValueError, match="amount: an integer"):
            make("x", amount)
    with pytest.raises(ValueError, match="quantity: an integer"):
        refund("b", "a", amount)
