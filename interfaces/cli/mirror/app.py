"""The mirror of Stripe, kept whole: `billing backfill|reconcile|rebuild|prove|reports|status`."""

import typer

from interfaces.cli.client import Reach
from interfaces.cli.mirror.operations import (
    add_backfill,
    add_prove,
    add_rebuild,
    add_reconcile,
)
from interfaces.cli.mirror.reports import add_reports
from interfaces.cli.mirror.status import add_status


def add_mirror_commands(app: typer.Typer, reach: Reach) -> None:
    """Add the commands to an app, on the service that `reach` leads to."""
    for add in (add_backfill, add_reconcile, add_rebuild, add_prove, add_reports, add_status):
        add(app, reach)
