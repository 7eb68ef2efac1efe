"""A small Pulumi project of its own, for tests of the tools rather than of the estate."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VENV = Path(sys.prefix)


class Project:
    """A project with one stack; its state is in its own directory, unless `backend` says where else.

    A directory that holds a project already is taken as it is, like a colleague's checkout.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], backend: str = "file://.") -> None:
        self.directory = directory
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": backend,
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_STACK": "only",
        }
        if not (directory / "Pulumi.yaml").exists():
            (directory / "Pulumi.yaml").write_text(
                "name: trial\nruntime: {name: python, options: {virtualenv: .venv}}\n"
            )
            (directory / ".venv").symlink_to(VENV)
            self.init()

    def init(self) -> None:
        """Create the stack in the backend."""
        code, shown = self.pulumi("stack", "init", "only")
        assert code == 0, shown

    def program(self, text: str) -> None:
        (self.directory / "__main__.py").write_text(text)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a pulumi command in a process group of its own."""
        return subprocess.Popen(
            ["pulumi", *words, "--color", "never"], cwd=self.directory, text=True, start_new_session=True,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def pulumi(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """Run a pulumi command that reads `stdin`; return its exit code and what it shows."""
        process = self.start(*words)
        shown, _ = process.communicate(stdin, timeout=120)
        return process.returncode, shown

    def up(self, *words: str) -> str:
        """Run `pulumi up`, which must succeed."""
        code, shown = self.pulumi("up", "--yes", "--skip-preview", *words)
        assert code == 0, shown
        return shown

    def expect_no_changes(self) -> None:
        """Fail with the diff if a preview finds anything to do."""
        code, shown = self.pulumi("preview", "--diff", "--expect-no-changes")
        assert code == 0, shown

    def resources(self) -> dict[str, Any]:
        """Return name → resource, as the state has them."""
        code, shown = self.pulumi("stack", "export")
        assert code == 0, shown
        found = json.loads(shown)["deployment"].get("resources", [])
        return {each["urn"].rpartition("::")[2]: each for each in found}
