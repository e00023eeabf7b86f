"""The plan of ninety days of business: what happens when, by local opening hours. Pure and seeded.

The same businesses, end and seed give the same plan.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from stripe.params import CustomerCreateParams, CustomerUpdateParams

from sandbox.demo.world import Business

DAYS: Final = 90
DAY_SECONDS: Final = 86_400
SPAN_SECONDS: Final = DAYS * DAY_SECONDS
SUBSCRIBERS: Final = 14
"""How many customers of a business ever subscribe to something."""

CLUB: Final = 10_000
"""Their numbers begin behind this one."""

GOOD_CARDS: Final = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_jcb")
DECLINED_CARDS: Final = (
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
)
BLOCKED_CARD: Final = "pm_card_radarBlock"

_LEAST_CUSTOMERS: Final = 8
"""Nobody leaves a business that has fewer."""

_REFUNDABLE: Final = 40
"""Only so many of the latest payments are given back."""


@dataclass(frozen=True, slots=True)
class SignUp:
    """A customer is created. Customers and payments are numbered within their business."""

    customer: int
    params: CustomerCreateParams


@dataclass(frozen=True, slots=True)
class Change:
    """A customer is updated, once or several times within the same second."""

    customer: int
    steps: tuple[CustomerUpdateParams, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """A customer is deleted."""

    customer: int


@dataclass(frozen=True, slots=True)
class Pay:
    """A payment is tried, of `amount` minor units; a guest's has no customer."""

    payment: int
    customer: int | None
    amount: int
    card: str

    @property
    def succeeds(self) -> bool:
        """Whether the bank and Stripe let it pass."""
        return self.card in GOOD_CARDS


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A payment is refunded: `amount` minor units of it, None for all that is left."""

    payment: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A customer with a card begins a subscription; numbered within the business.

    plan: its place in PLANS. coupon: a fifth off the first two months. trial_days: 0: none.
    """

    subscription: int
    customer: int
    plan: int
    coupon: bool
    trial_days: int


@dataclass(frozen=True, slots=True)
class Switch:
    """A subscription goes to another plan, and is billed for the rest of its period at once."""

    subscription: int
    plan: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """A subscription is ended by its customer."""

    subscription: int


Action: TypeAlias = SignUp | Change | Leave | Pay | GiveBack | Subscribe | Switch | Cancel


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be subscribed to: a price of `parts` tenths of the median payment."""

    name: str
    interval: Literal["month", "year"]
    parts: int


PLANS: Final = (
    Plan("Club", "month", 3),
    Plan("Club Plus", "month", 8),
    Plan("Club Plus, a year", "year", 80),
)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something happens at a business, at an instant in seconds since 1970."""

    at: int
    business: Business
    action: Action


@dataclass(frozen=True, slots=True)
class Hours:
    """Local opening hours of a day, and how much happens in them on average."""

    opens: int
    closes: int
    happenings: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How a business lives.

    typical: the median payment; step: what every price is a multiple of; both in minor units.
    growth: how much more happens at the end of the plan than at its beginning.
    phone: the beginning of its customers' numbers, reserved for fiction where there is such.
    """

    weekday: Hours
    weekend: Hours
    typical: int
    step: int
    growth: float
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    phone: str

    def hours(self, day: date) -> Hours:
        """The hours of a local date."""
        return self.weekend if day.weekday() >= 5 else self.weekday


# An office supplier whose customers rest at the weekend, and a shop that they visit then.
HABITS: Final = {
    "usd": Habits(
        weekday=Hours(opens=8, closes=19, happenings=5.2),
        weekend=Hours(opens=10, closes=16, happenings=1.7),
        typical=6_400,
        step=5,
        growth=0.8,
        first_names=("Ada", "Ben", "Carla", "Dwight", "Elena", "Frank", "Grace", "Hector", "Ivy"),
        last_names=("Alvarez", "Brooks", "Chen", "Diaz", "Evans", "Fisher", "Gupta", "Hayes"),
        phone="+1 212 555 01",
    ),
    "jpy": Habits(
        weekday=Hours(opens=10, closes=20, happenings=3.3),
        weekend=Hours(opens=9, closes=21, happenings=6.0),
        typical=5_800,
        step=10,
        growth=0.6,
        first_names=("Aiko", "Daichi", "Emi", "Haruto", "Kana", "Kenji", "Mei", "Ren", "Yuki"),
        last_names=("Abe", "Endo", "Fujita", "Hara", "Ito", "Kondo", "Mori", "Sato", "Ueda"),
        phone="+81 3 5550 01",
    ),
}
"""By currency, because prices are in its minor units."""


def plan(businesses: Sequence[Business], end: int, seed: int) -> list[Occurrence]:
    """What happens at each business in the ninety days before `end`, in order.

    end: seconds since 1970. Raises ValueError for a business whose currency has no habits.
    """
    occurrences: list[Occurrence] = []
    for business in businesses:
        habits = HABITS.get(business.currency)
        if habits is None:
            raise ValueError(f"no habits are known for {business.currency}")
        chance = random.Random(f"{seed} {business.stripe_account}")
        story = _Story(habits, chance)
        instants = _instants(habits, ZoneInfo(business.time_zone), end, chance)
        own = {at: story.next_action() for at in instants}
        for wanted, action in _subscribers(habits, end, business, seed):
            at = _when_open(wanted, habits, ZoneInfo(business.time_zone))
            while at in own:  # nothing else happens within the second
                at += 1
            own[at] = action
        occurrences += [Occurrence(at, business, action) for at, action in own.items()]
    return sorted(occurrences, key=lambda occurrence: occurrence.at)


def _subscribers(
    habits: Habits, end: int, business: Business, seed: int
) -> Iterator[tuple[int, Action]]:
    """Members of the club: they sign up for it, some try it, go to another plan, leave, return."""
    chance = random.Random(f"{seed} {business.stripe_account} club")
    begin, subscription = end - SPAN_SECONDS, 0
    for number in range(1, SUBSCRIBERS + 1):
        at = begin + chance.randrange(DAY_SECONDS, SPAN_SECONDS - 10 * DAY_SECONDS)
        at -= at % 3_600 - chance.randrange(1_800)  # what follows soon is of the same hour
        customer, subscription = CLUB + number, subscription + 1
        first, last = chance.choice(habits.first_names), chance.choice(habits.last_names)
        params: CustomerCreateParams = {
            "name": f"{first} {last}",
            "email": f"club.{first}.{number}@example.com".lower(),
            "payment_method": chance.choice(GOOD_CARDS),
        }
        yield at, SignUp(customer, params)
        trial = 7 if number % 5 == 0 else 0
        plan_ = chance.choice((0, 0, 1))
        yield at + 60, Subscribe(subscription, customer, plan_, number % 2 == 0, trial)
        at += chance.randrange(20, 40) * DAY_SECONDS
        fate = chance.choice(("stays", "stays", "upgrades", "upgrades", "goes", "returns"))
        if at + 12 * DAY_SECONDS >= end or fate == "stays":
            continue
        if fate == "upgrades":
            yield at, Switch(subscription, plan_ + 1)
            continue
        yield at, Cancel(subscription)
        if fate == "returns":
            subscription += 1
            again = Subscribe(subscription, customer, plan_, coupon=False, trial_days=0)
            yield at + 10 * DAY_SECONDS, again


def _when_open(at: int, habits: Habits, zone: ZoneInfo) -> int:
    """The same second of the hour, in the opening hours of the local day."""
    local = datetime.fromtimestamp(at, zone)
    hours = habits.hours(local.date())
    hour = hours.opens + local.hour % (hours.closes - hours.opens)
    return int(local.replace(hour=hour, fold=0).timestamp())


def _instants(habits: Habits, zone: ZoneInfo, end: int, chance: random.Random) -> Iterator[int]:
    """Instants in opening hours, in order, busiest in the middle of the day."""
    begin = end - SPAN_SECONDS
    first = datetime.fromtimestamp(begin, zone).date()
    last = datetime.fromtimestamp(end, zone).date()
    length = (last - first).days
    for number in range(length + 1):
        day = first + timedelta(days=number)
        hours = habits.hours(day)
        mean = hours.happenings * (1 + habits.growth * number / length)
        count = max(1, round(chance.gauss(mean, math.sqrt(mean) / 2)))
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local, made aware below
        of_day = {
            timedelta(seconds=int(chance.triangular(hours.opens * 3600, hours.closes * 3600)))
            for _ in range(count)
        }
        for elapsed in sorted(of_day):
            # The time on the clock is meant, so it is added before the zone is.
            at = int((midnight + elapsed).replace(tzinfo=zone).astimezone(UTC).timestamp())
            if begin <= at < end:
                yield at


@dataclass(slots=True)
class _Story:
    """Tells a business's actions one after the other, so that each is possible when its turn comes.

    customers: those who have not left. refundable: latest payments and what is left of them.
    """

    habits: Habits
    chance: random.Random
    signed_up: int = 0
    paid: int = 0
    customers: list[int] = field(default_factory=list)
    refundable: dict[int, int] = field(default_factory=dict)

    def next_action(self) -> Action:
        """The next thing that happens."""
        kinds = (self._pay, self._sign_up, self._change, self._give_back, self._leave)
        if len(self.customers) < _LEAST_CUSTOMERS:
            kinds = (self._pay, self._sign_up, self._sign_up, self._pay, self._pay)
        (kind,) = self.chance.choices(kinds, weights=(64, 14, 10, 8, 3))
        return kind()

    def _sign_up(self) -> Action:
        self.signed_up += 1
        self.customers.append(self.signed_up)
        first = self.chance.choice(self.habits.first_names)
        last = self.chance.choice(self.habits.last_names)
        params: CustomerCreateParams = {
            "name": f"{first} {last}",
            "email": self._email(first, last, self.signed_up),
        }
        if self.chance.random() < 0.5:
            params["phone"] = self._phone()
        if self.chance.random() < 0.5:
            params["payment_method"] = self.chance.choice(GOOD_CARDS)
        return SignUp(self.signed_up, params)

    def _change(self) -> Action:
        """A change, or one with its corrections at once: the last of a second has to win."""
        customer = self.chance.choice(self.customers)
        email = self._email("new", "address", customer)
        steps: list[CustomerUpdateParams] = [
            {"phone": self._phone()},
            {"metadata": {"tier": self.chance.choice(("silver", "gold", "platinum"))}},
            {"email": f"mistyped.{email}"},
        ]
        self.chance.shuffle(steps)
        steps = steps[: self.chance.choice((1, 1, 2, 3))]
        if any("email" in step for step in steps):
            steps.append({"email": email})
        return Change(customer, tuple(steps))

    def _leave(self) -> Action:
        customer = self.chance.choice(self.customers)
        self.customers.remove(customer)
        return Leave(customer)

    def _pay(self) -> Action:
        self.paid += 1
        known = bool(self.customers) and self.chance.random() < 0.8
        customer = self.chance.choice(self.customers) if known else None
        step = self.habits.step
        wish = self.chance.lognormvariate(math.log(self.habits.typical), 0.45)
        amount = max(step * 20, round(wish / step) * step)
        (cards,) = self.chance.choices(
            (GOOD_CARDS, DECLINED_CARDS, (BLOCKED_CARD,)), weights=(90, 7, 3)
        )
        payment = Pay(self.paid, customer, amount, self.chance.choice(cards))
        if payment.succeeds:
            self.refundable[payment.payment] = amount
            if len(self.refundable) > _REFUNDABLE:
                del self.refundable[next(iter(self.refundable))]
        return payment

    def _give_back(self) -> Action:
        """A refund: whole, or a part of what is left; a payment may be refunded in parts."""
        if not self.refundable:
            return self._pay()
        payment = self.chance.choice(list(self.refundable))
        left = self.refundable[payment]
        part = left // self.chance.randint(2, 4)
        if part == 0 or self.chance.random() < 0.5:
            del self.refundable[payment]
            return GiveBack(payment, None)
        self.refundable[payment] = left - part
        return GiveBack(payment, part)

    def _email(self, first: str, last: str, customer: int) -> str:
        return f"{first}.{last}.{customer}@example.com".lower()

    def _phone(self) -> str:
        return f"{self.habits.phone}{self.chance.randrange(100):02}"
