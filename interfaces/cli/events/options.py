"""The flags that commands about events share."""

import datetime as dt
from typing import Annotated, TypeAlias

import typer

from interfaces.cli.times import FORMS, read_instant

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--account", show_default=False,
        help="The account whose events to use; default: all of them, with an operator's token.",
    ),
]  # fmt: skip
StripeAccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--stripe-account", show_default=False,
        help="Only of this Stripe account (acct_...); platform: of the platform's own.",
    ),
]  # fmt: skip
TypeOption: TypeAlias = Annotated[
    str, typer.Option("--type", help="Only of this type, such as invoice.paid.", show_default=False)
]
ObjectOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--object", show_default=False,
        help="Only about this object; needs --stripe-account or --account.",
    ),
]  # fmt: skip
SinceOption: TypeAlias = Annotated[
    dt.datetime | None,
    typer.Option(
        "--since", parser=read_instant, metavar="TIME", show_default=False,
        help=f"Received at or after this time: {FORMS}.",
    ),
]  # fmt: skip
UntilOption: TypeAlias = Annotated[
    dt.datetime | None,
    typer.Option(
        "--until", parser=read_instant, metavar="TIME", show_default=False,
        help="Received before this time; written as --since.",
    ),
]  # fmt: skip
