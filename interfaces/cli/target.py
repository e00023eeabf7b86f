"""Which service a command asks, and with what token: the flags that all such commands share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

ADDRESS: Final = "BILLING_ADDRESS"
TOKEN: Final = "BILLING_TOKEN"  # noqa: S105 - the name of a variable
TLS: Final = "BILLING_TLS"
TLS_CA: Final = "BILLING_TLS_CA"
ENV_FILE: Final = "BILLING_ENV_FILE"

_PANEL: Final = "The service"

EnvFileOption = Annotated[
    Path | None,
    typer.Option(
        "--env-file", envvar=ENV_FILE, dir_okay=False, exists=True, metavar="FILE",
        help="Read settings from this file, too; the environment goes before it.",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """What the flags say; empty: the environment, or the default, decides.

    `address` is host:port. `token` is a bearer token. `tls` asks for TLS with the CAs that gRPC
    brings, `tls_ca` (a file in PEM) for TLS with that one.
    """

    address: Annotated[
        str,
        typer.Option(
            "--address", envvar=ADDRESS, metavar="HOST:PORT", rich_help_panel=_PANEL,
            help="Where it answers gRPC; default: this machine, port 50051.", show_default=False,
        ),
    ] = ""  # fmt: skip
    token: Annotated[
        str,
        typer.Option(
            "--token", envvar=TOKEN, metavar="TOKEN", rich_help_panel=_PANEL,
            help="The token to call with, as billing token prints it; default: one that is made "
            "with BILLING_CALLER_KEYS.",
            show_default=False,
        ),
    ] = ""  # fmt: skip
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", rich_help_panel=_PANEL, show_default=False,
            help="Speak TLS, with the well-known CAs; also by BILLING_TLS=true.",
        ),
    ] = False  # fmt: skip
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca", envvar=TLS_CA, dir_okay=False, exists=True, metavar="FILE",
            rich_help_panel=_PANEL, help="Speak TLS, with the CA in this file (PEM).",
        ),
    ] = None  # fmt: skip
    env_file: EnvFileOption = None


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the flags of Target in the place of its first parameter, a Target."""
    shared = fields(Target)

    @wraps(command)
    def wrapper(**given: Any) -> None:
        target = Target(**{field.name: given.pop(field.name) for field in shared})
        command(target, **given)

    _, *own = inspect.signature(command).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(parameter.replace(kind=keyword) for parameter in own),
        *(
            inspect.Parameter(field.name, keyword, default=field.default, annotation=field.type)
            for field in shared
        ),
    ]
    vars(wrapper)["__signature__"] = inspect.Signature(parameters)
    return wrapper
