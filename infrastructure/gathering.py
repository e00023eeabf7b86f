"""One writer a wallet and process, which gathers what waits: the same for every store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from application.wallet.ports import MAX_COMMANDS, MAX_WAITING
from domain.errors import RateLimited, Reason
from domain.ledger_commands import Command
from domain.ledger_outcomes import Outcome
from domain.wallets import Wallet

Append = Callable[[Wallet, Sequence[Command]], Awaitable[Sequence[Outcome]]]
"""Appends a batch to a wallet, on which nobody else in this process is at work."""


@dataclass(slots=True)
class _Call:
    """The commands of one caller, and who waits for their outcomes."""

    commands: Sequence[Command]
    done: "asyncio.Future[Sequence[Outcome]]"


@dataclass(slots=True)
class _Writer:
    """The one that appends to a wallet in this process, as long as somebody waits."""

    calls: list[_Call] = field(default_factory=list)
    waiting: int = 0
    task: "asyncio.Task[None] | None" = None

    def take(self) -> list[_Call]:
        """The calls that come next, with MAX_COMMANDS commands at most; none that was given up."""
        taken, count = 0, 0
        for call in self.calls:
            count += len(call.commands)
            if count > MAX_COMMANDS:
                break
            taken += 1
        calls, self.calls = self.calls[:taken], self.calls[taken:]
        self.waiting -= sum(len(call.commands) for call in calls)
        return [call for call in calls if not call.done.done()]


class Gathering:
    """Calls `append` with what waits for a wallet, batch by batch; `turns` wallets at once."""

    def __init__(self, append: Append, turns: int) -> None:
        self._append: Final = append
        self._turns = asyncio.Semaphore(turns)
        self._writers: dict[str, _Writer] = {}

    async def append(self, wallet: Wallet, commands: Sequence[Command]) -> Sequence[Outcome]:
        """The outcomes of commands, or what `append` raised for the batch that they were in.

        ValueError, or RateLimited (OVERLOADED), as `application.wallet.ports.Journal` promises.
        """
        if not 1 <= len(commands) <= MAX_COMMANDS:
            raise ValueError(f"commands: 1 to {MAX_COMMANDS}")
        writer = self._writers.setdefault(wallet.name, _Writer())
        if writer.waiting + len(commands) > MAX_WAITING:
            words = "too much waits for this wallet; try again soon"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=1)
        call = _Call(commands, asyncio.get_running_loop().create_future())
        writer.calls.append(call)
        writer.waiting += len(commands)
        if writer.task is None:
            writer.task = asyncio.create_task(self._write(wallet, writer))
        return await call.done

    async def _write(self, wallet: Wallet, writer: _Writer) -> None:
        """Append what waits, until nothing does."""
        try:
            while writer.calls:
                async with self._turns:
                    await asyncio.sleep(0)  # whoever was just answered may come back at once
                    calls = writer.take()
                    if calls:
                        await self._answer(wallet, calls)
        finally:
            del self._writers[wallet.name]
            for call in writer.calls:  # this process is stopping
                call.done.cancel()

    async def _answer(self, wallet: Wallet, calls: Sequence[_Call]) -> None:
        batch = [command for call in calls for command in call.commands]
        try:
            outcomes = iter(await self._append(wallet, batch))
        except Exception as error:  # noqa: BLE001 - each caller hears of it
            for call in calls:
                if not call.done.done():
                    call.done.set_exception(error)
            return
        except BaseException:
            for call in calls:
                call.done.cancel()
            raise
        for call in calls:
            told = [next(outcomes) for _ in call.commands]
            if not call.done.done():
                call.done.set_result(told)
