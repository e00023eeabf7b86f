"""Tying reloads to Stripe: what was credited is what Stripe shows as paid, less what is lost there.

It changes nothing, but that it wakes reloads that are behind Stripe: the service posts the rest.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from application.background.clock import Clock
from application.payment_intents.ports import GivenBack, Payment, PaymentIntentGateway
from application.processes.ports import ProcessLog, ProcessRecord, Watch
from application.wallet.ports import Journal
from application.wallet.proof import Difference
from application.wallet.reload_terms import KIND, ReloadTerms, learnt_of, state_of, terms_of
from domain.errors import BillingError, NotFound, Reason
from domain.ledger_commands import reload_key
from domain.ledger_entries import Entry, EntryKind, LedgerAccount, Targets
from domain.reloads import ReloadState, lost_of
from domain.wallets import Wallet

_PAGE: Final = 300
_OF_RELOAD: Final = reload_key("")


class ReloadTies:
    """Compares each reload of a wallet with its process and with Stripe."""

    def __init__(
        self, journal: Journal, log: ProcessLog, payments: PaymentIntentGateway, clock: Clock
    ) -> None:
        self._journal = journal
        self._log = log
        self._payments = payments
        self._clock = clock

    async def differences(self, wallet: Wallet) -> AsyncIterator[Difference]:
        """What does not agree, named by the sequence of the reload's entry; 0 where it has none.

        Raises Unavailable (STORE_UNAVAILABLE). That Stripe cannot be asked is a difference: then
        nothing is proved.
        """
        async for entry in self._reloads(wallet):
            for rule in await self._of_entry(entry):
                yield Difference(entry.sequence, rule)
        async for record in self._credited(wallet):
            key = reload_key(record.id)
            if key not in await self._journal.by_keys(wallet.name, [key]):
                yield Difference(0, f"{record.id} was credited, and has no entry")

    async def _reloads(self, wallet: Wallet) -> AsyncIterator[Entry]:
        after = 0
        while page := await self._journal.list(wallet.name, after=after, limit=_PAGE):
            for entry in page:
                if entry.kind is EntryKind.RELOAD:
                    yield entry
            after = page[-1].sequence

    async def _credited(self, wallet: Wallet) -> AsyncIterator[ProcessRecord]:
        """The processes that say that they have credited the wallet."""
        after = None
        while page := await self._log.list(wallet.account, KIND, after=after, limit=_PAGE):
            for record in page:
                if state_of(record) is ReloadState.CREDITED and terms_of(record).wallet == wallet:
                    yield record
            after = (page[-1].created_at, page[-1].id)

    async def _of_entry(self, entry: Entry) -> Sequence[str]:
        record = await self._log.get(entry.key.removeprefix(_OF_RELOAD))
        if record is None or record.key.kind != KIND:
            return ["no reload of ours asked for it"]
        terms, payment_intent = terms_of(record), learnt_of(record).payment_intent
        last = await self._journal.last_follower(entry.wallet, entry.key)
        targets = last.targets if last is not None else None
        try:
            payment, _ = await self._payments.read(terms.stripe_account, payment_intent)
            given = await self._payments.given_back(terms.stripe_account, payment_intent)
        except NotFound:
            return ["Stripe has no such payment"]
        except BillingError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                raise
            return [f"Stripe cannot be asked: {error.reason}"]
        rules = [*_untied(entry, terms, payment), *_behind(terms, targets, given)]
        if rules:
            watch = Watch(terms.stripe_account, payment_intent)
            await self._log.wake([watch], now=self._clock.now())
        return rules


def _untied(entry: Entry, terms: ReloadTerms, payment: Payment) -> Iterator[str]:
    charged = next(one for one in entry.postings if one.account is LedgerAccount.STRIPE)
    if (-charged.amount, charged.currency) != (terms.amount, terms.currency):
        yield "what it charged is not what was asked for"
    if entry.posted(LedgerAccount.AVAILABLE) != terms.credit:
        yield "what it credited is not what was fixed"
    if payment.status != "succeeded" or payment.received != terms.paid:
        yield "Stripe shows another payment"
    if (payment.customer, payment.livemode) != (terms.customer, terms.livemode):
        yield "Stripe shows another payer"


def _behind(terms: ReloadTerms, targets: Targets | None, given: GivenBack) -> Iterator[str]:
    lost = lost_of(terms.amount, given.refunds, given.disputes)
    posted = (targets.gone, targets.withheld) if targets is not None else (0, 0)
    if posted != (lost.gone, lost.withheld):
        yield (
            f"at Stripe {lost.gone} is gone and {lost.withheld} withheld, here {posted[0]} and"
            f" {posted[1]}; the reload is woken"
        )
