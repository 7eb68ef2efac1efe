"""The lab's container registry, on loopback: an engine pulls from there without TLS, and nobody without a log-in."""

import base64
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from lab import containers, keys
from lab.cache import key
from lab.engine import socket
from lab.image_builder import own
from lab.shell import LabError, run, say

NAME = "carica-lab-registry"
NETWORK = "carica-lab"
IMAGE = own("registry")
PORT = 22050
"""Of this machine, as those of the other stand-ins: below 32768, from where Linux gives ports to clients."""
ACCOUNT = "deploy"


def address(port: int = PORT) -> str:
    """Return what the names of its images begin with."""
    return f"127.0.0.1:{port}"


def label(port: int = PORT) -> str:
    """Return the label that its images bear, wherever they are."""
    return f"carica.lab.registry={address(port)}"


def password() -> str:
    """Return what the account logs in with."""
    return keys.kept("registry_password", keys.password)


def start(name: str = NAME, network: str = NETWORK, port: int = PORT) -> None:
    """Make sure that it runs."""
    containers.join(network)
    given = {"ACCOUNT": ACCOUNT, "ACCOUNT_PASSWORD": password()}
    content = key(*given.values())
    if containers.stands(name, IMAGE, content):
        return wait(port)
    say(f"  starting the lab's registry {name}")
    # fmt: off
    run("registry", [
        "docker", "run", "--detach", "--init", "--name", name, "--restart", "unless-stopped",
        "--network", network, "--publish", f"127.0.0.1:{port}:5000",
        "--volume", f"{name}-images:/var/lib/docker-registry",
        "--label", f"{containers.GIVEN}={content}",
        *(word for variable in given for word in ("--env", variable)), "--memory", "256m", IMAGE,
    ], env=given)
    # fmt: on
    return wait(port)


def wait(port: int = PORT, seconds: float = 30) -> None:
    """Return once it lets the account in."""
    end = time.monotonic() + seconds
    said = ""
    while time.monotonic() < end:
        try:
            with client(port) as api:
                answer = api.get("/v2/")
        except httpx.HTTPError as error:
            said = str(error)
        else:
            if answer.is_success:
                return
            said = f"{answer.status_code} {answer.text}"
        time.sleep(0.1)
    raise LabError(f"the lab's registry did not answer on {address(port)} within {seconds:.0f} s: {said}")


def client(port: int = PORT) -> httpx.Client:
    """Return a client of its API, logged in; close it."""
    return httpx.Client(base_url=f"http://{address(port)}", auth=(ACCOUNT, password()), timeout=10, trust_env=False)


@contextmanager
def login(port: int = PORT) -> Iterator[dict[str, str]]:
    """Yield the environment in which `docker` is logged in there; the person's own log-ins are not touched."""
    with tempfile.TemporaryDirectory() as folder:
        auth = base64.b64encode(f"{ACCOUNT}:{password()}".encode()).decode()
        keys.keep(Path(folder) / "config.json", json.dumps({"auths": {address(port): {"auth": auth}}}))
        # A person's contexts, which may say where the engine is, are in the directory that this replaces.
        yield {"DOCKER_CONFIG": folder, "DOCKER_HOST": f"unix://{socket()}"}


def remove(name: str = NAME, network: str = NETWORK, port: int = PORT) -> None:
    """Remove it with its images, also those that the engine has pulled; and the network unless something is on it."""
    run("images", ["docker", "image", "prune", "--all", "--force", "--filter", f"label={label(port)}"])
    containers.remove(name, network)
