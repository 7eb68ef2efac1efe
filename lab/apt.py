"""Debian packages that the lab needs on this machine."""

import os
import shutil

from lab.shell import LabError, run, say


def packages(**needed: str) -> None:
    """Install the packages whose program is missing: `packages(debootstrap="debootstrap", dockerd="docker.io")`."""
    missing = sorted({package for program, package in needed.items() if not which(program)})
    if not missing:
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = " ".join([*as_root[:1], "apt-get install --no-install-recommends", *missing])
    if not shutil.which("apt-get") or (as_root and not shutil.which("sudo")):
        raise LabError(f"this machine lacks {', '.join(missing)}; install them, as with: {command}")
    say(f"  installing {', '.join(missing)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("package lists", [*as_root, "apt-get", "update"], env=env)
        run("packages", [*as_root, "apt-get", "install", "--yes", "--no-install-recommends", *missing], env=env)
    except LabError as error:
        raise LabError(f"could not install {', '.join(missing)}; as root, run: {command}\n{error}") from None


def which(program: str) -> str | None:
    """Return the program's path; a server program may lie outside an ordinary user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
