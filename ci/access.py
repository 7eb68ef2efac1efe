"""The way from a runner to a Docker engine at ssh://: a key in an agent for as long as the step takes, on no disk."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.actions import StepError

KEY, HOSTS = "DESK_SSH_KEY", "DESK_KNOWN_HOSTS"


@contextmanager
def access(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the environment for programs that reach the engine: the key's place is taken by an agent that has it.

    Without DESK_SSH_KEY, as at a workstation, nothing is added to what there is.
    """
    passed = dict(environment)
    key, hosts = passed.pop(KEY, ""), passed.pop(HOSTS, "")
    if not key:
        yield passed
        return
    if not hosts:
        raise StepError(f"{HOSTS} is not set: without the engine's host key nobody knows whom the key is shown to")
    _trust(Path(passed["HOME"]) / ".ssh", hosts)
    with tempfile.TemporaryDirectory() as folder:
        passed["SSH_AUTH_SOCK"] = f"{folder}/agent"
        # It listens once it has printed where.
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", passed["SSH_AUTH_SOCK"]], stdout=subprocess.PIPE, text=True)
        try:
            next(iter(agent.stdout or ()), "")
            added = subprocess.run(
                ["ssh-add", "-q", "-"],
                env=passed,
                input=f"{key.strip()}\n",
                text=True,
                capture_output=True,
                check=False,
            )
            if added.returncode:
                raise StepError(f"{KEY} is not a private key without a passphrase")
            yield passed
        finally:
            agent.terminate()
            agent.wait()


def _trust(folder: Path, hosts: str) -> None:
    """Add the lines of known_hosts that are missing: ssh and paramiko look nowhere else."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "known_hosts"
    known = file.read_text().splitlines() if file.exists() else []
    missing = [line for line in hosts.splitlines() if line.strip() and line not in known]
    if missing:
        with file.open("a") as out:
            out.writelines(f"{line}\n" for line in missing)
