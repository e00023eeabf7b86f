"""`billing wallet`: what there is, what has happened, and whether it can be true."""

import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from billing_client.v1 import money_pb2
from billing_client.v1 import wallet_service_pb2 as pb
from billing_client.v1 import wallet_service_pb2_grpc as pb_grpc

from application.wallet.administration import WalletAdministration
from application.wallet.proof import Proof
from domain.errors import BillingError
from domain.ledger_entries import Entry
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.exits import ExitCode
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import JsonOption, print_json, print_table, say
from interfaces.cli.refusals import FLAGS, refused_here
from interfaces.cli.target import EnvFileOption, Target, asks
from interfaces.cli.times import FORMS, read_instant, timestamp
from interfaces.cli.wallet.reloads import reload_app
from interfaces.cli.wallet.tables import entries_table, major, proofs_table, wallet_table

Run = Callable[[Callable[[WalletAdministration], Awaitable[Any]], Path | None], Any]
"""Opens the store of the settings (and of an env file), does something with the wallets in it."""

_READ: Final = "wallets.read"
_ADMIN: Final = "wallets.admin"
_FLAGS: Final = {
    **FLAGS, "reason": "--reason", "adjustment": "KIND", "start_time": "--since",
    "end_time": "--until", "request_id": "--request-id", "amount": "AMOUNT",
    **{f"{kind}.{part}": "AMOUNT" if part == "amount" else "--currency"
       for kind in ("grant", "write_off", "overdraft") for part in ("amount", "currency")},
}  # fmt: skip

AccountArgument: TypeAlias = Annotated[str, typer.Argument(help="Id of the account.")]
SinceOption: TypeAlias = Annotated[
    dt.datetime | None,
    typer.Option(
        "--since", parser=read_instant, metavar="TIME", show_default=False,
        help=f"From this time on: {FORMS}.",
    ),
]  # fmt: skip
UntilOption: TypeAlias = Annotated[
    dt.datetime | None,
    typer.Option(
        "--until", parser=read_instant, metavar="TIME", show_default=False,
        help="Before this time; written as --since.",
    ),
]  # fmt: skip


class Adjustment(StrEnum):
    """What a creditor may do to a wallet."""

    GRANT = "grant"
    WRITE_OFF = "write-off"
    OVERDRAFT = "overdraft"


def wallet_app(reach: Reach, run_here: Run) -> typer.Typer:
    """The commands: those that ask the service that `reach` leads to, and those on the store."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Show wallets, what has happened to them, reload, adjust and prove them.",
    )
    _add_show(app, reach)
    _add_entries(app, reach)
    _add_statement(app, reach)
    _add_adjust(app, reach)
    app.add_typer(reload_app(reach), name="reload")
    _add_open(app, run_here)
    _add_prove(app, run_here)
    return app


def _add_show(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def show(target: Target, account: AccountArgument, as_json: JsonOption = False) -> None:
        """Show the balance and the settings of a wallet."""
        wallet = run(_get(reach(target), account), _FLAGS)
        if as_json:
            print_json(wallet)
        else:
            print_table(wallet_table(wallet))


def _add_entries(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def entries(
        target: Target,
        account: AccountArgument,
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
        as_json: JsonOption = False,
    ) -> None:
        """List what has happened to a wallet, newest first."""
        page = run(_entries(reach(target), account, limit), _FLAGS)
        empty = f"nothing has happened to the wallet of {account}"
        more = "there are more entries: raise --limit"
        print_list(page, "entries", entries_table, empty, more, as_json=as_json)


def _add_statement(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def statement(
        target: Target, account: AccountArgument, since: SinceOption = None,
        until: UntilOption = None,
        output: Annotated[
            Path | None,
            typer.Option(
                "--output", dir_okay=False, help="The file to write; default: standard output.",
                show_default=False,
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        """Write the entries of a period as CSV, between two balances."""
        content = run(_statement(reach(target), account, since, until), _FLAGS)
        if as_json:
            print_json({"csv": content.decode("utf-8-sig")})
        elif output is not None:
            output.write_bytes(content)
        else:
            typer.echo(content.decode("utf-8-sig"), nl=False)


def _add_adjust(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def adjust(
        target: Target,
        account: AccountArgument,
        kind: Annotated[Adjustment, typer.Argument(help="What to do.", show_default=False)],
        amount: Annotated[int, typer.Argument(help="In minor units: 1099 is 10.99 USD.")],
        reason: Annotated[str, typer.Option(help="Why; it stands in the statement.")],
        currency: Annotated[str, typer.Option(help="The wallet's currency.")] = "usd",
        request_id: Annotated[
            str,
            typer.Option(
                help="Give the same one to a repeat, so that it happens once.", show_default=False
            ),
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Give credit, write a debt off, or set the overdraft."""
        adjustment = {kind.replace("-", "_"): money_pb2.Money(amount=amount, currency=currency)}
        request = pb.AdjustWalletRequest(
            account=account, reason=reason, request_id=request_id or uuid.uuid4().hex, **adjustment
        )
        entry = run(_adjust(reach(target), request), _FLAGS)
        if as_json:
            print_json(entry)
        else:
            print_table(entries_table([entry]))


def _add_open(app: typer.Typer, run_here: Run) -> None:
    @app.command("open")
    def open_wallet(
        account: AccountArgument,
        amount: Annotated[
            int,
            typer.Argument(help="In minor units; a debt is negative, behind --: open -- acme -5."),
        ],
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Bring the balance that an account had in the old module, once."""

        async def work(wallets: WalletAdministration) -> Entry:
            return await wallets.open(account, amount)

        entry = _done(run_here, work, env_file)
        if as_json:
            print_json({"wallet": entry.wallet, "sequence": entry.sequence, "amount": amount})
        else:
            say(f"{account} began with {major(amount, entry.currency)}: entry {entry.sequence}")


def _add_prove(app: typer.Typer, run_here: Run) -> None:
    @app.command()
    def prove(
        account: Annotated[
            str, typer.Argument(help="Id of the account; default: all.", show_default=False)
        ] = "",
        offline: Annotated[
            bool, typer.Option("--offline", help="Walk journals alone; ask Stripe nothing.")
        ] = False,
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Walk journals, and compare reloads with Stripe; exit code 1 where something differs."""

        async def work(wallets: WalletAdministration) -> tuple[list[Proof], str]:
            proofs = [proof async for proof in wallets.prove(account, offline=offline)]
            return proofs, wallets.currency

        proofs, currency = _done(run_here, work, env_file)
        if as_json:
            print_json({"wallets": [_proof(proof) for proof in proofs]})
        else:
            print_table(proofs_table(proofs, currency))
        if not all(proof.holds for proof in proofs):
            raise typer.Exit(ExitCode.FAILED)


def _done(
    run_here: Run, work: Callable[[WalletAdministration], Awaitable[Any]], env_file: Path | None
) -> Any:
    """What the work gives. Raises Refused, with flags in the place of fields."""
    try:
        return run_here(work, env_file)
    except BillingError as error:
        raise refused_here(error, _FLAGS) from None


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "wallet": proof.wallet,
        "entries": proof.entries,
        "digest": proof.digest,
        "available": proof.available,
        "held": proof.held,
        "sums": {f"{place}/{currency}": amount for (place, currency), amount in proof.sums.items()},
        "differences": [{"sequence": one.sequence, "rule": one.rule} for one in proof.differences],
        "difference_count": proof.count,
    }


async def _get(connect: Connect, account: str) -> pb.AccountWallet:
    async with _stub(connect) as stub:
        return await stub.GetWallet(pb.GetWalletRequest(account=account))


async def _entries(connect: Connect, account: str, limit: int) -> pb.ListEntriesResponse:
    async with _stub(connect) as stub:
        request = pb.ListEntriesRequest(account=account)
        return await read_list(stub.ListEntries, request, "entries", limit)


async def _statement(
    connect: Connect, account: str, since: dt.datetime | None, until: dt.datetime | None
) -> bytes:
    request = pb.ExportStatementRequest(
        account=account, start_time=timestamp(since), end_time=timestamp(until)
    )
    async with _stub(connect) as stub:
        return b"".join([part.csv async for part in stub.ExportStatement(request)])


async def _adjust(connect: Connect, request: pb.AdjustWalletRequest) -> pb.WalletEntry:
    async with _stub(connect, _ADMIN) as stub:
        return await stub.AdjustWallet(request)


@asynccontextmanager
async def _stub(
    connect: Connect, scope: str = _READ
) -> AsyncGenerator["pb_grpc.WalletServiceAsyncStub", None]:
    async with connect((scope,)) as channel:
        yield pb_grpc.WalletServiceStub(channel)
