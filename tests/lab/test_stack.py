"""The dev stack's secrets never reach git, and never make a checkout look edited."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.paths import ROOT

PREPARE = "from lab import stack, toolchain; stack.prepare(toolchain.toolchain().environment)"


def git(checkout: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=checkout, text=True, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of this project in which the dev stack has been prepared; its keys and stacks are its own."""
    monkeypatch.setenv("CARICA_STATE", str(tmp_path / "state"))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-local", str(ROOT), str(clone))
    subprocess.run([sys.executable, "-c", PREPARE], cwd=clone, check=True)
    return clone


def test_secrets_are_in_the_file_and_git_sees_none_of_them(checkout: Path) -> None:
    assert "secure: " in (checkout / "Pulumi.dev.yaml").read_text()
    assert git(checkout, "status", "--short") == ""
    with (checkout / "Pulumi.dev.yaml").open("a") as file:
        file.write("# edited by a person\n")
    git(checkout, "add", "--all")
    staged = git(checkout, "diff", "--cached")
    assert "+# edited by a person" in staged
    assert "secure" not in staged
    assert "salt" not in staged
