"""How a command ends: its exit code, and the one line that a failure says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with; the same for every command (docs/cli.md)."""

    DONE = 0
    """It did what was asked."""
    FAILED = 1
    """It was refused or failed, or found the mirror wrong; or a setting is wrong."""
    USAGE = 2
    """A flag or an argument is wrong: nothing was asked of the service."""
    NOT_FOUND = 3
    """There is no account, event, report, contact or row with that id."""
    NO_ANSWER = 4
    """The service does not answer, or cannot now: the same command may succeed later."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Refused(RuntimeError):
    """The service refused a call, or does not answer: one line for the person who asked."""

    def __init__(self, words: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(words)
        self.code = code
