"""Where a process is killed: just before a named step, or as soon as that has ended.

A step is a call of a port. The order of these calls is the order in which things become durable, so
the ends of each of them are all the places where a crash leaves something different behind.
"""

import functools
import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "receive": ("inbox.append",),
    "project": (
        "inbox.claim",
        "mirror.fetch",
        "mirror.replace",
        "mirror.list",
        "mirror.derive",
        "object_reader.read",
        "stripe_accounts.get",
        "connections.revoke",
        "inbox.settle",
    ),
    "effect": (
        "subscription_history.append",
        "evidence.append",
        "facts.post",
        "dues.plan",
        "connections.find_by_stripe_account",
        "contacts.sync_settings",
        "contacts.links",
        "contacts.with_email",
        "contacts.linked",
        "contacts.link",
        "contacts.fill",
        "support.post",
        "outbox.append",
        "waiting_events.add",
        "waiting_events.next_stripe_account",
        "waiting_events.of",
        "inbox.get",
        "waiting_events.remove",
    ),
    "publish": (
        "publisher.open",
        "outbox.claim",
        "publisher.publish",
        "outbox.mark_published",
        "outbox.release",
        "outbox.purge",
    ),
}
"""The named steps of each phase, by port and method."""

PHASE_OF: Final = {step: phase for phase, steps in STEPS.items() for step in steps}

OTHERS: Final = frozenset(
    {
        "connections.list_active",
        "stripe_accounts.platform",
        "publisher.close",
        "mirror.having",
        "evidence.of",
        "facts.standing",
        "dues.due",
        "dues.move",
        "dues.earliest",
    }
)
"""What else is called on these ports: by catch-up, for facts, and at an end in good order."""

DATABASE: Final = "database.call"
"""A call of the store's own, of which a port's method may make several."""

DRAINING: Final = frozenset(
    {
        "waiting_events.next_stripe_account",
        "waiting_events.of",
        "inbox.get",
        "waiting_events.remove",
    }
)
"""The steps that only take place where an account was connected after its events had come."""

AT_THE_START: Final = DRAINING | {"publisher.open", "outbox.purge"}
"""The steps that are taken before the first delivery, and then not for a while."""

OFTEN: Final = frozenset(
    """
    inbox.append mirror.fetch mirror.replace mirror.list mirror.derive contacts.links
    contacts.with_email contacts.link contacts.fill
    """.split()
)
"""The steps that are taken several times for a few events."""

LEAVING: Final = frozenset({"stripe_accounts.get", "connections.revoke"})
"""The steps that only take place where the owner of a connected account has left."""

RELEASING: Final = "outbox.release"
"""The step that only takes place where the stream's answer is lost."""

_EMPTY_HANDED: Final = frozenset({"inbox.claim", "outbox.claim", "waiting_events.of"})
"""Steps that often find nothing: the end of such a call is no place where anything differs."""


class Side(StrEnum):
    """Which end of a step."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class KillPoint:
    """One end of the `nth` call of a step, counted from 1.

    With `after_delivery` the count begins at the first delivery; else at once, so that what an
    earlier life has left is what is at hand.
    """

    step: str
    side: Side
    nth: int = 1
    after_delivery: bool = False


class Killer:
    """Watches ports, and kills its own process at one point (None: only watches)."""

    def __init__(self, point: KillPoint | None, last_words: Callable[[KillPoint], None]) -> None:
        """`last_words` is called right before the end."""
        self.seen: set[str] = set()
        self._point = point
        self._last_words = last_words
        self._armed = point is not None and not point.after_delivery
        self._calls = 0

    def watch(self, name: str, port: object) -> None:
        """Watch every asynchronous method of a port, each as a step of its own."""
        for method in dir(port):
            if not method.startswith("_") and inspect.iscoroutinefunction(getattr(port, method)):
                self.watch_one(f"{name}.{method}", port, method)

    def watch_one(self, step: str, port: object, method: str) -> None:
        """Watch one method of a port, or of a class, as calls of `step`."""
        called: Callable[..., Awaitable[Any]] = getattr(port, method)

        @functools.wraps(called)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            self._before(step)
            try:
                result = await called(*args, **kwargs)
            except Exception as error:
                self._after(step, error)  # what it raises is an answer, too
                raise
            self._after(step, result)
            return result

        setattr(port, method, watched)

    def _before(self, step: str) -> None:
        self.seen.add(step)
        self._armed = self._armed or (step == "inbox.append" and self._point is not None)
        self._count(step, Side.BEFORE)

    def _after(self, step: str, result: object) -> None:
        if result or step not in _EMPTY_HANDED:
            self._count(step, Side.AFTER)

    def _count(self, step: str, side: Side) -> None:
        point = self._point
        if point is None or not self._armed or (point.step, point.side) != (step, side):
            return
        self._calls += 1
        if self._calls == point.nth:
            self._last_words(point)
            os.kill(os.getpid(), signal.SIGKILL)
