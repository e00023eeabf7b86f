"""Ask whether versions that the locks pin have known weaknesses, where that can be asked.

python tools/audit.py [--fail]

pip-audit asks the package index, one question a package. Without a network, or where the index does
not tell of weaknesses, that is said. What was found is remembered for a day, for these very locks.

`make check` tells of known weaknesses and goes on: what others find out overnight has nothing to do
with the change that is checked. `make audit` (`--fail`) asks anew, and fails for one.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKS: Final = (ROOT / "locks" / "run.lock", ROOT / "locks" / "dev.lock")
REMEMBERED: Final = ROOT / ".venv" / "audited.json"
REMEMBERED_SECONDS: Final = 86_400
ALL_SECONDS: Final = 60
"""How long all of it may take."""

ACCEPTED: Final[Mapping[str, str]] = {}
"""Weaknesses that are known and do not reach us: id, and why."""


@dataclass(frozen=True, slots=True)
class Audit:
    """How many versions were looked at, of how many, and what is known of each weak one."""

    looked_at: int
    pinned: int
    weaknesses: tuple[str, ...]

    @property
    def words(self) -> str:
        """It in one line."""
        if not self.looked_at:
            return "the locks are not audited: the index cannot be asked, or tells nothing"
        if self.weaknesses:
            return "\n".join(["locks/ pin versions with known weaknesses:", *self.weaknesses])
        return f"{self.looked_at} of {self.pinned} pinned versions have no known weakness"


NOTHING: Final = Audit(0, 0, ())


def audit_of(report: str) -> Audit:
    """What a report of pip-audit, as JSON, says. NOTHING for what is none."""
    try:
        pinned: list[Mapping[str, Any]] = json.loads(report)["dependencies"]
        asked = [one for one in pinned if "skip_reason" not in one]
        weaknesses = tuple(
            line for one in asked for weakness in one["vulns"]
            if (line := _told(one, weakness))
        )  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return NOTHING
    return Audit(len(asked), len(pinned), weaknesses)


def _told(version: Mapping[str, Any], weakness: Mapping[str, Any]) -> str:
    """A weakness in a line; empty for one that is accepted."""
    names = [weakness["id"], *weakness.get("aliases", ())]
    if any(name in ACCEPTED for name in names):
        return ""
    mended = ", ".join(weakness.get("fix_versions", ())) or "no version yet"
    return f"{version['name']} {version['version']}: {', '.join(names)}; mended in {mended}"


def ask() -> Audit:
    """Let pip-audit look at the locks; NOTHING where it comes to no report in time."""
    command = [
        str(Path(sys.executable).parent / "pip-audit"), "--disable-pip", "--require-hashes",
        "--format", "json", "--progress-spinner", "off", "--desc", "off", "--timeout", "5",
        *(part for lock in LOCKS for part in ("--requirement", str(lock))),
    ]  # fmt: skip
    try:
        run = subprocess.run(  # noqa: S603 - our own arguments
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=ALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return NOTHING
    return audit_of(run.stdout)


def recall(path: Path, digest: str, now: float) -> str | None:
    """What was found for these locks within a day."""
    try:
        kept = json.loads(path.read_text())
        fresh = kept["digest"] == digest and 0 <= now - kept["at"] < REMEMBERED_SECONDS
        return str(kept["words"]) if fresh else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def main(arguments: list[str]) -> None:
    """Say what is known; with `--fail`, exit 1 for a known weakness."""
    fails = "--fail" in arguments
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()
    words = None if fails else recall(REMEMBERED, digest, time.time())
    weak = False
    if words is None:
        found = ask()
        words, weak = found.words, bool(found.weaknesses)
        kept = {"digest": digest, "at": time.time(), "words": words}
        REMEMBERED.write_text(json.dumps(kept))
    sys.stdout.write(f"audit: {words}\n")
    if fails and weak:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
