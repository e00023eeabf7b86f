"""How a command ends: in order, at a signal or with the process that has started it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run until done; SIGINT and SIGTERM both end it in order, so that nothing is left running."""

    async def run() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return uvloop.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


def end_with_parent() -> None:
    """End in order when standard input does: whatever kills the parent ends this process too."""

    def watch() -> None:
        while os.read(0, 4_096):  # unbuffered: a buffer's lock would be held at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
