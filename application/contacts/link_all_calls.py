"""Linking all customers, as an account's callers start, follow and end it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from application.operations.use_cases import Operations
from application.requests.callers import Caller
from domain.errors import NotFound
from domain.operations import Operation, OperationKind, OperationOptions

_KIND: Final = OperationKind.LINK_CONTACTS


class ContactLinkJobs:
    """The operation that links all customers of a connection, of which there is one at a time.

    An account sees only its own: the Stripe account may have been another's. All methods raise
    what those of `Operations` do.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def start(self, caller: Caller) -> Operation:
        """Begin to link all customers; the operation that is under way, if there is one."""
        return await self._operations.start(caller, _KIND, OperationOptions(account=caller.account))

    async def get(self, caller: Caller) -> Operation:
        """The last one, as it stands."""
        return _own(caller, await self._operations.get(caller, _KIND))

    async def watch(self, caller: Caller) -> AsyncGenerator[Operation, None]:
        """The last one, and again as it gets on, until it has ended. Close it (`aclosing`)."""
        async with aclosing(self._operations.watch(caller, _KIND)) as operations:
            async for operation in operations:
                yield _own(caller, operation)

    async def cancel(self, caller: Caller) -> Operation:
        """End the last one for good; links that it has made stay."""
        await self.get(caller)
        return await self._operations.cancel(caller, _KIND)


def _own(caller: Caller, operation: Operation) -> Operation:
    if operation.options.account != caller.account:
        raise NotFound("operation", _KIND)
    return operation
