"""`billing demo` as a newcomer runs it: it proves its point, and leaves nothing behind."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from sandbox.servers.children import die_with_parent
from tests.support.servers.leftovers import Leftovers
from tests.support.servers.service import environment, until

BILLING: Final = str(Path(sys.executable).with_name("billing"))
DEMO_SECONDS: Final = 90.0
END_SECONDS: Final = 40.0
UNDER_WAY: Final = 3_000_000
"""Bytes in its store, about a fifth of what there is at the end."""


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return Leftovers(folder)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a module in it that bears the name of one of ours."""
    theirs = tmp_path / "project" / "domain"
    theirs.mkdir(parents=True)
    (theirs / "__init__.py").write_text("raise SystemExit('this is not the domain of Billing')")
    monkeypatch.chdir(theirs.parent)


@asynccontextmanager
async def demo(leftovers: Leftovers, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo as a terminal runs it: in a process group of its own."""
    process = await asyncio.create_subprocess_exec(
        BILLING, "demo", env=environment(**leftovers.environment, **env),
        preexec_fn=die_with_parent, start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        for left in leftovers.processes():
            left.kill()
        await process.communicate()  # its children have its standard error, too


async def under_way(process: asyncio.subprocess.Process, leftovers: Leftovers) -> None:
    """Wait until the demo, the emulator and the service run, and webhooks are being stored."""

    async def playing() -> bool:
        assert process.returncode is None, "the demo has ended"
        return leftovers.written() > UNDER_WAY and len(leftovers.processes()) == 3

    await until(playing, seconds=DEMO_SECONDS)


async def nothing_runs(leftovers: Leftovers) -> None:
    """Wait until no process of the demo is left."""

    async def ended() -> bool:
        return not leftovers.processes()

    await until(ended, seconds=END_SECONDS)


async def test_it_proves_that_the_mirror_is_stripe(leftovers: Leftovers) -> None:
    # The shell of somebody who has set the service up for real, behind a proxy.
    shell = {
        "BILLING_STORE": "mongo",
        "BILLING_MONGO_URL": "mongodb://127.0.0.1:1/",
        "BILLING_REUSE_PORT": "true",
        "billing_log_format": "nonsense",
        "STRIPE_SECRET_KEY": "sk_live_real",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    async with demo(leftovers, **shell) as process:
        out, err = await asyncio.wait_for(process.communicate(), DEMO_SECONDS)
        text = out.decode()
        assert (process.returncode, err.decode()) == (0, "")
        verdict = re.fullmatch(
            r"mirror = Stripe: all 10 figures and ([\d,]+) rows are equal\.", text.splitlines()[-1]
        )
        assert verdict, text
        assert text.count(" ties to the bank on all 29 days, up to ") == 2, text
        assert int(verdict[1].replace(",", "")) > 1_500
        assert re.search(r"one is paid .* paid ", text), text
        assert re.search(r"invoices .* \d+ paid, [\d,.]+ USD; 1 open, 225\.00 USD ", text), text
        assert text.count(" subscribers, as at Stripe.") == 2, text
        for shown in ("what moved MRR", "expansion", "Cohorts of", "Club Plus", "unattributed"):
            assert shown in text
        assert "wallet = Stripe" in text
        assert "both legs of each sale are whole" in text
        assert "sk_" not in text
        assert "whsec_" not in text
        assert leftovers.processes() == []
        assert leftovers.files() == []


def to_the_parent(process: asyncio.subprocess.Process) -> None:
    """SIGINT to the demo alone."""
    process.send_signal(signal.SIGINT)


def to_the_group(process: asyncio.subprocess.Process) -> None:
    """SIGINT as a terminal sends it at Ctrl-C: to all of the foreground."""
    os.killpg(process.pid, signal.SIGINT)


def politely(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, as `kill` sends it."""
    process.terminate()


@pytest.mark.parametrize("send", [to_the_parent, to_the_group, politely])
async def test_interrupted_it_leaves_nothing_behind(
    leftovers: Leftovers, send: Callable[[asyncio.subprocess.Process], None]
) -> None:
    async with demo(leftovers) as process:
        await under_way(process, leftovers)
        send(process)
        out, err = await asyncio.wait_for(process.communicate(), END_SECONDS)
        assert process.returncode == 130
        assert "Traceback" not in out.decode() + err.decode()
        assert "mirror =" not in out.decode()
        assert leftovers.processes() == []
        assert leftovers.files() == []


async def test_interrupted_while_it_starts_it_leaves_nothing_behind(leftovers: Leftovers) -> None:
    async with demo(leftovers) as process:

        async def starting() -> bool:
            return len(leftovers.processes()) > 1

        await until(starting, seconds=END_SECONDS)
        to_the_group(process)
        _, err = await asyncio.wait_for(process.communicate(), END_SECONDS)
        assert (process.returncode, err.decode()) == (130, "")
        assert leftovers.processes() == []
        assert leftovers.files() == []


async def test_killed_it_leaves_nothing_running(leftovers: Leftovers) -> None:
    async with demo(leftovers) as process:
        await under_way(process, leftovers)
        process.kill()
        await nothing_runs(leftovers)
