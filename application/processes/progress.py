"""How a process moves: pure rules of its progress, by our clock."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from application.processes.ports import MAX_HISTORY, Course, Entry, Progress
from domain.back_off import BackOff

NEEDS_ATTENTION: Final = "needs_attention"

TRIES: Final = 10
"""How often a stage, or what takes it back, may fail before a human has to look."""

_TRY_AGAIN: Final = BackOff(45.0, 6 * 3_600.0)
_LOOK_AGAIN: Final = BackOff(10.0, 6 * 3_600.0)


def begun(state: str, now: dt.datetime, data: bytes = b"{}") -> Progress:
    """The progress of a process that has done nothing yet."""
    return entered(Progress("", data=data), state, now)


def entered(progress: Progress, state: str, now: dt.datetime, why: str = "") -> Progress:
    """In another state; what was counted in the one before is forgotten. Else as it is."""
    if state == progress.state:
        return progress
    history = _bounded([*progress.history, Entry(state, now, why)])
    return replace(progress, state=state, polls=0, paused_until=None, history=history)


def went_on(progress: Progress, stage: int) -> Progress:
    """At another stage, with all patience anew."""
    return replace(progress, stage=stage, tries=0, polls=0, trouble="", paused_until=None)


def turned_back(progress: Progress, state: str, now: dt.datetime, why: str) -> Progress:
    """Backwards from the stage in hand, which may have been begun."""
    back = replace(went_on(progress, progress.stage), course=Course.BACKWARD, turning=False)
    return entered(back, state, now, why)


def waited(progress: Progress, state: str, now: dt.datetime) -> Progress:
    """Looked at, and found to wait for somebody else: looked at again after a growing pause."""
    progress = replace(entered(progress, state, now), tries=0, trouble="")
    if _is_early(progress, now):
        return progress
    pause = dt.timedelta(seconds=_LOOK_AGAIN.longest(progress.polls))
    return replace(progress, polls=progress.polls + 1, paused_until=now + pause)


def failed(progress: Progress, why: str, now: dt.datetime) -> Progress:
    """Tried without success: tried again after a growing pause, at last left to an operator.

    What is tried before its pause is over, by a wake, counts for nothing.
    """
    progress = replace(progress, trouble=why)
    if _is_early(progress, now):
        return progress
    if progress.tries + 1 >= TRIES:
        progress = replace(progress, tries=TRIES, attention=why)
        return entered(progress, NEEDS_ATTENTION, now, why)
    pause = dt.timedelta(seconds=_TRY_AGAIN.longest(progress.tries))
    return replace(progress, tries=progress.tries + 1, paused_until=now + pause)


def resumed(progress: Progress, now: dt.datetime, why: str) -> Progress:
    """No longer left to an operator: in the state of before, with all patience anew."""
    before = [entry.state for entry in progress.history if entry.state != NEEDS_ATTENTION]
    progress = replace(went_on(progress, progress.stage), attention="")
    return entered(progress, before[-1], now, why)


def closed(progress: Progress, state: str, now: dt.datetime, why: str) -> Progress:
    """At its end where it stands, in a state of its own."""
    back = progress.course in (Course.BACKWARD, Course.TAKEN_BACK)
    course = Course.TAKEN_BACK if back else Course.COMPLETED
    ended = replace(went_on(progress, progress.stage), course=course, attention="", turning=False)
    return entered(ended, state, now, why)


def due_at(progress: Progress, now: dt.datetime) -> dt.datetime | None:
    """When it is to be looked at next; None: once it is woken."""
    if progress.attention:
        return None
    times = [at for at in (progress.paused_until, progress.look_at) if at is not None]
    return min(times, default=None if progress.course.rests else now)


def _is_early(progress: Progress, now: dt.datetime) -> bool:
    """Whether a pause is not over yet. One of a clock that was ahead is."""
    until, longest = progress.paused_until, dt.timedelta(seconds=_LOOK_AGAIN.last_seconds)
    return until is not None and now < until <= now + longest


def _bounded(history: Sequence[Entry]) -> tuple[Entry, ...]:
    """The beginning, and the latest: what is between is left out."""
    if len(history) <= MAX_HISTORY:
        return tuple(history)
    half = MAX_HISTORY // 2
    return (*history[:half], *history[-half:])
