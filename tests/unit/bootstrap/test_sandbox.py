"""The sandbox: its service has the settings that the sandbox has made, and no other."""

from pathlib import Path

import pytest

from bootstrap.sandbox import _environment, _settings
from bootstrap.settings import Settings


def test_the_service_reads_every_setting_that_the_sandbox_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _settings(tmp_path, "http://127.0.0.1:9", "127.0.0.1:0", "127.0.0.1:0")
    for name, value in _environment(made).items():
        monkeypatch.setenv(name, value)
    assert Settings().model_dump() == made.model_dump()
