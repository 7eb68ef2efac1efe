"""The connection to the Docker engine, and what the real plugin's schema says of each type."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from lab.plugins.framework import Failed, Properties, cancelled

CONNECT_SECONDS = 10
CALL_SECONDS = 600
"""A pull or the creation of a container from a big image may take this long."""
RELEASE_SECONDS = 30.0
"""How long a network or volume is waited for that something still holds, as in the real plugin."""
ERRORS = (DockerException, requests.RequestException)
"""What a call to the engine raises; the second when the engine goes away."""

_connection: APIClient | None = None


def configure(settings: Properties) -> None:
    """Connect to the engine that `host` or the environment names; raises Failed."""
    global _connection
    unknown = {key for key, value in settings.items() if value} - {"host", "version"}
    if "sshOpts" in unknown:
        raise Failed(
            "the lab's stand-in of docker cannot pass sshOpts on, as the docker SDK runs ssh without any: "
            "put them into ~/.ssh/config for that host, or install the official plugin"
        )
    if unknown:
        raise Failed(f"the lab's stand-in of docker does not implement the setting {', '.join(sorted(unknown))}")
    host = settings.get("host") or os.environ.get("DOCKER_HOST")
    try:
        client = APIClient(
            base_url=host,
            version="auto",
            timeout=CONNECT_SECONDS,
            use_ssh_client=bool(host and host.startswith("ssh:")),
        )
        client.ping()
    except ERRORS as error:
        where = host or "the default socket"
        raise Failed(f"failed to connect to any docker daemon: {where}: {reason(error)}") from None
    client.timeout = CALL_SECONDS
    _connection = client


def api() -> APIClient:
    """Return the configured connection."""
    if _connection is None:
        raise Failed("the docker plugin was not configured")
    return _connection


def reason(error: BaseException) -> str:
    """Return what the engine said, in the form the real plugin passes it on."""
    if isinstance(error, APIError):
        return f"Error response from daemon: {error.explanation or error}"
    return str(error)


def until_released(remove: Callable[[], None], held: str) -> None:
    """Call `remove` until the engine no longer refuses with `held`; raises the engine's error at the end."""
    end = time.monotonic() + RELEASE_SECONDS
    while True:
        try:
            return remove()
        except APIError as error:
            if held not in reason(error) or time.monotonic() > end or cancelled.wait(0.25):
                raise


def replacing(token: str) -> frozenset[str]:
    """Return the properties whose change replaces the resource (taken from pulumi-docker 5.1.0's schema)."""
    return frozenset(json.loads(Path(__file__).with_name("replacing.json").read_text())[token])
