"""What a wallet must come to, told in another way than the ledger tells it: from what was asked.

What is available is all that came in, less what is held, less the floor of all exact prices at
once, less what reloads have lost. No carry, no running sums.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Final

from domain.ledger_amounts import MILLION
from domain.ledger_commands import (
    Command,
    PostCapture,
    PostCost,
    PostGrant,
    PostHold,
    PostNote,
    PostOpening,
    PostOverdraft,
    PostRefund,
    PostRelease,
    PostReload,
    PostRenewal,
    PostReversal,
    PostUsage,
    PostWriteOff,
)
from domain.ledger_entries import EntryKind
from domain.ledger_outcomes import Appended, Outcome, Refusal, Refused, Standing
from domain.money import Money
from tests.support.rooms.ledger import (
    capture,
    command,
    cost,
    grant,
    hold,
    overdraft,
    refund,
    release,
    reload,
    renewal,
    reversal,
    usage,
)

_REMEMBERED: Final = 200

Expected = type[Appended] | type[Standing] | Refusal


@dataclass(slots=True)
class Spent:
    """Something that was spent, and what of it was given back."""

    kind: EntryKind
    exact: int
    quantity: int
    refunded: int = 0

    @property
    def refunded_exact(self) -> int:
        return round(Fraction(self.exact * self.refunded, self.quantity))


@dataclass(slots=True)
class Reload:
    """A reload, and what it has lost."""

    charged: int
    credited: int
    number: int = 0
    gone: int = 0
    withheld: int = 0

    @property
    def lost(self) -> int:
        return round(Fraction(self.credited * (self.gone + self.withheld), self.charged))


@dataclass(slots=True)
class Model:
    """One wallet."""

    income: int = 0
    held: int = 0
    exact: int = 0
    lost: int = 0
    overdraft: int = 0
    holds: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    reloads: dict[str, Reload] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.income - self.held - self.exact // MILLION - self.lost

    def ask(self, asked: Command) -> Expected:
        """What must come of a command; what follows from it is taken over."""
        if asked.key in self.commands:
            same = self.commands[asked.key].payload_hash == asked.payload_hash
            return Standing if same or "/" in asked.key else Refusal.KEY_REUSED
        refusal = self._take(asked)
        if refusal is None:
            self.commands[asked.key] = asked
        return refusal or Appended

    def _take(self, asked: Command) -> Refusal | None:
        match asked:
            case PostGrant() | PostOpening():
                self.income += asked.amount
            case PostWriteOff():
                if asked.amount > -self.available:
                    return Refusal.NO_SUCH_DEBT
                self.income += asked.amount
            case PostOverdraft():
                self.overdraft = asked.limit
            case PostUsage():
                self.exact += asked.exact
                if self.available < -self.overdraft:
                    self.exact -= asked.exact
                    return Refusal.BALANCE_TOO_LOW
                self.spent[asked.key] = Spent(EntryKind.USAGE, asked.exact, asked.quantity)
            case PostCost():
                self.exact += asked.exact
                self.spent[asked.key] = Spent(EntryKind.COST, asked.exact, asked.quantity)
            case PostRenewal():
                self.exact += asked.amount * MILLION
            case PostRefund():
                return self._refund(asked)
            case PostHold():
                if self.available - asked.amount < -self.overdraft:
                    return Refusal.BALANCE_TOO_LOW
                self.held += asked.amount
                self.holds[asked.key.removeprefix("hold/")] = asked.amount
            case PostRelease() | PostCapture():
                return self._end(asked)
            case PostReload():
                name = asked.key.removeprefix("reload/")
                self.income += asked.credited
                self.reloads[name] = Reload(asked.charged.amount, asked.credited)
            case PostReversal():
                return self._reverse(asked)
            case PostNote():
                pass
        return None

    def _refund(self, asked: PostRefund) -> Refusal | None:
        spent = self.spent.get(asked.refunded)
        if spent is None or spent.kind is not asked.of:
            return Refusal.NOT_FOUND
        if spent.refunded + asked.quantity > spent.quantity:
            return Refusal.REFUND_TOO_LARGE
        self.exact += spent.refunded_exact
        spent.refunded += asked.quantity
        self.exact -= spent.refunded_exact
        return None

    def _end(self, asked: PostRelease | PostCapture) -> Refusal | None:
        if asked.hold not in self.holds:
            return Refusal.NOT_FOUND
        if isinstance(asked, PostCapture):
            if asked.amount > self.holds[asked.hold]:
                return Refusal.CAPTURE_TOO_LARGE
            exact = asked.amount * MILLION
            self.exact += exact
            self.spent[asked.key] = Spent(EntryKind.CAPTURE, exact, asked.amount)
        self._ended(asked.hold)
        return None

    def _reverse(self, asked: PostReversal) -> Refusal | None:
        made = self.reloads.get(asked.reload)
        if made is None or (asked.hold and asked.hold not in self.holds):
            return Refusal.NOT_FOUND
        if asked.number != made.number + 1:
            return Refusal.OUT_OF_ORDER
        if asked.gone + asked.withheld > made.charged:
            return Refusal.REVERSAL_TOO_LARGE
        self.lost -= made.lost
        made.number, made.gone, made.withheld = asked.number, asked.gone, asked.withheld
        self.lost += made.lost
        if asked.hold:
            self._ended(asked.hold)
        return None

    def _ended(self, hold: str) -> None:
        amount = self.holds.pop(hold)
        self.held -= amount
        self.ended[hold] = amount


class Hints(Model):
    """What was appended lately, by whomever and in whatever order: enough to ask for more."""

    def learn(self, asked: Command) -> None:
        """Take over what was appended."""
        self.income = max(0, self.income)
        if self._take(asked) is None:
            self.commands[asked.key] = asked
        for known in (self.holds, self.ended, self.spent, self.reloads, self.commands):
            while len(known) > _REMEMBERED:
                known.pop(next(iter(known)))


def came_to(outcome: Outcome) -> Expected:
    """An outcome as the model tells it."""
    return outcome.refusal if isinstance(outcome, Refused) else type(outcome)


class Asking:
    """Makes commands up: most can be done, some cannot."""

    def __init__(self, dice: Random, model: Model, prefix: str = "") -> None:
        self._dice = dice
        self._model = model
        self._prefix = prefix
        self._count = 0

    def any(self) -> Command:
        """The next command, of whatever kind."""
        make: Callable[[str], Command] = self._dice.choices(_KINDS, _WEIGHTS)[0].__get__(self)
        self._count += 1
        return make(f"{self._prefix}{self._count}")

    def _grant(self, key: str) -> Command:
        return grant(f"g{key}", self._dice.randint(1, 40))

    def _opening(self, key: str) -> Command:
        return command(PostOpening, f"opening/{key}", amount=self._dice.randint(-90, 90))

    def _write_off(self, key: str) -> Command:
        most = max(1, -self._model.available + 20)
        return command(PostWriteOff, f"w{key}", amount=self._dice.randint(1, most))

    def _overdraft(self, key: str) -> Command:
        return overdraft(f"o{key}", self._dice.choice((0, 0, 50, 200)))

    def _note(self, key: str) -> Command:
        return command(PostNote, f"n{key}")

    def _exact(self) -> int:
        return self._dice.choice((
            0, 1, 999_999, self._dice.randint(0, 3 * MILLION),
            self._dice.randint(0, 40 * MILLION), self._dice.randint(0, 60 * MILLION),
        ))  # fmt: skip

    def _usage(self, key: str) -> Command:
        return usage(f"u{key}", exact=self._exact(), quantity=self._dice.randint(1, 7))

    def _cost(self, key: str) -> Command:
        return cost(f"lily/{key}", exact=self._exact(), quantity=self._dice.randint(1, 7))

    def _renewal(self, key: str) -> Command:
        return renewal(f"co/{key}", self._dice.randint(1, 60))

    def _refund(self, key: str) -> Command:
        spent = self._model.spent
        whole = self._dice.choice([*spent][-40:] or ["none"])
        kind = spent[whole].kind if whole in spent else EntryKind.USAGE
        if not self._dice.randrange(20):
            kind = self._dice.choice((EntryKind.USAGE, EntryKind.COST, EntryKind.CAPTURE))
        most = spent[whole].quantity if whole in spent else 3
        return refund(f"r{key}", whole, self._dice.randint(1, most), kind)

    def _hold(self, key: str) -> Command:
        return hold(key, self._dice.randint(1, 60))

    def _some_hold(self) -> str:
        names = [*self._model.holds] or ["none"]
        if not self._dice.randrange(10):
            names = [*self._model.ended] or names
        return self._dice.choice(names)

    def _release(self, key: str) -> Command:
        return release(self._some_hold(), payload_hash=key)

    def _capture(self, key: str) -> Command:
        name = self._some_hold()
        most = self._model.holds.get(name, 20) + (not self._dice.randrange(10))
        return capture(name, self._dice.randint(1, most), payload_hash=key)

    def _reload(self, key: str) -> Command:
        credited = self._dice.randint(1, 60)
        if self._dice.randrange(2):
            return reload(key, credited)
        currency = self._dice.choice(("eur", "jpy"))
        return reload(key, credited, Money(self._dice.randint(1, 500), currency), "1.1")

    def _reversal(self, key: str) -> Command:
        reloads = self._model.reloads
        name = self._dice.choice([*reloads] or ["none"])
        made = reloads.get(name) or Reload(100, 100)
        gone = self._dice.randint(0, made.charged)
        withheld = self._dice.randint(0, made.charged - gone)
        if not self._dice.randrange(15):
            gone += made.charged
        number = made.number + self._dice.choice((1, 1, 1, 1, 1, 0, 2))
        held = self._some_hold() if not self._dice.randrange(4) else ""
        return reversal(name, max(1, number), gone, withheld, held, payload_hash=key)

    def _repeat(self, key: str) -> Command:
        commands = [*self._model.commands.values()]
        return self._dice.choice(commands) if commands else grant(f"g{key}", 5)

    def _reuse(self, key: str) -> Command:
        keys = [*self._model.commands]
        own = "opening/x"
        used = self._dice.choice(keys) if keys else own
        if used.startswith("opening/"):
            return command(PostOpening, used, amount=1, payload_hash=f"other {key}")
        return command(PostNote, used, payload_hash=f"other {key}")


_WEIGHED: Final = {
    Asking._grant: 4, Asking._opening: 1, Asking._write_off: 1, Asking._overdraft: 1,
    Asking._note: 1, Asking._usage: 12, Asking._cost: 4, Asking._renewal: 2, Asking._refund: 8,
    Asking._hold: 6, Asking._release: 2, Asking._capture: 4, Asking._reload: 4, Asking._reversal: 6,
    Asking._repeat: 2, Asking._reuse: 1,
}  # fmt: skip
_KINDS: Final = [*_WEIGHED]
_WEIGHTS: Final = [*_WEIGHED.values()]
