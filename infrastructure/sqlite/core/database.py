"""The embedded database: one writer thread that shares commits, and readers apart from it.

SQLite has one writer at a time and pays for durability by the commit, not by the row. So every
write is a job, a callable that gets the writer's connection; all jobs that wait while a commit is
under way share the next one. Nobody else opens a transaction.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from domain.errors import RateLimited, Reason, Unavailable
from infrastructure.sqlite.core.files import cannot, private_file

R = TypeVar("R")
Job = Callable[[sqlite3.Connection], R]
Prepare = Callable[[sqlite3.Connection], None]
"""Makes what is missing in a file that was opened. Idempotent."""

Failed = Callable[[str], None]
"""Called with what SQLite itself says, for the log: it holds no values."""

MAX_WAITING: Final = 4_096
"""How many writes, and how many reads, may wait; more are refused at once."""

READERS: Final = 4

READ_TIMEOUT_SECONDS: Final = 10.0
"""How long one read may run before it is broken off."""

_BUSY_TIMEOUT_MS: Final = 5_000
"""How long another process's write lock (a backup, a shell) is waited for."""

_STEPS_BETWEEN_LOOKS: Final = 100_000
"""How many of SQLite's instructions, about a millisecond, pass between looks at the clock."""

_CACHE_KIB: Final = 4_096
"""What each connection may remember of the file; the operating system remembers the rest."""

_GATHER_SECONDS: Final = 0.001
"""How long jobs may gather before a commit, where the last one was shared.

A commit costs as much as a dozen jobs. Of those that share one, many come back at once, as the
connections of a burst of webhooks do; whoever comes alone waits for nobody.
"""

_CHECKPOINT_PAGES: Final = 4_000
"""How long the write-ahead log, 16 MiB of it, may grow before it is copied into the file.

A page that many commits change, as those of indexes, is then copied once for all of them.
"""

_MAX_WAL_BYTES: Final = 64 * 1_024 * 1_024


@dataclass(slots=True)
class _Waiting:
    """A job in the queue, and what came of it."""

    job: Job[Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        self.error = None
        self.result = self.job(connection)


class Database:
    """One SQLite file: WAL, `synchronous=FULL`, so that what was acknowledged survives power loss.

    `prepare` makes what its users need, once it is open, before anything else is done.
    `trace` is called with each statement as it is run, for tests that ask for its plan.
    """

    def __init__(
        self,
        path: Path,
        prepare: Prepare,
        *,
        max_waiting: int = MAX_WAITING,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._trace = trace
        self._max_waiting = max_waiting
        self._read_timeout_seconds = read_timeout_seconds
        self._waiting: list[_Waiting] = []
        self._wakeup = threading.Condition()
        self._open = False
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading = threading.BoundedSemaphore(max_waiting)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._failed: Failed = _unheard

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def beside(self, path: Path) -> "Database":
        """Another file that is opened as this one is."""
        other = Database(
            path,
            self._prepare,
            max_waiting=self._max_waiting,
            read_timeout_seconds=self._read_timeout_seconds,
        )
        other.report_to(self._failed)
        return other

    def report_to(self, failed: Failed) -> None:
        """Tell each error of SQLite from now on, in the event loop: callers hear of none."""
        self._failed = failed

    async def start(self) -> None:
        """Open the file, prepare it, start the threads. A second call does nothing.

        Raises Unavailable (STORE_UNAVAILABLE), which says why, where the file cannot be opened, and
        what `prepare` raises.
        """
        if not self._open:
            await asyncio.to_thread(self._start)

    async def close(self) -> None:
        """Refuse new work, finish what waits, close the file. A second call does nothing."""
        with self._wakeup:
            if not self._open:
                return
            self._open = False
            self._wakeup.notify()
        await asyncio.to_thread(self._finish)

    def _start(self) -> None:
        try:
            private_file(self._path)
            connection = self._connect()
            # The mode is kept in the file; readers find it there.
            connection.execute("PRAGMA journal_mode = WAL")
            self._prepare(connection)
        except OSError as error:
            raise cannot("be opened", error) from error
        except sqlite3.Error as error:
            self._close_connections()
            words = f"cannot be opened: {_cause(error)}"
            raise Unavailable(Reason.STORE_UNAVAILABLE, words) from error
        except Exception:
            self._close_connections()
            raise
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._writer = threading.Thread(
            target=self._write_on, args=(connection,), name="sqlite-writer", daemon=True
        )
        self._open = True
        self._writer.start()

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.join()
        if self._readers is not None:
            self._readers.shutdown()
        self._close_connections()

    async def write(self, job: Job[R]) -> R:
        """Run a job in the writer's transaction; what it wrote is durable on return.

        The job may run twice (when a neighbour in the same transaction fails), so it must change
        nothing but the database. What it raises undoes its own writes only. Raises Unavailable
        (STORE_UNAVAILABLE), or RateLimited (OVERLOADED) with nothing done where too much waits.
        """
        waiting = _Waiting(job, asyncio.get_running_loop().create_future())
        with self._wakeup:
            if not self._open:
                raise _unavailable()
            if len(self._waiting) >= self._max_waiting:
                raise _overloaded()
            self._waiting.append(waiting)
            self._wakeup.notify()
        result: R = await waiting.done
        return result

    async def read(self, job: Job[R]) -> R:
        """Run a job that only reads, in a reader's thread; it sees all that was acknowledged.

        Raises as `write` does, Unavailable also where the job takes longer than the bound.
        """
        if not self._open or self._readers is None:
            raise _unavailable()
        if not self._reading.acquire(blocking=False):
            raise _overloaded()
        try:
            future = self._readers.submit(self._read, job)
        except RuntimeError as error:  # closed meanwhile
            self._reading.release()
            raise _unavailable() from error
        future.add_done_callback(self._release_reader)
        try:
            return await asyncio.wrap_future(future)
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _release_reader(self, _: "Future[Any]") -> None:
        self._reading.release()

    def _read(self, job: Job[R]) -> R:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
            self._local.connection = connection
        self._local.deadline = time.monotonic() + self._read_timeout_seconds
        return job(connection)

    def _is_late(self) -> bool:
        """Whether SQLite should break off what this reader's thread is at."""
        deadline: float = self._local.deadline
        return time.monotonic() > deadline

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            # A connection stays with its thread until `close`, which waits for that thread.
            check_same_thread=False,
            cached_statements=512,
        )
        with self._wakeup:
            self._connections.append(connection)
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "synchronous = FULL",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            f"cache_size = -{_CACHE_KIB}",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"journal_size_limit = {_MAX_WAL_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if self._trace is not None:
            connection.set_trace_callback(self._trace)
        return connection

    def _close_connections(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _write_on(self, connection: sqlite3.Connection) -> None:
        """The writer thread: take all that waits, commit it together, answer; until closed."""
        shared = False
        while True:
            with self._wakeup:
                while not self._waiting:
                    if not self._open:
                        return
                    self._wakeup.wait()
            if shared:
                time.sleep(_GATHER_SECONDS)
            with self._wakeup:
                batch, self._waiting = self._waiting, []
            # Whoever no longer waits, and was not begun, is spared.
            batch = [waiting for waiting in batch if not waiting.done.cancelled()]
            shared = len(batch) > 1
            _commit(connection, batch)
            self._answer(batch)

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Wake those who wait, with one call into each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for waiting in batch:
            by_loop.setdefault(waiting.done.get_loop(), []).append(waiting)
        for loop, finished in by_loop.items():
            try:
                loop.call_soon_threadsafe(partial(self._resolve, finished))
            except RuntimeError:
                # The loop is closed: nobody waits any more; what was written stays written.
                continue

    def _resolve(self, finished: Sequence[_Waiting]) -> None:
        for waiting in finished:
            error = waiting.error
            if isinstance(error, sqlite3.Error):
                refusal = self._refusal(error)
                refusal.__cause__ = error if refusal is not error else None
                error = refusal
            if waiting.done.done():
                continue
            if error is None:
                waiting.done.set_result(waiting.result)
            else:
                waiting.done.set_exception(error)

    def _refusal(self, error: sqlite3.Error) -> Exception:
        """What the caller hears of a database error; a wrong use of the library stays a defect."""
        if isinstance(error, sqlite3.ProgrammingError):
            return error
        self._failed(_cause(error))
        return _unavailable(_name(error))


def _commit(connection: sqlite3.Connection, batch: Sequence[_Waiting]) -> None:
    """Run the jobs in one transaction. If that fails, undo it and run each in one of its own."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for waiting in batch:
            waiting.run(connection)
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - the writer serves everybody, it must not die
        _roll_back(connection)
        if len(batch) == 1:
            batch[0].error = error
            return
        for waiting in batch:
            _commit(connection, (waiting,))


def _roll_back(connection: sqlite3.Connection) -> None:
    """Leave the failed transaction, if SQLite has not left it already (as on a full disk)."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The next BEGIN fails too and says so to whoever waits for it.
            return


def _unheard(_: str) -> None:
    """Nobody is told of the database's errors: there is no service yet."""


def _cause(error: sqlite3.Error) -> str:
    """What SQLite says, and its name for it. The text of a general error quotes the statement."""
    name = _name(error)
    plain = name.startswith("SQLITE_") and name != "SQLITE_ERROR"
    return f"{error} ({name})" if plain else name


def _name(error: sqlite3.Error) -> str:
    """SQLite's name for an error; Python's, where it is not SQLite's own."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def _unavailable(why: str = "") -> Unavailable:
    words = "the store does not answer"
    return Unavailable(Reason.STORE_UNAVAILABLE, f"{words} ({why})" if why else words)


def _overloaded() -> RateLimited:
    return RateLimited(
        Reason.OVERLOADED, "the store has too much to do; try again soon", retry_after_seconds=1
    )
