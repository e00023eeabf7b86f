"""`billing contacts`: the CRM's contacts in the embedded setting, and their links to customers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from uuid import uuid4

import typer
from billing_client.v1 import contact_link_service_pb2 as pb
from billing_client.v1 import contact_link_service_pb2_grpc as pb_grpc
from rich.text import Text

from application.contacts.administration import PAGE, ContactAdministration, KnownContact
from domain.contacts import ContactField
from domain.errors import BillingError
from interfaces.cli.client import Connect, Reach
from interfaces.cli.client import run as call
from interfaces.cli.output import JsonOption, print_json, print_table, say, table_of
from interfaces.cli.refusals import FLAGS, refused_here
from interfaces.cli.target import EnvFileOption, Target, asks

_Rows: TypeAlias = Sequence[KnownContact | ContactField]
Run = Callable[[Callable[[ContactAdministration], Awaitable[_Rows]], Path | None], _Rows]
"""Opens the store of the settings (and of an env file), does something with the contacts in it."""

_Account = Annotated[str, typer.Argument(help="Id of the account.")]
_Contact = Annotated[str, typer.Argument(help="Id of the contact, as you like it.")]

_SHOWN: Final = ("name", "email", "phone")
_FLAGS: Final[Mapping[str, str]] = {**FLAGS, "account": "ACCOUNT", "id": "CONTACT"}
_FIELD_FLAGS: Final[Mapping[str, str]] = {**FLAGS, "account": "ACCOUNT", "name": "NAME"}


def contacts_app(run: Run, reach: Reach) -> typer.Typer:
    """The commands, on whatever store `run` opens; `link`, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Keep the contacts, only if no CRM writes them into crm.contacts.",
    )
    for add in (_add_add, _add_list, _add_show, _add_field):
        add(app, run)
    _add_link(app, reach)
    return app


def _add_add(app: typer.Typer, run: Run) -> None:
    @app.command()
    def add(
        account: _Account,
        contact: _Contact,
        name: Annotated[str, typer.Option(help="Full or business name.", show_default=False)] = "",
        email: Annotated[str, typer.Option(help="Mail address.", show_default=False)] = "",
        phone: Annotated[str, typer.Option(help="Phone number.", show_default=False)] = "",
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Add a contact to an account."""
        fields = {"name": name, "email": email, "phone": phone}
        rows = _done(run, lambda contacts: contacts.add(account, contact, fields), env_file)
        _print_contacts(rows, as_json=as_json)


def _add_list(app: typer.Typer, run: Run) -> None:
    @app.command("list")
    def list_contacts(
        account: _Account,
        after: Annotated[str, typer.Option(help="Start after this id.", show_default=False)] = "",
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """List an account's contacts, a hundred at a time, in order of id."""
        rows = _done(run, lambda contacts: contacts.list(account, after=after), env_file)
        if as_json or rows:
            _print_contacts(rows, as_json=as_json, many=True)
        else:
            say(f"no contacts of {account}" + (f" after {after}" if after else ""))
        if len(rows) == PAGE and not as_json and isinstance(rows[-1], KnownContact):
            say(f"there may be more: --after {rows[-1].contact.id}")


def _add_show(app: typer.Typer, run: Run) -> None:
    @app.command()
    def show(
        account: _Account,
        contact: _Contact,
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show one contact and the customer that it is linked to."""
        rows = _done(run, lambda contacts: contacts.show(account, contact), env_file)
        _print_contacts(rows, as_json=as_json)


def _add_field(app: typer.Typer, run: Run) -> None:
    @app.command()
    def field(
        account: _Account,
        name: Annotated[str, typer.Argument(help="Name: small letters, digits and _.")],
        label: Annotated[
            str, typer.Option(help="Label for people; default: the name.", show_default=False)
        ] = "",
        env_file: EnvFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Add a field to an account's contacts, beside those that all contacts have."""
        rows = _done(
            run, lambda contacts: contacts.add_field(account, name, label), env_file, _FIELD_FLAGS
        )
        fields = [row for row in rows if isinstance(row, ContactField)]
        if as_json:
            print_json({"fields": [{"name": one.name, "label": one.label} for one in fields]})
            return
        table = table_of("field", "label", ids=("field",))
        for one in fields:
            table.add_row(Text(one.name), Text(one.label))
        print_table(table)


def _add_link(app: typer.Typer, reach: Reach) -> None:
    @app.command()
    @asks
    def link(
        target: Target,
        account: _Account,
        contact: _Contact,
        customer: Annotated[
            str, typer.Argument(help="Id of the customer (cus_...); after -- if it is -...")
        ],
        as_json: JsonOption = False,
    ) -> None:
        """Link a contact to a customer of the account's Stripe connection, over gRPC."""
        request = pb.LinkContactRequest(
            account=account, contact=contact, customer=customer, request_id=uuid4().hex
        )
        found = call(_linked(reach(target), request), _FLAGS)
        if as_json:
            print_json(found)
            return
        table = table_of("contact", "customer", ids=("contact", "customer"))
        table.add_row(Text(found.contact), Text(found.customer))
        print_table(table)


async def _linked(connect: Connect, request: pb.LinkContactRequest) -> pb.ContactLink:
    async with connect(("contacts.write",)) as channel:
        stub: pb_grpc.ContactLinkServiceAsyncStub = pb_grpc.ContactLinkServiceStub(channel)
        return await stub.LinkContact(request)


def _done(
    run: Run,
    work: Callable[[ContactAdministration], Awaitable[_Rows]],
    env_file: Path | None,
    flags: Mapping[str, str] = _FLAGS,
) -> _Rows:
    """What the work gives. Raises Refused, with flags in the place of fields."""
    try:
        return run(work, env_file)
    except BillingError as error:
        raise refused_here(error, flags) from None


def _print_contacts(rows: _Rows, *, as_json: bool, many: bool = False) -> None:
    contacts = [_values(row) for row in rows if isinstance(row, KnownContact)]
    if as_json:
        print_json({"contacts": contacts} if many else contacts[0])
        return
    table = table_of("contact", *_SHOWN, "customer", ids=("contact", "customer"))
    for values in contacts:
        cells = {**values, "customer": values["customer"] or "not linked"}
        table.add_row(*(Text(cells[name]) for name in ("contact", *_SHOWN, "customer")))
    print_table(table)


def _values(row: KnownContact) -> dict[str, Any]:
    fields = {name: row.contact.fields.get(name, "") for name in _SHOWN}
    return {"contact": row.contact.id, **fields, "customer": row.customer or None}
