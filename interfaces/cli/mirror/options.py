"""The flags that commands about the mirror share."""

from typing import Annotated, TypeAlias

import typer

AccountOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--account", show_default=False,
        help="The account whose mirror to use; default: the platform's own Stripe account.",
    ),
]  # fmt: skip
DetachOption: TypeAlias = Annotated[
    bool, typer.Option("--detach", help="Start it and come back at once.")
]
FollowOption: TypeAlias = Annotated[
    bool, typer.Option("--follow", help="Start nothing: follow the one that was started last.")
]
CancelOption: TypeAlias = Annotated[bool, typer.Option("--cancel", help="End the one that runs.")]
