"""The callers' file on disk: read at the start, followed while the service runs, and cut."""

import asyncio
import datetime as dt
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from application.background.loops import Loop
from infrastructure.plain_files import read_plain
from infrastructure.security.callers_document import MAX_BYTES, CallersInvalid, read_callers
from infrastructure.security.registered_callers import Callers
from infrastructure.security.registered_tokens import RegisteredTokens

FOLLOW_SECONDS: Final = 5.0
"""How often the file is looked at: a key that leaves it stops within so long."""

_TABLE: Final = re.compile(r"\s*\[")
_NOT_BEFORE: Final = re.compile(r"\s*not_before\s*=")

_log = logging.getLogger(__name__)


class CallersFile:
    """A callers' file, and the files that it names, which stand beside it."""

    def __init__(self, path: Path, scopes: Collection[str]) -> None:
        """`scopes` are those that there are."""
        self.path: Final = path
        self._scopes = scopes

    def read(self) -> Callers:
        """The callers. Raises CallersInvalid, with a line a problem."""
        return self.read_with_digest()[0]

    def read_with_digest(self) -> tuple[Callers, bytes]:
        """The same, with a digest of all that was read."""
        digest = hashlib.sha256()

        def beside(name: str, most: int) -> bytes:
            content = read_plain(self.path.parent / name, most)
            digest.update(content)
            return content

        content = self._content()
        digest.update(content)
        callers = read_callers(content, beside, self._scopes)
        return callers, digest.digest()

    def cut(self, name: str, moment: dt.datetime) -> dt.datetime:
        """Refuse what a caller issued before a moment, which is rounded up to a whole second.

        Returns that second. Raises CallersInvalid where the file is not one of callers, KeyError
        for a caller that it does not have, and OSError where it cannot be written.
        """
        line = self.read().named(name).line
        if not line:
            raise CallersInvalid(["each caller must begin with [[callers]] on a line of its own"])
        second = (moment + dt.timedelta(microseconds=999_999)).replace(microsecond=0)
        changed = _with_not_before(self._content().decode(), line, second).encode()
        beside = self.path.parent
        after = read_callers(
            changed, lambda file, most: read_plain(beside / file, most), self._scopes
        )
        if after.named(name).not_before != second:
            raise CallersInvalid([f"line {line}: not_before cannot be written here"])
        _replace(self.path, changed)
        return second

    def _content(self) -> bytes:
        try:
            content = read_plain(self.path, MAX_BYTES + 1)
        except OSError as error:
            raise CallersInvalid([f"{self.path} cannot be read: {error.strerror}"]) from None
        if len(content) > MAX_BYTES:
            raise CallersInvalid([f"{self.path} is longer than {MAX_BYTES:,} bytes"])
        return content


def _with_not_before(text: str, line: int, second: dt.datetime) -> str:
    """The document with the time in the table of the caller that begins at a line."""
    lines = text.splitlines(keepends=True)
    written = f"not_before = {second.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    if not lines[line - 1].endswith("\n"):
        lines[line - 1] += "\n"
    for place in range(line, len(lines)):
        if _TABLE.match(lines[place]):
            break
        if _NOT_BEFORE.match(lines[place]):
            lines[place] = written
            return "".join(lines)
    return "".join([*lines[:line], written, *lines[line:]])


def _replace(path: Path, content: bytes) -> None:
    """Put content into the place of a file, whole or not at all, with the file's own mode."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(target.stat().st_mode & 0o777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class FollowedCallers:
    """Keeps the verifier to what the file says now.

    A file that cannot be read, or is wrong, changes nothing for a day, and is told each time that
    what is wrong with it changes; then nobody is let in.
    """

    def __init__(self, file: CallersFile, tokens: RegisteredTokens, digest: bytes) -> None:
        """`digest` is that of what `tokens` goes by already."""
        self._file = file
        self._tokens = tokens
        self._digest = digest
        self._problems: tuple[str, ...] = ()
        self.loop: Final = Loop("the callers' file", self.follow, FOLLOW_SECONDS)

    async def follow(self) -> None:
        """Look at the file once, and go by it where it is right."""
        try:
            callers, digest = await asyncio.to_thread(self._file.read_with_digest)
        except CallersInvalid as error:
            if error.problems != self._problems:
                self._problems = error.problems
                told = [problem[:200] for problem in error.problems[:20]]
                _log.error("the callers' file is wrong; the last one holds", extra={"lines": told})
            return
        self._problems = ()
        if digest == self._digest:
            self._tokens.still_hold()
            return
        self._digest = digest
        self._tokens.use(callers)
        _log.info("the callers' file was read anew", extra={"count": len(callers.all)})
