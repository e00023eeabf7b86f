"""Posting what a caller asks for: the entry is the record, so that no other log is needed."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from application.background.clock import Clock
from application.requests.callers import Caller
from application.wallet.aftermath import Aftermath
from application.wallet.ports import Journal
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    Reason,
    Unavailable,
)
from domain.ledger_commands import Command
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Refusal, Refused
from domain.wallets import Wallet

_REUSED: Final = "was used before for another change; give each change an id of its own"
_WORDS: Final[Mapping[Refusal, str]] = {
    Refusal.BALANCE_TOO_LOW: "less is available than this takes",
    Refusal.REFUND_TOO_LARGE: "more would be given back than is left of it",
    Refusal.NO_SUCH_DEBT: "less is owed than is to be written off",
    Refusal.WRONG_CURRENCY: "the wallet is kept in another currency than BASE_CURRENCY",
    Refusal.BALANCE_TOO_LARGE: "the balance would be larger than a wallet can hold",
}
_ANSWER_MARGIN_SECONDS: Final = 0.05


class Posting:
    """Appends a caller's commands to journals, and tells what came of them.

    A request id is remembered for good, by the key of its entry: `<method>:<request id>`.
    """

    def __init__(self, journal: Journal, aftermath: Aftermath, clock: Clock) -> None:
        self._journal = journal
        self._aftermath = aftermath
        self._clock = clock

    async def standing(self, wallet: Wallet, command: Command) -> Entry | None:
        """The entry that stands for a repeated request, or None.

        Raises InvalidArgument (REQUEST_ID_REUSED) where something else was asked for under its id.
        """
        entry = (await self._journal.by_keys(wallet.name, [command.key])).get(command.key)
        if entry is not None and entry.payload_hash != command.payload_hash:
            raise reused()
        return entry

    async def post(
        self, caller: Caller, wallet: Wallet, command: Command, *, tells_available: bool = False
    ) -> Entry:
        """The entry of a command, the same for each repeat.

        Raises what the ledger refuses, with what is available where `tells_available`; and
        OutcomeUnknown where the store gave no answer, or the caller's deadline came first: whoever
        repeats the request learns the outcome.
        """
        request_id = command.key.rpartition(":")[2]
        try:
            # What was handed to the journal is appended, whoever waits for it.
            async with asyncio.timeout_at(_answer_by(caller)):
                (outcome,) = await self._journal.append(wallet, [command])
        except TimeoutError:
            raise OutcomeUnknown(request_id) from None
        except Unavailable as error:
            raise OutcomeUnknown(request_id) from error
        if isinstance(outcome, Refused):
            raise refusal_of(outcome, tells_available=tells_available)
        self._aftermath.posted(wallet, outcome.entry)
        return outcome.entry


def key_of(method: str, request_id: str) -> str:
    """The key of the one entry of a request."""
    return f"{method}:{request_id}"


def payload_hash(payload: object) -> str:
    """The same of the same payload."""
    return hashlib.sha256(msgspec.json.encode(payload, order="deterministic")).hexdigest()


def refusal_of(refused: Refused, *, tells_available: bool) -> BillingError:
    """What the caller meets where nothing follows from his command."""
    refusal = refused.refusal
    if refusal is Refusal.KEY_REUSED:
        return reused()
    if refusal is Refusal.NOT_FOUND:
        return NotFound("entry", "")
    metadata = {}
    if refusal is Refusal.BALANCE_TOO_LOW and tells_available:
        metadata["available"] = str(refused.available)
    return FailedPrecondition(
        Reason(refusal.value), _WORDS[refusal], subject="wallet", metadata=metadata
    )


def reused() -> InvalidArgument:
    """The refusal of a request id that was used for something else."""
    return InvalidArgument([FieldViolation("request_id", _REUSED)], reason=Reason.REQUEST_ID_REUSED)


def _answer_by(caller: Caller) -> float | None:
    return None if caller.deadline is None else caller.deadline - _ANSWER_MARGIN_SECONDS
