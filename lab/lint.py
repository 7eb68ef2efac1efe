"""`python -m lab.lint`: shell scripts by shellcheck, workflows by actionlint and zizmor, without a look outside."""

import sys
from pathlib import Path

from lab import go
from lab.cache import cached
from lab.paths import ROOT
from lab.shell import LabError, run, say

WORKFLOWS = ROOT / ".github"
FOLDERS = ("ci", ".ci", "components", "deploy", "lab")
"""Where shell scripts are."""
ACTIONLINT = ROOT / "lab/actionlint"
ZIZMOR = ("--offline", "--quiet", "--strict-collection", "--persona", "auditor")
BIN = Path(sys.executable).parent
"""The wheels of shellcheck and zizmor hold the programs."""


def scripts() -> list[Path]:
    """Return the shell scripts, told by their first line."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [path for path in files if path.read_bytes()[:64].split(b"\n")[0].endswith((b"/sh", b"bash"))]


def actionlint() -> Path:
    """Return the program, built first where it is missing: its Python package downloads a binary from elsewhere."""
    return cached("actionlint", (ACTIONLINT,), _build) / "actionlint"


def _build(into: Path) -> None:
    say("  building actionlint from its Go module: seconds, once")
    go.build("building actionlint", ACTIONLINT, "github.com/rhysd/actionlint/cmd/actionlint", into / "actionlint")


def main() -> int:
    """Run the linters; print what the first that is not content says."""
    workflows = sorted(WORKFLOWS.glob("workflows/*.yml"))
    shellcheck = BIN / "shellcheck"
    try:
        run("shellcheck", [shellcheck, *scripts()])
        run("actionlint", [actionlint(), "-no-color", "-shellcheck", shellcheck, "-pyflakes", "", *workflows])
        run("zizmor", [BIN / "zizmor", *ZIZMOR, WORKFLOWS], env={"NO_COLOR": "1"})
    except LabError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
