"""One process serves from a SQLite file: a lock beside it keeps a second one away.

Rows are remembered in the process that writes them (docs/decisions/0006): a second one would show
what the first has changed since. The lock is the operating system's own, on a file that stays: it
ends with its process, whatever ends that. Commands do not take it: they write nothing that is
remembered.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from domain.errors import FailedPrecondition, Reason
from infrastructure.sqlite.core.files import PRIVATE_FILE, cannot, private_folder

_SUFFIX: Final = ".lock"
_MAX_NOTE_BYTES: Final = 512


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """Be the one process that serves from the file at `path`, until left.

    Raises FailedPrecondition, which names the other process, where there is one, and Unavailable
    where the lock cannot be taken; both with STORE_UNAVAILABLE.
    """
    try:
        lock = _opened(path)
    except OSError as error:
        raise cannot("be locked", error) from error
    try:
        _take(lock)
        try:
            yield
        finally:
            os.ftruncate(lock, 0)  # nobody is told of a process that has gone
    finally:
        os.close(lock)


def _opened(path: Path) -> int:
    real = path.resolve()
    private_folder(real)
    lock = os.open(
        real.with_name(f"{real.name}{_SUFFIX}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE
    )
    os.fchmod(lock, PRIVATE_FILE)
    return lock


def _take(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.read(lock, _MAX_NOTE_BYTES).decode(errors="replace").strip()
        raise FailedPrecondition(
            Reason.STORE_UNAVAILABLE,
            f"{other or 'another process'} serves from this file, and one alone may; stop it, or"
            " use another file",
            subject="store",
        ) from error
    except OSError as error:
        raise cannot("be locked", error) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
