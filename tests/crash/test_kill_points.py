"""The service is killed at both ends of every named step: nothing is lost, nothing is doubled.

Lives of the whole service follow one another on one store; signed events come in over HTTP, and
each life ends with SIGKILL just before or after a step of receive, project, effect or publish, at
some call of the database, or at any time. Stripe delivers again what was not answered, and some of
what was. In the end everything there is compared with what happened at Stripe.

CRASH_ROUNDS repeats all of it so often, each time with a new store and other kills.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import pymongo
import pytest
import pytest_asyncio

from sandbox.servers.nats import own_nats_server
from tests.crash.audit import Findings
from tests.crash.campaign import Campaign, Store, plan
from tests.crash.kill_points import DATABASE, OTHERS, PHASE_OF, STEPS, Side
from tests.crash.raw_rows import MongoRows, SqliteRows
from tests.property.seed import SEED

ROUNDS: Final = int(os.environ.get("CRASH_ROUNDS") or 1)
EXTRA: Final = 8
"""How many lives of a round end at some call of the database, and how many at any time."""

STORES: Final = ("sqlite", "mongo")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300 * ROUNDS),
    pytest.mark.parametrize("store", STORES),
]


@dataclass
class Result:
    """What the campaigns on one store came to, one after another."""

    kills: Counter[tuple[str, Side]] = field(default_factory=Counter)
    any_time: int = 0
    seen: set[str] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    findings: list[Findings] = field(default_factory=list)


Results = Mapping[str, Result]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def results(on_disk: Path, mongo_url: str, report: list[str]) -> AsyncIterator[Results]:
    """All campaigns, those of the two stores side by side."""
    found = {store: Result() for store in STORES}
    report.append(f"BILLING_TEST_SEED={SEED} CRASH_ROUNDS={ROUNDS}")
    for number in range(ROUNDS):
        folder = on_disk / str(number)
        folder.mkdir()
        async with asyncio.TaskGroup() as group:
            for store in STORES:
                random = Random(f"{SEED} {number} {store}")  # noqa: S311 - is to be repeatable
                work = _campaign(store, folder, mongo_url, random, found[store])
                group.create_task(work)
    report.extend(_table(found))
    yield found


async def _campaign(
    kind: str, folder: Path, mongo_url: str, random: Random, result: Result
) -> None:
    log = folder / f"{kind}.log"
    with own_nats_server() as nats, _store(kind, folder, mongo_url, nats.url) as store:
        campaign = Campaign(store, random)
        result.seen |= await campaign.run(plan(kind, random, EXTRA), log)
        result.kills += campaign.kills
        result.any_time += campaign.any_time
        result.refused += campaign.deliveries.refused
        result.errors += _errors(log)
        result.findings.append(await campaign.audited())


@contextmanager
def _store(kind: str, folder: Path, mongo_url: str, nats_url: str) -> Iterator[Store]:
    """An empty store and its queue."""
    queue = {"BILLING_QUEUE": "nats", "BILLING_NATS_URL": nats_url}
    if kind == "sqlite":
        path = folder / "billing.db"
        yield Store(kind, {"BILLING_SQLITE_PATH": str(path), **queue}, SqliteRows(path))
        return
    name = f"billing_crash_{uuid4().hex}"
    server = {"BILLING_MONGO_URL": mongo_url, "BILLING_MONGO_DATABASE": name}
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
        try:
            yield Store(kind, {"BILLING_STORE": kind, **server, **queue}, MongoRows(client[name]))
        finally:
            client.drop_database(name)


def _errors(log: Path) -> list[str]:
    """The lines of a log that tell of a defect. A line that a kill has cut short tells nothing."""
    errors = []
    for line in log.read_text().splitlines():
        try:
            level = json.loads(line)["level"]
        except ValueError:
            level = "error" if "Traceback" in line else ""
        if level in ("error", "critical"):
            errors.append(line)
    return errors


_COUNTS: Final[Mapping[str, Callable[[Result], int]]] = {
    "at a call of the database": lambda of: sum(of.kills[DATABASE, side] for side in Side),
    "at any time": lambda of: of.any_time,
    "kills in all": lambda of: of.kills.total() + of.any_time,
    "acknowledged events": lambda of: sum(one.acknowledged for one in of.findings),
    "  events lost": lambda of: sum(len(one.lost) for one in of.findings),
    "  events not processed": lambda of: sum(len(one.unprocessed) for one in of.findings),
    "effects due": lambda of: sum(one.effects for one in of.findings),
    "  effects lost": lambda of: sum(len(one.effects_lost) for one in of.findings),
    "  effects doubled": lambda of: sum(len(one.effects_doubled) for one in of.findings),
    "rows of the mirror": lambda of: sum(one.rows for one in of.findings),
    "  rows wrong": lambda of: sum(len(one.rows_wrong) for one in of.findings),
}


def _table(results: Results) -> Iterator[str]:
    """The counts, a column a store."""
    for phase, steps in STEPS.items():
        yield _line(f"killed before / after, {phase}", STORES)
        for step in steps:
            kills = [results[store].kills for store in STORES]
            yield _line(
                f"  {step}",
                [f"{one[step, Side.BEFORE]} / {one[step, Side.AFTER]}" for one in kills],
            )
    for words, count in _COUNTS.items():
        yield _line(words, [f"{count(results[store]):,}" for store in STORES])


def _line(words: str, cells: Iterable[str]) -> str:
    return f"{words:40}" + "".join(f"{cell:>10}" for cell in cells)


async def test_it_was_killed_before_and_after_every_step(results: Results, store: str) -> None:
    kills = results[store].kills
    assert {(step, side) for step in PHASE_OF for side in Side} - set(kills) == set()


async def test_every_step_that_was_taken_has_a_name(results: Results, store: str) -> None:
    ports = {step.partition(".")[0] for step in PHASE_OF}
    taken = {step for step in results[store].seen if step.partition(".")[0] in ports}
    assert taken - set(PHASE_OF) - OTHERS == set()


async def test_no_acknowledged_event_is_lost(results: Results, store: str) -> None:
    for found in results[store].findings:
        assert found.acknowledged > 0
        assert found.lost == []
        assert found.unprocessed == []


async def test_the_mirror_shows_what_stripe_shows(results: Results, store: str) -> None:
    for found in results[store].findings:
        assert found.rows > 0
        assert found.rows_wrong == []


async def test_no_effect_is_lost(results: Results, store: str) -> None:
    for found in results[store].findings:
        assert found.effects > 0
        assert found.effects_lost == []


async def test_no_effect_is_doubled(results: Results, store: str) -> None:
    for found in results[store].findings:
        assert found.effects_doubled == []


async def test_no_life_refused_a_delivery_or_told_of_a_defect(results: Results, store: str) -> None:
    assert results[store].refused == []
    assert results[store].errors == []
