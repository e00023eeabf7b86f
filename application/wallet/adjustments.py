"""Adjustments: what a creditor gives, gives up, or lets a wallet owe."""

from typing import Any, Final

from application.background.clock import Clock
from application.requests.callers import Caller
from application.requests.violations import refuse
from application.wallet.commands import Adjustment, AdjustmentKind
from application.wallet.posting import Posting, key_of, payload_hash
from application.wallet.usage import DESCRIPTION
from application.wallet.violations import adjustment_violations
from application.wallet.whose import Wallets
from domain.ledger_commands import Command, PostGrant, PostOverdraft, PostWriteOff
from domain.ledger_entries import Entry

ADJUST: Final = "WalletService.AdjustWallet"


class Adjustments:
    """Grants credit, writes debts off, and sets the overdraft; for the creditor alone."""

    def __init__(self, wallets: Wallets, posting: Posting, clock: Clock) -> None:
        self._wallets = wallets
        self._posting = posting
        self._clock = clock

    async def adjust(self, caller: Caller, request_id: str, adjustment: Adjustment) -> Entry:
        """Make one adjustment: the entry, the same for each repeat.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR), FailedPrecondition (NO_SUCH_DEBT).
        """
        refuse(adjustment_violations(request_id, adjustment, self._wallets.currency))
        wallet = await self._wallets.credited(caller)
        command = self._command(caller, request_id, adjustment)
        return await self._posting.post(caller, wallet, command)

    def _command(self, caller: Caller, request_id: str, adjustment: Adjustment) -> Command:
        amount = adjustment.amount
        common: dict[str, Any] = {
            "key": key_of(ADJUST, request_id),
            "payload_hash": payload_hash(adjustment),
            "actor": caller.subject,
            "at": self._clock.now(),
            "details": {DESCRIPTION: adjustment.reason},
        }
        match adjustment.kind:
            case AdjustmentKind.OVERDRAFT:
                return PostOverdraft(**common, limit=amount)
            case AdjustmentKind.WRITE_OFF:
                return PostWriteOff(**common, amount=amount)
            case _:
                return PostGrant(**common, amount=amount)
