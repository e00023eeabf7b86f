"""Everything that an emulator holds, made anew by a reset."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import msgspec

from sandbox.emulator.core.accounts import Accounts
from sandbox.emulator.core.clock import Clock
from sandbox.emulator.core.delivery import Deliveries
from sandbox.emulator.core.disguises import Disguises
from sandbox.emulator.core.events import Events
from sandbox.emulator.core.faults import Faults
from sandbox.emulator.core.grants import CLIENT_ID, Grants
from sandbox.emulator.core.idempotency import IdempotencyKeys
from sandbox.emulator.core.ids import Ids
from sandbox.emulator.core.messages import SnapshotRow, Stats
from sandbox.emulator.core.nouns import Nouns
from sandbox.emulator.core.rates import Rates
from sandbox.emulator.core.schedule import Schedule
from sandbox.emulator.core.store import Store
from sandbox.emulator.core.values import NO_REQUEST, JsonObject, Scope


@dataclass(slots=True)
class Served:
    """How many requests were answered, by route and by status."""

    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def stats(self) -> Stats:
        """The counts as a message."""
        return Stats(self.statuses.total(), dict(self.routes), dict(self.statuses))


C = TypeVar("C")
"""The call that actions run in."""


class World(Generic[C]):
    """The state of one emulator: memory only, gone with the process."""

    def __init__(
        self,
        nouns: Nouns[C],
        platform: str,
        begin: "Callable[[World[C], Scope, str, str], C]",
        *,
        start: int | None = None,
        seed: int | None = None,
    ) -> None:
        """Make an empty world.

        platform: the id of the platform's account. begin: begins a call that no request asks for,
        on (world, scope, noun, id). start: of the clock. seed: of all chance.
        """
        self.nouns = nouns
        self._begin = partial(begin, self)
        self.clock = Clock(start)
        self.ids = Ids(seed)
        self.accounts = Accounts(platform)
        self.store = Store(nouns.indexes())
        self.keys = IdempotencyKeys()
        self.faults = Faults(seed)
        self.rates = Rates()
        self.grants = Grants()
        self.delivery = Deliveries(platform, self.clock, self.older, seed)
        self.events = Events(self.clock, self.ids, self.store, self.delivery)
        self.schedule = Schedule(self.clock, self.store, self._begin)
        self.served = Served()
        self.disguises = Disguises()
        self.settles_after_seconds = 0
        self.one_off_prices: dict[tuple[Scope, str, int, str], str] = {}
        """The price behind an amount, by (scope, product's name, amount, currency)."""
        self.releases_by_refund = False
        self.dunning_ends = "cancel"
        """What the last failed attempt at an invoice does to its subscription."""
        self.exchange_rates: dict[str, int] = {}

    def deauthorize(self, account: str) -> None:
        """End the platform's access to an account; Connect endpoints of both modes hear of it.

        KeyError when the account is unknown.
        """
        self.accounts.revoke(account)
        for livemode in (False, True):
            scope = Scope(account, livemode)
            kind = "account.application.deauthorized"
            self.events.emit(scope, kind, self.application(), None, NO_REQUEST)

    def application(self) -> JsonObject:
        """The platform as the accounts know it."""
        return {"id": CLIENT_ID, "object": "application", "name": "Emulator"}

    def older(self, scope: Scope, event: JsonObject) -> JsonObject:
        """The object of an event as an API version of before 2025-03-31 shows it."""
        item: JsonObject = msgspec.json.decode(event["data"]["object"])
        noun = self.nouns.kind(item.get("object", ""))
        if noun is None or noun.older is None:
            return item
        return noun.older(self._begin(scope, noun.object, ""), item)

    def snapshot(self) -> list[SnapshotRow]:
        """Counts and sums of every account, mode and noun that holds an object."""
        rows = []
        for scope, name, shelf in self.store.shelves():
            if len(shelf) == 0:
                continue
            noun = self.nouns.named(name)
            sums: dict[str, Counter[str]] = {amount: Counter() for amount in noun.sums}
            statuses: Counter[str] = Counter()
            for item in shelf:
                for amount, counter in sums.items():
                    counter[item["currency"]] += item[amount]
                seen = item if noun.view is None else noun.view(item, self.clock.now())
                if isinstance(status := seen.get("status"), str):
                    statuses[status] += 1
            rows.append(
                SnapshotRow(
                    account=scope.account,
                    livemode=scope.livemode,
                    object=name,
                    count=len(shelf),
                    sums={amount: dict(counter) for amount, counter in sums.items()},
                    statuses=dict(statuses),
                )
            )
        return sorted(rows, key=lambda row: (row.account, row.livemode, row.object))
