"""The lab's GitHub as a container: REST under /api/v3, Git over HTTP and SSH, controls under /_lab."""

import time
from collections.abc import Mapping
from pathlib import Path

from lab import containers, github, keys
from lab.cache import key
from lab.image_builder import own
from lab.shell import LabError, run, say

NAME = "carica-lab-github"
ALIAS = "github"
NETWORK = "carica-lab"
IMAGE = own("github")
PORT = 22080
FLOWS_REPOSITORY = "centaurin/carica-kestra"
ADMINISTERS = {
    **dict.fromkeys(("administration", "contents", "webhooks", "environments"), "write"),
    "actions": "read",
}
"""What docs/github.md asks for a token that Pulumi administers the repositories with, and no more."""


def start(name: str = NAME, network: str = NETWORK, port: int = PORT, connect_to: str = "") -> github.Client:
    """Make sure that it runs, with a host key that stays the same; return the handle on it.

    `connect_to` holds FROM=TO pairs of host:port, separated by commas: deliveries for FROM go to the machine TO, with
    the address of the hook in the request and in TLS all the same.
    """
    containers.join(network)
    given = {
        "SSH_HOST_KEY": keys.ssh_key("github_ed25519").private,
        "CA_CERTIFICATE": keys.ca_certificate(),
        "CONNECT_TO": connect_to,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    content = key(*given.values())
    if containers.stands(name, IMAGE, content):
        return wait(port)
    say(f"  starting the lab's GitHub {name}")
    # fmt: off
    run("GitHub", [
        "docker", "run", "--detach", "--init", "--name", name, "--hostname", ALIAS, "--restart", "unless-stopped",
        "--network", network, "--network-alias", ALIAS, "--publish", f"127.0.0.1:{port}:8080",
        "--volume", f"{name}-state:/var/lib/github", "--label", f"{containers.GIVEN}={content}",
        *(word for variable in given for word in ("--env", variable)), "--memory", "512m", IMAGE,
    ], env=given)
    # fmt: on
    return wait(port)


def admit(client: github.Client, secrets: Mapping[str, str]) -> None:
    """Let in what a stack with these secrets logs in with: Pulumi, and Kestra's flows."""
    client.token(ADMINISTERS, token=secrets["githubToken"])
    client.token({"contents": "write"}, token=secrets["kestraGitToken"], repositories=["carica-kestra"])
    told = ["carica", "carica-ml", "carica-deploy"]
    client.token({"statuses": "write"}, token=secrets["kestraStatusToken"], repositories=told)


def seed(client: github.Client, flows: Path) -> None:
    """Commit the flows to a carica-kestra that is new: a sync makes Kestra's flows equal to what is there."""
    with client.api(client.token({"contents": "read"})) as api:
        commits = api.get(f"/repos/{FLOWS_REPOSITORY}/commits").raise_for_status().json()
    if len(commits) == 1:
        files = {f"flows/{file.name}": file.read_text() for file in sorted(flows.glob("*.yml"))}
        client.commit(FLOWS_REPOSITORY, files, message="The flows")


def wait(port: int = PORT, seconds: float = 30) -> github.Client:
    """Return a handle once it answers on 127.0.0.1:port."""
    client = github.Client(f"http://127.0.0.1:{port}")
    end = time.monotonic() + seconds
    while not client.answers():
        if time.monotonic() > end:
            raise LabError(f"the lab's GitHub did not answer on 127.0.0.1:{port} within {seconds:.0f} s")
        time.sleep(0.1)
    return client


def remove(name: str = NAME, network: str = NETWORK) -> None:
    """Remove it with all that it remembers, and the lab's network unless something else is on it."""
    containers.remove(name, network)
