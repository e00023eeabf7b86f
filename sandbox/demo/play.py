"""The demo from its first line to its verdict."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

import grpc
import stripe
from billing_client.v1.mirror_service_pb2 import MirrorReport
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from sandbox.demo import present
from sandbox.demo.desk import Desk
from sandbox.demo.history import History
from sandbox.demo.mirror import Mirror, period
from sandbox.demo.plan import DAYS, SPAN_SECONDS, Occurrence, plan
from sandbox.demo.proof import Check, Proof
from sandbox.demo.purse import Purse
from sandbox.demo.shop import Shop
from sandbox.demo.stage import Stage, opened
from sandbox.demo.world import Business, World
from sandbox.emulator.control_client import ControlError
from sandbox.emulator.core.messages import DeliveryState

SEED: Final = 20
_POLL_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the demo waits for others, in seconds, before it reads what there is.

    delivery: for the emulator to have delivered everything. rest: then, for the service's figures
    to equal Stripe's. tie: for each day that is over to be held against Stripe's balance.
    """

    delivery: float = 30.0
    rest: float = 20.0
    tie: float = 10.0


async def run(
    world: World, console: Console, bounds: Bounds = Bounds(), *, desk: bool = True
) -> bool:
    """Play ninety days at the emulator, read them back from the service, compare.

    With `desk`, what people do at the platform's screens is done too, and compared with the rest.

    True when mirror = Stripe. Everything that it opens is closed again, whatever happens; an
    error of the emulator, the SDK or the service is one red line and False.
    """
    try:
        async with opened(world) as stage, Mirror(world.grpc_address) as mirror:
            return await _Demo(stage, mirror, console).play(bounds, desk=desk)
    except (ControlError, stripe.StripeError, TimeoutError) as error:
        reason = f"the emulator: {str(error) or 'no answer in time'}"
    except LookupError as error:
        reason = f"the plan: {error}"
    except grpc.aio.AioRpcError as error:
        reason = f"the service: {error.code().name}, {error.details()}"
    console.print(f"The demo stopped. From {reason}", style="bold red", markup=False)
    return False


class _Demo:
    """One performance."""

    def __init__(self, stage: Stage, mirror: Mirror, console: Console) -> None:
        self._stage = stage
        self._mirror = mirror
        self._console = console
        self._businesses = stage.world.businesses
        self._history = History(stage)
        self._proof = Proof(stage, mirror)
        self._end = int(time.time())
        self._begin = self._end - SPAN_SECONDS

    async def play(self, bounds: Bounds, *, desk: bool) -> bool:
        """All acts; whether the proof holds."""
        started = time.monotonic()
        self._tell_what_comes()
        occurrences = plan(self._businesses, self._end, SEED)
        await self._history.begin(self._begin, SEED)
        await self._stage.connect()
        state, checks = await self._act(occurrences, bounds)
        self._tell_delivery(state, time.monotonic() - started)
        await self._show()
        self._console.print(present.comparison(checks, DAYS))
        if desk:
            await self._work_at_the_desk(bounds)
        wallet_holds = await self._use_a_wallet() if desk and self._stage.world.operator else True
        store_holds = await self._sell() if desk else True
        reports = await self._reconcile()
        self._console.print(present.reconciliation(self._businesses, reports))
        ties = await self._overview(bounds)
        club_holds = await self._show_subscriptions() if desk else True
        self._console.print(present.verdict(checks, reports))
        right = all(check.equal for check in checks) and not any(r.drifted_count for r in reports)
        acts_hold = wallet_holds and store_holds and club_holds
        return bool(checks) and right and ties and acts_hold

    async def _work_at_the_desk(self, bounds: Bounds) -> None:
        """Do what a person does at the platform's screens, for the first of the businesses."""
        with self._console.status("A day at the desk: find, link, bill, be paid"):
            day = await Desk(self._mirror, self._businesses[0]).day()
            await self._settled(bounds)
        self._console.print(present.desk(day))

    async def _use_a_wallet(self) -> bool:
        """Buy credit, spend it, have some given back; whether wallet = Stripe then."""
        world, business = self._stage.world, self._businesses[0]
        purse = Purse(self._mirror, business, self._stage.sdk, world.operator)
        with self._console.status("A wallet: reload, spend, give back, prove"):
            story = await purse.story()
        self._console.print(present.wallet(story))
        return not story.differences

    async def _sell(self) -> bool:
        """Sell to the sub-account, where there is one; whether both legs of each sale are whole."""
        world, seller = self._stage.world, self._businesses[0]
        if world.branch is None:
            return True
        shop = Shop(self._mirror, seller, world.branch, self._stage.sdk)
        with self._console.status("The store: a sub-account buys numbers and a subscription"):
            story = await shop.story()
        self._console.print(present.store(story))
        self._console.print(present.sold(story))
        return not story.differences

    async def _settled(self, bounds: Bounds) -> None:
        """Wait until the webhooks of what was just done are in the mirror, at most so long."""
        deadline = time.monotonic() + bounds.delivery
        while time.monotonic() < deadline:
            state = await self.delivery()
            waiting = state.queued + state.retrying + state.in_flight
            if not waiting and not await self._mirror.has_pending_events(self._businesses[0]):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _reconcile(self) -> list[MirrorReport]:
        """Have the service compare each object with Stripe, all that no webhook tells included."""
        with self._console.status("Fees come by no webhook: reading them, and comparing every row"):
            await asyncio.gather(*map(self._mirror.backfill, self._businesses))
            return await asyncio.gather(*map(self._mirror.reconcile, self._businesses))

    async def _overview(self, bounds: Bounds) -> bool:
        """Show what is left of what came in, fees are known only now; whether no day differs."""
        now = datetime.now(UTC)
        overviews = await asyncio.gather(
            *(
                self._mirror.overview(each, period(each, *present.shown_days(each, now)))
                for each in self._businesses
            )
        )
        self._console.print(present.gross_to_net(self._businesses, overviews))
        tied = await asyncio.gather(*(self._tied(each, bounds) for each in self._businesses))
        for each in tied:
            self._console.print(present.ties(each))
        return not any(each.differing for each in tied)

    async def _show_subscriptions(self) -> bool:
        """Show what moved MRR, cohorts and products; whether subscribers are those at Stripe."""
        start, end = datetime.fromtimestamp(self._begin, UTC), datetime.now(UTC)
        clubs = [
            await self._mirror.club(each, period(each, start, end)) for each in self._businesses
        ]
        self._console.print(present.mrr(clubs))
        for club in clubs:
            self._console.print(present.cohorts(club))
        self._console.print(present.products(clubs))
        checks = [
            Check(club.business.name, "subscribers", at_stripe, club.subscribers.end)
            for club in clubs
            for at_stripe in [await self._proof.subscribers(club.business)]
        ]
        for check in checks:
            self._console.print(present.subscribed(check))
        return all(check.equal for check in checks)

    async def _tied(self, business: Business, bounds: Bounds) -> present.Tied:
        """Days that are over against Stripe's balance, once all is read past it; at most so long.

        A balance says something when all transactions past it are read: the next reading does that.
        """
        now = datetime.now(UTC)
        over = period(business, *present.shown_days(business, now))
        deadline = time.monotonic() + bounds.tie
        while True:
            await self._mirror.balance(business)
            tied = present.tied(business, await self._mirror.tie_out(business, over), now)
            if tied.told or time.monotonic() >= deadline:
                return tied
            await asyncio.sleep(_AGAIN_SECONDS)

    def _tell_what_comes(self) -> None:
        say = self._console.print
        say(f"[bold]{DAYS} days of two businesses, out of Stripe and back as revenue[/bold]\n")
        for business in self._businesses:
            say(
                f"  {business.name}: charges in {business.currency.upper()}, "
                f"lives by the clock of {business.time_zone}"
            )
        say(
            "\nAn emulator plays Stripe. The demo calls it through Stripe's own SDK: customers"
            "\nsign up, change and leave; payments succeed, are declined or blocked; refunds;"
            "\nsubscriptions begin, with coupons and trials, are renewed, upgraded and ended."
            "\nEach change is sent to the service as a signed webhook, some twice, many in the"
            "\nwrong order. The service keeps a mirror from them, and answers over gRPC.\n"
        )

    async def _act(
        self, occurrences: list[Occurrence], bounds: Bounds
    ) -> tuple[DeliveryState, list[Check]]:
        """Make the history and wait until it has arrived, with bars that show it."""
        with _progress(self._console) as progress:
            bars = _Bars(self, progress)
            by_day = groupby(occurrences, key=self._day)
            for day, of_day in by_day:
                await self._history.begin_day(day)
                for occurrence in of_day:
                    await self._history.enact(occurrence)
                await bars.move(day + 1)
            await self._history.end(int(time.time()))
            state = await self._delivered(bars, bounds.delivery)
            checks = await self._at_rest(bars, bounds.rest)
        return state, checks

    def _day(self, occurrence: Occurrence) -> int:
        return (occurrence.at - self._begin) // 86_400

    async def _delivered(self, bars: "_Bars", seconds: float) -> DeliveryState:
        """Wait until nothing is left to deliver, at most so long."""
        deadline = time.monotonic() + seconds
        while True:
            state = await bars.move(DAYS)
            waiting = state.queued + state.retrying + state.in_flight
            if waiting == 0 or time.monotonic() >= deadline:
                return state
            await asyncio.sleep(_POLL_SECONDS)

    async def _at_rest(self, bars: "_Bars", seconds: float) -> list[Check]:
        """Compare until all is equal, at most so long; the last comparison."""
        deadline = time.monotonic() + seconds
        while True:
            end = datetime.fromtimestamp(int(time.time()) + 1, UTC)
            checks = await self._proof.checks(datetime.fromtimestamp(self._begin, UTC), end)
            await bars.move(DAYS)
            if all(check.equal for check in checks) or time.monotonic() >= deadline:
                return checks
            await asyncio.sleep(_POLL_SECONDS)

    def _tell_delivery(self, state: DeliveryState, seconds: float) -> None:
        sent = state.succeeded + state.duplicates
        self._console.print(
            f"\nThe service took {sent:,} webhooks in {seconds:.0f} s: {state.succeeded:,} events, "
            f"{state.duplicates:,} of them twice.",
            highlight=False,
        )
        lost = state.gave_up + state.dropped + state.queued + state.retrying + state.in_flight
        if lost:
            self._console.print(f"{lost:,} webhooks were not delivered.", style="bold red")
        self._console.print("What follows is read from its mirror over gRPC.\n")

    async def _show(self) -> None:
        now = datetime.now(UTC)
        answers = []
        for business in self._businesses:
            over = period(business, *present.shown_days(business, now))
            volume = await self._mirror.gross_volume(business, over)
            counts = await self._mirror.charge_counts(business, over)
            answers.append(present.Answers(business, volume, counts))
        for table in (present.headline(answers), present.chart(answers)):
            self._console.print(table)
            self._console.print()

    async def delivery(self) -> DeliveryState:
        """How far delivery is."""
        return await self._stage.control.delivery()

    async def mirrored_charges(self) -> int:
        """How many charges the service counts now."""
        start = datetime.fromtimestamp(self._begin, UTC)
        end = datetime.now(UTC) + timedelta(seconds=1)
        total = 0
        for business in self._businesses:
            counts = await self._mirror.charge_counts(business, period(business, start, end))
            total += counts.succeeded.current + counts.failed.current
        return total


class _Bars:
    """The three bars: made at Stripe, accepted by the service, readable in its mirror."""

    def __init__(self, demo: _Demo, progress: Progress) -> None:
        self._demo = demo
        self._progress = progress
        self._days: TaskID = progress.add_task("Days played at Stripe", total=DAYS)
        self._webhooks = progress.add_task("Webhooks that the service took", total=None)
        self._charges = progress.add_task("Charges in its mirror, by gRPC", total=None)

    async def move(self, days: int) -> DeliveryState:
        """Bring all bars up to date; how far delivery is."""
        state = await self._demo.delivery()
        mirrored = await self._demo.mirrored_charges()
        taken = state.succeeded + state.duplicates
        known = taken + state.queued + state.retrying + state.in_flight
        self._progress.update(self._days, completed=days)
        self._progress.update(self._webhooks, completed=taken, total=known)
        self._progress.update(self._charges, completed=mirrored)
        return state


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        console=console,
    )
