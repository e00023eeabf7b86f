"""What becomes of an event that cannot be projected: it comes again, or is set aside."""

import datetime as dt
import logging
from secrets import SystemRandom
from typing import Final

from application.events.inbox import LONGEST_PAUSE, ClaimedEvent, EventState, Settled
from domain.back_off import BackOff
from domain.errors import NotUnderstood, RateLimited, Unavailable, words_of

MAX_ATTEMPTS: Final = 20
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = LONGEST_PAUSE.total_seconds()

_RETRY: Final = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
_log = logging.getLogger(__name__)
_random = SystemRandom()


def failed(claimed: ClaimedEvent, error: Exception, now: dt.datetime) -> Settled:
    """Try an event again later, with growing pauses; give up, loudly, after MAX_ATTEMPTS."""
    # Who does not answer, or is not understood, says nothing about the event: it waits.
    waits = isinstance(error, Unavailable | RateLimited | NotUnderstood)
    if claimed.attempts + 1 >= MAX_ATTEMPTS and not waits:
        return dead(claimed, "failed too often", error)
    retry_at = now + dt.timedelta(seconds=_RETRY.pause(claimed.attempts, _random.random()))
    return Settled(claimed.event.id, EventState.PENDING, "waits", words_of(error), retry_at)


def dead(claimed: ClaimedEvent, decision: str, error: Exception) -> Settled:
    """Set an event aside, loudly: only an operator, or another release, can mend it."""
    _log.error("event is dead", extra={"event": claimed.event.id, "error": words_of(error)})
    return Settled(claimed.event.id, EventState.DEAD, decision, words_of(error))
