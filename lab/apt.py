"""Debian packages that the lab needs on this machine."""

import os
import re
import shutil
from contextlib import suppress

from lab.cache import lock
from lab.shell import LabError, run, say

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def packages(**needed: str) -> None:
    """Install the packages whose program is missing: `packages(debootstrap="debootstrap", dockerd="docker.io")`."""
    if _missing(needed):
        # Images and tools are made at the same time, and dpkg serves one at a time.
        with lock("packages"):
            if missing := _missing(needed):
                _install(missing)


def offered(package: str) -> str:
    """Return the version of a package that `packages` would install, such as 1.26, or nothing."""
    if not shutil.which("apt-cache"):
        return ""
    with lock("packages"), suppress(LabError):
        run("package lists", [*_as_root(), "apt-get", "update"], env=ENVIRONMENT)
    shown = run("packages", ["apt-cache", "policy", package], env={"LC_ALL": "C"})
    found = re.search(r"Candidate: (?:\d+:)?(\d+(?:\.\d+)*)", shown)
    return found[1] if found else ""


def which(program: str) -> str | None:
    """Return the program's path; a server program may lie outside an ordinary user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")


def _missing(needed: dict[str, str]) -> list[str]:
    return sorted({package for program, package in needed.items() if not which(program)})


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


def _install(missing: list[str]) -> None:
    as_root = _as_root()
    command = " ".join([*as_root[:1], "apt-get install --no-install-recommends", *missing])
    if not shutil.which("apt-get") or (as_root and not shutil.which("sudo")):
        raise LabError(f"this machine lacks {', '.join(missing)}; install them, as with: {command}")
    say(f"  installing {', '.join(missing)}")
    try:
        run("package lists", [*as_root, "apt-get", "update"], env=ENVIRONMENT)
        install = ["apt-get", "install", "--yes", "--no-install-recommends"]
        run("packages", [*as_root, *install, *missing], env=ENVIRONMENT)
    except LabError as error:
        raise LabError(f"could not install {', '.join(missing)}; as root, run: {command}\n{error}") from None
