"""`billing backfill|reconcile|rebuild|prove`: long work that is started, followed and ended."""

from typing import Annotated

import typer
from billing_client.v1 import mirror_service_pb2 as pb

from interfaces.cli.client import Reach
from interfaces.cli.mirror.calls import Asked, MirrorCalls
from interfaces.cli.mirror.following import Wanted, operate
from interfaces.cli.mirror.options import AccountOption, CancelOption, DetachOption, FollowOption
from interfaces.cli.output import JsonOption
from interfaces.cli.target import Target, asks


def add_backfill(app: typer.Typer, reach: Reach) -> None:
    """Add `backfill`."""

    @app.command()
    @asks
    def backfill(
        target: Target,
        account: AccountOption = "",
        restart: Annotated[
            bool, typer.Option("--restart", help="Read everything again, not only what is left.")
        ] = False,
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Read all that Stripe holds into the mirror."""
        start = pb.StartBackfillRequest(account=account, restart=restart)
        asked = Asked("backfill", pb.Operation.KIND_BACKFILL, account, start)
        wanted = Wanted(detach, follow, cancel, as_json)
        operate(MirrorCalls(reach(target)), asked, wanted)


def add_reconcile(app: typer.Typer, reach: Reach) -> None:
    """Add `reconcile`."""

    @app.command()
    @asks
    def reconcile(
        target: Target,
        account: AccountOption = "",
        repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong.")] = False,
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Compare the mirror with Stripe; exit code 1 where it is wrong and not mended."""
        start = pb.StartReconciliationRequest(account=account, repair=repair)
        asked = Asked("reconcile", pb.Operation.KIND_RECONCILIATION, account, start)
        wanted = Wanted(detach, follow, cancel, as_json)
        operate(MirrorCalls(reach(target)), asked, wanted)


def add_rebuild(app: typer.Typer, reach: Reach) -> None:
    """Add `rebuild`."""

    @app.command()
    @asks
    def rebuild(
        target: Target,
        account: AccountOption = "",
        facts: Annotated[
            bool, typer.Option("--facts", help="Not the mirror, but the facts from their evidence.")
        ] = False,
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Rebuild the mirror next to the live one, then swap it in row by row."""
        asked = _rebuilding_facts(account) if facts else _rebuilding(account)
        wanted = Wanted(detach, follow, cancel, as_json)
        operate(MirrorCalls(reach(target)), asked, wanted)


def add_prove(app: typer.Typer, reach: Reach) -> None:
    """Add `prove`."""

    @app.command()
    @asks
    def prove(
        target: Target,
        account: AccountOption = "",
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Prove the books from their rows, and against the bank; exit code 1 on a difference."""
        start = pb.StartProofRequest(account=account)
        asked = Asked("prove", pb.Operation.KIND_PROOF, account, start)
        wanted = Wanted(detach, follow, cancel, as_json)
        operate(MirrorCalls(reach(target)), asked, wanted)


def _rebuilding(account: str) -> Asked:
    start = pb.StartRebuildRequest(account=account)
    return Asked("rebuild", pb.Operation.KIND_REBUILD, account, start)


def _rebuilding_facts(account: str) -> Asked:
    start = pb.StartFactsRebuildRequest(account=account)
    return Asked("rebuild --facts", pb.Operation.KIND_FACTS_REBUILD, account, start)
