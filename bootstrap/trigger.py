"""`billing trigger`: lets an event happen at a running emulator, for a service's own tests."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from interfaces.cli.exits import ExitCode, Refused
from sandbox.emulator.settings import PLATFORM_KEY
from sandbox.emulator.triggers import TRIGGERS, NoEmulatorError, Triggered, TriggerError
from sandbox.emulator.triggers import trigger as bring_about

_Event = Annotated[
    str | None,
    typer.Argument(
        help="The event's type; without it, a list of all.",
        autocompletion=lambda: sorted(TRIGGERS),
    ),
]
_Address = Annotated[
    str, typer.Option(help="Where the emulator listens, as it printed it; http:// may be left out.")
]
_Account = Annotated[
    str, typer.Option(help="The connected account (acct_…). Default: the platform's own.")
]
_Customer = Annotated[str, typer.Option(help="The customer (cus_…). Default: a new one.")]
_Key = Annotated[str, typer.Option(help="The platform's key; its sk_live_ twin for live mode.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


_EXIT_CODES: Final = (
    "Real objects are made at the emulator, and the event follows from them. Exit code 1: the "
    "emulator refuses; 2: no such event; 4: no emulator answers."
)


def trigger_app() -> typer.Typer:
    """The app that has the command."""
    app = typer.Typer(add_completion=False)
    app.command(epilog=_EXIT_CODES)(trigger)
    return app


def trigger(
    event: _Event = None,
    address: _Address = "http://127.0.0.1:12111",
    account: _Account = "",
    customer: _Customer = "",
    key: _Key = PLATFORM_KEY,
    as_json: _Json = False,
) -> None:
    """Let an event happen at a running emulator, for tests of your own."""
    if event is None:
        typer.echo(json.dumps(sorted(TRIGGERS)) if as_json else "\n".join(sorted(TRIGGERS)))
        return
    if event not in TRIGGERS:
        typer.echo(f"billing: no trigger is called {event}. There are:", err=True)
        typer.echo("\n".join(sorted(TRIGGERS)), err=True)
        raise typer.Exit(ExitCode.USAGE)
    url = address if "://" in address else f"http://{address}"
    run = bring_about(event, url, account=account, customer=customer, key=key)
    try:
        triggered = asyncio.run(run)
    except NoEmulatorError as error:
        raise Refused(str(error), ExitCode.NO_ANSWER) from error
    except TriggerError as error:
        raise Refused(str(error)) from error
    typer.echo(json.dumps(asdict(triggered)) if as_json else _lines(triggered))


def _lines(triggered: Triggered) -> str:
    """A name and an id a line: nothing is cut, however narrow the screen."""
    named = {
        "event": triggered.event,
        "type": triggered.type,
        "account": triggered.account,
        "object": triggered.object,
        **triggered.objects,
    }
    width = max(map(len, named))
    return "\n".join(f"{name:{width}}  {identifier}" for name, identifier in named.items())
