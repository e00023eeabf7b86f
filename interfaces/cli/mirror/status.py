"""`billing status`."""

import typer

from interfaces.cli.client import Reach, run
from interfaces.cli.mirror.calls import MirrorCalls
from interfaces.cli.mirror.options import AccountOption
from interfaces.cli.mirror.tables import status_tables
from interfaces.cli.output import JsonOption, print_json, print_table
from interfaces.cli.target import Target, asks


def add_status(app: typer.Typer, reach: Reach) -> None:
    """Add `status`."""

    @app.command()
    @asks
    def status(target: Target, account: AccountOption = "", as_json: JsonOption = False) -> None:
        """Show how current the mirror is, what waits and why, and what it holds."""
        found = run(MirrorCalls(reach(target)).status(account))
        if as_json:
            print_json(found)
            return
        for table in status_tables(found):
            print_table(table)
