"""Rebuilding facts: they are computed anew from their evidence, and differences are posted."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.facts.walk import NOUNS, FactsWalk, WalkState
from application.mirror.ports import Mirror
from application.operations.work import Meter, Step, Work, begin_anew
from domain.operations import Operation, OperationKind, OperationProgress


class FactsRebuild(Work):
    """Goes through all that facts are about. Where nothing is wrong it posts nothing."""

    kind = OperationKind.REBUILD_FACTS

    def __init__(
        self, walk: FactsWalk, mirror: Mirror, checkpoints: Checkpoints, clock: Clock
    ) -> None:
        self._walk = walk
        self._mirror = mirror
        self._checkpoints = checkpoints
        self._clock = clock

    @override
    async def prepare(self, operation: Operation) -> None:
        await begin_anew(self._checkpoints, operation, self._clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        """A step a block."""
        stripe_account, meter = operation.stripe_account, Meter(self._clock)
        checkpoint = await self._checkpoints.load(stripe_account, self.kind)
        state = msgspec.convert(checkpoint.state, WalkState)
        checkpoint = await self._checkpoints.save(checkpoint, now=self._clock.now())
        total = sum([await self._mirror.count(noun, stripe_account) for noun in NOUNS])
        while not state.finished:
            state = await self._walk.block(stripe_account, state)
            told = replace(checkpoint, state=msgspec.to_builtins(state))
            checkpoint = await self._checkpoints.save(told, now=self._clock.now())
            yield Step(meter.of(_progress(state, total)))


def _progress(state: WalkState, total: int) -> OperationProgress:
    return OperationProgress(
        phase="post",
        noun="" if state.finished else NOUNS[state.noun].name,
        nouns_done=state.noun,
        nouns_total=len(NOUNS),
        read=state.read,
        changed=state.posted,
        total=total,
    )
