"""What a command leaves behind: processes and files."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

_VARIABLE: Final = "LEFTOVERS_OF"


class Leftovers:
    """Tells what was started, directly or not, in an environment, and what it keeps in TMPDIR."""

    def __init__(self, folder: Path) -> None:
        self._mark = secrets.token_hex(8)
        self._folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the command, which its children inherit."""
        return {_VARIABLE: self._mark, "TMPDIR": str(self._folder)}

    def processes(self) -> list[psutil.Process]:
        """Those that run, but for zombies, which are gone but for their exit code."""
        return list(self._running())

    def files(self) -> list[str]:
        """What is in the folder for temporary files."""
        return sorted(str(path.relative_to(self._folder)) for path in self._folder.rglob("*"))

    def written(self) -> int:
        """How many bytes are in those files."""
        total = 0
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # removed while we look
                total += path.stat().st_size if path.is_file() else 0
        return total

    def _running(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.Error):
                marked = process.environ().get(_VARIABLE) == self._mark
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
