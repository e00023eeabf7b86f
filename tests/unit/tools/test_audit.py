"""What is made of pip-audit: `make check` tells of a known weakness, `make audit` fails for one."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import audit

CLEAN: dict[str, Any] = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
WEAK: dict[str, Any] = {
    "name": "jinja", "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}],
}  # fmt: skip
SKIPPED: dict[str, Any] = {"name": "own", "skip_reason": "not found"}


def report(*versions: dict[str, Any]) -> str:
    return json.dumps({"dependencies": versions})


def test_a_weakness_is_told_with_its_version_and_what_mends_it() -> None:
    found = audit.audit_of(report(CLEAN, WEAK, SKIPPED))
    assert found == audit.Audit(2, 3, ("jinja 1.0: PYSEC-1, CVE-1; mended in 1.1",))


def test_a_weakness_that_is_accepted_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-1": "what it needs is never called"})
    assert audit.audit_of(report(WEAK)).weaknesses == ()


@pytest.mark.parametrize(
    "said", ["", "no network", "[]", "{}", report(SKIPPED), '{"dependencies": 1}']
)
def test_where_nothing_was_asked_nothing_is_promised(said: str) -> None:
    found = audit.audit_of(said)
    assert (found.looked_at, found.weaknesses) == (0, ())
    assert "not audited" in found.words


@pytest.mark.parametrize("failure", [FileNotFoundError(), subprocess.TimeoutExpired("x", 1)])
def test_a_tool_that_is_not_there_or_hangs_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(subprocess, "run", fail)
    assert audit.ask() == audit.NOTHING


def test_what_was_found_is_remembered_for_a_day_and_for_these_locks(tmp_path: Path) -> None:
    path = tmp_path / "audited.json"
    assert audit.recall(path, "a", 1_000.0) is None
    path.write_text(json.dumps({"digest": "a", "at": 1_000.0, "words": "clean"}))
    assert audit.recall(path, "a", 87_399.0) == "clean"
    for digest, now in (("b", 1_000.0), ("a", 87_400.0), ("a", 999.0)):
        assert audit.recall(path, digest, now) is None
    path.write_text("broken")
    assert audit.recall(path, "a", 1_000.0) is None


def test_a_known_weakness_is_told_and_fails_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "REMEMBERED", tmp_path / "audited.json")
    monkeypatch.setattr(audit, "ask", lambda: audit.audit_of(report(WEAK)))
    for _ in range(2):
        audit.main([])
        assert "PYSEC-1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        audit.main(["--fail"])
    assert "PYSEC-1" in capsys.readouterr().out
    monkeypatch.setattr(audit, "ask", lambda: audit.audit_of(report(CLEAN)))
    audit.main(["--fail"])
    assert capsys.readouterr().out == "audit: 1 of 1 pinned versions have no known weakness\n"
