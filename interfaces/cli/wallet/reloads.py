"""`billing wallet reload`: payments that buy credit, and what becomes of them."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeAlias

import typer
from billing_client.v1 import money_pb2
from billing_client.v1 import wallet_service_pb2 as pb
from billing_client.v1 import wallet_service_pb2_grpc as pb_grpc

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import JsonOption, print_json, print_table
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks
from interfaces.cli.wallet.tables import reload_table, reloads_table

_READ: Final = "wallets.read"
_WRITE: Final = "wallets.write"
_FLAGS: Final = {
    **FLAGS, "amount": "AMOUNT", "amount.amount": "AMOUNT", "amount.currency": "--currency",
    "payment_method": "--payment-method", "id": "RELOAD", "reason": "--reason",
    "request_id": "--request-id",
}  # fmt: skip

AccountArgument: TypeAlias = Annotated[str, typer.Argument(help="Id of the account.")]
ReloadArgument: TypeAlias = Annotated[str, typer.Argument(help="Id of the reload.")]
AmountArgument: TypeAlias = Annotated[
    int, typer.Argument(help="In minor units: 1099 is 10.99 USD.")
]
CurrencyOption: TypeAlias = Annotated[str, typer.Option(help="The currency that is paid.")]
RequestIdOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Give the same one to a repeat, so that it happens once.", show_default=False
    ),
]

_Stub: TypeAlias = "pb_grpc.WalletServiceAsyncStub"


def reload_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Reload wallets, follow reloads, cancel them and give them back.",
    )
    _add_start(app, reach)
    _add_show(app, reach)
    _add_list(app, reach)
    _add_retry(app, reach)
    _add_cancel(app, reach)
    _add_refund(app, reach)
    _add_resolve(app, reach)
    return app


def _add_start(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def start(
        target: Target,
        account: AccountArgument,
        amount: AmountArgument,
        currency: CurrencyOption = "usd",
        payment_method: Annotated[
            str,
            typer.Option(help="What to charge; default: the owner's default.", show_default=False),
        ] = "",
        keep: Annotated[
            bool, typer.Option("--keep", help="Keep the payment method for later.")
        ] = False,
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Buy credit. Only the owner may: give a token of the account's."""
        request = pb.ReloadWalletRequest(
            account=account,
            amount=money_pb2.Money(amount=amount, currency=currency),
            payment_method=payment_method,
            save_payment_method=keep,
            request_id=request_id or uuid.uuid4().hex,
        )
        _show(reach(target), _WRITE, lambda stub: stub.ReloadWallet(request), as_json=as_json)


def _add_show(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def show(
        target: Target, account: AccountArgument, reload: ReloadArgument,
        as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """Show a reload as it stands; never its secret."""
        request = pb.GetReloadRequest(account=account, id=reload)
        _show(reach(target), _READ, lambda stub: stub.GetReload(request), as_json=as_json)


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_reloads(
        target: Target,
        account: AccountArgument,
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
        as_json: JsonOption = False,
    ) -> None:
        """List the reloads of a wallet, newest first."""
        page = run(_listed(reach(target), account, limit), _FLAGS)
        empty = f"the wallet of {account} was never reloaded"
        more = "there are more reloads: raise --limit"
        print_list(page, "reloads", reloads_table, empty, more, as_json=as_json)


def _add_retry(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def retry(
        target: Target,
        account: AccountArgument,
        reload: ReloadArgument,
        payment_method: Annotated[str, typer.Option(help="What to charge instead.")],
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Try a declined reload with another payment method. Only the owner may."""
        request = pb.RetryReloadRequest(
            account=account,
            id=reload,
            payment_method=payment_method,
            request_id=request_id or uuid.uuid4().hex,
        )
        _show(reach(target), _WRITE, lambda stub: stub.RetryReload(request), as_json=as_json)


def _add_cancel(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def cancel(
        target: Target, account: AccountArgument, reload: ReloadArgument,
        request_id: RequestIdOption = "", as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """Give up a reload that is not paid. Only the owner may."""
        request = pb.CancelReloadRequest(
            account=account, id=reload, request_id=request_id or uuid.uuid4().hex
        )
        _show(reach(target), _WRITE, lambda stub: stub.CancelReload(request), as_json=as_json)


def _add_refund(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def refund(
        target: Target,
        account: AccountArgument,
        reload: ReloadArgument,
        amount: AmountArgument,
        reason: Annotated[str, typer.Option(help="Why, for people.")],
        currency: CurrencyOption = "usd",
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Give a part of the payment back to the payer. Only the creditor may."""
        request = pb.RefundReloadRequest(
            account=account,
            id=reload,
            amount=money_pb2.Money(amount=amount, currency=currency),
            reason=reason,
            request_id=request_id or uuid.uuid4().hex,
        )
        _show(reach(target), _WRITE, lambda stub: stub.RefundReload(request), as_json=as_json)


def _add_resolve(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def resolve(
        target: Target,
        account: AccountArgument,
        reload: ReloadArgument,
        reason: Annotated[str, typer.Option(help="Why, for people.")],
        close: Annotated[
            bool,
            typer.Option("--close/--retry", help="End it where it stands, or try it again."),
        ] = False,
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Decide about a reload that needs attention. Only the creditor may."""
        request = pb.ResolveReloadRequest(
            account=account,
            id=reload,
            resolution=pb.RELOAD_RESOLUTION_CLOSE if close else pb.RELOAD_RESOLUTION_RETRY,
            reason=reason,
            request_id=request_id or uuid.uuid4().hex,
        )
        _show(reach(target), _WRITE, lambda stub: stub.ResolveReload(request), as_json=as_json)


def _show(
    connect: Connect, scope: str, call: Callable[[_Stub], Awaitable[pb.Reload]], *, as_json: bool
) -> None:
    """Make a call and show the reload that it answers with, without its secret."""

    async def ask() -> pb.Reload:
        async with _stub(connect, scope) as stub:
            return await call(stub)

    reload = run(ask(), _FLAGS)
    reload.client_secret = ""
    if as_json:
        print_json(reload)
    else:
        print_table(reload_table(reload))


async def _listed(connect: Connect, account: str, limit: int) -> pb.ListReloadsResponse:
    async with _stub(connect, _READ) as stub:
        request = pb.ListReloadsRequest(account=account)
        return await read_list(stub.ListReloads, request, "reloads", limit)


@asynccontextmanager
async def _stub(connect: Connect, scope: str) -> AsyncGenerator[_Stub, None]:
    async with connect((scope,)) as channel:
        yield pb_grpc.WalletServiceStub(channel)
