"""An operation as it gets on: bars on a terminal, plain lines anywhere else."""

import datetime as dt
from abc import abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from billing_client.v1 import mirror_service_pb2 as pb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from typing_extensions import override

from interfaces.cli.output import counted
from interfaces.cli.times import shown

_PHASES: Final = {
    "read": "reading",
    "compare": "comparing",
    "replay": "replaying events",
    "swap": "mending",
    "prove": "proving",
    "post": "posting facts",
}
_BAR_COLUMNS: Final = 20


class Shown(AbstractContextManager["Shown"]):
    """Shows an operation for as long as the context is open."""

    @abstractmethod
    def show(self, operation: pb.Operation) -> None:
        """Show how it stands now."""

    @abstractmethod
    def say(self, words: str) -> None:
        """Say something in between."""

    @override
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what was shown."""


class Bars(Shown):
    """One bar over the nouns of the phase, with counts beside it; errors stand above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            BarColumn(_BAR_COLUMNS),
            MofNCompleteColumn(),
            TextColumn("{task.description}\n{task.fields[facts]}", markup=False),
            console=console,
        )
        self._bar = self._progress.add_task("starting", total=None, facts="")
        self._told = ""

    @override
    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    @override
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @override
    def show(self, operation: pb.Operation) -> None:
        progress = operation.progress
        self._progress.update(
            self._bar,
            description=_what(operation),
            completed=progress.nouns_done,
            total=progress.nouns_total or None,
            facts=", ".join(_facts(operation)),
        )
        self.say(hindrance(operation))

    @override
    def say(self, words: str) -> None:
        if words not in ("", self._told):
            self._progress.console.print(words)
        self._told = words


class Lines(Shown):
    """A line whenever another noun or phase is begun, or something else is in the way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: object = None

    @override
    def show(self, operation: pb.Operation) -> None:
        progress = operation.progress
        now = (operation.state, progress.phase, progress.noun, operation.error_message)
        if now == self._told:
            return
        self._told = now
        total = counted(progress.nouns_total, "object type")
        done = f"{progress.nouns_done}/{total}" if progress.nouns_total else ""
        words = (_what(operation), done, *_facts(operation), hindrance(operation))
        self._console.print(", ".join(filter(None, words)), soft_wrap=True)

    @override
    def say(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._console.print(words, soft_wrap=True)


def shown_on(console: Console) -> Shown:
    """What suits a console."""
    return Bars(console) if console.is_terminal else Lines(console)


def word(name: str) -> str:
    """A value's name without its prefix, for people to read."""
    return name.partition("_")[2].lower().replace("_", " ")


def _what(operation: pb.Operation) -> str:
    """What it does now."""
    progress = operation.progress
    if operation.state != pb.Operation.STATE_RUNNING:
        return word(pb.Operation.State.Name(operation.state))
    phase = _PHASES.get(progress.phase, progress.phase) or "starting"
    return f"{phase} {progress.noun}".strip()


def _facts(operation: pb.Operation) -> list[str]:
    """How far it has come."""
    progress = operation.progress
    if not progress.phase:
        return []
    facts = [f"{progress.read_count:,} read"]
    if progress.rate:
        facts.append(f"{progress.rate:,.0f}/s")
    if progress.changed_count:
        facts.append(f"{progress.changed_count:,} changed")
    if progress.drifted_count:
        facts.append(f"{progress.drifted_count:,} wrong")
    if progress.not_understood_count:
        facts.append(f"{progress.not_understood_count:,} not understood")
    if progress.HasField("reached_time"):
        way = "up" if progress.phase == "prove" else "back"
        facts.append(f"{way} to {progress.reached_time.ToDatetime(dt.UTC):%Y-%m-%d}")
    return facts


def hindrance(operation: pb.Operation) -> str:
    """What it waits for, and until when, or why it failed; empty where all is well."""
    if operation.HasField("next_try_time"):
        return f"waits until {shown(operation.next_try_time)}: {operation.error_message}"
    if operation.state == pb.Operation.STATE_PENDING and not operation.error_message:
        return "waits until a process has room for it"
    return operation.error_message
