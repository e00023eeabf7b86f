"""The service's settings for a benchmark: a store of its own on disk, gone when it ends."""

import contextlib
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from pydantic import SecretStr

from bench.events import SECRET
from bootstrap.settings import Settings
from sandbox.servers.mongod import running_mongod

STORES: Final = ("sqlite", "mongo")
PLATFORM_KEY: Final = "sk_test_bench"


@contextlib.contextmanager
def settings(
    store: str, *, stripe_url: str = "", stripe_requests_per_second: int = 0
) -> Iterator[Settings]:
    """Settings with an empty store; MongoDB is a server of its own, and stopped at the end."""
    build = Path.cwd() / "build"
    build.mkdir(exist_ok=True)
    chosen: Literal["sqlite", "mongo"] = "mongo" if store == "mongo" else "sqlite"
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=build))
        url = ""
        if chosen == "mongo":
            url = stack.enter_context(running_mongod(on_disk=True))
        yield Settings(
            stripe_secret_key=SecretStr(PLATFORM_KEY),
            caller_keys=SecretStr(f"bench:{'b' * 64}"),
            webhook_secrets_connect=SecretStr(SECRET),
            store=chosen,
            sqlite_path=Path(folder) / "billing.db",
            mongo_url=SecretStr(url),
            mongo_database=f"bench-{uuid4().hex}",
            stripe_url=stripe_url,
            stripe_requests_per_second=stripe_requests_per_second,
        )


def spare_the_collector() -> None:
    """Set Python's garbage collector as the service sets it (`bootstrap.process`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def machine() -> str:
    """How busy the machine is with other things too: what a rate, unlike a ratio, depends on."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
