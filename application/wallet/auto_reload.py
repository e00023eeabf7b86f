"""Wallets that reload themselves: due while less is available than their owners want.

Nothing of it is remembered but the settings and the reloads themselves: how often the bank has
declined, and what was charged today, the last reloads tell.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.background.loops import Loop
from application.processes.ports import ProcessKey, ProcessLog, ProcessRecord
from application.processes.processes import Processes
from application.processes.starting import Frozen, new_record
from application.wallet.arming import Arming
from application.wallet.buying import Buying
from application.wallet.ports import Journal, KeptSettings, WalletSettingsStore
from application.wallet.reload_process import Reloads
from application.wallet.reload_terms import (
    KIND,
    ReloadTerms,
    claim,
    learnt_of,
    state_of,
    terms_of,
)
from application.wallet.whose import Wallets
from domain.back_off import BackOff
from domain.connections import Mode
from domain.errors import AlreadyExists, NotFound
from domain.money import largest_charge, smallest_charge
from domain.reloads import again_at, due_charge
from domain.wallets import AutoReload, Wallet, WalletSettings

REST_SECONDS: Final = 2.0
ABOVE_MOST: Final = "above_most_per_charge"
NO_CUSTOMER: Final = "no_customer"
NOT_CHARGEABLE: Final = "amount_not_chargeable"

MAX_RESTING: Final = 20_000
"""How many wallets are known to be left alone for a while; of others the store is asked."""

_PAGE: Final = 100
_LATEST: Final = 10
"""How many reloads are looked at for declines: more than are tried in a row."""

_TODAY: Final = 1_000
"""How many reloads of a day are looked at; a wallet with more makes none any more that day."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Past:
    """What the last reloads tell: declines in a row, the time of the last one, the sum of today,
    and which one was the last.
    """

    declines: Sequence[str]
    declined_at: dt.datetime
    today: int
    latest: str


class AutoReloads:
    """Finds wallets that are short, and reloads each of them, one at a time."""

    def __init__(
        self, wallets: Wallets, buying: Buying, process: Reloads, processes: Processes,
        log: ProcessLog, journal: Journal, settings: WalletSettingsStore, arming: Arming,
        clock: Clock, mode: Mode, short: asyncio.Event,
    ) -> None:  # fmt: skip
        """`short` is set where a wallet was just seen short."""
        self._wallets = wallets
        self._buying = buying
        self._process = process
        self._processes = processes
        self._log = log
        self._journal = journal
        self._settings = settings
        self._arming = arming
        self._clock = clock
        self._livemode = mode is Mode.LIVE
        self._resting: dict[str, tuple[int, dt.datetime]] = {}
        self.loop: Final = Loop(
            "auto_reloads", self.run, REST_SECONDS, wake=short, back_off=BackOff(1.0, 60.0)
        )

    async def run(self) -> None:
        """Look at every wallet that was last seen short. Raises what looking at one raised last."""
        if not self._wallets.known:
            return
        after, failure = "", None
        while True:
            short = await self._settings.list_short(after=after, limit=_PAGE)
            for kept in short:
                try:
                    await self._look_at(kept)
                except Exception as error:  # noqa: BLE001 - others are not kept waiting for it
                    failure = error
            if len(short) < _PAGE:
                break
            after = short[-1].settings.wallet
        if failure is not None:
            raise failure

    async def _look_at(self, kept: KeptSettings) -> None:
        settings, auto = kept.settings, kept.settings.auto_reload
        if auto is None or auto.off_because or self._rests(settings):
            return
        wallet = await self._wallet(settings.wallet)
        if wallet is None:
            return
        head = await self._journal.head(wallet.name)
        available = head.available_after if head else 0
        charge = due_charge(available, auto.threshold, auto.amount)
        if not charge:
            return
        past = await self._past(wallet, auto)
        again = again_at(past.declines, past.declined_at)
        if again is None:
            await self._arming.give_up(wallet, settings, past.declines[0])
        elif self._clock.now() < again:
            self._rest(settings, again)
        elif await self._may(wallet, settings, charge, past):
            await self._begin(wallet, settings, auto, charge, past.latest)

    def _rest(self, settings: WalletSettings, until: dt.datetime) -> None:
        """Do not look at a wallet before then, unless its settings change. A hint: it may be lost.

        The balance may fall meanwhile, and then more would be charged at once, which is not urgent.
        """
        if len(self._resting) >= MAX_RESTING:
            self._resting.clear()
        self._resting[settings.wallet] = (settings.revision, until)

    def _rests(self, settings: WalletSettings) -> bool:
        revision, until = self._resting.get(settings.wallet, (-1, self._clock.now()))
        return revision == settings.revision and self._clock.now() < until

    async def _wallet(self, name: str) -> Wallet | None:
        """The wallet of this name, if it is its account's present one."""
        try:
            wallet = await self._wallets.of(name.partition("@")[0])
        except NotFound:
            return None
        return wallet if wallet.name == name else None

    async def _past(self, wallet: Wallet, auto: AutoReload) -> _Past:
        now = self._clock.now()
        latest = await self._log.list(wallet.account, KIND, after=None, limit=_LATEST)
        declined: list[ProcessRecord] = []
        for record in latest:
            terms, state = terms_of(record), state_of(record)
            unpaid = state is not None and state.ended_unpaid
            if unpaid and not terms.automatic:
                continue  # the owner's own try, which came to nothing
            if not unpaid or terms.wallet != wallet or terms.payment_method != auto.payment_method:
                break
            declined.append(record)
        codes = [_code(record) for record in declined]
        ended = declined[0].progress.history[-1].at if declined else now
        today = await self._charged_today(wallet, now)
        return _Past(codes, ended, today, latest[0].id if latest else "-")

    async def _charged_today(self, wallet: Wallet, now: dt.datetime) -> int:
        """What automatic reloads of this UTC day came to, or may still come to."""
        midnight = _midnight(now)
        total, seen, after = 0, 0, None
        while seen < _TODAY:
            records = await self._log.list(wallet.account, KIND, after=after, limit=_PAGE)
            for record in records:
                if record.created_at < midnight:
                    return total
                total += _charged(record, wallet)
            if len(records) < _PAGE:
                return total
            seen, after = seen + len(records), (records[-1].created_at, records[-1].id)
        return 10**15

    async def _may(
        self, wallet: Wallet, settings: WalletSettings, charge: int, past: _Past
    ) -> bool:
        """Whether a charge is within what the owner allows. Where it is too large, people hear."""
        auto = settings.auto_reload
        if auto is None or past.today + charge > auto.most_per_day >= charge:
            self._rest(settings, _midnight(self._clock.now()) + dt.timedelta(days=1))
            return False
        midnight = _midnight(self._clock.now())
        why = ""
        if charge > min(auto.most_per_charge, auto.most_per_day):
            why = ABOVE_MOST
        elif not smallest_charge(wallet.currency) <= charge <= largest_charge(wallet.currency):
            why = NOT_CHARGEABLE
        if why:
            _log.warning("a wallet does not reload itself", extra={"reason": why})
            await self._arming.tell(
                wallet, settings, why, armed=True, since=midnight.date().isoformat()
            )
            self._rest(settings, midnight + dt.timedelta(days=1))
        return not why

    async def _begin(
        self, wallet: Wallet, settings: WalletSettings, auto: AutoReload, charge: int,
        latest: str,
    ) -> None:  # fmt: skip
        place = await self._buying.stripe_account(wallet)
        customer = await self._buying.customer(wallet, place)
        if not customer:
            await self._arming.give_up(wallet, settings, NO_CUSTOMER)
            return
        terms = ReloadTerms(
            account=wallet.account,
            parent=wallet.parent,
            wallet_currency=wallet.currency,
            stripe_account=place,
            livemode=self._livemode,
            customer=customer,
            payment_method=auto.payment_method,
            amount=charge,
            currency=wallet.currency,
            credit=charge,
            automatic=True,
        )
        # No caller's request id has a slash. Who sees the same last reload makes the same next one.
        key = ProcessKey(wallet.account, KIND, f"auto/{wallet.name}/{latest}")
        frozen = Frozen(terms, place, (claim(wallet),))
        record = new_record(self._process, key, frozen, terms, self._clock.now())
        try:
            await self._processes.start(record)
        except AlreadyExists:
            return  # another reload is open


def _midnight(now: dt.datetime) -> dt.datetime:
    """The beginning of the UTC day."""
    return now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _code(record: ProcessRecord) -> str:
    """Why it was declined: Stripe's advice where that is final, else the bank's code."""
    learnt = learnt_of(record)
    if learnt.advice == "do_not_try_again":
        return learnt.advice
    return learnt.decline_code or "refused"


def _charged(record: ProcessRecord, wallet: Wallet) -> int:
    terms, state = terms_of(record), state_of(record)
    if not terms.automatic or terms.wallet != wallet or (state and state.ended_unpaid):
        return 0
    return terms.amount
