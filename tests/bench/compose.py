"""The original set-up under compose v2, which is built from its Go module."""

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from lab import go
from lab.cache import cached
from tests.estate import free_port

HERE = Path(__file__).parent
LOGIN = base64.b64encode(b"admin@example.com:Kestra-bench-1").decode()


def compose() -> Path:
    """Return docker-compose, built the first time."""

    def build(into: Path) -> None:
        go.build("docker compose", HERE / "compose", "github.com/docker/compose/v2/cmd", into / "docker-compose")

    return cached("compose", (HERE / "compose/go.mod", HERE / "compose/go.sum"), build) / "docker-compose"


def answers(url: str, login: str, verify: object = True) -> bool:
    """Tell whether Kestra's API answers a login through the edge."""
    try:
        with httpx.Client(verify=verify, timeout=2, trust_env=False) as client:  # type: ignore[arg-type]
            answer = client.get(f"{url}/api/v1/main/flows/search", headers={"Authorization": f"Basic {login}"})
            return answer.status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def original() -> Iterator[float]:
    """Bring the original up from nothing; yield the seconds until Kestra answers through its edge."""
    port = free_port()
    env = {**os.environ, "BENCH_PORT": str(port)}
    command = [str(compose()), "--file", str(HERE / "original/compose.yaml")]
    began = time.monotonic()
    up = subprocess.Popen([*command, "up", "--detach", "--wait", "--quiet-pull"], env=env, stderr=subprocess.DEVNULL)
    try:
        while not answers(f"http://127.0.0.1:{port}", LOGIN):
            time.sleep(0.05)
        yield time.monotonic() - began
    finally:
        up.wait()
        subprocess.run([*command, "down", "--volumes"], env=env, stderr=subprocess.DEVNULL, check=True)
