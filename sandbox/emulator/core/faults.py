"""Faults on order: what a network and a server do to requests at their worst."""

import random
from collections.abc import Iterable
from typing import Final

from sandbox.emulator.core.messages import Fault, FaultSpec

MOST_FAULTS: Final = 1_000


class Faults:
    """The faults that wait for requests, in the order in which they were added."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._faults: dict[int, Fault] = {}
        self._next = 1

    def add(self, spec: FaultSpec) -> Fault:
        """Let a fault wait; ValueError when too many do."""
        if len(self._faults) >= MOST_FAULTS:
            raise ValueError(f"at most {MOST_FAULTS} faults can wait")
        fault = Fault(id=self._next, spec=spec, left=spec.count, hits=0)
        self._faults[fault.id] = fault
        self._next += 1
        return fault

    def all(self) -> Iterable[Fault]:
        """The faults that still wait."""
        return list(self._faults.values())

    def clear(self) -> None:
        """Forget all."""
        self._faults.clear()

    def take(self, method: str, template: str, noun: str, account: str) -> FaultSpec | None:
        """The fault that befalls this request, if any; it is used up by one."""
        for fault in self._faults.values():
            spec = fault.spec
            if (
                spec.method in ("", method)
                and spec.route in ("", template)
                and spec.noun in ("", noun)
                and spec.account in ("", account)
                and (spec.probability >= 1 or self._random.random() < spec.probability)
            ):
                fault.hits += 1
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        del self._faults[fault.id]
                return spec
        return None
