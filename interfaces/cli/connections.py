"""`billing connections`: an account's link to its own Stripe account, made, checked and ended."""

import hashlib
import secrets
import sys
from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import typer
from billing_client.v1 import connection_service_pb2 as pb
from billing_client.v1 import connection_service_pb2_grpc as pb_grpc
from rich.table import Table
from rich.text import Text

from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import (
    JsonOption,
    facts_table,
    plain,
    print_json,
    print_table,
    say,
    table_of,
)
from interfaces.cli.refusals import FLAGS
from interfaces.cli.target import Target, asks
from interfaces.cli.times import shown

_READ: Final = ("connections.read",)
_WRITE: Final = ("connections.write",)
_SESSION_BYTES: Final = 16
_FLAGS: Final = {
    **FLAGS, "redirect_uri": "--redirect-uri", "session_digest": "--session", "code": "ADDRESS",
    "state": "ADDRESS", "error": "ADDRESS",
}  # fmt: skip
_OF_STRIPE: Final = frozenset({"code", "state", "scope", "error", "error_description"})
"""What Stripe puts into the query of the address that it sends the browser to."""

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--account", help="The account to connect; default: the token's own.", show_default=False
    ),
]
RequestIdOption: TypeAlias = Annotated[
    str, typer.Option(help="The same for each try of one change.", show_default=False)
]


def connections_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Connect accounts to their Stripe accounts, check and end that.",
    )
    for add in (_add_begin, _add_complete, _add_list, _add_verify, _add_disconnect):
        add(app, reach)
    return app


def _add_begin(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def begin(
        target: Target,
        redirect_uri: Annotated[
            str, typer.Option(help="Where Stripe sends the browser back: one of the service's.")
        ],
        account: AccountOption = "",
        session: Annotated[
            str,
            typer.Option(help="A word that complete needs; default: any.", show_default=False),
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Print the address where the owner of a Stripe account is asked for access."""
        word = session or secrets.token_urlsafe(_SESSION_BYTES)
        request = pb.BeginConnectionRequest(
            account=account, redirect_uri=redirect_uri, session_digest=_digest(word)
        )
        reply = run(_begun(reach(target), request), _FLAGS)
        if as_json:
            print_json({**plain(reply), "session": word})
            return
        say(reply.authorize_url)
        until = shown(reply.expire_time)
        typer.echo(f"open it in the owner's browser; it is good until {until}", err=True)
        of = f" --account {account}" if account else ""
        typer.echo(
            f"then: billing connections complete 'ADDRESS'{of} --session {word}\n"
            "where ADDRESS is the one that Stripe sends the browser to",
            err=True,
        )


def _add_complete(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def complete(
        target: Target,
        came_to: Annotated[
            str,
            typer.Argument(
                metavar="ADDRESS",
                help="Where Stripe sent the browser, with the query; - reads stdin.",
            ),
        ],
        session: Annotated[str, typer.Option(help="The word that begin printed.")],
        account: AccountOption = "",
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Connect with what Stripe sent back; a backfill begins by itself."""
        address = sys.stdin.readline().strip() if came_to == "-" else came_to
        redirect_uri, query = read_address(address)
        request = pb.CompleteConnectionRequest(
            account=account,
            state=query.get("state", ""),
            code=query.get("code", ""),
            error=query.get("error", ""),
            redirect_uri=redirect_uri,
            session_digest=_digest(session),
            request_id=request_id or uuid4().hex,
        )
        _print(run(_completed(reach(target), request), _FLAGS), as_json=as_json)
        if not as_json:
            of = f" --account {account}" if account else ""
            say(f"its backfill has begun: billing backfill{of} --follow")


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_connections(
        target: Target,
        account: AccountOption = "",
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
        as_json: JsonOption = False,
    ) -> None:
        """List active connections, in order of Stripe account."""
        page = run(_listed(reach(target), account, limit), _FLAGS)
        empty = "no connections" + (f" of {account}" if account else "")
        more = "there are more connections: raise --limit"
        print_list(page, "connections", _table, empty, more, as_json=as_json)


def _add_verify(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def verify(target: Target, account: AccountOption = "", as_json: JsonOption = False) -> None:
        """Ask Stripe whether there is access; exit code 1 where no calls can be made."""
        connection = run(_verified(reach(target), account), _FLAGS)
        _print(connection, as_json=as_json)
        if connection.state != pb.Connection.STATE_ACTIVE:
            raise typer.Exit(ExitCode.FAILED)


def _add_disconnect(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def disconnect(
        target: Target,
        account: AccountOption = "",
        force: Annotated[
            bool, typer.Option("--force", help="Although something open needs the connection.")
        ] = False,
        request_id: RequestIdOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Give the access back to Stripe, and end the connection."""
        request = pb.DisconnectRequest(
            account=account, force=force, request_id=request_id or uuid4().hex
        )
        _print(run(_disconnected(reach(target), request), _FLAGS), as_json=as_json)


def read_address(address: str) -> tuple[str, dict[str, str]]:
    """The redirect address that a browser came to, and what Stripe put into its query.

    Raises Refused, which does not show the address: it holds a code and a state.
    """
    try:
        address.encode()  # what a terminal gives may be no text
        parts = urlsplit(address)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise _no_address() from None
    stripes = {name: value for name, value in query if name in _OF_STRIPE}
    if not parts.netloc or not ({"code", "error"} & stripes.keys()):
        raise _no_address()
    own = urlencode([(name, value) for name, value in query if name not in _OF_STRIPE])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, own, "")), stripes


def _no_address() -> Refused:
    words = "ADDRESS: the whole address that Stripe sent the browser to is needed, with ?code="
    return Refused(words, ExitCode.USAGE)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def _print(connection: pb.Connection, *, as_json: bool) -> None:
    if as_json:
        print_json(connection)
        return
    stripe = connection.stripe
    able = (
        ("takes payments", "yes" if stripe.charges_enabled else "no"),
        ("is paid out", "yes" if stripe.payouts_enabled else "no"),
        ("currency", stripe.default_currency),
        ("country", stripe.country),
    )
    facts = (
        ("account", connection.account),
        ("Stripe account", connection.stripe_account),
        ("state", _state(connection)),
        ("mode", _word(pb.Connection.Mode.Name(connection.mode), "MODE_")),
        ("connected", shown(connection.connect_time) if connection.stripe_account else ""),
        *(able if connection.HasField("stripe") else ()),
    )
    print_table(facts_table(facts))


def _table(connections: Iterable[pb.Connection]) -> Table:
    table = table_of(
        "Stripe account", "account", "state", "made", "connected",
        ids=("Stripe account", "account", "state"),
    )  # fmt: skip
    for one in connections:
        kind = _word(pb.Connection.Kind.Name(one.kind), "KIND_")
        made = "by an operator" if kind == "manual" else "by its owner"
        cells = (one.stripe_account, one.account, _state(one), made, shown(one.connect_time))
        table.add_row(*map(Text, cells))
    return table


def _state(connection: pb.Connection) -> str:
    return _word(pb.Connection.State.Name(connection.state), "STATE_").replace("_", " ")


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


async def _begun(
    connect: Connect, request: pb.BeginConnectionRequest
) -> pb.BeginConnectionResponse:
    async with connect(_WRITE) as channel:
        stub: pb_grpc.ConnectionServiceAsyncStub = pb_grpc.ConnectionServiceStub(channel)
        return await stub.BeginConnection(request)


async def _completed(connect: Connect, request: pb.CompleteConnectionRequest) -> pb.Connection:
    async with connect(_WRITE) as channel:
        stub: pb_grpc.ConnectionServiceAsyncStub = pb_grpc.ConnectionServiceStub(channel)
        return await stub.CompleteConnection(request)


async def _verified(connect: Connect, account: str) -> pb.Connection:
    async with connect(_WRITE) as channel:
        stub: pb_grpc.ConnectionServiceAsyncStub = pb_grpc.ConnectionServiceStub(channel)
        return await stub.VerifyConnection(pb.VerifyConnectionRequest(account=account))


async def _disconnected(connect: Connect, request: pb.DisconnectRequest) -> pb.Connection:
    async with connect(_WRITE) as channel:
        stub: pb_grpc.ConnectionServiceAsyncStub = pb_grpc.ConnectionServiceStub(channel)
        return await stub.Disconnect(request)


async def _listed(connect: Connect, account: str, limit: int) -> pb.ListConnectionsResponse:
    async with connect(_READ) as channel:
        stub: pb_grpc.ConnectionServiceAsyncStub = pb_grpc.ConnectionServiceStub(channel)
        request = pb.ListConnectionsRequest(account=account)
        return await read_list(stub.ListConnections, request, "connections", limit)
