"""How long a command takes until Kestra answers through the edge that it brings up."""

import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from lab.shell import LabError

SECONDS = 300


def until_answered(
    title: str,
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    url: str,
    login: tuple[str, str],
    verify: ssl.SSLContext | bool = True,
) -> float:
    """Run `command` to its end; return the seconds from its start to the first answer of Kestra's API to a login.

    Raises LabError with what it waited for and the command's last lines when it fails, or either takes over SECONDS.
    """
    answered = 0.0
    with (
        tempfile.TemporaryFile("w+") as output,
        httpx.Client(base_url=url, auth=login, verify=verify, timeout=2, trust_env=False) as client,
    ):
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while not answered or process.poll() is None:
                if not answered and _answers(client):
                    answered = time.monotonic() - began
                late = time.monotonic() - began > SECONDS
                if late or process.poll():
                    output.seek(0)
                    waited_for = "its end" if answered else f"Kestra's answer on {url}"
                    why = f"{SECONDS} s went by" if late else f"it ended with exit code {process.returncode}"
                    raise LabError(f"{title}: waiting for {waited_for}, {why}\n{output.read()[-4000:]}")
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=60)
    return answered


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/v1/main/flows/search").status_code == 200
    except httpx.TransportError:
        return False
