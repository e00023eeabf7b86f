"""The room of facts as the service has it, over the bulk flows and their store."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from application.effects.effects import Effects
from application.facts.clock import DueFacts
from application.facts.first_reads import FirstReads
from application.facts.follower import FactsOfEvents
from application.facts.gathering import Gathering
from application.facts.ports import EvidenceStore, FactStore
from application.facts.posting import SERIES, Posting
from application.facts.pricing import Pricing
from application.facts.proof import FactsProof
from application.facts.walk import FactsWalk, WalkState
from application.mirror.rereader import Rereader
from application.upkeep.closing import AnnouncedClosings
from application.upkeep.ports import Difference, Proved
from domain.facts import Fact, Series
from infrastructure.stripe.readers.discounts import StripeDiscountReader
from infrastructure.stripe.readers.events import StripeEventReader
from tests.support.rooms.effects_as_wired import effects_on
from tests.support.rooms.upkeep import Flows

ALL = tuple(series for topic in SERIES.values() for series in topic)


@dataclass
class FactsOfFlows:
    """Facts of what the flows bring in; `evidence` and `facts` may be ports that break."""

    flows: Flows
    evidence: EvidenceStore | None = None
    facts: FactStore | None = None
    effects: Effects = field(init=False)

    def __post_init__(self) -> None:
        stores, clock = self.flows.stores, self.flows.clock
        evidence, facts = self.evidence or stores.evidence, self.facts or stores.facts
        rereader = Rereader(self.flows.writer, self.flows.enrichment, self.flows.objects)
        pricing = Pricing(stores.mirror, rereader)
        self.gathering = Gathering(evidence, stores.mirror)
        self.posting = Posting(
            self.gathering, facts, stores.dues, clock, AnnouncedClosings(stores.checkpoints)
        )
        self.follower = FactsOfEvents(
            evidence, pricing, self.posting, stores.dues, StripeDiscountReader(), clock
        )
        self.walk = FactsWalk(stores.mirror, evidence, pricing, self.posting, clock)
        self.due = DueFacts(stores.dues, self.posting, clock)
        self.first_reads = FirstReads(
            self.walk, stores.dues, self.flows.backfill, stores.checkpoints,
            self.flows.mirrored_accounts, clock,
        )  # fmt: skip
        self.effects = effects_on(
            stores, StripeEventReader(), clock, more_followers=[self.follower]
        )

    async def follow(self) -> None:
        """Fetch what happened, project it with its facts, and post what is due."""
        await self.flows.catch_up.poll(self.flows.source)
        await self.project()
        await self.due.post_all()

    async def project(self) -> None:
        """Project what was fetched, with its facts."""
        while await self.flows.projector(effects=self.effects).project_batch():
            pass

    async def import_all(self) -> None:
        """Import the account, and post the facts of what it has."""
        await self.flows.backfilled()
        await self.first_reads.walk(self.flows.account)
        await self.due.post_all()

    async def rebuild(self) -> WalkState:
        """Go through all once more; the state at the end."""
        state = WalkState()
        while not state.finished:
            state = await self.walk.block(self.flows.account, state)
        return state

    async def standing(self, *subjects: str, series: Series = Series.MRR) -> list[Fact]:
        """The facts of a series, by subject and generation."""
        found = await self.flows.stores.facts.standing(self.flows.account, [series], subjects)
        return [fact for subject in subjects for fact in found.get((series, subject), ())]

    async def sums(self, *subjects: str, series: Series = Series.MRR) -> dict[Any, tuple[int, int]]:
        """What stands: (amount, count) by (at, kind), zeros left out."""
        amounts, counts = Counter[Any](), Counter[Any]()
        for fact in await self.standing(*subjects, series=series):
            said = fact.statement
            amounts[said.at, said.kind] += said.amount
            counts[said.at, said.kind] += said.count
        return {
            key: (amounts[key], counts[key])
            for key in sorted(amounts)
            if amounts[key] or counts[key]
        }

    async def kinds(self, *subjects: str, series: Series = Series.MRR) -> list[tuple[str, int]]:
        """What stands in order of time: kind, and amount in whole minor units."""
        sums = await self.sums(*subjects, series=series)
        return [(kind, amount // 10_000) for (_, kind), (amount, _) in sums.items()]

    async def proved(self) -> Proved:
        """What a proof of all facts finds; it waits for nobody."""
        prover = FactsProof(self.posting, self.flows.stores.evidence, self.flows.stores.mirror, _no)
        place: Mapping[str, Any] | None = {}
        checked, differences = 0, list[Difference]()
        while place is not None:
            found = await prover.block(self.flows.account, place)
            place = found.place
            checked += found.checked
            differences += found.differences
        return Proved(checked, differences, 0, None)


async def _no(_: float) -> None:
    """Waits for nothing."""
