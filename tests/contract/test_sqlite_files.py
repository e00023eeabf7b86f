"""SQLite's file on the disk: private, alone with its process, and its faults told."""

import asyncio
import os
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from domain.errors import FailedPrecondition, Reason, Unavailable
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.files import private_file
from infrastructure.sqlite.core.serving import serving
from infrastructure.sqlite.preparation import prepare

BOUND_SECONDS: Final = 20.0
PARTS: Final = ("", "-wal", "-shm")


@pytest.fixture
def open_umask() -> Iterator[None]:
    """New files are everybody's business, unless their maker says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)
    return tmp_path / "billing.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    database = Database(path, prepare)
    await database.start()
    try:
        yield database
    finally:
        await database.close()


def modes(path: Path) -> dict[str, int]:
    """The mode of the file and of each that stands beside it."""
    files = path.resolve().parent.iterdir()
    return {file.name: mode(file) for file in files if file.is_file()}


def mode(file: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
async def test_its_files_are_private_whatever_umask_and_folder(path: Path) -> None:
    async with opened(path) as database:
        await database.write(lambda connection: connection.execute("CREATE TABLE t (n)").close())
        assert modes(path) == {f"{path.name}{part}": 0o600 for part in PARTS}


async def test_they_are_ours_even_where_the_umask_takes_all(path: Path) -> None:
    before = os.umask(0o777)
    try:
        async with opened(path):
            assert set(modes(path).values()) == {0o600}
    finally:
        os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_files_that_others_could_read_are_taken_from_them(path: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (n)")  # a crash leaves all three files; here it is open
    assert set(modes(path).values()) != {0o600}
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with opened(link):
        assert {modes(path)[f"{path.name}{part}"] for part in PARTS} == {0o600}
    connection.close()


@pytest.mark.usefixtures("open_umask")
async def test_a_shadow_is_as_private(path: Path, tmp_path: Path) -> None:
    async with opened(path) as database:
        beside = database.beside(tmp_path / "shadow.db")
        await beside.start()
        assert set(modes(path).values()) == {0o600}
        await beside.close()


_LEAVE_WAL = (
    "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=DELETE')"
)


async def test_a_file_that_is_opened_again_keeps_its_locks(path: Path) -> None:
    """To close any handle of a file drops what this process has locked of it, SQLite's too."""
    async with opened(path) as database:
        await database.write(lambda connection: connection.execute("CREATE TABLE t (n)").close())
        private_file(path)
        other = await python(_LEAVE_WAL, path)
        assert b"database is locked" in other[1]


async def python(code: str, path: Path) -> tuple[int, bytes]:
    """Run code in a process of its own; its exit code and what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), BOUND_SECONDS)
    assert process.returncode is not None
    return process.returncode, err


def _torn(path: Path) -> None:
    """A database whose pages after the first were overwritten."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA page_size = 512; CREATE TABLE t (n);")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 400,) for _ in range(50)])
    connection.commit()
    connection.close()
    content = bytearray(path.read_bytes())
    content[100:512] = b"\xff" * 412
    path.write_bytes(content)


def _nonsense(path: Path) -> None:
    path.write_bytes(b"not a database" * 1_000)


def _folder(path: Path) -> None:
    path.mkdir(mode=0o755)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (_nonsense, "cannot be opened: file is not a database (SQLITE_NOTADB)"),
        (_torn, "cannot be opened: database disk image is malformed (SQLITE_CORRUPT)"),
        (_folder, "cannot be opened: it is no file"),
        (_pipe, "cannot be opened: it is no file"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_the_cause(
    path: Path, spoil: Callable[[Path], None], cause: str
) -> None:
    spoil(path)
    before = mode(path)
    with pytest.raises(Unavailable) as refused:
        await Database(path, prepare).start()
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert refused.value.message == cause
    assert mode(path) == (0o600 if spoil in (_nonsense, _torn) else before)


async def test_a_folder_that_is_a_file_is_told(path: Path) -> None:
    _nonsense(path)
    with pytest.raises(Unavailable, match="cannot be opened: what should be its folder is a file"):
        await Database(path / "billing.db", prepare).start()
    with (
        pytest.raises(Unavailable, match="cannot be locked: what should be its folder is a file"),
        serving(path / "billing.db"),
    ):
        raise AssertionError("it was locked")


# --- what goes wrong later ---


async def test_what_sqlite_says_is_told_to_whoever_asks_and_its_name_to_the_caller(
    path: Path,
) -> None:
    said: list[str] = []
    async with opened(path) as database:
        database.report_to(said.append)
        await database.write(lambda c: c.execute("CREATE TABLE t (n UNIQUE)").close())
        # As a full disk: the file may not grow.
        await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").close())
        with pytest.raises(Unavailable) as refused:
            await database.write(
                lambda c: c.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,)).close()
            )
        assert refused.value.message == "the store does not answer (SQLITE_FULL)"
        with pytest.raises(Unavailable):
            await database.write(lambda c: c.execute("SELECT 'personal' FROM nowhere").close())
        with pytest.raises(Unavailable):
            await database.read(lambda c: c.execute("SELECT 'personal' FROM nowhere").close())
        assert await database.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    assert said == ["database or disk is full (SQLITE_FULL)", "SQLITE_ERROR", "SQLITE_ERROR"]


async def test_a_file_beside_tells_the_same_listener(path: Path, tmp_path: Path) -> None:
    said: list[str] = []
    async with opened(path) as database:
        database.report_to(said.append)
        beside = database.beside(tmp_path / "shadow.db")
        await beside.start()
        with pytest.raises(Unavailable):
            await beside.read(lambda c: c.execute("SELECT * FROM nowhere").close())
        await beside.close()
    assert said == ["SQLITE_ERROR"]


# --- one process ---


def test_one_alone_serves_and_the_other_is_told_who(path: Path) -> None:
    with serving(path):
        with pytest.raises(FailedPrecondition) as refused, serving(path):
            raise AssertionError("two serve")
        assert refused.value.reason is Reason.STORE_UNAVAILABLE
        assert f"process {os.getpid()} on " in refused.value.message
    with serving(path):
        pass


def test_the_same_file_by_another_name_is_the_same(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with serving(path), pytest.raises(FailedPrecondition), serving(link):
        raise AssertionError("two serve")
    with serving(path), serving(tmp_path / "other.db"):
        pass


_DIE = """
import os, sys
from pathlib import Path
from infrastructure.sqlite.core.files import (private_file)
from infrastructure.sqlite.core.serving import (serving)
with serving(Path(sys.argv[1])):
    os._exit(9)
"""


async def test_a_process_that_has_died_holds_nothing(path: Path) -> None:
    assert await python(_DIE, path) == (9, b"")
    note = path.with_name("billing.db.lock")
    assert note.read_text(), "it died without a word"
    with serving(path):
        assert note.read_text().startswith(f"process {os.getpid()} ")
    assert note.read_text() == ""


@pytest.mark.usefixtures("open_umask")
def test_the_lock_is_private_and_in_a_folder_of_its_own_making(path: Path) -> None:
    deep = path.parent / "new" / "billing.db"
    with serving(deep):
        assert modes(deep) == {"billing.db.lock": 0o600}
        assert mode(deep.parent) == 0o700


async def test_commands_open_the_file_beside_whoever_serves(path: Path) -> None:
    with serving(path):
        async with opened(path) as service, opened(path) as command:
            await command.write(lambda c: c.execute("CREATE TABLE t (n)").close())
            assert await service.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone()) == (
                0,
            )
