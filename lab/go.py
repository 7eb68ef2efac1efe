"""Programs built from Go modules: the directory of each holds the go.mod and go.sum that pin everything."""

import re
import shutil
import subprocess
from pathlib import Path

from lab.apt import offered, packages
from lab.paths import CACHE
from lab.shell import LabError, run

# The build cache is kept with ours, so that a machine that kept only this directory rebuilds within a minute; what
# programs have in common is compiled once. The modules stay where Go keeps them: once a program is built nothing reads
# them, and other projects share them there.
ENVIRONMENT = {"GOFLAGS": "-mod=readonly", "GOCACHE": str(CACHE / "go-build"), "CGO_ENABLED": "0"}
STRIPPED = "-s -w"
"""Linker flags that leave out what only a debugger reads."""
DEBIAN = "golang-go"
"""The package of the Go that a release of Debian is made with."""


def build(title: str, module: Path, package: str, program: Path, flags: str = STRIPPED) -> None:
    """Build `package`, as the go.mod in `module` pins it, into the file `program`."""
    _want(title, module)
    run(title, ["go", "build", "-ldflags", flags, "-o", program, package], cwd=module, env=ENVIRONMENT)


def _want(title: str, module: Path) -> None:
    """Raise LabError, with the ways out, unless there is a Go of the version the module asks for, or Debian has it."""
    wanted = re.findall(r"^go (\d+\.\d+)", (module / "go.mod").read_text(), re.MULTILINE)[0]
    if not shutil.which("go") and _numbers(offered(DEBIAN) or "0") >= _numbers(wanted):
        packages(go=DEBIAN)
    shown = ""
    if shutil.which("go"):
        # Asked in the module's directory: a Go that may fetch the version a module names has done so then.
        shown = subprocess.run(
            ["go", "env", "GOVERSION"], cwd=module, capture_output=True, text=True, check=False
        ).stdout.strip()
        found = re.match(r"go(\d+\.\d+)", shown)
        if found and _numbers(found[1]) >= _numbers(wanted):
            return
    raise LabError(
        f"{title} takes Go {wanted}; this machine has {shown or 'no such Go'}. "
        f"Install it, as with the package golang-{wanted}-go; "
        f"a Go from 1.21 on gets itself the right one with GOTOOLCHAIN=go{wanted}.0+auto"
    )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
