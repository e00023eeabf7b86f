"""Resolve the dependencies anew into locks/: versions and hashes for every platform, no address."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def compile_lock(extra: str, name: str) -> None:
    """Write locks/`name` from pyproject.toml and one of its extras."""
    command = [
        str(Path(sys.executable).parent / "uv"), "pip", "compile", "pyproject.toml", "--upgrade",
        "--extra", extra, "--generate-hashes", "--universal", "--python-version", "3.11",
        "--no-annotate", "--no-header", "--no-emit-package", "billing-client",
        "--quiet", "--output-file", f"locks/{name}",
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own arguments


if __name__ == "__main__":
    compile_lock("build", "run.lock")
    compile_lock("test", "dev.lock")
