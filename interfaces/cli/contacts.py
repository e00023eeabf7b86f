"""`billing contacts`: the CRM's contacts, in the embedded setting."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from application.contacts.administration import ContactAdministration, KnownContact
from domain.contacts import ContactField

Run = Callable[
    [Callable[[ContactAdministration], Awaitable[Sequence[KnownContact | ContactField]]]],
    Sequence[KnownContact | ContactField],
]
"""Opens the store, does something with the contacts in it, and closes the store."""

_Account = Annotated[str, typer.Argument(help="Id of the account.")]
_Contact = Annotated[str, typer.Argument(help="Id of the contact, as you like it.")]

_SHOWN = ("name", "email", "phone")


def contacts_app(run: Run) -> typer.Typer:
    """The commands, on whatever store `run` opens."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, help="Keep contacts, where no CRM does."
    )

    @app.command()
    def add(
        account: _Account,
        contact: _Contact,
        name: Annotated[str, typer.Option(help="Full or business name.")] = "",
        email: Annotated[str, typer.Option(help="Mail address.")] = "",
        phone: Annotated[str, typer.Option(help="Phone number.")] = "",
    ) -> None:
        """Add a contact to an account."""
        fields = {"name": name, "email": email, "phone": phone}
        _print(run(lambda contacts: contacts.add(account, contact, fields)))

    @app.command("list")
    def list_contacts(
        account: _Account,
        after: Annotated[str, typer.Option(help="Start after this id.")] = "",
    ) -> None:
        """List an account's contacts, a hundred at a time, in order of id."""
        _print(run(lambda contacts: contacts.list(account, after=after)))

    @app.command()
    def show(account: _Account, contact: _Contact) -> None:
        """Show one contact and the customer that it is linked to."""
        _print(run(lambda contacts: contacts.show(account, contact)))

    @app.command()
    def link(
        account: _Account,
        contact: _Contact,
        customer: Annotated[
            str, typer.Argument(help="Id of the customer (cus_...); after -- if it is -...")
        ],
    ) -> None:
        """Link a contact to a customer of the account's Stripe connection."""
        _print(run(lambda contacts: contacts.link(account, contact, customer)))

    @app.command()
    def field(
        account: _Account,
        name: Annotated[str, typer.Argument(help="Name: small letters, digits and _.")],
        label: Annotated[str, typer.Option(help="Label for people; else the name.")] = "",
    ) -> None:
        """Add a field to an account's contacts, beside those that all contacts have."""
        _print(run(lambda contacts: contacts.add_field(account, name, label)))

    return app


def _print(rows: Sequence[KnownContact | ContactField]) -> None:
    """Contacts or fields; without any, the head of an empty list of contacts."""
    fields = [row for row in rows if isinstance(row, ContactField)]
    table = Table()
    for column in ("field", "label") if fields else ("contact", *_SHOWN, "customer"):
        table.add_column(column, no_wrap=column in ("field", "contact", "customer"))
    for row in rows:
        if isinstance(row, ContactField):
            table.add_row(row.name, row.label)
        else:
            values = (row.contact.fields.get(name, "") for name in _SHOWN)
            table.add_row(row.contact.id, *values, row.customer or "not linked")
    Console(markup=False, emoji=False).print(table)
