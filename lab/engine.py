"""The Docker engine: the one that runs, or Debian's, started here."""

import os
import subprocess
import time
from pathlib import Path

from lab.apt import packages, which
from lab.cache import lock
from lab.paths import CACHE
from lab.shell import LabError, run, say

START_SECONDS = 60
PID = CACHE / "dockerd.pid"
"""The process that the lab started last."""


def engine() -> str:
    """Make sure that a Docker engine answers; return one line that says which it is."""
    if version := _version():
        return f"Docker engine {version}: the one that runs here"
    with lock("dockerd"):
        if not _version():
            _start()
    return f"Docker engine {_version()}: Debian's, started by the lab"


def socket() -> Path:
    """Return the socket of the engine that `docker` speaks to."""
    shown = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    scheme, _, path = run("engine", shown).strip().partition("://")
    if scheme != "unix":
        raise LabError(f"the lab's deploy host works on this machine's engine, and yours is at {scheme}://{path}")
    return Path(path)


def started_here() -> str:
    """Return the id of the engine's process if the lab started the one that runs, or nothing."""
    pid = PID.read_text() if PID.exists() else "none"
    name = Path("/proc", pid, "comm")
    return pid if name.exists() and name.read_text() == "dockerd\n" else ""


def _version() -> str:
    """Return the engine's version, or nothing when none answers; raises LabError when it answers others only."""
    if not which("docker"):
        return ""
    asked = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    if "permission denied" in asked.stderr.lower():
        raise LabError("this account may not use the Docker engine: add it to the group `docker`, then log in again")
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _start() -> None:
    if os.geteuid() != 0:
        raise LabError("no Docker engine answers, and only root can start one: start yours, or run this as root")
    packages(dockerd="docker.io", iptables="iptables", docker="docker.io")
    log = CACHE / "dockerd.log"
    say(f"  starting dockerd (log: {log})")
    with log.open("w") as output:
        process = subprocess.Popen(
            [which("dockerd") or "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    PID.write_text(str(process.pid))
    end = time.monotonic() + START_SECONDS
    while not _version():
        if process.poll() is not None or time.monotonic() > end:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise LabError(f"dockerd did not come up within {START_SECONDS} s:\n{tail}")
        time.sleep(0.2)
