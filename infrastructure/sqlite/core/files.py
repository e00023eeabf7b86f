"""The files of a database: nobody else's business on this machine, whatever umask and folder."""

import errno
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import Reason, Unavailable

PARTS: Final = ("-wal", "-shm", "-journal", "")
"""What stands behind the name in those of its files. The file itself is the last to go."""

PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700


def private_folder(path: Path) -> None:
    """Make the folder of a file where there is none. OSError where that cannot be done."""
    try:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "what should be its folder is a file") from error


def private_file(path: Path) -> None:
    """Make the file where there is none, and take it and what stands beside it from all others.

    SQLite gives the files that it makes later the mode of this one. It is not opened here where it
    is there: to close it would drop the locks that SQLite has on it in this process. OSError where
    that cannot be done, or it is no file.
    """
    private_folder(path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    path.touch(mode=PRIVATE_FILE)
    real = path.resolve()
    for part in PARTS:
        with suppress(FileNotFoundError):
            _make_private(real.with_name(f"{real.name}{part}"))


def _make_private(file: Path) -> None:
    if stat.S_IMODE(file.stat().st_mode) == PRIVATE_FILE:
        return
    try:
        file.chmod(PRIVATE_FILE)
    except PermissionError as error:
        words = "it is open to others, and belongs to another user"
        raise PermissionError(error.errno, words) from error


def cannot(do: str, error: OSError) -> Unavailable:
    """The refusal that tells the operating system's own words, without the path."""
    return Unavailable(Reason.STORE_UNAVAILABLE, f"cannot {do}: {error.strerror or error}")
